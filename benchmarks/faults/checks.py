"""Whether anything is lost, double, half-written or left open; raises Red where it is."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.faults.bench import Red
from contsym.files import visible_folders
from contsym.results import store
from contsym.results.equality import untimed

NO_TWO_SHARE = ("seconds", "started_at", "cost", "threads", "git_commit")

Stored = dict[str, dict[str, Any]]


def stored_results(output: Path) -> Stored:
    """Every result that a reader sees, by strategy, shots and seed: figures, predictions and vectors.

    Raises Red for one that is there twice or cannot be read.
    """
    found: Stored = {}
    for folder in visible_folders(store.results_folder(output)):
        try:
            result = store.read_result(folder)
            files = {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(folder.iterdir())
                if path.name != store.RESULT and not path.name.startswith(".")
            }
        except Exception as error:
            raise Red(f"half-written: {folder}: {error}") from None
        plain = result.model_dump(exclude={*NO_TWO_SHARE, "cost"})
        name = f"{result.strategy}, {result.options.shots} shots, seed {result.seed}"
        if name in found:
            raise Red(f"{name} is stored twice")
        found[name] = {**plain, "cost": untimed(result.cost), "files": files}
    return found


def expect_part_of(found: Stored, reference: Stored) -> None:
    """Raises Red where a result that is there is not the one of a run nobody disturbed."""
    for name, result in found.items():
        if name not in reference:
            raise Red(f"{name} was not asked for")
        for key, value in reference[name].items():
            if result.get(key) != value:
                raise Red(f"{name}: {key} differs from the undisturbed run's")


def expect_equal(found: Stored, reference: Stored) -> None:
    expect_part_of(found, reference)
    if missing := reference.keys() - found.keys():
        raise Red(f"lost: {', '.join(sorted(missing))}")


Tracked = dict[tuple[str, str, int], tuple[int, float]]


def tracked(database: Path) -> tuple[list[tuple[str, str]], Tracked]:
    """(name, status) of every run in an MLflow database, and how often each metric is there, and its value.

    Values of what no two runs share (seconds, bytes) are given as 0.
    """
    with closing(sqlite3.connect(database, timeout=60)) as db:
        runs = db.execute(RUNS.format(where="")).fetchall()
        return as_tracked(runs, db.execute(METRICS.format(where="")).fetchall())


RUNS = "SELECT r.name, r.status FROM runs r {where} ORDER BY r.name"
METRICS = (
    "SELECT r.name, m.key, m.step, COUNT(*), MAX(m.value) FROM metrics m "
    "JOIN runs r ON r.run_uuid = m.run_uuid {where} GROUP BY r.name, m.key, m.step"
)


def as_tracked(runs: list[Any], rows: list[Any]) -> tuple[list[tuple[str, str]], Tracked]:
    """What RUNS and METRICS give, as `tracked` gives it."""
    is_timed = ("seconds", "bytes")
    metrics = {
        (run, key, step): (n, 0.0 if any(word in key for word in is_timed) else value)
        for run, key, step, n, value in rows
    }
    return [tuple(run) for run in runs], metrics


def expect_tracked(database: Path, reference: tuple[list[tuple[str, str]], Tracked]) -> None:
    """Raises Red unless every run is there once and ended, with each metric once and as it should be."""
    runs, metrics = tracked(database)
    if left_open := [name for name, status in runs if status != "FINISHED"]:
        raise Red(f"not ended in MLflow: {', '.join(left_open)}")
    if runs != reference[0]:
        raise Red(f"MLflow has the runs {runs}, expected {reference[0]}")
    if metrics != reference[1]:
        differing = [
            key for key in metrics.keys() | reference[1].keys() if metrics.get(key) != reference[1].get(key)
        ]
        raise Red(f"{len(differing)} metrics in MLflow differ, such as {differing[0]}")


def expect_nothing_left(output: Path) -> None:
    """Raises Red where something half-written or unfinished is left behind."""
    left = list(output.rglob(".partial-*"))
    if left:
        raise Red(f"left behind: {', '.join(str(path.relative_to(output)) for path in left)}")
