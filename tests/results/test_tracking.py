"""Results in MLflow equal those on disk, also after failures and repeated sending.

Over 400 lines: all that one database is asked.
"""

import csv
import itertools
import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contsym.errors import TrackingError
from contsym.results import mlflow_records, tracking, tracking_parts
from contsym.results.schema import PartAccuracy
from contsym.sweeps.runs import read_run, stored_runs
from contsym.sweeps.tracking import _table, log_run, sweep_record, sync, untracked
from tests.stored_results import key_for, make_result, plain_result, seed_folder, store_run, store_sweep

NAME = "knn_fixed-mnli_then_wikidata-abc123abc123"
REFUSED = "http://127.0.0.1:9"
"""Nobody listens there, and a connection is refused at once."""


@pytest.fixture
def output(tmp_path, mlflow_template):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return tmp_path


def runs_of(output, uri=None):
    """All MLflow runs of the scenario: parents by the name of their folder, children as seed-N."""
    from mlflow import MlflowClient

    client = MlflowClient(uri or tracking.default_uri(output))
    experiment = client.get_experiment_by_name("contsym/mnli_then_wikidata")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    named = {name_of(run): run for run in found}
    assert len(named) == len(found), "something is there twice"
    return client, named


def name_of(run):
    is_child = "contsym.seed" in run.data.tags
    return run.info.run_name if is_child else run.data.tags["contsym.run"]


def history(client, run, key):
    return sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key))


def n_metrics(output):
    with sqlite3.connect(output / "mlflow.db") as db:
        (count,) = db.execute("SELECT COUNT(*) FROM metrics").fetchone()
    db.close()
    return count


def pending(output, uri):
    return sum(len(untracked(run, uri)) for run in stored_runs(output))


def send(output, folder):
    return log_run(read_run(folder), tracking.default_uri(output))


def test_what_is_read_back_equals_the_stored_result(output):
    result = make_result(seed=3)
    relearning = {"n_pairs": 96, "n_pairs_tried": 96, "target": 0.8}
    ids = send(output, store_run(output, NAME, [3], relearning=relearning))
    client, runs = runs_of(output)
    run = runs["seed-3"]
    assert ids == {key_for(NAME, 3): run.info.run_id}
    for j, task in enumerate(result.tasks):
        column = [(i, row[j]) for i, row in enumerate(result.matrix)]
        assert history(client, run, f"accuracy/{task}") == column
        points = [p for p in result.trajectory if p.experience == j]
        for i, measured in enumerate(result.tasks):
            expected = [(p.n_pairs_seen, p.accuracies[i]) for p in points]
            assert history(client, run, f"trajectory/{task}/accuracy/{measured}") == expected
        for key, name in (("distinct_pairs", "n_distinct_pairs"), ("weights_distance", "weights_distance")):
            expected = [(p.n_pairs_seen, getattr(p, name)) for p in points]
            assert history(client, run, f"trajectory/{task}/{key}") == expected
        assert history(client, run, f"loss/{task}") == list(enumerate(result.loss[j], start=1))
    assert history(client, run, "accuracy/wikidata/symmetric") == [(0, 0.4), (1, 0.6), (2, 1.0)]
    latest = run.data.metrics
    assert latest["accuracy_macro"] == result.final_macro
    assert latest["accuracy_micro"] == result.final_micro
    assert latest["forgetting/mnli"] == result.forgetting["mnli"]
    assert "forgetting/wikidata" not in latest
    assert (latest["bwt"], latest["fwt"], latest["seconds"]) == (result.figures["bwt"], 0.0, 6.0)
    assert latest["cost/training_seconds"] == 3.75
    assert latest["cost/pairs_seen"] == 432
    assert latest["sample_efficiency/wikidata/n_pairs_seen"] == 128
    assert latest["trajectory/min_acc"] == 0.6
    assert latest["trajectory/forgetting_at_target/mnli"] == 0.2
    assert (latest["relearning/n_pairs"], latest["relearning/target"]) == (96, 0.8)
    assert "sample_efficiency/mnli/n_pairs_seen" not in latest


