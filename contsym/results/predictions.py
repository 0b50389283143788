"""Stored predictions: whether each test pair was answered correctly, aligned over runs and seeds."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.errors import ContsymError, nearest
from contsym.files import unshield
from contsym.results.store import PREDICTIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


N_EXAMPLES = 3
"""The number of ids that an error lists."""


@dataclass(frozen=True)
class _Predictions:
    """The labels and final predictions of a seed by pair, and the name of the seed in errors."""

    name: str
    labels: dict[str, str]
    predicted: dict[str, str]


def read_aligned(
    runs: Mapping[str, Mapping[int, Path]], task: str
) -> tuple[list[int], list[str], dict[str, NDArray[np.bool_]]]:
    """Seeds, ids and, per run, whether each final prediction is correct: (seeds, pairs), pairs in order of id.

    `runs` holds the folder of each seed by the run's name. An id that occurs again, as with `--form both`,
    becomes ID#2. Raises ContsymError where the runs differ in their seeds, test pairs or labels, since
    no comparison is paired then.
    """
    import numpy as np

    first_run, *others = runs
    seeds = sorted(runs[first_run])
    for name in others:
        if sorted(runs[name]) != seeds:
            raise ContsymError(
                f"{first_run} has the seeds {_numbers(seeds)}, {name} has {_numbers(sorted(runs[name]))}; "
                "a comparison needs the same seeds in every run"
            )
    per_run = {
        name: [_read(folders[seed], task, f"{name}, seed {seed}") for seed in seeds]
        for name, folders in runs.items()
    }
    first = per_run[first_run][0]
    for predictions in per_run.values():
        for other in predictions:
            _check_same(first, other, task)
    ids = sorted(first.labels)
    correct = {
        name: np.array([[seed.predicted[i] == seed.labels[i] for i in ids] for seed in predictions])
        for name, predictions in per_run.items()
    }
    return seeds, ids, correct


def _read(folder: Path, task: str, name: str) -> _Predictions:
    path = folder / PREDICTIONS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ContsymError(f"{path}: cannot be read ({reason}); expected stored predictions") from None
    rows = [column for column in header if column.startswith("row_")]
    if not {"task", "id", "label"} <= set(header) or not rows or len(set(header)) < len(header):
        given = ",".join(header) or "empty"
        raise ContsymError(f"{path}: the header is {given}; expected task,id,label,row_0,row_1,...")
    pairs = [line for line in lines if line["task"] == task]
    if not pairs:
        tasks = list(dict.fromkeys(line["task"] for line in lines))
        raise ContsymError(f"{path}: no predictions for the task {task!r}; {nearest(task, tasks)}")
    if any(None in line or None in line.values() for line in pairs):
        raise ContsymError(f"{path}: a line does not have {len(header)} values; the file may be cut short")
    ids = _numbered([unshield(line["id"]) for line in pairs])
    return _Predictions(
        name,
        dict(zip(ids, (line["label"] for line in pairs), strict=True)),
        dict(zip(ids, (line[rows[-1]] for line in pairs), strict=True)),
    )


def _numbered(ids: Sequence[str]) -> list[str]:
    """The ids, where an id that occurs again has its number appended.

    >>> _numbered(["a", "b", "a"])
    ['a', 'b', 'a#2']
    """
    counts: Counter[str] = Counter()
    numbered = []
    for pair in ids:
        counts[pair] += 1
        numbered.append(pair if counts[pair] == 1 else f"{pair}#{counts[pair]}")
    return numbered


def _check_same(first: _Predictions, other: _Predictions, task: str) -> None:
    for one, another in ((first, other), (other, first)):
        if missing := [pair for pair in one.labels if pair not in another.labels]:
            examples = ", ".join(missing[:N_EXAMPLES]) + (", ..." if len(missing) > N_EXAMPLES else "")
            raise ContsymError(
                f"the test pairs of {task} differ: {len(missing):,} are only in {one.name} ({examples}), not in "
                f"{another.name}; a comparison needs the same pairs"
            )
    for pair, label in first.labels.items():
        if label != other.labels[pair]:
            raise ContsymError(
                f"the test pairs of {task} differ: {pair} is {label} in {first.name} and {other.labels[pair]} in "
                f"{other.name}; a comparison needs the same data"
            )


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))
