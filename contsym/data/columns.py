"""The columns of NLI data under their many names, as contsym's fields."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import islice

from contsym.data import class_names
from contsym.data.part_columns import PART_COLUMNS, is_nan, part_of, text_of
from contsym.data.schema import Row, words_of
from contsym.data.shards import some
from contsym.errors import DataError
from contsym.tasks.schema import TEXT_FIELDS, Task

# The names that MultiNLI 1.0, SNLI, GLUE, ANLI, SICK, WANLI and the Hub give a field.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "pairID", "pair_ID", "uid", "idx", "index"),
    "premise": ("premise", "sentence1", "sentence_A", "context"),
    "hypothesis": ("hypothesis", "sentence2", "sentence_B"),
    "label": class_names.LABEL_COLUMNS,
    "relation": ("relation",),
    "kind": ("kind",),
    "subject": ("subject",),
    "object": ("object",),
    "skill": ("skill", "skills"),
    "group": ("group",),
    "text": ("text", "sentence", "content", "tokens"),
}
FIELDS = {*(alias for aliases in ALIASES.values() for alias in aliases), *class_names.TEXT_COLUMNS}
COLUMNS = FIELDS | PART_COLUMNS
_TEXTS = {name for names in TEXT_FIELDS.values() for name in names}
_BY_LOWER = {name.lower(): name for name in FIELDS}
_MOST_WORDS = 3
"""Of the name of a column; what has more is a sentence."""
LONGEST_NAME = 40
"""Characters of a column's name in a message."""


def usual_names(columns: Collection[str], task: Task | None = None, where: str = "") -> dict[str, str]:
    """The name in ALIASES of each column, also where it differs in case or has spaces around it.

    A column that the task names for a field takes the place of all others for it. Raises DataError, which starts with
    `where`, for two columns of one name that an example needs.

    >>> usual_names([" Sentence1", "pairid", "Label", "label"])
    {' Sentence1': 'sentence1', 'pairid': 'pairID', 'label': 'label'}
    """
    usual = {c: c if c in COLUMNS else _BY_LOWER.get(c.strip().lower(), c) for c in columns}
    given = {column: field for field, column in task.columns.items()} if task else {}
    usual = {c: name for c, name in usual.items() if c == name or name not in columns or c in given}
    if task and task.columns:
        taken = {alias for field in task.columns for alias in ALIASES[field]}
        usual = {c: given.get(c, name) for c, name in usual.items() if c in given or name not in taken}
    if len(set(usual.values())) == len(usual):
        return usual
    first: dict[str, str] = {}
    needed = {
        *class_names.LABEL_COLUMNS,
        *(a for f in TEXT_FIELDS[task.inputs if task else "pair"] for a in ALIASES[f]),
    }
    for column, name in usual.items():
        # Of what an example need not have the first counts.
        if first.setdefault(name, column) != column and name in needed:
            raise DataError(
                f"{where}: columns {first[name]!r} and {column!r} are both {name!r}; expected one of them"
            )
    return {column: name for name, column in first.items()}


def is_left_out(row: Mapping[str, object], task: Task, columns: Collection[str]) -> bool:
    """Whether the task leaves a row out, by a column of `only` that is among those of the source."""
    return any(
        column in columns and {str(row.get(column)), _as_json(row.get(column))}.isdisjoint(values)
        for column, values in task.only.items()
    )


def _as_json(value: object) -> str:
    """A value as a file has it: `true` for True, 1 for 1.0."""
    return str(value).lower() if isinstance(value, bool) else words_of(value)


def check_texts(
    where: str, names: Collection[str], columns: Collection[str], task: Task | None, list_of_rows: str = ""
) -> None:
    """Raise DataError for a row without columns of its texts; `list_of_rows` is the field that may have the rows."""
    for name in TEXT_FIELDS[task.inputs if task else "pair"]:
        if set(names).isdisjoint(ALIASES[name]):
            if list_of_rows:
                raise DataError(
                    f"{where}: an object with the rows in a list, {list_of_rows[:LONGEST_NAME]!r}; expected that list alone, "
                    "or one object per line (.jsonl)"
                )
            raise DataError(
                f"{where}: column {name!r} is missing; the row has {listed(columns)}{_hint(name, columns, task)}"
            )