def test_parameters_tags_and_inputs_say_how_it_was_made(output):
    send(output, store_run(output, NAME, [0]))
    _, runs = runs_of(output)
    run = runs["seed-0"]
    expected = {
        "strategy": "knn_fixed", "scenario": "mnli_then_wikidata", "encoder": "minilm", "seed": "0",
        "shots": "64", "mnli_size": "all", "form": "lexicalised", "device": "cpu",
        "precision": "fp32", "threads": "2", "settings.k": "3", "settings.learning_rate": "0.0001",
        "source.wikidata": "wikidata_mini (bundled sample)",
    }  # fmt: skip
    assert run.data.params.items() >= expected.items()
    tags = run.data.tags
    assert tags["contsym.source.mnli"] == "MultiNLI 1.0 (bundled sample)"
    assert tags["data.mnli.fingerprint"] == "a1" * 32
    assert tags["version.torch"] == "2.6.0"
    # Metrics, which MLflow's charts and filters take.
    assert (run.data.metrics["learned/mnli"], run.data.metrics["above_shortcuts/wikidata"]) == (1, 0)
    assert tags["encoder_weights.sha256"] == "53aa" * 16
    inputs = {i.dataset.name: i for i in run.inputs.dataset_inputs}
    assert inputs["wikidata_mini (bundled sample)"].dataset.digest == "b2" * 18
    assert datetime.fromtimestamp(run.info.start_time / 1000, UTC) == datetime(
        2026, 1, 2, 3, 4, 5, tzinfo=UTC
    )
    assert run.info.end_time - run.info.start_time == 6000


def test_artifacts_are_the_seed_folder_and_the_matrix(output):
    folder = store_run(output, NAME, [0])
    (seed_folder(folder, 0) / "label_vectors.safetensors").write_bytes(b"\0" * 8)
    (folder / "table.txt").write_text("a table")
    send(output, folder)
    client, runs = runs_of(output)
    listed = {a.path for a in client.list_artifacts(runs["seed-0"].info.run_id)}
    assert listed == {"result.json", "predictions.csv", "label_vectors.safetensors", "matrix.csv"}
    at = Path(runs["seed-0"].info.artifact_uri.removeprefix("file://"))
    assert at.is_relative_to(output / "artifacts" / "contsym" / "mnli_then_wikidata")
    rows = list(csv.reader((at / "matrix.csv").read_text().splitlines()))
    assert rows == [
        ["after", "mnli", "wikidata"],
        ["untrained", "0.34", "0.5"],
        ["mnli", "0.8", "0.5"],
        ["wikidata", "0.6", "0.95"],
    ]
    assert json.loads((at / "result.json").read_text()) == plain_result(key=key_for(NAME, 0))
    assert [a.path for a in client.list_artifacts(runs[NAME].info.run_id)] == ["table.txt"]


def test_parent_holds_what_is_common_and_the_means(output):
    send(output, store_run(output, NAME, [0, 1, 2]))
    _, runs = runs_of(output)
    parent = runs.pop(NAME)
    assert set(runs) == {"seed-0", "seed-1", "seed-2"}
    assert {r.data.tags["mlflow.parentRunId"] for r in runs.values()} == {parent.info.run_id}
    assert parent.data.params["strategy"] == "knn_fixed"
    assert "seed" not in parent.data.params
    assert parent.data.tags["contsym.seeds"] == "0,1,2"
    assert parent.data.tags["contsym.seen"] == "mnli,snli"
    # The mean of 0.60, 0.61 and 0.62; Wikidata's is 0.95 throughout.
    assert parent.data.metrics["accuracy/mnli"] == pytest.approx(0.61)
    assert parent.data.metrics["accuracy_macro"] == pytest.approx((0.61 + 0.95) / 2)
    assert parent.data.metrics["forgetting/mnli"] == pytest.approx(0.19)
    assert (parent.data.metrics["learned/mnli"], parent.data.metrics["above_shortcuts/wikidata"]) == (1, 0)
    assert parent.data.metrics["shortcut/wikidata/relation_phrase"] == 1.0
    assert parent.data.metrics["trajectory/worst_case_accuracy"] == pytest.approx(0.775)
    assert parent.data.metrics["trajectory/stability_gap/mnli"] == 0.0
    assert "relearning/n_pairs" not in parent.data.metrics
    # The last step is the end.
    assert parent.data.metrics["calibration_error/mnli"] == pytest.approx(0.25)
    shares = [parent.data.metrics[f"{name}/mnli/entailment"] for name in ("label_share", "predicted")]
    assert shares == pytest.approx([0.34, 0.74])
    assert parent.data.metrics["above_best_shortcut/wikidata"] == pytest.approx(0.95 - 1.0)
    assert parent.data.metrics["above_best_shortcut/mnli"] == pytest.approx(0.61 - 0.4)


