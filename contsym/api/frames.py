"""Stored results as pandas tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.results.schema import SeedResult

if TYPE_CHECKING:
    from pandas import DataFrame

START = "start"
"""The row of a matrix before any training."""

RowOf = Callable[[SeedResult], tuple[str, int]]
"""The strategy, with what else tells the rows of a sweep apart, and the number of shots of a result."""


def plain_row(result: SeedResult) -> tuple[str, int]:
    """The row of a result outside a sweep."""
    return result.variant_in_order(()), result.shots_group


def figures_frame(results: Sequence[SeedResult], row_of: RowOf = plain_row) -> DataFrame:
    """One row per result and task, with the main figures.

    Columns: strategy, shots, seed, task, accuracy (at the end), own_accuracy (right after the task's own training),
    forgetting (the best accuracy before the last row minus the last; missing for the last task), learned, above_shortcuts,
    samples_needed, pairs_seen, probe_forgetting (of the first task), seconds and key.
    """
    import pandas as pd

    rows = []
    for result in results:
        variant, shots = row_of(result)
        for i, task in enumerate(result.tasks):
            needed = result.sample_efficiency[task]
            rows.append(
                {
                    "strategy": variant,
                    "shots": shots,
                    "seed": result.seed,
                    "task": task,
                    "accuracy": result.final[task],
                    "own_accuracy": result.own_accuracy(task),
                    "forgetting": result.forgetting.get(task),
                    "learned": result.learned[task],
                    "above_shortcuts": result.above_shortcuts[task],
                    "samples_needed": samples_needed(result, task),
                    "pairs_seen": needed.n_pairs_seen,
                    "probe_forgetting": result.probe.forgetting if result.probe and i == 0 else None,
                    "seconds": result.seconds,
                    "key": result.key,
                }
            )
    frame = pd.DataFrame(rows)
    whole = dict.fromkeys(("samples_needed", "pairs_seen"), "Int64")
    numbers = dict.fromkeys(("forgetting", "probe_forgetting"), "float64")
    return frame.astype({**whole, **numbers, "above_shortcuts": "boolean"})


def samples_needed(result: SeedResult, task: str) -> int | None:
    """The fewest distinct training pairs that reached the target; None where it was not reached or not measured."""
    if result.search and task == result.new_task:
        return result.search.found
    return result.sample_efficiency[task].n_distinct_pairs


def matrix_frame(results: Sequence[SeedResult], row_of: RowOf) -> DataFrame:
    """The accuracy matrix, mean over seeds: a row per finished experience (`start` before the first), a column per task.

    Rows of a sweep are also indexed by strategy and shots. Scenarios with several orders have several matrices.
    """
    import numpy as np
    import pandas as pd

    groups: dict[tuple[str, int], list[SeedResult]] = {}
    for result in results:
        groups.setdefault(row_of(result), []).append(result)
    frames = {}
    for group, members in groups.items():
        tasks = members[0].tasks
        mean = np.mean([member.matrix for member in members], axis=0)
        frame = pd.DataFrame(mean, index=pd.Index([START, *tasks], name="after"), columns=list(tasks))
        frames[group] = frame.rename_axis(columns="task")
    if len(frames) == 1:
        return next(iter(frames.values()))
    return pd.concat(frames, names=["strategy", "shots"])


def per_seed_frame(
    results: Sequence[SeedResult],
    row_of: RowOf,
    values: Callable[[SeedResult], Mapping[str, float | None]],
) -> DataFrame:
    """A figure of each task by seed; of a sweep also by strategy and shots."""
    import pandas as pd

    groups = [row_of(result) for result in results]
    places: list[Any] = [(*group, r.seed) for group, r in zip(groups, results, strict=True)]
    index: Any = pd.MultiIndex.from_tuples(places, names=["strategy", "shots", "seed"])
    frame = pd.DataFrame([dict(values(result)) for result in results], index=index)
    if len(set(groups)) == 1:
        frame = frame.droplevel(["strategy", "shots"])
    return frame.rename_axis(columns="task")


def predictions_frame(folders: Mapping[Path, SeedResult], task: str, row_of: RowOf) -> DataFrame:
    """What was predicted for each test pair of a task: strategy, shots, seed, id, label, and a column per row of the matrix.

    Raises ContsymError for a task that a result does not have, and where a file cannot be read or lacks lines.
    """
    import pandas as pd

    from contsym.errors import ContsymError, nearest
    from contsym.results.predictions import read_task
    from contsym.results.store import PREDICTIONS

    frames = []
    for folder, result in folders.items():
        if task not in result.tasks:
            raise ContsymError(
                f"task {task!r}: {result.scenario} has none of that name; {nearest(task, result.tasks)}"
            )
        lines, n = read_task(folder, task), result.n_test[task]
        if len(lines) != n:
            raise ContsymError(
                f"{folder / PREDICTIONS}: {len(lines):,} predictions for the task {task!r}; expected {n:,}: the file may be "
                "cut short"
            )
        variant, shots = row_of(result)
        names = {f"row_{i}": f"after {name}" for i, name in enumerate([START, *result.tasks])}
        frame = pd.DataFrame(lines).rename(columns=names)
        frame.insert(0, "seed", result.seed)
        frame.insert(0, "shots", shots)
        frame.insert(0, "strategy", variant)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
