"""A sweep in MLflow: a parent run, and a run per cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from contsym.checked import Skip, tell_skipped
from contsym.results import store as results
from contsym.results.mlflow_records import Record, milliseconds, safe, seed_record
from contsym.results.schema import SeedResult
from contsym.results.tracking import Child, as_tracking_error, own_files, send_run, sent_as
from contsym.sweep.stored import StoredSweep

if TYPE_CHECKING:
    from contsym.results.mlflow_records import Metrics
    from contsym.sweep.stored import StoredSweep


def cell_record(sweep: StoredSweep, result: SeedResult) -> Record:
    """What the child run of one cell of a sweep holds."""
    record = seed_record(result)
    name = result.variant_in_order(sweep.varied)
    record.name = f"{name}, {result.n_shots} shots, seed {result.seed}"
    record.tags |= {"contsym.run": sweep.run_name, "contsym.sweep": sweep.id}
    record.params["variant"] = name
    return record


def sweep_record(sweep: StoredSweep, found: Sequence[SeedResult]) -> Record:
    """What the run of a sweep holds: for each strategy one point a number of shots, the mean over its seeds.

    A point is there once all its seeds are: points of MLflow cannot be replaced, and the mean
    would move. All have the time at which the sweep was first started, so that sending them
    again adds nothing.
    """
    config = sweep.config
    started = int(1000 * datetime.fromisoformat(sweep.created).timestamp())
    groups: dict[tuple[str, int], list[SeedResult]] = {}
    for result in found:
        name = result.variant_in_order(sweep.varied)
        groups.setdefault((name, result.n_shots), []).append(result)
    metrics: Metrics = []
    for (name, shots), group in groups.items():
        if len(group) == len(config.seeds):
            metrics += [(f"{key}/{safe(name)}", value, shots) for key, value in _sweep_figures(group)]
    params = {
        "scenario": config.scenario,
        "encoder": config.encoder,
        "strategies": ",".join(config.strategies),
        "shots": ",".join(map(str, config.shots)),
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
        name=f"sweep {sweep.id}: {n}",
        started=started,
        ended=max(milliseconds(result) + int(1000 * result.seconds) for result in found),
        timestamp=started,
        params={key: value[:6000] for key, value in params.items()},
        tags={
            "contsym.run": sweep.run_name,
            "contsym.sweep": sweep.id,
            "contsym.cells": f"{len(found)} of {len(sweep.cells)}",
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


def log_sweep(sweep: StoredSweep, uri: str, skip: Skip = tell_skipped) -> str | None:
    """Send what this URI lacks of a sweep: its finished cells, and a point for each number of shots.

    Gives the id of the sweep's own run, None while no cell is done. May be called as often as one
    likes, while cells run and after a resume: nothing is sent twice. Cells that cannot be read are told to
    `skip`. Raises TrackingError where the store cannot be used.
    """
    found = results.read_seeds(sweep.done().values(), skip)
    if not found:
        return None
    with as_tracking_error(f"sending sweep {sweep.id}", sweep.output, uri):
        children = []
        for folder, result in found.items():
            mark = sweep.folder / "tracked" / folder.name
            mark.mkdir(parents=True, exist_ok=True)
            # Stored vectors are large and of no use in MLflow; they stay where they are.
            files = [path for path in own_files(folder) if path.name != results.TENSORS]
            children.append(Child(mark, cell_record(sweep, result), files))
        parent = sweep_record(sweep, list(found.values()))
        return send_run(sweep.folder, sweep.output, uri, parent, children)


def untracked_cells(sweep: StoredSweep, uri: str) -> list[str]:
    return [key for key in sweep.done() if sent_as(sweep.folder / "tracked" / key, uri) is None]
