"""Stored predictions: which test pairs were answered right, lined up over runs and seeds."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.errors import ContsymError, nearest
from contsym.files import unshield
from contsym.results.store import PREDICTIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NAMED = 3
"""Ids and seeds that an error names."""


@dataclass(frozen=True)
class _Answers:
    ids: list[str]
    labels: list[str]
    predicted: list[str]


def read_correct(folder: Path, task: str, row: int = -1) -> tuple[list[str], NDArray[np.bool_]]:
    """The ids of a task's test pairs and whether each was answered right, (pairs,), in stored order.

    An id that comes a second time (`--form both`) is told apart as ID#2.
    `row` is that of the accuracy matrix: 0 before any training, i after experience i, -1 at the end.
    Raises ContsymError where the folder of a seed or a cell has no such predictions.
    """
    import numpy as np

    found = _read(folder, task, row)
    return found.ids, np.array(found.labels) == np.array(found.predicted)


def read_aligned(
    runs: Mapping[str, Mapping[int, Path]], task: str, row: int = -1
) -> tuple[list[int], list[str], dict[str, NDArray[np.bool_]]]:
    """Seeds, ids and, for each run, what was answered right: (seeds, pairs), pairs in order of their id.

    `runs` holds the folder of each seed by the run's name. Raises ContsymError where the runs differ
    in their seeds, their test pairs or the labels of these: then no comparison is paired.
    """
    import numpy as np

    names = list(runs)
    seeds = sorted(runs[names[0]])
    for name in names[1:]:
        if sorted(runs[name]) != seeds:
            raise ContsymError(
                f"{names[0]} has the seeds {_numbers(seeds)}, {name} has {_numbers(sorted(runs[name]))}; "
                "a comparison needs the same seeds in every run"
            )
    first: dict[str, str] = {}
    where = ""
    tables = {}
    for name in names:
        rows = []
        for seed in seeds:
            found = _read(runs[name][seed], task, row)
            labels = dict(zip(found.ids, found.labels, strict=True))
            here = f"{name}, seed {seed}"
            if not first:
                first, where = labels, here
            _check_same(first, labels, where, here, task)
            predicted = dict(zip(found.ids, found.predicted, strict=True))
            rows.append([predicted[pair] == first[pair] for pair in sorted(first)])
        tables[name] = np.array(rows)
    return seeds, sorted(first), tables


def _read(folder: Path, task: str, row: int) -> _Answers:
    path = folder / PREDICTIONS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or ())
            found = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ContsymError(f"{path}: cannot be read ({reason}); expected stored predictions") from None
    columns = [name for name in names if name.startswith("row_")]
    if not {"task", "id", "label"} <= set(names) or not columns or len(set(names)) < len(names):
        given = ",".join(names) or "nothing"
        raise ContsymError(f"{path}: the header is {given}; expected task,id,label,row_0,row_1,...")
    if not -len(columns) <= row < len(columns):
        raise ContsymError(f"{path}: there is no row {row}; expected 0 to {len(columns) - 1}")
    own = [line for line in found if line["task"] == task]
    if not own:
        known = list(dict.fromkeys(line["task"] for line in found))
        raise ContsymError(f"{path}: no predictions for the task {task!r}; {nearest(task, known)}")
    if any(None in line or None in line.values() for line in own):
        raise ContsymError(f"{path}: a line has not {len(names)} values; is the file whole?")
    ids = _numbered([unshield(line["id"]) for line in own])
    column = columns[row]
    return _Answers(ids, [line["label"] for line in own], [line[column] for line in own])


def _numbered(ids: list[str]) -> list[str]:
    """Ids that come more than once, as with `--form both`, told apart by which time it is.

    >>> _numbered(["a", "b", "a"])
    ['a', 'b', 'a#2']
    """
    seen: Counter[str] = Counter()
    found = []
    for pair in ids:
        seen[pair] += 1
        found.append(pair if seen[pair] == 1 else f"{pair}#{seen[pair]}")
    return found


def _check_same(
    first: Mapping[str, str], other: Mapping[str, str], first_name: str, other_name: str, task: str
) -> None:
    for mine, theirs, name in ((first, other, first_name), (other, first, other_name)):
        if missing := [pair for pair in mine if pair not in theirs]:
            shown = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
            raise ContsymError(
                f"the test pairs of {task} differ: {len(missing):,} are only in {name} ({shown}), not in "
                f"{other_name if name == first_name else first_name}; a comparison needs the same pairs"
            )
    if relabelled := [pair for pair in first if first[pair] != other[pair]]:
        pair = relabelled[0]
        raise ContsymError(
            f"the test pairs of {task} differ: {pair} is {first[pair]} in {first_name} and {other[pair]} in "
            f"{other_name}; a comparison needs the same data"
        )


def _numbers(values: list[int]) -> str:
    return ",".join(map(str, values))
