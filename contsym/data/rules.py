"""Rules that an encoder may know: pairs by rule, for the audit of training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.data.pair_rows import read_pair_rows
from contsym.data.schema import COLUMNS, SKILLS_BETWEEN, Row, stable_hash, table
from contsym.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

BUNDLED = "bundled"
LEAST = 10
"""Test pairs without which a rule is left out: it could show nothing."""


@dataclass(frozen=True)
class Rule:
    """The pairs of a rule, with labels of natural language inference."""

    validation: Dataset
    test: Dataset


@dataclass(frozen=True)
class Rules:
    by_name: Mapping[str, Rule]
    sources: Mapping[str, str]
    """SHA-256 of each source."""
    notes: Sequence[str] = ()


def load_rules(files: Sequence[Path] = ()) -> Rules:
    """The bundled rules, and those of files of labelled pairs: a rule for each value of their column `group` or `skill`.

    A file is divided by a hash of each pair. Raises DataError for a file without such a column, and for the first wrong row.

    >>> rules = load_rules()
    >>> len(rules.by_name["negation: denied"].test), len(rules.by_name)
    (61, 23)
    """
    folder = resources.files("contsym.data").joinpath("bundled", "rules")
    parts: dict[str, dict[str, list[Row]]] = {}
    digest = hashlib.sha256()
    with resources.as_file(folder) as path:
        for part in ("validation", "test"):
            file = path / f"{part}.jsonl"
            digest.update(file.read_bytes())
            for row in read_pair_rows(file).rows:
                _add(parts, str(row["group"]), part, row)
    sources, notes = {BUNDLED: digest.hexdigest()}, list[str]()
    for file in files:
        found = read_pair_rows(file)
        named = [(row, _names(row)) for row in found.rows]
        if not any(names for _, names in named):
            raise DataError(
                f"--rules {file}: no column that names the rule of a pair; expected group or skill, as in docs/audit.md"
            )
        sources[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        for row, names in named:
            part = ("validation", "test")[stable_hash(0, row["premise"], row["hypothesis"]) % 2]
            for name in names:
                _add(parts, name, part, row)
    small = [
        name
        for name, each in parts.items()
        if min(len(each.get(p, ())) for p in ("validation", "test")) < LEAST
    ]
    if small:
        notes.append(
            f"left out, with fewer than {LEAST} validation or test pairs: {', '.join(sorted(small))}"
        )
    by_name = {
        name: Rule(*(table(each[part]) for part in ("validation", "test")))
        for name, each in parts.items()
        if name not in small
    }
    return Rules(by_name, sources, notes)


def _names(row: Row) -> list[str]:
    skills = filter(None, str(row["skill"]).split(SKILLS_BETWEEN))
    return [str(row["group"])] if row["group"] else [*skills]


def _add(parts: dict[str, dict[str, list[Row]]], name: str, part: str, row: Row) -> None:
    plain = {column: row[column] for column in COLUMNS} | {"skill": ""}
    parts.setdefault(name, {}).setdefault(part, []).append(plain)