def _hint(name: str, columns: Collection[str], task: Task | None) -> str:
    """What the user may have meant, or how a column of another name is given."""
    if separated := other_separator(columns):
        return separated
    named = "name it under [columns] of the task"
    if not (task and task.columns):
        named = "name it under [columns] of a task (contsym new task NAME --from FILE writes one)"
    if any(len(column.split()) > _MOST_WORDS for column in columns):
        named += (
            ", or, if these are the cells of a row, begin the file with a line of the names of its columns"
        )
    near = _near(name, columns)
    return f"; rename {near!r} if it is meant, or {named}" if near else f"; {named}"


def _near(name: str, columns: Collection[str]) -> str:
    short = [column for column in islice(columns, 100) if len(column) <= LONGEST_NAME]
    return next(iter(difflib.get_close_matches(name, short, n=1, cutoff=0.8)), "")


_REMEDIES = {
    "\t": "name the file .tsv",
    ";": "name the file .csv",
    "|": "save it with commas",
    ",": "name the file .csv",
}


def other_separator(columns: Collection[str]) -> str:
    """What to do with a table whose columns were read as one, as the end of a message; empty for another table.

    >>> other_separator(["text|label"]), other_separator(["text", "label"])
    ("; its columns are separated by '|': save it with commas", '')
    """
    header = next(iter(columns), "") if len(columns) == 1 else ""
    sign = next((sign for sign in _REMEDIES if sign in header), "")
    return f"; its columns are separated by {sign!r}: {_REMEDIES[sign]}" if sign else ""


def check_named(where: str, columns: Collection[str], task: Task) -> None:
    """Raise DataError where a column that the task names is not there."""
    for field, column in task.columns.items():
        if column not in columns:
            near = _near(column, columns)
            hint = other_separator(columns) or (f"; did you mean {near!r}?" if near else "")
            raise DataError(
                f"{where}: column {column!r}, which the task names for {field}, is missing; the row has "
                f"{listed(columns)}{hint}"
            )
    # Of a dataset on the Hub, whose copies may lack the column.
    is_lenient = task.source.startswith("hub:")
    for column in (each for each in task.only if each not in columns):
        near = next((each for each in columns if each.strip().lower() == column.strip().lower()), "")
        near = near or _near(column, columns)
        if near or not is_lenient:
            hint = f"; did you mean {near!r}?" if near else ""
            raise DataError(
                f"{where}: column {column!r}, which the task names under [only], is missing; the row has "
                f"{listed(columns)}{hint}"
            )


def listed(columns: Collection[str]) -> str:
    """The columns as a message names them, in the order of the file."""
    return some([column[:LONGEST_NAME] for column in columns], 10) or "nothing"


def rename(row: Mapping[str, object]) -> Row:
    """The row under contsym's field names; the first alias with a value wins. A text may be a list of its words.

    `split` becomes (column, value), since messages name the column. A label of null becomes an empty one.
    """
    renamed: Row = {}
    for name, aliases in _aliases_in(tuple(row)):
        for alias in aliases:
            value = row[alias]
            if value is None or is_nan(value) or (name == "id" and not text_of(value)):
                continue
            renamed[name] = " ".join(map(str, value)) if name in _TEXTS and isinstance(value, list) else value
            break
        else:
            # No label, as an empty cell of a table says it; a row without the column is a mistake.
            if name == "label" and aliases:
                renamed[name] = ""
    if not PART_COLUMNS.isdisjoint(row):
        marks = [(name, text_of(row[name])) for name in PART_COLUMNS if name in row]
        renamed["split"] = next((mark for mark in marks if part_of(mark[1])), marks[0])
    return renamed


@lru_cache(maxsize=64)
def _aliases_in(columns: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    return [(name, [a for a in aliases if a in columns]) for name, aliases in ALIASES.items()]
