"""A built data set on disk: its manifest, its two Parquet parts, and how they are read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from contsym import checked
from contsym.checked import Count, Kind, Share, Strict, Words
from contsym.data.readers import parquet_rows
from contsym.data.schema import FORMS, Form, file_sha256
from contsym.data.splits import SplitRule
from contsym.data.tasks import Task
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX
from contsym.errors import DataError, SettingError


class RelationCounts(Strict):
    name: Words
    kind: Kind
    triples: Count
    pairs: Count
    mirrored_share: Share
    train: Count
    test: Count


class Split(Strict):
    rule: Words
    meaning: Words
    test_share: Share
    seed: int


class Input(Strict):
    file: Words
    lines: Count
    sha256: Words


class Skipped(Strict):
    triples: Count
    reason: Words


class File(Strict):
    sha256: Words


class Manifest(Strict):
    split: Split
    forms: list[Words]
    labels: dict[Words, dict[Words, Count]]
    relations: dict[Words, RelationCounts]
    inputs: dict[Words, Input]
    skipped_properties: dict[Words, Skipped]
    left_out: dict[Words, Count]
    warnings: list[Words]
    files: dict[Words, File]


MANIFEST = "manifest.json"
FORMAT = 1
PARTS = ("train", "test")

Placed = tuple[str, dict[str, object]]

COLUMNS = (
    *("id", "premise", "hypothesis", "delexicalised_premise", "delexicalised_hypothesis", "label"),
    *("relation", "kind", "phrasing", "subject", "object", "subject_id", "object_id"),
    *("hypothesis_relation", "hypothesis_phrasing", "hypothesis_subject_id", "hypothesis_object_id"),
)
"""Of both parts, all text. A form that was not built is null throughout. The hypothesis's own
columns differ from the premise's in neutral pairs only (and the phrasing's with --paraphrase)."""


def part_file(part: str) -> str:
    return f"{part}.parquet"


def is_built(path: Path) -> bool:
    """A folder that `contsym data build` made, or that says so of itself."""
    return path.is_dir() and (path / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a built data set. Raises DataError where it is not what contsym wrote."""
    path = folder / MANIFEST
    found = checked.read_json(path, "build the data set again", DataError)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        given = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise DataError(f"{path}: format {given!r}; this version reads format {FORMAT}")
    split, forms, files = found.get("split"), found.get("forms"), found.get("files")
    if not isinstance(split, dict) or split.get("rule") not in get_args(SplitRule):
        raise DataError(
            f"{path}: split.rule is missing or unknown; expected one of {', '.join(get_args(SplitRule))}"
        )
    if not isinstance(forms, list) or not forms or any(form not in FORMS for form in forms):
        raise DataError(f"{path}: forms is {forms!r}; expected a list of {' and '.join(FORMS)}")
    if not isinstance(files, dict) or set(files) != {part_file(part) for part in PARTS}:
        raise DataError(f"{path}: files does not list {' and '.join(map(part_file, PARTS))}")
    checked.check(Manifest, found, path, DataError)
    return found


@dataclass(frozen=True)
class Built:
    """A data set that `contsym data build` wrote; its files are checked against its manifest."""

    folder: Path
    stand_in: bool = False
    is_in_form: bool = True

    @property
    def name(self) -> str:
        return str(self.folder)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.folder)

    @property
    def split(self) -> SplitRule:
        return self.manifest["split"]["rule"]

    def read(self, task: Task, form: Form) -> tuple[Iterator[Placed], Iterator[Placed]]:
        if not task.relational:
            raise DataError(f"--{task.name} {self.folder}: these are relation pairs; give them as --wikidata")
        wanted = FORMS if form == "both" else (form,)
        given = self.manifest["forms"][0]
        for each in wanted:
            if each not in self.manifest["forms"]:
                raise SettingError(
                    f"--form {form}: {self.folder} was built {given} only; give --form {given}, or "
                    f"build it again with --form {form}"
                )
        self._check_files()
        train, test = (self._rows(self.folder / part_file(part), wanted) for part in PARTS)
        return train, test

    def _check_files(self) -> None:
        for name, recorded in self.manifest["files"].items():
            if file_sha256(self.folder / name) != recorded.get("sha256"):
                raise DataError(
                    f"{self.folder / name}: not the file that {MANIFEST} describes (SHA-256 differs); "
                    "build the data set again"
                )

    def _rows(self, path: Path, wanted: tuple[Form, ...]) -> Iterator[Placed]:
        for where, row in parquet_rows(path, COLUMNS):
            for form in wanted:
                yield where, _in_form(row, form, is_second=form != wanted[0])


def _in_form(row: dict[str, object], form: Form, *, is_second: bool) -> dict[str, object]:
    shared = {name: row[name] for name in ("label", "relation", "kind")}
    if form == "lexicalised":
        texts = {name: row[name] for name in ("premise", "hypothesis", "subject", "object")}
    else:
        texts = {name: row[f"delexicalised_{name}"] for name in ("premise", "hypothesis")}
        texts |= {name: row[f"{name}_id"] for name in ("subject", "object")}
    return {"id": f"{row['id']}{DELEXICALISED_SUFFIX}" if is_second else row["id"], **shared, **texts}
