"""A first description of a user's file as a task: what its texts and labels are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from contsym.data.columns import ALIASES, LONGEST_NAME, listed, other_separator, usual_names
from contsym.data.readers import raw_rows
from contsym.data.schema import PlacedRow, words_of
from contsym.data.shards import some
from contsym.data.sources import UNLABELLED
from contsym.data.wikidata.pairs import mirror_of
from contsym.errors import ContsymError
from contsym.tasks.catalog import find_task
from contsym.tasks.schema import NLI_LABELS, SYMMETRY_LABELS, TEXT_FIELDS, Inputs

MAX_ROWS = 100_000
"""Rows that are read for the labels."""
MAX_LABELS = 1000
"""A column with more different values is not one of labels."""
FEW_ROWS = 10
_LOOKED_AT = 1000
"""Rows by which a column is taken for a text, and pairs for mirrored ones."""
_MEANT = {
    **find_task("wikidata").label_of,
    **dict.fromkeys(("yes", "true", "symmetric"), "entailment"),
    **dict.fromkeys(("no", "false", "antisymmetric"), "contradiction"),
}
"""The label of a relation pair by words for it."""


@dataclass(frozen=True)
class Described:
    """What is in a file."""

    inputs: Inputs
    columns: Mapping[str, str]
    """The column of each field that the task's file names."""
    labels: Sequence[str]
    """In the order in which they come in the file; of symmetric relations those that they are written for."""
    texts: Sequence[str] = ()
    """The columns of its texts."""
    written: Mapping[str, str] = field(default_factory=dict)
    """The label by what stands for it in the data."""
    symmetry: bool = False
    """Whether its pairs are those of symmetric and antisymmetric relations."""
    is_mirrored: bool = False
    """Whether they may be, but nothing says which label stands for entailment."""
    doubts: Sequence[str] = ()
    """What its user should look at, one line each."""

    @property
    def words(self) -> str:
        """For people.

        >>> Described("pair", {}, ["no", "yes"], ["a", "b"]).words
        'pairs of columns a and b; labels in the order of the file: no, yes'
        """
        examples = "pairs of columns" if self.inputs == "pair" else "texts of column"
        what = f"{examples} {' and '.join(self.texts)}"
        if not self.symmetry:
            return f"{what}; labels in the order of the file: {some(self.labels, 10)}"
        read = ", ".join(f"{text} is read as {label}" for text, label in self.written.items())
        return (
            f'{what}, "A r B" and "B r A", so the relations are symmetric or antisymmetric (symmetry = true)'
            f"{f'; {read}' if read else ''}"
        )

    def toml(self, source: str) -> str:
        """The file of the task.

        >>> print(Described("single", {"text": "message"}, ["billing", "fault"]).toml("tickets.csv"), end="")
        # The name of this file is the task's. A scenario names it under [[experience]]; docs/tasks.md has all entries.
        summary = "Examples of tickets.csv."
        # Their order is that of the class numbers.
        labels = ["billing", "fault"]
        inputs = "single"
        source = "tickets.csv"
        # Whether --shots draws the training examples; if not, --size NAME=N says how many there are.
        few_shot = true
        <BLANKLINE>
        [columns]
        text = "message"
        """

        def text(value: str) -> str:
            # A JSON string is a basic string of TOML too.
            return json.dumps(value, ensure_ascii=False)

        shots = [
            "# Whether --shots draws the training examples; if not, --size NAME=N says how many there are.",
            "few_shot = true",
        ]
        symmetry = [
            '# The pairs are "A r B", "B r A" of a symmetric or antisymmetric relation r: --split and --form apply, and',
            "# --shots draws the training examples.",
            "symmetry = true",
        ]
        lines = [
            "# The name of this file is the task's. A scenario names it under [[experience]]; docs/tasks.md has all entries.",
            f"summary = {text(f'Examples of {Path(source).name}.')}",
            "# Their order is that of the class numbers.",
            f"labels = [{', '.join(map(text, self.labels))}]",
            f'inputs = "{self.inputs}"',
            f"source = {text(source)}",
            *(symmetry if self.symmetry else shots),
        ]
        if self.is_mirrored:
            first, second = self.labels
            lines += [
                '# The pairs look like "A r B", "B r A". If one label says that the second sentence follows, write instead',
                '# labels = ["entailment", "contradiction"], symmetry = true in place of few_shot, and at the end (perhaps',
                f'# the other way round) [written] {text(first)} = "entailment", {text(second)} = "contradiction".',
            ]
        if self.columns:
            own = (f"{field} = {text(column)}" for field, column in self.columns.items())
            lines += ["", "[columns]", *own]
        if self.written:
            own = (f"{text(written)} = {text(label)}" for written, label in self.written.items())
            lines += ["", "# What stands in the data for a label.", "[written]", *own]
        return "\n".join(lines) + "\n"