PLUGINS = [
    {"kind": "strategy", "name": "mine", "origin": "methods/mine.py", "sha256": "c3" * 32},
    {"kind": "scenario", "name": "stream", "origin": "demo-methods 1.2", "sha256": "d4" * 32},
]


def test_a_result_of_a_plugin_says_so_with_its_notes(output):
    # Seeds differ in what they say of themselves; the parent has what they share.
    folder = store_run(output, NAME, [0], plugins=PLUGINS, notes=["a tied head", "no calibration"])
    store_run(output, NAME, [1], plugins=PLUGINS, notes=["a tied head"])
    send(output, folder)
    _, runs = runs_of(output)
    for run in runs.values():
        assert run.data.params["plugin.strategy"] == "methods/mine.py"
        assert run.data.params["plugin.scenario"] == "demo-methods 1.2"
        assert run.data.tags["plugin.strategy.sha256"] == "c3" * 32
        assert run.data.tags["plugin.scenario.sha256"] == "d4" * 32
    notes = {name: run.data.tags.get("contsym.notes") for name, run in runs.items()}
    assert notes == {NAME: None, "seed-0": "a tied head; no calibration", "seed-1": "a tied head"}


def test_a_result_of_contsym_alone_names_no_plugin():
    record = mlflow_records.seed_record(make_result(plugins=[], notes=[]))
    assert not [key for key in (*record.params, *record.tags) if "plugin" in key or "notes" in key]


def test_a_sweep_names_the_plugins_of_its_cells(tmp_path):
    sweep = store_sweep(tmp_path, strategies=("knn_fixed",), shots=(8,), seeds=(0,), with_view=False)
    found = [
        make_result(strategy="mine", plugins=PLUGINS[:1], notes=["a tied head"]),
        make_result(strategy="knn_fixed", plugins=[], notes=[]),
        make_result(1, strategy="mine", plugins=PLUGINS[:1], notes=["a tied head"]),
    ]
    tags = sweep_record(sweep, found, 0).tags
    assert tags["contsym.plugins"] == f"methods/mine.py (SHA-256 {'c3' * 32})"
    assert tags["contsym.notes"] == "mine: a tied head"
    assert not {"contsym.plugins", "contsym.notes"} & set(sweep_record(sweep, found[1:2], 0).tags)


def test_the_orders_of_a_scenario_have_the_figures_of_their_own_tasks():
    turned = make_result(tasks=["wikidata", "mnli"], forgetting={"wikidata": 0.3})
    figures = {("b", 64): [make_result()], ("a", 64): [turned]}
    head, first, second = (line.split(",") for line in _table(figures, lambda _: 1).splitlines())
    rows = [dict(zip(head, row, strict=True)) for row in (first, second)]
    assert [(r["forgetting/mnli"], r["forgetting/wikidata"]) for r in rows] == [("0.2", ""), ("", "0.3")]
    assert rows[0]["accuracy/mnli"] == rows[1]["accuracy/mnli"] == "0.6"


def test_sending_twice_adds_nothing(output):
    folder = store_run(output, NAME, [0, 1])
    first = send(output, folder)
    _, before = runs_of(output)
    count = n_metrics(output)
    assert send(output, folder) == first
    for mark in folder.glob("tracked/*.json"):
        mark.unlink()  # as if killed just before it was written
    assert send(output, folder) == first
    _, after = runs_of(output)
    assert n_metrics(output) == count
    assert {r.info.run_id for r in after.values()} == {r.info.run_id for r in before.values()}


