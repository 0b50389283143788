"""Accuracy matrices where they are stored: in a result, in the folders of a run, in a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contsym.errors import ContsymError
from contsym.results import store
from contsym.results.schema import SeedResult

EXPECTED = "expected a result.json, the folder of a run, a seed or a cell, or a CSV file with a matrix"


@dataclass(frozen=True)
class StoredMatrix:
    """R as rows, (tasks + 1) x tasks, and what is known beside it."""

    tasks: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    seed: int | None = None
    n_test: tuple[int, ...] | None = None
    never_learned: tuple[str, ...] = ()


def read_matrices(path: Path) -> list[StoredMatrix]:
    """The matrix of each seed that `path` holds; a CSV file holds one, of no known seed.

    Raises ContsymError, with file and line where there is one, for what is no matrix.
    """
    if path.is_dir():
        if found := [_of_result(result) for result in store.read_run(path).values()]:
            if len({matrix.tasks for matrix in found}) > 1:
                raise ContsymError(f"{path}: its seeds have different tasks; give one seed's folder")
            return found
        raise ContsymError(f"{path}: neither a {store.RESULT} nor seed folders in it; {EXPECTED}")
    if not path.exists():
        raise ContsymError(f"{path} is not there; {EXPECTED}")
    return [_of_result(store.read_result(path)) if path.suffix == ".json" else _of_csv(path)]


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
