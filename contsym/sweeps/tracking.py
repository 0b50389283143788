"""Sends runs and sweeps to MLflow: one parent run each, with one run per result below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import Skip, tell_skipped
from contsym.errors import TrackingError
from contsym.results import store
from contsym.results.mlflow_records import (
    NOTE,
    Record,
    as_csv,
    end_of,
    experiment_name,
    mark_figures,
    parent_record,
    safe,
    samples_key,
    seed_record,
)
from contsym.results.schema import SeedResult
from contsym.results.tracking import (
    TRACKED,
    answers,
    as_tracking_error,
    is_sent,
    opened,
    runs_of,
    send_run,
    sent_as,
)
from contsym.results.tracking_view import view_of
from contsym.sweeps.config import shots_text
from contsym.sweeps.rerun_command import run_commands, sweep_command
from contsym.sweeps.runs import TABLE, StoredRun, stored_runs

if TYPE_CHECKING:
    from contsym.results.mlflow_records import Metrics

CANNOT_WRITE = "its disk is full|it cannot be written|was moved, and"
"""Errors of a store that answers but stores nothing."""


def log_run(
    run: StoredRun, uri: str, skip: Skip = tell_skipped, *, is_running: bool | None = None
) -> dict[str, str]:
    """Send the stored results of a run or sweep that this URI lacks; returns the MLflow run of each key.

    May be called at any time, also while cells run and after a resume: nothing is sent twice, and an interrupted
    MLflow run is completed. Its status is KILLED or FAILED where cells are missing and the sweep is not `is_running`;
    False: it has just ended, so that its status may change with nothing else to send.
    `skip` receives the error of each result that cannot be read. Raises TrackingError if the store cannot be used.
    """
    has_ended = is_running is False and run.is_sweep
    if (has_ended or untracked(run, uri)) and (stored := store.read_results(run.done().values(), skip)):
        with as_tracking_error(f"sending {run.name}", run.output, uri):
            records = {_mark(run, r.key): child_record(run, folder, r) for folder, r in stored.items()}
            results = list(stored.values())
            parent = _parent(run, results)
            if run.n_done < len(run.cells):
                parent.status = "RUNNING" if is_running else "FAILED" if run.failures(skip) else "KILLED"
            parent.tags[NOTE] = description(run, results)
            send_run(run.folder, run.output, uri, run.config.scenario, parent, records, _view(results[0]))
    ids = {key: sent_as(_mark(run, key), uri) for key in run.done()}
    return {key: run_id for key, run_id in ids.items() if run_id}


def untracked(run: StoredRun, uri: str) -> list[str]:
    """Keys of the stored results that were not sent to this URI; asks no server."""
    return [
        key
        for key, folder in run.done().items()
        if not is_sent(_mark(run, key), uri, (folder / store.MODEL).is_dir())
    ]


def sync(output: Path, uri: str, on_run: Callable[[str, int], None], skip: Skip = tell_skipped) -> int:
    """Send all results that were not sent to this URI; returns their number.

    `on_run` receives each run's name and number of sent results. `skip` receives the error of each record or result
    that cannot be read, and of each run that the store refuses. Raises TrackingError if the store itself fails,
    since the next run would wait as long.
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


def log_report(run: StoredRun, folder: Path, uri: str) -> bool:
    """Add the files of a report to the MLflow run, if any of its results was sent to this URI; gives whether it was."""
    if not any(sent_as(_mark(run, key), uri) for key in run.done()):
        return False
    with as_tracking_error("sending the report", run.output, uri), opened(run.output, uri) as client:
        experiment = client.get_experiment_by_name(experiment_name(run.config.scenario))
        parent = runs_of(client, experiment.experiment_id, run.name).get((None, None)) if experiment else None
        if parent is None:
            return False
        client.log_artifacts(parent.info.run_id, str(folder), "report")
    return True


def description(run: StoredRun, results: Sequence[SeedResult]) -> str:
    """In Markdown: the command, and what is missing."""
    commands = [sweep_command(run.config, run.output)] if run.is_sweep else run_commands(results)
    lines = [f"```\n{command}\n```" for command in commands]
    if run.n_done < len(run.cells):
        how = "`contsym sweep --resume` resumes it" if run.is_sweep else "the same command resumes it"
        lines.insert(0, f"{run.n_done} of {len(run.cells)} cells are finished; {how}.")
    return "\n\n".join(lines)


def _view(result: SeedResult) -> str:
    """The columns and charts of MLflow's page: accuracy on the new task, what was forgotten, samples needed."""
    new = result.new_task
    forgetting = [f"forgetting/{safe(task)}" for task in result.forgetting]
    measures = [f"accuracy/{safe(new)}", *forgetting, samples_key(new), "accuracy_macro"]
    return view_of(("variant", "shots", "seed", "encoder"), measures)


def _mark(run: StoredRun, key: str) -> Path:
    return run.output / TRACKED.format(run.name, key)


