"""A built dataset on disk: its manifest and its two Parquet parts, written and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from contsym import checked
from contsym.checked import Count, Share, Strict, Words
from contsym.data.parquet import parquet_rows
from contsym.data.schema import FORMS, Form, Kind, OneForm, Part, PlacedRow, Row, file_sha256
from contsym.data.splits import SIDES, SplitRule
from contsym.data.sql import Connection, hash_share
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX
from contsym.errors import DataError, SettingError
from contsym.tasks.schema import Task, option_of


class RelationCounts(Strict):
    name: Words
    kind: Kind
    triples: Count
    pairs: Count
    mirrored_share: Share
    train: Count
    test: Count


class Split(Strict):
    rule: SplitRule
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
    files: dict[Literal["train.parquet", "test.parquet"], File] = Field(min_length=2)
    split: Split
    forms: list[OneForm] = Field(min_length=1)
    labels: dict[Words, dict[Words, Count]]
    relations: dict[Words, RelationCounts]
    inputs: dict[Words, Input]
    skipped_properties: dict[Words, Skipped]
    left_out: dict[Words, Count]
    warnings: list[Words]


MANIFEST = "manifest.json"
FORMAT = 1
_BATCH = 50_000


def _columns(forms: Sequence[Form]) -> dict[str, str]:
    """SQL of the columns of both parts, all text; those of a form that is not built are null.

    The hypothesis columns differ from the premise's in neutral pairs only (with --paraphrase also the phrasing).
    """

    def sentence(t: str, subject: str, object_: str) -> str:
        return (
            f"CASE WHEN {t}.x_first THEN {t}.head || {subject} || {t}.middle || {object_} || {t}.tail "
            f"ELSE {t}.head || {object_} || {t}.middle || {subject} || {t}.tail END"
        )

    def in_form(form: Form, sql: str) -> str:
        return sql if form in forms else "NULL::VARCHAR"

    return {
        "id": "r.id",
        "premise": in_form("lexicalised", sentence("t", "r.s_name", "r.o_name")),
        "hypothesis": in_form("lexicalised", sentence("h", "r.hs_name", "r.ho_name")),
        "delexicalised_premise": in_form("delexicalised", sentence("t", "r.s_id", "r.o_id")),
        "delexicalised_hypothesis": in_form("delexicalised", sentence("h", "r.hs_id", "r.ho_id")),
        "label": "r.label",
        "relation": "r.relation",
        "kind": "r.kind",
        "phrasing": "t.phrasing",
        "subject": in_form("lexicalised", "r.s_name"),
        "object": in_form("lexicalised", "r.o_name"),
        "subject_id": "r.s_id",
        "object_id": "r.o_id",
        "hypothesis_relation": "r.h_relation",
        "hypothesis_phrasing": "h.phrasing",
        "hypothesis_subject_id": "r.hs_id",
        "hypothesis_object_id": "r.ho_id",
    }


def label_counts(con: Connection) -> dict[str, dict[str, int]]:
    """Pairs of each label in the engine's `rows`, by part."""
    counts: dict[str, dict[str, int]] = {part: {} for part in SIDES}
    sql = "SELECT is_test, label, count(*) FROM rows GROUP BY ALL ORDER BY ALL"
    for is_test, label, n in con.execute(sql).fetchall():
        counts[SIDES[is_test]][label] = n
    return counts


def write_part(con: Connection, folder: Path, part: str, forms: Sequence[Form], seed: int) -> dict[str, Any]:
    """Write the engine's `rows` of one part to its file; returns the manifest's entry of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = _columns(forms)
    selected = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    rows = con.sql(
        f"""SELECT {selected} FROM rows r
        JOIN templates t ON t.relation = r.relation AND t.i = r.i
        JOIN templates h ON h.relation = r.h_relation AND h.i = r.h_i
        WHERE r.is_test = {part == "test"} ORDER BY {hash_share(str(seed), "'order'", "r.id")}, r.id"""
    )
    path = folder / part_file(part)
    schema = pa.schema([(name, pa.string()) for name in columns])
    n_rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in rows.to_arrow_reader(_BATCH):
            writer.write_batch(batch.cast(schema))
            n_rows += batch.num_rows
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size, "rows": n_rows}


def part_file(part: str) -> str:
    return f"{part}.parquet"


def is_built(path: Path) -> bool:
    """Whether a folder has a manifest, as `contsym data build` writes it."""
    return (path / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The checked manifest of a built dataset. Raises DataError for one that contsym did not write."""
    path = folder / MANIFEST
    manifest = checked.read_json(path, "build the dataset again", DataError)
    checked.check_format(manifest, FORMAT, path, DataError)
    checked.check(Manifest, manifest, path, DataError)
    return manifest


@dataclass(frozen=True)
class Built:
    """A dataset of `contsym data build`; its files are checked against its manifest."""

    folder: Path
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

    def read(self, task: Task, form: Form) -> dict[Part, Iterator[PlacedRow]]:
        if not task.symmetry:
            given = option_of(task.name, str(self.folder))
            raise DataError(f"{given}: these are relation pairs; give them as --wikidata")
        forms = FORMS if form == "both" else (form,)
        built_forms = self.manifest["forms"]
        if not {*forms} <= {*built_forms}:
            raise SettingError(
                f"--form {form}: {self.folder} was built {built_forms[0]} only; give --form {built_forms[0]}, or "
                f"build it again with --form {form}"
            )
        for name, file in self.manifest["files"].items():
            if file_sha256(self.folder / name) != file["sha256"]:
                raise DataError(
                    f"{self.folder / name}: not the file that {MANIFEST} describes (SHA-256 differs); "
                    "build the dataset again"
                )
        return {part: _rows(self.folder / part_file(part), forms) for part in SIDES}


def _rows(path: Path, forms: tuple[Form, ...]) -> Iterator[PlacedRow]:
    for where, row in parquet_rows(path, _columns(FORMS)):
        for form in forms:
            yield where, _in_form(row, form, is_second=form != forms[0])


def _in_form(row: Row, form: Form, *, is_second: bool) -> Row:
    shared = {name: row[name] for name in ("label", "relation", "kind")}
    if form == "lexicalised":
        texts = {name: row[name] for name in ("premise", "hypothesis", "subject", "object")}
    else:
        texts = {name: row[f"delexicalised_{name}"] for name in ("premise", "hypothesis")}
        texts |= {name: row[f"{name}_id"] for name in ("subject", "object")}
    return {"id": f"{row['id']}{DELEXICALISED_SUFFIX}" if is_second else row["id"], **shared, **texts}