@pytest.mark.parametrize("broken", ["log_artifact", "log_inputs", "set_terminated"])
def test_a_partly_sent_run_is_completed(output, monkeypatch, broken):
    from mlflow import MlflowClient

    original = getattr(MlflowClient, broken)
    calls = itertools.count()

    def fail_late(*args, **kwargs):
        # The parent calls set_terminated once, each child 1 to 3 of the others.
        if next(calls) == {"log_artifact": 4, "log_inputs": 1, "set_terminated": 2}[broken]:
            raise OSError("connection lost")
        return original(*args, **kwargs)

    folder = store_run(output, NAME, [0, 1])
    uri = tracking.default_uri(output)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, broken, fail_late)
        with pytest.raises(TrackingError, match="connection lost"):
            send(output, folder)
    _, runs = runs_of(output)
    assert runs["seed-1"].info.status == "RUNNING"
    assert pending(output, uri) == 1
    runs_sent = []
    assert sync(output, uri, lambda *run: runs_sent.append(run)) == 1
    assert runs_sent == [(NAME, 1)]
    client, runs = runs_of(output)
    assert set(runs) == {NAME, "seed-0", "seed-1"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert history(client, runs["seed-1"], "accuracy/mnli") == [(0, 0.34), (1, 0.8), (2, 0.61)]
    assert len(runs["seed-1"].inputs.dataset_inputs) == 2
    assert pending(output, uri) == 0


def test_seeds_stored_later_join_the_same_parent(output):
    folder = store_run(output, NAME, [0])
    send(output, folder)
    store_run(output, NAME, [2])
    assert set(send(output, folder)) == {key_for(NAME, 0), key_for(NAME, 2)}
    _, runs = runs_of(output)
    assert set(runs) == {NAME, "seed-0", "seed-2"}
    assert runs[NAME].data.tags["contsym.seeds"] == "0,2"
    assert runs[NAME].data.metrics["accuracy/mnli"] == pytest.approx(0.61)


def test_two_folders_that_send_the_same_run_leave_it_once(output, tmp_path_factory):
    send(output, store_run(output, NAME, [0, 1]))
    count = n_metrics(output)
    other = tmp_path_factory.mktemp("other")
    folder = store_run(other, NAME, [0, 1], started_at="2026-03-04T05:06:07+00:00")
    assert len(log_run(read_run(folder), tracking.default_uri(output))) == 2
    assert n_metrics(output) == count
    assert set(runs_of(output)[1]) == {NAME, "seed-0", "seed-1"}


def test_means_over_more_seeds_count_as_the_later_ones_though_the_clock_went_back(output):
    folder = store_run(output, NAME, [0])
    send(output, folder)
    store_run(output, NAME, [1], started_at="2025-12-31T23:59:59+00:00")
    send(output, folder)
    _, runs = runs_of(output)
    # 0.60 with seed 0, 0.61 with seed 1; MLflow shows what has the latest time.
    assert runs[NAME].data.metrics["accuracy/mnli"] == pytest.approx(0.605)


def test_a_server_that_is_down_costs_seconds_and_no_result(output):
    folder = store_run(output, NAME, [0])
    stored = (seed_folder(folder, 0) / "result.json").read_bytes()
    began = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        log_run(read_run(folder), REFUSED)
    assert time.monotonic() - began < 15
    assert str(caught.value) == (
        f"MLflow store {REFUSED}: sending {NAME} failed (no answer); results are "
        "stored: start the server or correct the address, then "
        f"contsym sync --output {output} --tracking-uri {REFUSED}"
    )
    assert (seed_folder(folder, 0) / "result.json").read_bytes() == stored
    assert not (folder / "tracked").exists()
    assert pending(output, REFUSED) == 1
    uri = tracking.default_uri(output)
    assert sync(output, uri, lambda *run: None) == 1
    assert pending(output, uri) == 0
    assert pending(output, REFUSED) == 1


def test_a_silent_server_is_given_up(output, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TrackingError, match=r"\(no answer\)"):
            log_run(read_run(store_run(output, NAME, [0])), uri)


@pytest.mark.slow
def test_processes_that_make_the_same_store_at_once(tmp_path):
    names = [NAME, NAME.replace("abc123", "def456")]
    for name in names:
        store_run(tmp_path, name, [0])
    program = (
        "import sys\nfrom pathlib import Path\nfrom contsym.results.tracking import default_uri\n"
        "from contsym.sweeps.runs import read_run\nfrom contsym.sweeps.tracking import log_run\n"
        "output = Path(sys.argv[1])\n"
        "log_run(read_run(output / 'runs' / sys.argv[2]), default_uri(output))\n"
    )
    (tmp_path / ".partial-mlflow.db-0000").write_text("left by a process that was killed")
    command = [sys.executable, "-c", program, str(tmp_path)]
    started = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for name in names
    ]
    assert [(p.communicate()[0], p.returncode) for p in started] == [(b"", 0), (b"", 0)]
    from mlflow import MlflowClient

    client = MlflowClient(tracking.default_uri(tmp_path))
    found = client.search_experiments(filter_string="name LIKE 'contsym/%'")
    assert [e.name for e in found] == ["contsym/mnli_then_wikidata"]
    runs = client.search_runs([found[0].experiment_id])
    assert sorted(map(name_of, runs)) == sorted([*names, "seed-0", "seed-0"])
    assert not list(tmp_path.glob(".partial-*"))


