"""The parts of a task by a column of the rows, in a source that is one part."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from contsym.data.part_columns import PART_COLUMNS, mark_in, named_part, part_of
from contsym.data.schema import PARTS, Part, PlacedRow
from contsym.errors import DataError
from contsym.tasks.schema import Task

_SHOWN, _LONGEST = 5, 30


Division = Mapping[Part, Sequence[str]]
"""The values of the column by part; a part without a value is missing."""


def rows_with(values: Sequence[str], rows: Iterable[PlacedRow]) -> Iterator[PlacedRow]:
    """The rows whose split column has one of the values, without that column."""
    for where, row in rows:
        if value_of(row) in values:
            yield where, {name: value for name, value in row.items() if name != "split"}


def value_of(row: Mapping[str, object]) -> str:
    """The value of the row's split column; empty if the row has none."""
    return mark_in(row)[1]


def divided(task: Task, rows: Iterable[PlacedRow], source: str) -> tuple[Division | None, list[str]]:
    """The division that the rows state, or None; and remarks.

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
    part_names = {value: part for value in counts if (part := named_part(value, task) or part_of(value))}
    if column not in PART_COLUMNS and len(part_names) < len(counts):
        # A column of another name and with other values has another meaning; but few have "train" beside "test".
        are_parts = len({part.startswith("train") for part in part_names.values()}) == 2
        remark = f"column {column!r} names parts in some rows only ({_listed(counts)}) and is not used"
        return None, [remark] if are_parts else []
    if not part_names:
        used = {value: n for value, n in counts.items() if value}
        return None, [f"column {column!r} names no parts ({_listed(used)}) and is not used"] if used else []
    values: dict[Part, list[str]] = {}
    for part in PARTS:
        names = task.names_of(part, part_names.values())
        values[part] = [value for value, name in part_names.items() if name in names]
    if not values["train"]:
        raise DataError(
            f"{source}: column {column!r} marks no row as train ({_listed(counts)}), and contsym does not train on "
            "other rows; expected training rows, or no such column"
        )
    notes = []
    division = {part: each for part, each in values.items() if each}
    if "test" not in division:  # made of the training rows, and so is the validation part
        division = {"train": values["train"]}
    else:
        listed = ", ".join(_listed({v: counts[v] for v in each}) for each in division.values())
        notes.append(f"the parts are those of column {column!r}: {listed}")
    if unused := {
        value: n for value, n in counts.items() if value not in itertools.chain(*division.values())
    }:
        notes.append(f"rows of other parts in column {column!r} are left out: {_listed(unused)}")
    return division, notes


def contradicting(counts: Mapping[str, int], part: str) -> str | None:
    """A remark on rows whose split column names another part than the one that they were read as."""
    parts = {value: part_of(value) for value in counts}
    is_train = part == "train"
    other = {v: counts[v] for v, name in parts.items() if name and is_train != name.startswith("train")}
    if not other:
        return None
    return f"rows marked for another part ({_listed(other)}) stay; the name of the file or split decides"


def _listed(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = [f"{value[:_LONGEST] or 'empty'} {n:,}" for value, n in most[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(most) - _SHOWN} more" if len(most) > _SHOWN else "")
