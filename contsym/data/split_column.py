"""The parts of a task by a column of the rows, in a source that is one part."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from contsym.data.part_columns import PART_COLUMNS, Mark, marks_in, named_part, part_of
from contsym.data.schema import PARTS, Part, PlacedRow
from contsym.errors import DataError
from contsym.tasks.schema import Task

_SHOWN, _LONGEST = 5, 30


class Division(NamedTuple):
    """Which rows of a source are in which part."""

    column: str
    values: Mapping[Part, Sequence[str]]
    """The values of the column by part; a part without a value is missing."""


def rows_with(division: Division, part: Part, rows: Iterable[PlacedRow]) -> Iterator[PlacedRow]:
    """The rows of one part, without the columns that may name parts."""
    for where, row in rows:
        if _value(row, division.column) in division.values[part]:
            yield where, {name: value for name, value in row.items() if name != "split"}


def _value(row: Mapping[str, object], column: str) -> str:
    """The value of a column that names parts; of a usual one that of whichever the row has."""
    usual = column in PART_COLUMNS
    found = (value for name, value in marks_in(row) if name == column or (usual and name in PART_COLUMNS))
    return next(found, "")


def divided(task: Task, rows: Iterable[PlacedRow], source: str) -> tuple[Division | None, list[str]]:
    """The division that the rows state, or None; and remarks.

    A column with a usual name, as `split`, may have other values too; one of another name has not. Raises DataError where
    the column names parts and none of them is for training.
    """
    found: dict[str, Counter[str]] = {}
    usual_names: Counter[str] = Counter()
    n_rows = 0
    for _, row in rows:
        n_rows += 1
        for name, value in marks_in(row):
            # Rows may have usual columns of different names: together they are one.
            usual_names[name] += name in PART_COLUMNS
            found.setdefault("" if name in PART_COLUMNS else name, Counter())[value] += 1
    if "" in found:
        found = {usual_names.most_common(1)[0][0]: found.pop(""), **found}
    for counts in found.values():
        counts[""] += n_rows - counts.total()
    found = {name: +counts for name, counts in found.items()}
    parts = {
        name: {value: part for value in counts if (part := named_part(value, task) or part_of(value))}
        for name, counts in found.items()
    }
    column = _column(found, parts)
    notes = [
        f"column {other!r} names parts in some rows only ({_listed(found[other])}) and is not used"
        for other in found
        # Few columns of another meaning have "train" beside "test" in most rows.
        if other not in PART_COLUMNS
        and other != column
        and len({part.startswith("train") for part in parts[other].values()}) == 2
        and 2 * sum(found[other][value] for value in parts[other]) > n_rows
    ]
    if column is None:
        unused = {name: +Counter({v: n for v, n in c.items() if v}) for name, c in found.items()}
        notes += [
            f"column {name!r} names no parts ({_listed(counts)}) and is not used"
            for name, counts in unused.items()
            if name in PART_COLUMNS and counts
        ]
        return None, notes
    counts, part_names = found[column], parts[column]
    values: dict[Part, list[str]] = {}
    for part in PARTS:
        names = task.names_of(part, part_names.values())
        values[part] = [value for value, name in part_names.items() if name in names]
    if not values["train"]:
        raise DataError(
            f"{source}: column {column!r} marks no row as train ({_listed(counts)}), and contsym does not train on "
            "other rows; expected training rows, or no such column"
        )
    division = {part: each for part, each in values.items() if each}
    if "test" not in division:  # made of the training rows, and so is the validation part
        division = {"train": values["train"]}
    else:
        listed = ", ".join(_listed({v: counts[v] for v in each}) for each in division.values())
        notes.append(f"the parts are those of column {column!r}: {listed}")
    if unused_rows := {
        value: n for value, n in counts.items() if value not in itertools.chain(*division.values())
    }:
        notes.append(f"rows of other parts in column {column!r} are left out: {_listed(unused_rows)}")
    return Division(column, division), notes


def _column(found: Mapping[str, Counter[str]], parts: Mapping[str, Mapping[str, str]]) -> str | None:
    """The column that names the parts; None if none does."""
    if usual := [column for column in found if column in PART_COLUMNS and parts[column]]:
        return usual[0]
    whole = [c for c in found if c not in PART_COLUMNS and len(parts[c]) == len(found[c])]
    # One that marks no row for training may have another meaning.
    with_train = (c for c in whole if any(part.startswith("train") for part in parts[c].values()))
    return next(with_train, next(iter(whole), None))


def contradicting(marks: Mapping[Mark, int], part: str) -> str | None:
    """A remark on rows whose split column names another part than the one that they were read as."""
    by_column: dict[str, dict[str, int]] = {}
    for (column, value), n in marks.items():
        by_column.setdefault(column, {})[value] = n
    is_train = part == "train"
    for column, counts in by_column.items():
        parts = {value: part_of(value) for value in counts}
        if column not in PART_COLUMNS and not all(parts.values()):
            continue  # of another meaning
        other = {v: counts[v] for v, name in parts.items() if name and is_train != name.startswith("train")}
        if other:
            return (
                f"rows marked for another part ({_listed(other)}) stay; the name of the file or split decides"
            )
    return None


def _listed(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = [f"{value[:_LONGEST] or 'empty'} {n:,}" for value, n in most[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(most) - _SHOWN} more" if len(most) > _SHOWN else "")