class Rival:
    """A client whose calls fail as if other processes added the same datasets first, n times."""

    def __init__(self, n: int, message: str) -> None:
        self.n, self.message, self.taken = n, message, []

    def log_inputs(self, run_id: str, inputs: list[str]) -> None:
        from mlflow.exceptions import MlflowException

        if self.n:
            self.n -= 1
            raise MlflowException(f"(some.IntegrityError) {self.message}")
        self.taken.append((run_id, inputs))


@pytest.mark.parametrize(
    "message", ["UNIQUE constraint failed: datasets.name", "duplicate key value violates"]
)
def test_datasets_that_others_add_at_the_same_time_are_found_by_the_next_call(message):
    client = Rival(2, message)
    tracking_parts.log_inputs(client, "a", ["mnli", "wikidata"])
    assert client.taken == [("a", ["mnli", "wikidata"])]


@pytest.mark.parametrize(
    ("n", "message"), [(3, "UNIQUE constraint failed"), (1, "NOT NULL constraint failed")]
)
def test_other_errors_are_raised(n, message):
    from mlflow.exceptions import MlflowException

    client = Rival(n, message)
    with pytest.raises(MlflowException, match=message):
        tracking_parts.log_inputs(client, "a", ["mnli", "wikidata"])
    assert not client.taken


def test_a_moved_database_is_refused_and_a_new_one_keeps_its_artifacts_beside_it(output, tmp_path_factory):
    send(output, store_run(output, NAME, [0]))
    moved = tmp_path_factory.mktemp("elsewhere") / "moved here"
    shutil.move(output, moved)
    uri = tracking.default_uri(moved)
    with pytest.raises(TrackingError) as caught:
        sync(moved, uri, lambda *run: None)
    assert str(caught.value) == (
        f"{uri} was moved, and MLflow would write to {(output / 'artifacts').as_uri()}/contsym/mnli_then_wikidata; "
        f"move this file away, then contsym sync --output '{moved}' makes a new one"
    )
    assert not output.exists()
    # At another name, since MLflow keeps a database open as long as the process lives.
    uri = f"sqlite:///{moved}/new.db"
    assert sync(moved, uri, lambda *run: None) == 1
    client, runs = runs_of(moved, uri)
    assert set(runs) == {NAME, "seed-0"}
    expected = f"{(moved / 'artifacts').as_uri()}/contsym/mnli_then_wikidata/"
    assert all(run.info.artifact_uri.startswith(expected) for run in runs.values())
    assert "matrix.csv" in {a.path for a in client.list_artifacts(runs["seed-0"].info.run_id)}


def test_an_experiment_deleted_in_the_ui_is_one_line_with_the_remedy(output):
    uri, name = tracking.default_uri(output), "contsym/mnli_then_wikidata"
    with tracking.opened(output, uri) as client:
        number = tracking.experiment_id(client, output, uri, name)
        client.delete_experiment(number)
        with pytest.raises(TrackingError) as caught:
            tracking.experiment_id(client, output, uri, name)
        assert str(caught.value) == (
            f"{uri}: the experiment {name} was deleted there; restore it (mlflow experiments restore --experiment-id "
            f"{number}) or remove it for good (mlflow gc), then contsym sync --output {output}"
        )
        client.restore_experiment(number)
        assert tracking.experiment_id(client, output, uri, name) == number


def test_a_deleted_database_counts_as_empty(output):
    uri = tracking.default_uri(output)
    send(output, store_run(output, NAME, [0]))
    (output / "mlflow.db").unlink()
    assert pending(output, uri) == 1
    with tracking._quiet_mlflow():
        tracking.make_database(output / "mlflow.db", output)
    assert pending(output, uri) == 1, "a new database does not hold what the old one did"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(b"no database" * 100), "the database is damaged"),
        (lambda path: path.write_bytes(b""), "the database is damaged"),
        (
            lambda path: change(path, "UPDATE alembic_version SET version_num = '451aebb31d03'"),
            "the database is of another MLflow version",
        ),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line(output, spoil, reason):
    spoil(output / "mlflow.db")
    folder = store_run(output, NAME, [0])
    with pytest.raises(TrackingError) as caught:
        send(output, folder)
    assert f"({reason})" in str(caught.value)
    assert "\n" not in str(caught.value)


def change(path, statement):
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("uri", "message"),
    [("gopher://there", "unsupported URI 'gopher://there'"), ("./mlruns", "is in maintenance mode")],
)
def test_a_kind_of_store_that_does_not_exist_is_named_in_mlflows_words(tmp_path, uri, message):
    with pytest.raises(TrackingError, match=message):
        log_run(read_run(store_run(tmp_path, NAME, [0])), uri)


