"""A first description of a user's file as a task: what its texts and labels are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from contsym.data.columns import ALIASES, usual_names
from contsym.data.readers import raw_rows
from contsym.data.shards import some
from contsym.errors import ContsymError

MAX_ROWS = 100_000
"""Rows that are read for the labels."""
MAX_LABELS = 1000
"""A column with more different values is no label."""
TEXTS = ("premise", "hypothesis", "text")


@dataclass(frozen=True)
class Described:
    """What is in a file."""

    inputs: Literal["pair", "single"]
    columns: Mapping[str, str]
    """The column of each field whose column has a name of its own."""
    labels: Sequence[str]
    """In the order in which they come."""

    def toml(self, source: str) -> str:
        """The file of the task.

        >>> print(Described("single", {"text": "message"}, ["billing", "fault"]).toml("tickets.csv"), end="")
        # The name of this file is the task's. A scenario names it under [[experience]]; docs/tasks.md has all entries.
        summary = "Examples of tickets.csv."
        labels = ["billing", "fault"]
        inputs = "single"
        source = "tickets.csv"
        # Whether --shots draws the training examples; if not, --size NAME=N says how many there are.
        few_shot = true
        <BLANKLINE>
        [columns]
        text = "message"
        """
        # A JSON string is a basic string of TOML too.
        text = lambda value: json.dumps(value, ensure_ascii=False)  # noqa: E731
        lines = [
            "# The name of this file is the task's. A scenario names it under [[experience]]; docs/tasks.md has all entries.",
            f"summary = {text(f'Examples of {Path(source).name}.')}",
            f"labels = [{', '.join(map(text, self.labels))}]",
            f'inputs = "{self.inputs}"',
            f"source = {text(source)}",
            "# Whether --shots draws the training examples; if not, --size NAME=N says how many there are.",
            "few_shot = true",
        ]
        if self.columns:
            lines += [
                "",
                "[columns]",
                *(f"{field} = {text(column)}" for field, column in self.columns.items()),
            ]
        return "\n".join(lines) + "\n"


def describe(path: Path, given: Mapping[str, str]) -> Described:
    """Describe a CSV, TSV or JSON file; `given` has the columns that the user names, by field.

    A column of a usual name ("sentence1", "label") needs no naming. Raises ContsymError where texts or labels are not found.
    """
    if not path.is_file():
        raise ContsymError(
            f"--from {path}: no such file; expected a CSV, TSV or JSON Lines file with a label per row"
        )
    rows = list(islice(raw_rows(path), MAX_ROWS))
    columns = list(rows[0][1]) if rows else []
    for field, column in given.items():
        if column not in columns:
            raise ContsymError(f"--{field} {column}: no such column; {path} has {_listed(columns)}")
    usual = usual_names(columns)
    found = {
        field: next((c for c in columns if usual.get(c) in names), None) for field, names in ALIASES.items()
    }
    found |= given
    named = set(given) & set(TEXTS)
    is_pair = bool(found["premise"] and found["hypothesis"]) and named != {"text"}
    texts = ("premise", "hypothesis") if is_pair else ("text",)
    if not all(found[field] for field in texts):
        raise ContsymError(
            f"{path}: no column of a text is known; the file has {_listed(columns)}; name it with --text COLUMN, or "
            "--premise and --hypothesis"
        )
    if not found["label"]:
        raise ContsymError(
            f"{path}: no column of labels is known; the file has {_listed(columns)}; name it with --label COLUMN"
        )
    labels = list(
        dict.fromkeys(
            str(row[found["label"]]).strip() for _, row in rows if row.get(found["label"]) is not None
        )
    )
    labels = [label for label in labels if label]
    if not 2 <= len(labels) <= MAX_LABELS:
        raise ContsymError(
            f"{path}: column {found['label']} has {len(labels):,} different values; expected 2 to {MAX_LABELS:,} labels; "
            "name another with --label COLUMN"
        )
    fields = [*texts, "label", *(f for f in ("relation", "kind", "skill", "group") if found[f])]
    own = {field: str(found[field]) for field in fields if usual.get(str(found[field])) not in ALIASES[field]}
    return Described("pair" if is_pair else "single", own, labels)


def _listed(columns: Sequence[str]) -> str:
    return some([column[:40] for column in columns], 10) or "nothing"
