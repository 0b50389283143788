"""What a person finds in MLflow: a page of measures, the state and command of a sweep, and its report."""

import json
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from contsym.results import tracking
from contsym.results.tracking_view import page_of, set_view
from contsym.sweeps.tracking import log_report, log_run
from tests.stored_results import store_run, store_sweep


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, mlflow_template):
    """A sweep of which 3 of 4 cells are stored, and a run, beside an empty database."""
    output = tmp_path_factory.mktemp("stopped")
    shutil.copy(mlflow_template, output / "mlflow.db")
    found = {"strategies": ["knn_fixed"], "shots": [8, 16], "seeds": [0, 1], "with_view": False}
    store_sweep(output, leave_out=1, **found)
    store_run(output, "a", [0])
    return output


def parent_of(output):
    from mlflow import MlflowClient

    client = MlflowClient(tracking.default_uri(output))
    (experiment,) = (e for e in client.search_experiments() if e.name.startswith("contsym/"))
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (r for r in runs if r.info.run_name.startswith("sweep "))
    return client, experiment, parent


def test_a_stopped_sweep_says_so_with_its_command_and_ends_when_it_is_resumed(stopped):
    from contsym.sweeps.runs import stored_sweeps

    uri = tracking.default_uri(stopped)
    (sweep,) = stored_sweeps(stopped)
    log_run(sweep, uri, is_running=True)
    assert parent_of(stopped)[2].info.status == "RUNNING"
    # All was sent, and the sweep ends: its state changes.
    log_run(sweep, uri, is_running=False)
    client, experiment, parent = parent_of(stopped)
    assert parent.info.status == "KILLED"
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("3 of 4 cells are finished; `contsym sweep --resume` resumes it.")
    assert "contsym sweep \\\n  --strategies knn_fixed" in note
    table = Path(client.download_artifacts(parent.info.run_id, "table.csv"))
    lines = [line.split(",") for line in table.read_text("utf-8").splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ['"knn_fixed"', "8", "2 of 2"],
        ['"knn_fixed"', "16", "1 of 2"],
    ]
    # The columns of the page are measures that the runs have.
    view = json.loads(experiment.tags["mlflow.sharedViewState.contsym"])
    shown = [name.split("`")[1] for name in view["selectedColumns"] if name.startswith("metrics")]
    assert shown == [
        "accuracy/wikidata",
        "forgetting/mnli",
        "sample_efficiency/wikidata/n_distinct_pairs",
        "accuracy_macro",
    ]
    (cell, *_) = (r for r in client.search_runs([experiment.experiment_id]) if "seed 0" in r.info.run_name)
    assert set(shown) <= set(cell.data.metrics)
    assert {"variant", "shots", "seed"} <= set(cell.data.params) and "contsym.run" in cell.data.tags
    assert page_of(stopped / "mlflow.db") == (
        f"/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey=contsym"
    )
    # The same cells, now with the last one.
    store_sweep(stopped, strategies=["knn_fixed"], shots=[8, 16], seeds=[0, 1], with_view=False)
    (sweep,) = stored_sweeps(stopped)
    log_run(sweep, uri)
    _, _, again = parent_of(stopped)
    assert (again.info.run_id, again.info.status) == (parent.info.run_id, "FINISHED")
    assert "cells are finished" not in again.data.tags["mlflow.note.content"]


def test_a_report_becomes_an_artifact_of_a_run_that_was_sent(stopped, tmp_path):
    from contsym.sweeps.runs import stored_runs

    uri = tracking.default_uri(stopped)
    sweep, run = sorted(stored_runs(stopped), key=lambda each: not each.is_sweep)
    page = tmp_path / "report.html"
    page.write_text("<p>a report")
    assert not log_report(run, tmp_path, uri)
    log_run(sweep, uri)
    assert log_report(sweep, tmp_path, uri)
    client, _, parent = parent_of(stopped)
    assert [f.path for f in client.list_artifacts(parent.info.run_id, "report")] == ["report/report.html"]


def test_a_database_without_runs_of_contsym_has_no_page(tmp_path):
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE experiments (experiment_id, name)")
    db.close()
    assert page_of(path) == ""


@pytest.mark.parametrize("is_set_by_another", [True, False])
def test_two_processes_set_the_view_of_an_experiment(is_set_by_another):
    from mlflow.exceptions import MlflowException

    tags = {}

    class Client:
        def get_experiment(self, _):
            return SimpleNamespace(tags=dict(tags))

        def set_experiment_tag(self, _, name, value):
            if is_set_by_another:
                tags[name] = value
            raise MlflowException("UNIQUE constraint failed: experiment_tags.key")

    if is_set_by_another:
        set_view(Client(), "1", "the view")
        assert "the view" in tags.values()
    else:
        with pytest.raises(MlflowException):
            set_view(Client(), "1", "the view")
