"""Parts that a column says row by row: what is train and what is test in a source that is one part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from contsym.data.readers import part_of
from contsym.data.tasks import Task
from contsym.errors import DataError

Placed = tuple[str, dict[str, object]]

_SHOWN, _LONGEST = 5, 30


@dataclass(frozen=True)
class Division:
    """Which values of the column are which part; a part without a value is not there."""

    values: Mapping[str, Sequence[str]]

    def only(self, rows: Iterable[Placed], part: str) -> Iterator[Placed]:
        """The rows of one part."""
        for where, row in rows:
            if value_of(row) in self.values[part]:
                # Said and done: nothing is left that could contradict it.
                yield where, {name: value for name, value in row.items() if name != "split"}


def value_of(row: Mapping[str, object]) -> str:
    """What the row's column of parts says; empty where there is none."""
    mark = row.get("split")
    return mark[1] if isinstance(mark, tuple) else ""


def divided(task: Task, rows: Iterable[Placed], source: str) -> tuple[Division | None, list[str]]:
    """How the rows say that they are divided, None where they do not say it; and remarks.

    Raises DataError where the column names parts and none of them is for training.
    """
    columns: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for _, row in rows:
        mark = row.get("split")
        if isinstance(mark, tuple):
            columns[mark[0]] += 1
        counts[value_of(row)] += 1
    if not columns:
        return None, []
    column = columns.most_common(1)[0][0]
    known = {value: part for value in counts if (part := part_of(value))}
    if not known:
        used = {value: n for value, n in counts.items() if value}
        return None, [f"column {column!r} names no parts ({_listed(used)}) and is not used"] if used else []
    train = _values(known, task.train_names)
    test = _values(known, task.test_names)
    if not train:
        raise DataError(
            f"{source}: column {column!r} marks no row as train ({_listed(counts)}), and rows marked otherwise are "
            "not trained on; expected training rows, or no such column"
        )
    notes = []
    if test:
        said = ", ".join(f"{_listed({v: counts[v] for v in values})}" for values in (train, test))
        notes.append(f"the parts are those of column {column!r}: {said}")
    if unused := {value: n for value, n in counts.items() if value not in {*train, *test}}:
        notes.append(f"rows of other parts in column {column!r} are left out: {_listed(unused)}")
    return Division({"train": train, **({"test": test} if test else {})}), notes


def contradicting(counts: Mapping[str, int], part: str) -> str | None:
    """A remark on rows that say they are of the other part than the one that they were read as."""
    other = {
        v: n
        for v, n in counts.items()
        if (said := part_of(v)) and (part == "train") != said.startswith("train")
    }
    if not other:
        return None
    return f"rows marked for another part ({_listed(other)}) are kept; the name of the file or split counts"


def _values(known: Mapping[str, str], alternatives: Sequence[Sequence[str]]) -> list[str]:
    for names in alternatives:
        if found := [value for value, part in known.items() if part in names]:
            return found
    return []


def _listed(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = [f"{value[:_LONGEST] or 'empty'} {n:,}" for value, n in most[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(most) - _SHOWN} more" if len(most) > _SHOWN else "")
