"""Accuracy matrices where they are stored: in a result, in the folders of a run, in a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contsym.errors import ContsymError
from contsym.results import store
from contsym.results.schema import SeedResult

EXPECTED = "expected a result.json, the folder of a run or a result, or a CSV file with a matrix"


@dataclass(frozen=True)
class StoredMatrix:
    """R as rows, (tasks + 1) x tasks, and what is known beside it."""

    tasks: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    seed: int | None = None
    n_test: tuple[int, ...] | None = None
    never_learned: tuple[str, ...] = ()


def read_matrices(path: Path) -> list[StoredMatrix]:
    """The matrix in a result's folder or file, or in a CSV file, which is of no known seed.

    Raises ContsymError, with file and line where there is one, for what is no matrix.
    """
    if not path.exists():
        raise ContsymError(f"{path} is not there; {EXPECTED}")
    if path.is_dir() and not (path / store.RESULT).exists():
        raise ContsymError(f"{path}: no {store.RESULT} in it; {EXPECTED}")
    if path.is_dir() or path.suffix == ".json":
        return matrices_of([store.read_result(path)])
    return [_of_csv(path)]


def matrices_of(results: Sequence[SeedResult]) -> list[StoredMatrix]:
    """The matrices of several seeds. Raises ContsymError where they are not of the same experiences."""
    if len({tuple(result.tasks) for result in results}) > 1:
        raise ContsymError("the results have different tasks; give the folder of one result")
    return [_of_result(result) for result in results]


def _of_result(result: SeedResult) -> StoredMatrix:
    tasks = result.tasks
    return StoredMatrix(
        tuple(tasks),
        tuple(map(tuple, result.matrix)),
        result.seed,
        tuple(result.n_test[task] for task in tasks),
        tuple(task for task in tasks if not result.learned[task]),
    )


def _of_csv(path: Path) -> StoredMatrix:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, line) for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ContsymError(f"{path}: cannot be read ({reason}); {EXPECTED}") from None
    if not lines or len(lines[0][1]) < 2 or lines[0][1][0] != "after":
        given = ",".join(lines[0][1]) if lines else "nothing"
        raise ContsymError(f"{path}:1: the header is {given[:80]!r}; expected after,TASK,TASK,...")
    tasks = lines[0][1][1:]
    if len(set(tasks)) < len(tasks):
        raise ContsymError(f"{path}:1: a task comes twice in the header; expected each once")
    rows = []
    for (number, line), name in zip(lines[1:], ["untrained", *tasks], strict=False):
        where = f"{path}:{number}"
        if line[0] != name:
            raise ContsymError(
                f"{where}: the row is named {line[0]!r}; expected {name!r}: rows are untrained, {', '.join(tasks)}"
            )
        if len(line) != len(tasks) + 1:
            raise ContsymError(f"{where}: {len(line) - 1} accuracies for {len(tasks)} tasks")
        rows.append(
            tuple(_number(text, f"{where}: {task}") for text, task in zip(line[1:], tasks, strict=True))
        )
    _check_size(path, tasks, lines[1:])
    return StoredMatrix(tuple(tasks), tuple(rows))


def _number(text: str, where: str) -> float:
    try:
        value: object = float(text)
    except ValueError:
        value = text
    return _check(value, where)


def _check(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ContsymError(f"{where} is {value!r}; expected an accuracy between 0 and 1")
    return float(value)


def _check_size(path: Path, tasks: Sequence[str], rows: Sequence[object]) -> None:
    if len(rows) != len(tasks) + 1:
        raise ContsymError(
            f"{path}: {len(rows)} rows for {len(tasks)} tasks; expected {len(tasks) + 1}: "
            f"untrained, {', '.join(tasks)}"
        )