def describe(path: Path, given: Mapping[str, str]) -> Described:
    """Describe a CSV, TSV or JSON file; `given` has the columns that the user names, by field.

    A column of a usual name ("sentence1", "label") needs no naming. Raises ContsymError where texts or labels are not
    found, or not one of them alone.
    """
    if not path.is_file():
        raise ContsymError(
            f"--from {path}: no such file; expected a CSV, TSV or JSON Lines file with a label per row"
        )
    placed = list(islice(raw_rows(path), MAX_ROWS))
    columns = list(placed[0][1]) if placed else []
    if separated := other_separator(columns):
        raise ContsymError(f"{path}: one column, {columns[0][:LONGEST_NAME]}{separated}")
    for name, column in given.items():
        if column not in columns:
            raise ContsymError(f"--{name} {column}: no such column; {path} has {listed(columns)}")
    usual = usual_names(columns)
    found: dict[str, str | None] = {
        name: next((c for c in columns if usual.get(c) in aliases), None) for name, aliases in ALIASES.items()
    } | dict(given)
    inputs = _inputs(path, given, found, columns)
    texts = {name: str(found[name]) for name in TEXT_FIELDS[inputs]}
    if not found["label"]:
        raise ContsymError(
            f"{path}: no column of labels is known; the file has {listed(columns)}; name it with --label COLUMN"
        )
    if inputs == "single" and "text" not in given:
        known = {column for column in found.values() if column}
        others = [column for column in columns if column not in known and _is_text(column, placed)]
        if others:
            raise ContsymError(
                f"{path}: {' and '.join([texts['text'], *others])} may be texts; name one with --text COLUMN, or two "
                "with --premise and --hypothesis"
            )
    labelled = _labelled(placed, str(found["label"]))
    labels = list(dict.fromkeys(label for _, label in labelled))
    if not 2 <= len(labels) <= MAX_LABELS:
        values = f"{len(labels):,} different value{'' if len(labels) == 1 else 's'}"
        raise ContsymError(
            f"{path}: column {found['label']} has {values}; expected 2 to {MAX_LABELS:,} labels; "
            "name another with --label COLUMN"
        )
    few = rare_labels(Counter(label for _, label in labelled))
    meant = _relation_labels([label for label in labels if label not in few])
    symmetry = inputs == "pair" and bool(meant) and _are_mirrored(placed, texts)
    is_mirrored = (
        inputs == "pair" and not symmetry and len(labels) == 2 and not few and _are_mirrored(placed, texts)
    )
    doubts = rare_lines(labelled, few)
    if is_mirrored:
        doubts.append(
            f'the pairs are "A r B", "B r A", and {labels[0]} and {labels[1]} will be new classes beside those of MNLI; if '
            "one of them says that the second sentence follows, edit the file as its comment says"
        )
    if symmetry:
        labels = [label for label in NLI_LABELS if label in meant.values()]
    present = (name for name in (*texts, "label", "relation", "kind", "skill", "group") if found[name])
    own = {name: str(found[name]) for name in present if name in given or name in texts}
    return Described(
        inputs,
        {name: column for name, column in own.items() if column != name},
        labels,
        tuple(texts.values()),
        {written: label for written, label in meant.items() if symmetry and written != label},
        symmetry,
        is_mirrored,
        doubts,
    )


