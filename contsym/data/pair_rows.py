"""The labelled pairs of one file, or of rows in memory, undivided, with the columns that group them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contsym.data.class_names import LABEL_COLUMNS
from contsym.data.columns import rename
from contsym.data.readers import read_rows
from contsym.data.remarks import remark_on_numbers, remarks_on
from contsym.data.schema import Row, check_row
from contsym.data.sources import with_labels
from contsym.errors import DataError
from contsym.files import home_path
from contsym.tasks.catalog import find_task

NUMBERS_AS = find_task("mnli")
"""The task that gives class numbers without names their labels."""


@dataclass(frozen=True)
class PairRows:
    rows: list[Row]
    """As `check_row` gives them."""
    source: str
    notes: tuple[str, ...]


PairSource = str | Path | Iterable[Mapping[str, object]]
"""A file of labelled pairs, or rows in memory: dicts, a pandas DataFrame, a Dataset of `datasets`."""


def read_pair_rows(source: PairSource) -> PairRows:
    """All labelled pairs of a file (any format of `read_rows`) or of rows in memory, in their order.

    Rows without an agreed label are left out and counted. Raises DataError for the first wrong row, with its place,
    and where no labelled pair is left.

    >>> pairs = read_pair_rows([{"premise": "A", "hypothesis": "B", "label": "neutral", "skills": ["spatial", "logic"]}])
    >>> pairs.rows[0]["label"], pairs.rows[0]["skill"]
    (1, 'spatial|logic')
    """
    if isinstance(source, str | Path):
        path = home_path(source)
        if not path.is_file():
            raise DataError(f"{path}: no such file; expected a file of labelled pairs")
        name, placed = str(path), read_rows(path)
    else:
        name = "rows"
        placed = ((f"rows:{number}", rename(row)) for number, row in enumerate(rows_in_memory(source), 1))
    counts: Counter[str] = Counter()
    rows = [check_row(row, where) for where, row in with_labels(NUMBERS_AS, placed, counts, Counter())]
    if not rows:
        raise DataError(f"{name}: no labelled pairs; expected premise, hypothesis and label in each row")
    notes = remarks_on(counts)
    notes += [remark_on_numbers(NUMBERS_AS)] if counts["numbers"] else []
    return PairRows(rows, name, tuple(notes))


def rows_in_memory(source: Any) -> Iterable[Mapping[str, Any]]:
    """The rows of a pandas DataFrame, of a Dataset of `datasets`, or of anything that gives rows.

    Class numbers of a Dataset become the names that it gives them; -1, which stands for no label, stays.
    """
    if hasattr(source, "to_dict") and hasattr(source, "columns"):
        return source.to_dict("records")
    if not hasattr(source, "features"):
        return source
    rows = source.with_format(None).to_list()
    named = {c: f.names for c, f in source.features.items() if c in LABEL_COLUMNS and hasattr(f, "names")}
    return [{**row, **{c: _class_name(row[c], names) for c, names in named.items()}} for row in rows]


def _class_name(number: int | None, names: Sequence[str]) -> str | int | None:
    return number if number is None or number < 0 else names[number]
