"""Accuracy matrices of results, and those in CSV files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contsym.errors import ContsymError
from contsym.results import store
from contsym.results.schema import SeedResult

EXPECTED = "expected a result.json, the folder of a run or a result, or a CSV file with a matrix"


@dataclass(frozen=True)
class StoredMatrix:
    """R as rows, (tasks + 1) x tasks, and facts that its file holds beside it."""

    tasks: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    seed: int | None = None
    n_test: tuple[int, ...] | None = None
    learned: Mapping[str, bool] | None = None
    above_shortcuts: Mapping[str, bool | None] | None = None
    limit: int | None = None
    """The most examples of each part of the data; None: all."""


def read_matrices(path: Path) -> list[StoredMatrix]:
    """The matrix in a result.json or in a CSV file, whose seed is unknown.

    Raises ContsymError, with file and line where there is one, for anything else.
    """
    if not path.exists():
        raise ContsymError(f"{path} is not there; {EXPECTED}")
    if path.suffix == ".json":
        return matrices_of([store.read_result(path)])
    return [_of_csv(path)]


def matrices_of(results: Sequence[SeedResult]) -> list[StoredMatrix]:
    """The matrices of several seeds. Raises ContsymError where they are not of the same experiences."""
    if len({tuple(result.tasks) for result in results}) > 1:
        raise ContsymError("the results have different tasks; give the folder of one result")
    return [_of_result(result) for result in results]


def _of_result(result: SeedResult) -> StoredMatrix:
    # Tasks that are only tested come last; nothing of them is learned or forgotten.
    tasks = result.trained_tasks
    return StoredMatrix(
        tuple(tasks),
        tuple(tuple(row[: len(tasks)]) for row in result.matrix[: len(tasks) + 1]),
        result.seed,
        tuple(result.n_test[task] for task in tasks),
        result.learned,
        result.above_shortcuts,
        result.options.limit,
    )


def _of_csv(path: Path) -> StoredMatrix:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, line) for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ContsymError(f"{path}: cannot be read ({reason}); {EXPECTED}") from None
    header = lines[0][1] if lines else ["nothing"]
    if len(header) < 2 or header[0] != "after":
        given = ",".join(header)[:80]
        raise ContsymError(f"{path}:1: the header is {given!r}; expected after,TASK,TASK,...")
    tasks = header[1:]
    if len(set(tasks)) < len(tasks):
        raise ContsymError(f"{path}:1: a task comes twice in the header; expected each once")
    names = ["untrained", *tasks]
    rows = []
    for (number, (name, *texts)), expected in zip(lines[1:], names, strict=False):
        where = f"{path}:{number}"
        if name != expected:
            raise ContsymError(
                f"{where}: the row is named {name!r}; expected {expected!r}: rows are {', '.join(names)}"
            )
        if len(texts) != len(tasks):
            raise ContsymError(
                f"{where}: {len(texts)} accuracies for {len(tasks)} tasks; expected one per task"
            )
        rows.append(
            tuple(_accuracy(text, f"{where}: {task}") for text, task in zip(texts, tasks, strict=True))
        )
    if len(lines) - 1 != len(names):
        raise ContsymError(
            f"{path}: {len(lines) - 1} rows for {len(tasks)} tasks; expected {len(names)}: {', '.join(names)}"
        )
    return StoredMatrix(tuple(tasks), tuple(rows))


def _accuracy(text: str, where: str) -> float:
    value: float | str
    try:
        value = float(text)
    except ValueError:
        value = text
    if isinstance(value, str) or not 0 <= value <= 1:
        raise ContsymError(f"{where} is {value!r}; expected an accuracy between 0 and 1")
    return value