def child_record(run: StoredRun, folder: Path, result: SeedResult) -> Record:
    """The record of one result, with its files."""
    record = seed_record(result)
    record.tags["contsym.run"] = run.name
    record.files = [folder / store.PREDICTIONS, folder / store.RESULT]
    record.model = folder / store.MODEL if (folder / store.MODEL).is_dir() else None
    record.params["variant"] = run.row_of(result)[0]
    if run.is_sweep:
        record.name = f"{record.params['variant']}, {result.n_shots} shots, seed {result.seed}"
    else:
        # The vectors of a sweep's many cells would be large and of no use in MLflow.
        record.files.append(folder / store.TENSORS)
    return record


def _parent(run: StoredRun, results: Sequence[SeedResult]) -> Record:
    """The record of the parent run: the means over the seeds, or for a sweep those of each row."""
    # The same after a resume.
    created = int(1000 * datetime.fromisoformat(run.created).timestamp())
    if run.is_sweep or len(run.scenarios) > 1:
        record = sweep_record(run, results, created)
    else:
        record = parent_record(results, created + len(results))
        record.params["variant"] = results[0].variant_in_order(run.varied)
    record.tags["contsym.run"] = run.name
    record.files = [run.folder / TABLE]
    return record


def sweep_record(run: StoredRun, results: Sequence[SeedResult], created: int) -> Record:
    """One point per strategy and number of shots: the mean over its seeds.

    A point is sent once all seeds of the sweep are stored: points of MLflow cannot be replaced, and the mean would
    change. A reading that was screened with fewer is in table.csv alone, since more of its seeds may follow.
    All points have the time at which the sweep was first started, so sending them again adds nothing.
    """
    config = run.config
    groups: dict[tuple[str, int], list[SeedResult]] = {}
    for result in results:
        groups.setdefault(run.row_of(result), []).append(result)
    metrics: Metrics = [
        (f"{figure}/{safe(name)}", value, shots)
        for (name, shots), group in groups.items()
        if len(group) == len(config.seeds)
        for figure, value in _sweep_figures(group)
    ]
    params = {
        "scenario": config.scenario,
        "encoder": config.encoder or "by reading",
        "strategies": ",".join(config.strategies),
        "shots": ",".join(map(shots_text, config.shots)),
        "seeds": ",".join(map(str, config.seeds)),
        **{f"grid.{safe(name)}": ",".join(values) for name, values in config.settings.items()},
        **{f"source.{safe(task)}": source.name for task, source in results[0].sources.items()},
    }
    plugins = {f"{p.origin} (SHA-256 {p.sha256})" for r in results for p in r.plugins}
    notes = {f"{r.strategy}: {note}" for r in results for note in r.notes}
    # Tags, since later cells may add to them, and a parameter cannot be replaced.
    tags = {"contsym.plugins": ", ".join(sorted(plugins)), "contsym.notes": "; ".join(sorted(notes))}
    n = f"{len(config.strategies)} strategies, {len(config.shots)} shots, {len(config.seeds)} seeds"
    return Record(
        name=f"sweep {run.id}: {n}",
        started=created,
        ended=max(map(end_of, results)),
        timestamp=created,
        params=params,
        tags={
            "contsym.seen": ",".join(results[0].seen) or "none",
            "contsym.cells": f"{len(results)} of {len(run.cells)}",
            **{name: text for name, text in tags.items() if text},
        },
        metrics=metrics,
        texts={"table.csv": _table(groups, run.n_seeds)},
    )


def _table(
    groups: Mapping[tuple[str, int], Sequence[SeedResult]], n_seeds: Callable[[SeedResult], int]
) -> str:
    """The means of each strategy at each number of shots, and over how many of the seeds they are."""
    figures = {row: dict(_sweep_figures(group)) for row, group in groups.items()}
    # Each order of a scenario has the forgetting of other tasks.
    names = list(dict.fromkeys(name for each in figures.values() for name in each))
    rows: list[list[object]] = [["strategy", "shots", "seeds", *names]]
    for (name, shots), group in groups.items():
        values = figures[name, shots]
        cells = [round(values[figure], 6) if figure in values else "" for figure in names]
        rows.append([f'"{name}"', shots, f"{len(group)} of {n_seeds(group[0])}", *cells])
    return as_csv(rows)


def _sweep_figures(group: Sequence[SeedResult]) -> Iterator[tuple[str, float]]:
    """Names and means over the seeds of one strategy at one number of shots."""
    from contsym.results.summary import summarise

    mean = summarise(group)
    yield "accuracy_macro", mean.final_macro
    for task in group[0].tasks:
        yield f"accuracy/{safe(task)}", mean.final[task]
    for task, forgetting in mean.forgetting.items():
        yield f"forgetting/{safe(task)}", forgetting
    yield from mark_figures(mean).items()
    yield "seconds", mean.seconds
