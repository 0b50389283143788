"""Every fault of `benchmarks/faults` in a few trials; `python -m benchmarks.faults` makes as many as one likes."""

import os
import random

import pytest

from benchmarks.faults.bench import Bench, Fault, Red, Skipped
from benchmarks.faults.every import FAULTS

SEED = int(os.environ.get("CONTSYM_FAULT_SEED", "20260102"))
"""Of every random moment, which the speed of the machine then moves; `benchmarks.faults --seed` draws others."""

NIGHT = {
    "kill_run": 8, "kill_sweep": 8, "kill_build": 3, "sigint": 4, "sigterm": 4, "sighup": 2, "disk_full": 4,
    "file_limit": 3, "read_only": 1, "folder_removed": 3, "writers": 2, "clock": 2, "two_runs": 1,
    "not_a_number": 3, "out_of_memory": 1, "larger_than_memory": 1,
    "server_down": 1, "server_goes_down": 3, "server_slow": 1, "server_errors": 3,
    "server_goes_down_postgres": 2, "server_errors_postgres": 2, "worker": 1,
}  # fmt: skip
NIGHT_ALONE = {
    # They take minutes, or wait for a server.
    "kill_sweep", "larger_than_memory", "server_errors", "server_slow", "worker",
    # Their code is that of SIGINT.
    "sigterm", "sighup",
    # Steps that fail are also those of tests/training/test_failures.py, in this process.
    "not_a_number", "out_of_memory",
}  # fmt: skip
"""Trials that are long, or whose code other tests go through."""
ELSEWHERE = {
    # tests/sweeps/engines/test_ray.py is what it runs.
    "ray_worker",
    # The same code as the two that are tried; the store shows in what goes wrong in the middle.
    "server_down_postgres",
    "server_slow_postgres",
}
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    with Bench(tmp_path_factory.mktemp("faults")) as made:
        yield made


def try_fault(bench: Bench, name: str, n_trials: int) -> None:
    for i in range(n_trials):
        rng = random.Random(f"{SEED}/{name}/{i}")
        try:
            print(BY_NAME[name].trial(bench, rng))
        except Skipped as reason:
            pytest.skip(f"{reason}; python -m benchmarks.faults says so too")
        except Red as error:
            pytest.fail(f"CONTSYM_FAULT_SEED={SEED} {name}, trial {i}: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NIGHT) - NIGHT_ALONE))
def test_a_fault_does_no_harm(bench, name):
    try_fault(bench, name, 1)


@pytest.mark.night
@pytest.mark.parametrize("name", NIGHT)
def test_a_fault_does_no_harm_however_often(bench, name):
    try_fault(bench, name, NIGHT[name])


def test_no_fault_goes_untried():
    assert set(NIGHT) | ELSEWHERE == set(BY_NAME)


def test_a_harm_is_told_from_none(tmp_path):
    """The checks of the trials do see a result that is double, missing, changed, or left open in MLflow."""
    from benchmarks.faults import checks
    from tests.stored_results import seed_folder, store_run

    store_run(tmp_path / "whole", "a-run", [0, 1])
    whole = checks.stored_results(tmp_path / "whole")
    checks.expect_equal(whole, whole)
    store_run(tmp_path / "part", "a-run", [0])
    part = checks.stored_results(tmp_path / "part")
    checks.expect_part_of(part, whole)
    with pytest.raises(Red, match="lost: knn_fixed, 64 shots, seed 1"):
        checks.expect_equal(part, whole)
    store_run(tmp_path / "part", "another-run", [0])
    with pytest.raises(Red, match="stored twice"):
        checks.stored_results(tmp_path / "part")
    folder = store_run(tmp_path / "changed", "a-run", [0], final_macro=0.25)
    with pytest.raises(Red, match="final_macro differs"):
        checks.expect_part_of(checks.stored_results(tmp_path / "changed"), whole)
    (seed_folder(folder, 0) / "result.json").write_text("{")
    with pytest.raises(Red, match="half-written"):
        checks.stored_results(tmp_path / "changed")
    with pytest.raises(Red, match="not ended in MLflow: seed-0"):
        checks.expect_tracked(_database(tmp_path / "open.db", "RUNNING", 1), ([("seed-0", "FINISHED")], {}))
    twice = _database(tmp_path / "twice.db", "FINISHED", 2)
    with pytest.raises(Red, match="1 metrics in MLflow differ"):
        checks.expect_tracked(twice, ([("seed-0", "FINISHED")], {("seed-0", "loss", 1): (1, 0.5)}))
    checks.expect_tracked(twice, ([("seed-0", "FINISHED")], {("seed-0", "loss", 1): (2, 0.5)}))
    (tmp_path / "whole" / ".partial-x").touch()
    with pytest.raises(Red, match="left behind"):
        checks.expect_nothing_left(tmp_path / "whole")


def _database(path, status, n_times):
    """The two tables of MLflow's that are looked at, with one run and one metric."""
    import sqlite3

    db = sqlite3.connect(path)
    db.execute("CREATE TABLE runs (run_uuid, name, status)")
    db.execute("CREATE TABLE metrics (run_uuid, key, step, value)")
    db.execute("INSERT INTO runs VALUES ('r', 'seed-0', ?)", [status])
    db.executemany("INSERT INTO metrics VALUES ('r', 'loss', 1, 0.5)", [()] * n_times)
    db.commit()
    db.close()
    return path


def test_a_fault_that_is_red_is_counted_and_the_next_trial_made():
    from benchmarks.faults.__main__ import inject

    outcomes = iter(["fine", Red("a row was lost"), "fine"])

    def trial(bench, rng):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    entry = inject(None, Fault("made_up", "a made-up fault", trial), 3, 0)
    assert (entry["trials"], entry["happened"], entry["red"]) == (3, {"fine": 2}, ["trial 1: a row was lost"])