def test_credentials_are_shown_and_stored_nowhere(output, capfd):
    uri = "http://ada:s3cret@127.0.0.1:9/mlflow"
    assert tracking.display_uri(uri) == "http://***@127.0.0.1:9/mlflow"
    assert tracking.display_uri("http://u:a@b@host/x") == "http://***@host/x"
    assert tracking.display_uri("postgresql://h/d?password=s3cret&x=1") == (
        "postgresql://h/d?password=***&x=1"
    )
    with pytest.raises(TrackingError) as caught:
        log_run(read_run(store_run(output, NAME, [0])), uri)
    message = str(caught.value) + "".join(capfd.readouterr())
    assert "s3cret" not in message
    assert "ada" not in message
    database = "sqlite:///" + str(output / "mlflow.db") + "?password=s3cret"
    log_run(read_run(output / "runs" / NAME), tracking.resolve_uri(output, database))
    marks = [path.read_text() for path in output.glob("runs/*/tracked/*.json")]
    assert ["s3cret" in mark for mark in marks] == [False]
    command, environment = tracking.ui_command(output, "postgresql://ada:s3cret@h/d", "127.0.0.1", 5001)
    assert "s3cret" not in " ".join(command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://ada:s3cret@h/d"


@pytest.mark.parametrize("uri", ["nonsense://x", "databricks://profile", "redis+sqlite://x"])
def test_the_ui_opens_no_store_that_mlflow_has_not(tmp_path, uri):
    with pytest.raises(
        TrackingError, match=r"is not a store that MLflow knows; expected a folder, or sqlite, "
    ):
        tracking.ui_command(tmp_path, uri, "127.0.0.1", 5001)


def test_names_become_keys_that_mlflow_takes():
    from mlflow.utils.validation import _validate_metric_name

    # Names that no stored result may have: the last wall before MLflow, which refuses a whole batch for one key.
    kinds = {"sym [P3373], both": PartAccuracy(accuracy=0.5, n=4), "..": PartAccuracy(accuracy=1.0, n=2)}
    kinds |= make_result().by_kind["wikidata"][0]
    result = make_result().model_copy(update={"by_kind": {"wikidata": [kinds] * 3}})
    metrics = mlflow_records.seed_record(result).metrics
    values = {key: value for key, value, _ in metrics}
    assert values["accuracy/wikidata/sym _P3373__ both"] == 0.5
    assert values["accuracy/wikidata/_"] == 1.0
    for key in values:
        _validate_metric_name(key)


def test_long_losses_are_thinned_and_keep_the_last():
    losses = [[float(n) for n in range(2500)], []]
    metrics = mlflow_records.seed_record(make_result(loss=losses)).metrics
    points = [(step, value) for key, value, step in metrics if key == "loss/mnli"]
    assert len(points) == 834  # every third of 2500, counted from the end
    assert points[0] == (2500, 2499.0)
    assert points[-1] == (1, 0.0)


def test_uris_in_order_of_precedence(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.resolve_uri(tmp_path, None) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://h:1")
    assert tracking.resolve_uri(tmp_path, None) == "http://h:1"
    assert tracking.resolve_uri(tmp_path, "https://i:2") == "https://i:2"
    monkeypatch.chdir(tmp_path)
    assert tracking.resolve_uri(tmp_path, "sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"


def test_ui_is_for_a_store_that_is_there(output, tmp_path_factory):
    uri = tracking.default_uri(output)
    command, environment = tracking.ui_command(output, uri, "127.0.0.1", 5001)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert command[-2:] == ["--backend-store-uri", uri]
    assert environment.items() >= {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": os.environ["PATH"],
    }.items()  # fmt: skip
    with pytest.raises(TrackingError, match="a UI of its own"):
        tracking.ui_command(output, REFUSED, "127.0.0.1", 5001)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(TrackingError, match="is not there yet; contsym run makes it"):
        tracking.ui_command(empty, tracking.default_uri(empty), "127.0.0.1", 5001)


def test_nothing_of_mlflow_is_left_changed(output):
    import mlflow

    before = mlflow.get_tracking_uri(), logging.getLogger("mlflow").level, Path.cwd()
    send(output, store_run(output, NAME, [0]))
    assert (mlflow.get_tracking_uri(), logging.getLogger("mlflow").level, Path.cwd()) == before
    assert mlflow.active_run() is None
