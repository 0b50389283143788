"""Runs and sweeps in MLflow: a parent run each, and a run per result below it; what was not sent is sent later."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import Skip, tell_skipped
from contsym.errors import TrackingError
from contsym.results import store
from contsym.results.mlflow_records import Record, milliseconds, parent_record, safe, seed_record
from contsym.results.schema import SeedResult
from contsym.results.tracking import TRACKED, Child, answers, as_tracking_error, own_files, send_run, sent_as
from contsym.sweep.config import shots_text
from contsym.sweep.runs import StoredRun, stored_runs

if TYPE_CHECKING:
    from contsym.results.mlflow_records import Metrics

CANNOT_WRITE = "its disk is full|it cannot be written|was moved, and"
"""Errors of a store that answers and yet takes nothing."""


def log_run(run: StoredRun, uri: str, skip: Skip = tell_skipped) -> dict[str, str]:
    """Send the stored results of a run or sweep that this URI lacks; gives the MLflow run of each key.

    May be called at any time, while cells run and after a resume: nothing is sent twice, and what was cut off is
    found again. `skip` is given the error of each result that cannot be read. Raises TrackingError where the store
    cannot be used.
    """
    if untracked(run, uri):
        found = store.read_results(run.done().values(), skip)
        if found:
            with as_tracking_error(f"sending {run.name}", run.output, uri):
                children = [_child(run, folder, result) for folder, result in found.items()]
                parent = run_record(run, list(found.values()))
                send_run(run.folder, run.output, uri, run.config.scenario, parent, children)
    ids = {key: sent_as(_mark(run, key), uri) for key in run.done()}
    return {key: run_id for key, run_id in ids.items() if run_id}


def untracked(run: StoredRun, uri: str) -> list[str]:
    """Keys of the stored results that were not sent to this URI; asks no server."""
    return [key for key in run.done() if sent_as(_mark(run, key), uri) is None]


def pending(output: Path, uri: str, skip: Skip = tell_skipped) -> int:
    """Number of stored results that were not sent to this URI; asks no server."""
    return sum(len(untracked(run, uri)) for run in stored_runs(output, skip))


def sync(output: Path, uri: str, on_run: Callable[[str, int], None], skip: Skip = tell_skipped) -> int:
    """Send all that was not sent to this URI; gives the number of results.

    `on_run` is given each run's name and number of results once they are sent; `skip` the error of what cannot be
    read, and of what the store refuses of one run alone. Raises TrackingError where the store itself fails, since
    the next run would wait as long.
    """
    n_sent = 0
    for run in reversed(stored_runs(output, skip)):
        n_before = len(untracked(run, uri))
        if not n_before:
            continue
        try:
            log_run(run, uri, skip)
        except TrackingError as error:
            if re.search(CANNOT_WRITE, str(error)) or not answers(output, uri):
                raise
            skip(error)
        if n := n_before - len(untracked(run, uri)):
            on_run(run.name, n)
            n_sent += n
    return n_sent


def _mark(run: StoredRun, key: str) -> Path:
    return run.output / TRACKED.format(run.name, key)


def _child(run: StoredRun, folder: Path, result: SeedResult) -> Child:
    record = seed_record(result)
    record.tags["contsym.run"] = run.name
    files = own_files(folder)
    if run.is_sweep:
        name = result.variant_in_order(run.varied)
        record.name = f"{name}, {result.n_shots} shots, seed {result.seed}"
        record.params["variant"] = name
        # Of many cells the vectors are large and of no use in MLflow.
        files = [path for path in files if path.name != store.TENSORS]
    return Child(_mark(run, result.key), record, files)


def run_record(run: StoredRun, found: Sequence[SeedResult]) -> Record:
    """What the parent run holds: the means over the seeds, or for a sweep those of each row."""
    if run.is_sweep or len(run.scenarios) > 1:
        return sweep_record(run, found)
    record = parent_record(found, created(run) + len(found))
    record.tags["contsym.run"] = run.name
    return record


def created(run: StoredRun) -> int:
    """When the run was first started, in milliseconds since 1970; the same after a resume."""
    return int(1000 * datetime.fromisoformat(run.created).timestamp())


def sweep_record(run: StoredRun, found: Sequence[SeedResult]) -> Record:
    """A point per strategy and number of shots: the mean over its seeds.

    A point is there once all its seeds are: points of MLflow cannot be replaced, and the mean
    would move. All have the time at which the sweep was first started, so that sending them
    again adds nothing.
    """
    config = run.config
    started = created(run)
    groups: dict[tuple[str, int], list[SeedResult]] = {}
    for result in found:
        name = result.variant_in_order(run.varied)
        groups.setdefault((name, result.n_shots), []).append(result)
    metrics: Metrics = []
    for (name, shots), group in groups.items():
        if len(group) == len(config.seeds):
            metrics += [(f"{key}/{safe(name)}", value, shots) for key, value in _sweep_figures(group)]
    params = {
        "scenario": config.scenario,
        "encoder": config.encoder,
        "strategies": ",".join(config.strategies),
        "shots": ",".join(map(shots_text, config.shots)),
        "seeds": ",".join(map(str, config.seeds)),
        **{f"grid.{safe(name)}": ",".join(values) for name, values in config.settings.items()},
        **{f"source.{safe(task)}": source.name for task, source in found[0].sources.items()},
    }
    # Tags, since more may come with cells that are done later, and a parameter cannot be replaced.
    plugins = {f"{p.origin} (SHA-256 {p.sha256})" for r in found for p in r.plugins}
    notes = {f"{r.strategy}: {note}" for r in found for note in r.notes}
    said = {"contsym.plugins": ", ".join(sorted(plugins)), "contsym.notes": "; ".join(sorted(notes))}
    n = f"{len(config.strategies)} strategies, {len(config.shots)} shots, {len(config.seeds)} seeds"
    return Record(
        name=f"sweep {run.id}: {n}",
        started=started,
        ended=max(milliseconds(result) + int(1000 * result.seconds) for result in found),
        timestamp=started,
        params={key: value[:6000] for key, value in params.items()},
        tags={
            "contsym.run": run.name,
            "contsym.cells": f"{len(found)} of {len(run.cells)}",
            **{key: value[:8000] for key, value in said.items() if value},
        },
        metrics=metrics,
        sources={},
        matrix="",
    )


def _sweep_figures(group: Sequence[SeedResult]) -> Iterator[tuple[str, float]]:
    """Names and means over the seeds of one strategy at one number of shots."""
    from contsym.results.summary import summarise

    mean = summarise(group)
    yield "accuracy_macro", mean.final_macro
    for task in group[0].tasks:
        yield f"accuracy/{safe(task)}", mean.final[task]
        if (forgotten := mean.forgetting[task]) is not None:
            yield f"forgetting/{safe(task)}", forgotten
    yield "seconds", mean.seconds
