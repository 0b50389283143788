"""The spellings of the names of parts, and the columns that name the part of each row."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from contsym.tasks.schema import Task

# Columns that may name the part of each row, in lower case, capitalised or in upper case; an ordered set.
PART_COLUMNS = dict.fromkeys(case(name) for name in (
    "split", "partition", "set", "subset", "fold", "part", "data_split", "dataset_split", "SemEval_set",
) for case in (str, str.capitalize, str.upper)).keys()  # fmt: skip
FLAGS = {
    name: part for part, names in {
        "train": ("train", "training", "is_train", "is_training"),
        "test": ("test", "is_test"),
        "validation": ("is_validation", "is_valid", "is_val", "is_dev", "validation", "dev"),
    }.items() for name in names
}  # fmt: skip
"""Columns in lower case that say of each row whether it is in a part."""
_TRUE, _FALSE = {"true", "1", "1.0", "yes"}, {"false", "0", "0.0", "no"}

Mark = tuple[str, str]
"""A column, and its value in a row as text."""
Marks = tuple[Mark, ...]
MarksOf = Callable[[Mapping[str, object]], Marks]


def part_of(value: str) -> str | None:
    """The part that a file, a split or a value of a split column names, or None.

    >>> part_of("TRAIN"), part_of("val"), part_of("dev-matched"), part_of("train_r1"), part_of("3")
    ('train', 'validation', 'dev_matched', 'train_r1', None)
    """
    head, _, rest = value.strip().casefold().replace("-", "_").replace(" ", "_").partition("_")
    part = _PARTS.get(head)
    if part is None or rest in ("", "set", "split", "annotated"):
        return part
    return f"{part}_{rest}"


_PARTS = {spelling: part for part, spellings in {
    "train": ("train", "training", "trn", "trainset"),
    "test": ("test", "testing", "tst", "testset", "holdout", "heldout"),
    "validation": ("validation", "valid", "val", "eval", "evaluation"),
    "dev": ("dev", "devel", "development", "devset", "trial"),
}.items() for spelling in spellings}  # fmt: skip


def named_part(name: str, task: Task) -> str | None:
    """The name, among those of the task's parts, that `name` is or spells otherwise; None where there is none.

    >>> task = Task(name="mine", summary="An example.", labels=("yes", "no"), parts={"train": ["old_train"]})
    >>> named_part("Val", task), named_part("dev-matched", task), named_part("old_train", task), named_part("train", task)
    ('validation', 'dev_matched', 'old_train', None)
    """
    if name in task.part_names:
        return name
    part = part_of(name)
    return next((each for each in sorted(task.part_names) if part_of(each) == part), None) if part else None


def names_of(task: Task, part: str, present: Iterable[str]) -> tuple[str, ...]:
    """The present names that make up a part of the task, in whatever spelling; none if the part is missing.

    >>> mine = Task(name="mine", summary="An example.", labels=("yes", "no"))
    >>> names_of(mine, "validation", ["train", "val", "test"]), names_of(mine, "test", ["train", "val"])
    (('val',), ('val',))
    """
    given: dict[str, str] = {}
    # Of two spellings of one name the exact one counts.
    for name in sorted(present, key=lambda name: name not in task.part_names):
        if known := named_part(name, task):
            given.setdefault(known, name)
    return tuple(given[known] for known in task.names_of(part, given))


def other_marks(rows: Sequence[Mapping[str, object]], known: Collection[str]) -> MarksOf:
    """A function of a row to its marks by columns outside `known` that may name its part, by a file's first rows.

    Such a column is one in which most of these rows have a part, such as `phase`; flags such as `is_test` are one column
    together, and come last. Only all rows tell whether a column names parts (`split_column.divided`).
    """
    names = dict.fromkeys(name for row in rows for name in row)
    flags = [n for n in names if n.strip().lower() in FLAGS and _flag(rows[0].get(n)) is not None]
    others = [
        name
        for name in names
        if name not in known and name not in flags and _are_parts([row.get(name) for row in rows])
    ]
    if not flags:
        return lambda row: tuple((name, text_of(row.get(name))) for name in others)

    parts = [FLAGS[name.strip().lower()] for name in flags]
    rest = "test" if "train" in parts else "train"

    def marked(row: Mapping[str, object]) -> Marks:
        values = [_flag(row.get(name)) for name in flags]
        part = next((part for part, value in zip(parts, values, strict=True) if value), rest)
        flagged = " and ".join(flags), "" if None in values else part
        return (*((name, text_of(row.get(name))) for name in others), flagged)

    return marked


def may_mark(column: str, values: Sequence[object]) -> bool:
    """Whether a column with these first values may name the part of each row; a list does not name one."""
    if any(isinstance(value, list | dict) for value in values):
        return False
    return column in PART_COLUMNS or column.strip().lower() in FLAGS or _are_parts(values)


def _are_parts(values: Sequence[object]) -> bool:
    """Whether most of the values that are there name a part."""
    texts = [text for value in values if (text := text_of(value))]
    return 2 * sum(part_of(text) is not None for text in texts) > len(texts)


def _flag(value: object) -> bool | None:
    text = text_of(value).lower()
    return True if text in _TRUE else False if text in _FALSE else None


def marks_in(row: Mapping[str, object]) -> Marks:
    """The marks under `split` of a renamed row."""
    marks = row.get("split")
    return marks if isinstance(marks, tuple) else ()


def is_nan(value: object) -> bool:
    """Whether pandas wrote the value for an empty cell."""
    return isinstance(value, float) and math.isnan(value)


def text_of(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    return "" if value is None or is_nan(value) else str(value).strip()
