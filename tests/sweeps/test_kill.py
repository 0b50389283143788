"""A sweep that is killed at any moment and started again ends as one that was never killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.command import contsym, environment
from tests.sweeps.toy_sweep import arguments, cells, write_tasks

N_KILLS = 2
JOBS = ("--jobs", "2")
"""The same for all: with another number of threads, sums are taken in another order."""


def kill_at(words, folder, seconds):
    """Start the sweep, SIGKILL the process that drives it after some seconds; whether it was still there."""
    command = [sys.executable, "-m", "contsym", *words]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


@pytest.fixture(scope="module")
def whole(tiny_encoder_folder, tmp_path_factory):
    """The sweep that nobody kills: its folder, its sources, its table and the seconds it took."""
    folder = tmp_path_factory.mktemp("whole")
    sources = write_tasks(folder)
    started = time.monotonic()
    words = arguments(sources, tiny_encoder_folder, folder / "mlruns")
    done = contsym(*words, *JOBS, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, sources, table(done), time.monotonic() - started


def table(done):
    """What a user is shown of the cells, without times."""
    timed = ("seconds", "cost")
    return [{k: v for k, v in cell.items() if k not in timed} for cell in json.loads(done.stdout)["cells"]]


@pytest.mark.night
@pytest.mark.parametrize("turn", range(int(os.environ.get("CONTSYM_KILL_TURNS", "1"))))
def test_killed_at_random_moments_the_same_tables_nothing_lost_nothing_double(
    turn, whole, tiny_encoder_folder, tmp_path
):
    unkilled, sources, expected, seconds = whole
    # Another seed is other moments.
    moments = random.Random(int(os.environ.get("CONTSYM_KILL_SEED", "0")) + turn)
    output = tmp_path / "killed"
    words = [*arguments(sources, tiny_encoder_folder, output), *JOBS]
    done_before: set[str] = set()
    for _ in range(N_KILLS):
        kill_at(words, tmp_path, moments.uniform(0.1, seconds))
        done = cells(output)
        # What was finished is still there, and it is whole.
        assert done_before <= done.keys()
        done_before = set(done)
    last = contsym(*words, "--json", cwd=tmp_path)
    assert last.returncode == 0, last.stderr
    assert cells(output) == cells(unkilled / "mlruns")
    assert table(last) == expected
    assert {cell["state"] for cell in expected} == {"done"}
    assert not [p for p in (output / "first_tasks").glob("*") if not p.name.startswith(".")]
    assert not (output / "encodings").exists()
    assert_nothing_double(output)


def assert_nothing_double(output):
    """MLflow has each cell once and one point for each strategy and number of shots."""
    from mlflow import MlflowClient

    from contsym.results import tracking

    client = MlflowClient(tracking.default_uri(output))
    experiment = client.get_experiment_by_name("contsym/mnli_then_wikidata")
    found = client.search_runs([experiment.experiment_id])
    children = [run.data.tags["contsym.key"] for run in found if "contsym.key" in run.data.tags]
    assert len(children) == len(set(children)) == 8
    (parent,) = [run for run in found if "contsym.key" not in run.data.tags]
    for strategy in ("fine_tune", "knn_fixed"):
        history = client.get_metric_history(parent.info.run_id, f"accuracy/wikidata/{strategy}")
        assert sorted(metric.step for metric in history) == [8, 16]