def _inputs(
    path: Path, given: Mapping[str, str], found: Mapping[str, str | None], columns: Sequence[str]
) -> Inputs:
    """Whether the examples are pairs or single texts."""
    named = [name for name in (*TEXT_FIELDS["pair"], *TEXT_FIELDS["single"]) if name in given]
    if "text" in named and len(named) > 1:
        raise ContsymError(f"--text and --{named[0]}; expected --text alone, or --premise and --hypothesis")
    if found["premise"] and found["hypothesis"] and named != ["text"]:
        return "pair"
    if "text" not in named and named:
        missing = next(name for name in TEXT_FIELDS["pair"] if not found[name])
        raise ContsymError(
            f"--{named[0]} {given[named[0]]}: one text of a pair; {path} has {listed(columns)}; name the other with "
            f"--{missing} COLUMN"
        )
    if not found["text"]:
        raise ContsymError(
            f"{path}: no column of a text is known; the file has {listed(columns)}; name it with --text COLUMN, or "
            "--premise and --hypothesis"
        )
    return "single"


def _is_text(column: str, placed: Sequence[PlacedRow]) -> bool:
    """Whether a column has sentences of its own: three words each on average, and mostly different ones."""
    texts = [str(row.get(column) or "") for _, row in placed[:_LOOKED_AT]]
    return sum(len(text.split()) for text in texts) >= 3 * len(texts) and 2 * len({*texts}) > len(texts)


def _labelled(placed: Iterable[PlacedRow], column: str) -> list[tuple[str, str]]:
    """(where, label) of each labelled row; a label is spelt as where it comes first, in upper and lower case alike."""
    spelt: dict[str, str] = {}
    labels = ((where, words_of(row.get(column))) for where, row in placed)
    return [
        (where, spelt.setdefault(label.casefold(), label))
        for where, label in labels
        if label not in UNLABELLED
    ]


def _relation_labels(labels: Sequence[str]) -> dict[str, str]:
    """The NLI label of each; empty unless all stand for one, both that of symmetric and of antisymmetric relations."""
    meant = {label: _MEANT[label.casefold()] for label in labels if label.casefold() in _MEANT}
    is_complete = len(meant) == len(labels) and {*SYMMETRY_LABELS} <= {*meant.values()}
    return meant if is_complete else {}


def _are_mirrored(placed: Sequence[PlacedRow], texts: Mapping[str, str]) -> bool:
    """Whether nine of ten pairs are "A r B", "B r A"."""
    pairs = [tuple(str(row.get(column) or "") for column in texts.values()) for _, row in placed[:_LOOKED_AT]]
    return 10 * sum(any(mirror_of(*pair)) for pair in pairs) >= 9 * len(pairs)


def rare_labels(counts: Mapping[str, int]) -> list[str]:
    """Labels that may be misspellings: fewer than ten rows, and than a fifth of an even share.

    >>> rare_labels({"yes": 80, "no": 79, "yse": 1}), rare_labels({"yes": 3, "no": 2})
    (['yse'], [])
    """
    share = sum(counts.values()) / max(1, len(counts))
    return [label for label, n in counts.items() if n < FEW_ROWS and 5 * n < share]


def rare_lines(labelled: Sequence[tuple[str, str]], labels: Sequence[str]) -> list[str]:
    """In words, the rows of each of these labels out of (where, label) of all rows."""
    lines = []
    for label in labels:
        places = [where for where, other in labelled if other == label]
        lines.append(
            f"label {label!r} has {len(places)} of {len(labelled):,} rows ({some(places, 3)}); if it is misspelt, correct "
            "it, or say under [written] what it stands for"
        )
    return lines
