"""Stored predictions: whether each test pair was answered correctly, aligned over runs and seeds."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
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


Answers = dict[str, tuple[str, str]]
"""The label and the final prediction of each pair, by id."""


def read_aligned(
    runs: Mapping[str, Mapping[int, Path]], task: str
) -> tuple[list[int], list[str], dict[str, NDArray[np.bool_]]]:
    """Seeds, ids and, per run, whether each final prediction is correct: (seeds, pairs), pairs in order of id.

    `runs` holds the folder of each seed by the run's name. An id that occurs again, as with `--form both`,
    becomes ID#2. Raises ContsymError if the runs differ in their seeds, test pairs or labels, since no comparison is
    paired then.
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
    answers = {
        name: {f"{name}, seed {seed}": _read(folders[seed], task) for seed in seeds}
        for name, folders in runs.items()
    }
    first = next(iter(answers[first_run].items()))
    for of_run in answers.values():
        for other in of_run.items():
            _check_same(task, first, other)
    ids = sorted(first[1])
    correct = {
        name: np.array([[seed[i][0] == seed[i][1] for i in ids] for seed in of_run.values()])
        for name, of_run in answers.items()
    }
    return seeds, ids, correct


def read_rows(folder: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The header and the lines of a result's predictions, as they were before `shield`. Raises ContsymError."""
    path = folder / PREDICTIONS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ContsymError(f"{path}: cannot be read ({reason}); expected stored predictions") from None
    # A line that is cut short or too long has other values than text.
    return header, [{k: unshield(v) if isinstance(v, str) else v for k, v in line.items()} for line in lines]


def read_task(folder: Path, task: str) -> list[dict[str, str]]:
    """The lines of a task in a result's predictions: id, label and an answer by row of R.

    Raises ContsymError where the file cannot be read or is cut short, and for a task that it lacks.
    """
    path = folder / PREDICTIONS
    header, lines = read_rows(folder)
    rows = [column for column in header if column.startswith("row_")]
    if not {"task", "id", "label"} <= set(header) or not rows or len(set(header)) < len(header):
        given = ",".join(header) or "empty"
        raise ContsymError(f"{path}: the header is {given}; expected task,id,label,row_0,row_1,...")
    if any(None in line or None in line.values() for line in lines):
        raise ContsymError(f"{path}: a line does not have {len(header)} values; the file may be cut short")
    pairs = [line for line in lines if line["task"] == task]
    if not pairs:
        tasks = list(dict.fromkeys(line["task"] for line in lines))
        raise ContsymError(f"{path}: no predictions for the task {task!r}; {nearest(task, tasks)}")
    return [{name: value for name, value in line.items() if name != "task"} for line in pairs]


def _read(folder: Path, task: str) -> Answers:
    counts: Counter[str] = Counter()
    answers: Answers = {}
    for line in read_task(folder, task):
        pair = line["id"]
        counts[pair] += 1
        name = pair if counts[pair] == 1 else f"{pair}#{counts[pair]}"
        *_, last = (answer for column, answer in line.items() if column.startswith("row_"))
        answers[name] = (line["label"], last)
    return answers


def _check_same(task: str, first: tuple[str, Answers], other: tuple[str, Answers]) -> None:
    """Raise ContsymError unless both seeds, with their names, have the same pairs and labels."""
    for (name, answers), (other_name, other_answers) in ((first, other), (other, first)):
        if missing := [pair for pair in answers if pair not in other_answers]:
            examples = ", ".join(missing[:N_EXAMPLES]) + (", ..." if len(missing) > N_EXAMPLES else "")
            raise ContsymError(
                f"the test pairs of {task} differ: {len(missing):,} are only in {name} ({examples}), not in "
                f"{other_name}; a comparison needs the same pairs"
            )
    for pair, (label, _) in first[1].items():
        if label != (other_label := other[1][pair][0]):
            raise ContsymError(
                f"the test pairs of {task} differ: {pair} is {label} in {first[0]} and {other_label} in "
                f"{other[0]}; a comparison needs the same data"
            )


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))
