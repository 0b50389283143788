"""Sources of a task's pairs: bundled, the Hub, a built dataset, or a file or folder."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol

from contsym.data import hub, split_column
from contsym.data.class_names import METADATA, as_number
from contsym.data.identity import Identities, remark_on_repeats, repeated_ids
from contsym.data.readers import READERS, read_rows
from contsym.data.resplit import resplit
from contsym.data.schema import (
    LABELS,
    PARTS,
    Dataset,
    Form,
    PlacedRow,
    TaskData,
    check_row,
    content_fingerprint,
    rows_of,
    stable_hash,
    table,
)
from contsym.data.shards import missing_shards, some
from contsym.data.splits import SplitRule
from contsym.data.tasks import TASKS, Task
from contsym.data.text_files import OPENERS
from contsym.data.wikidata import manifest
from contsym.data.wikidata import pairs as wikidata
from contsym.errors import DataError, SettingError

Rows = Iterable[PlacedRow]
Parts = tuple[Rows, Rows | None]

UNLABELLED = ("-", "")
"""Labels of rows without an agreed label in MultiNLI; the Hub's copy has a number below 0. Such rows are left out."""
_NOT_FOR_TRAINING = ("test", "validation", "dev", "dev_matched", "dev_mismatched", "validation_matched")
"""Parts of a file's name by which a folder with that file alone lacks its training pairs."""
TEST_SHARE = 0.2
"""Test share of a source without a test part."""


class Source(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def is_in_form(self) -> bool:
        """Whether the rows come in the form asked for; otherwise they are rewritten."""

    def read(self, task: Task, form: Form) -> Parts:
        """Rows of the train part and, if the source has one, of the test part; the same in every call."""


@dataclass(frozen=True)
class Bundled:
    name: str
    stand_in: bool
    is_in_form: bool = False

    def read(self, task: Task, form: Form) -> Parts:
        if task.name == "wikidata":
            return ((f"bundled:{row['id']}", row) for row in wikidata.bundled_pairs()), None
        folder = resources.files("contsym.data").joinpath("bundled")
        with resources.as_file(folder) as path:
            train, test = (list(read_rows(path / f"nli_mini.{part}.jsonl")) for part in ("train", "test"))
            return train, test


BUNDLED = {
    "mnli": Bundled("nli_mini (stand-in for MNLI)", stand_in=True),
    "wikidata": Bundled("wikidata_mini (bundled sample)", stand_in=False),
}


@dataclass(frozen=True)
class Files:
    """A file, or a folder with a train and a test part, or with one file."""

    path: Path
    is_in_form: bool = False

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self, task: Task, form: Form) -> Parts:
        if self.path.is_file():
            return read_rows(self.path), None
        files = _readable_files(self.path)
        if len(files) == 1:  # as the file itself
            return read_rows(files[0]), None
        parts = (_part(files, names, self.path) for names in (task.train_names, task.test_names))
        train, test = (itertools.chain.from_iterable(map(read_rows, paths)) for paths in parts)
        return train, test


def parse_source(name: str, spec: str, form: Form = "lexicalised") -> Source:
    """`bundled`, `hub`, `hub@REVISION`, `hub:OWNER/NAME:CONFIGURATION@REVISION`, or a path.

    Raises DataError where the path does not exist.
    """
    task = TASKS[name]
    if spec == "bundled" and task.is_bundled:
        return BUNDLED[name]
    if spec == "hub" or spec.startswith(("hub@", "hub:")):
        return hub.parse_hub(task, spec, form)
    path = Path(spec).expanduser()
    if not spec or not (path.is_file() or path.is_dir()):
        expected = "a path, 'bundled' or 'hub'" if task.is_bundled else "a path, 'hub'"
        raise DataError(f"--{name} {spec or repr(spec)}: no such file or folder; expected {expected}")
    if manifest.is_built(path):
        return manifest.Built(path)
    return Files(path)


def load_task(name: str, spec: str, form: Form = "lexicalised", split: SplitRule | None = None) -> TaskData:
    """The checked train and test part of a task.

    A source that is one part is divided by its column `split` (or similar), and without such a column by a hash of
    each pair's sentences, both directions of a pair together. `split` re-splits the pairs of a relational task by
    that rule. Raises DataError for the first wrong row, with its place.
    """
    task, source = TASKS[name], parse_source(name, spec, form)
    if split and not task.relational:
        raise SettingError(f"--split {split}: {task.title} has no relations; expected a Wikidata task")
    tables, notes = _Reading(task, source, form).tables(together=split is not None)
    if split:
        tables, remarks = resplit(tables, split, TEST_SHARE)
        notes += remarks
    elif len(tables) == 1:
        tables = _split(tables[0])
        share = f"{TEST_SHARE:.0%} of its pairs"
        notes.append(f"one part only: a hash of the text moves {share} to the test part")
    if isinstance(source, hub.Hub):
        notes += source.remarks
    train, test = tables
    for part, pairs in (("train", train), ("test", test)):
        if len(pairs) == 0:
            raise DataError(f"--{name} {spec}: the {part} part has no labelled pairs")
    return TaskData(
        task=name,
        source=source.name,
        stand_in=isinstance(source, Bundled) and source.stand_in,
        train=train,
        test=test,
        fingerprint=content_fingerprint(train, test),
        notes=tuple(notes),
        split=split or (source.split if isinstance(source, manifest.Built) else None),
    )


class _Reading:
    """One source read for one task: its rows checked, with ids and in the form asked for, part by part."""

    def __init__(self, task: Task, source: Source, form: Form) -> None:
        self._task, self._source, self._form = task, source, form
        self._rewrite: Form = "lexicalised" if source.is_in_form or not task.relational else form
        self._division: split_column.Division | None = None
        self._phrases: Counter[str] = Counter()
        self._notes: list[str] = []

    def tables(self, *, together: bool) -> tuple[list[Dataset], list[str]]:
        """The parts and remarks on them; with `together`, an id is unique in both parts together."""
        rows, test_rows = self._source.read(self._task, self._form)
        if test_rows is None:
            self._division, self._notes = split_column.divided(self._task, rows, self._source.name)
        if self._task.relational and not isinstance(self._source, manifest.Built):
            for rows in self._parts().values():
                self._phrases += wikidata.count_phrases(row for _, row in rows)
        tables, remarks = self._read({part: Identities() for part in PARTS})
        repeated = [repeated_ids(group) for group in ([tables] if together else [[each] for each in tables])]
        if any(repeated):
            identities = [Identities(each) for each in repeated] * (2 if together else 1)
            tables, remarks = self._read(dict(zip(PARTS, identities, strict=False)))
            remarks += [remark for each in repeated if (remark := remark_on_repeats(each))]
        return tables, self._notes + remarks

    def _parts(self) -> dict[str, Rows]:
        def read() -> Parts:
            return self._source.read(self._task, self._form)

        if self._division:
            divisions = self._division.items()
            return {part: split_column.rows_with(values, read()[0]) for part, values in divisions}
        return {part: rows for part, rows in zip(PARTS, read(), strict=True) if rows is not None}

    def _read(self, identities: Mapping[str, Identities]) -> tuple[list[Dataset], list[str]]:
        tables, notes = [], []
        for part, rows in self._parts().items():
            counts: Counter[str] = Counter()
            marks: Counter[str] = Counter()
            rows = identities[part].add_ids(_with_labels(self._task, rows, counts, marks))
            if self._task.relational:
                rows = wikidata.in_form(_with_entities(rows, self._phrases, counts), self._rewrite)
            tables.append(table(check_row(row, where) for where, row in rows))
            remarks = [f"{counts[what]} {words}" for what, words in _LEFT_OUT.items() if counts[what]]
            if counts["numbers"]:
                numbers = [(n, name) for n, name in self._task.written_labels.items() if n.isdecimal()]
                order = ", ".join(f"{n} {name}" for n, name in numbers)
                remarks.append(f"labels are numbers without names in the data; they are read as {order}")
            if remark := split_column.contradicting(marks, part):
                remarks.append(remark)
            notes += [f"{part}: {remark}" for remark in remarks]
        return tables, notes


_LEFT_OUT = {
    "unread": "pairs are not of the form 'A r B', 'B r A'",
    "unlabelled": "rows without an agreed label are left out",
}


def _with_labels(task: Task, rows: Rows, counts: Counter[str], marks: Counter[str]) -> Iterator[PlacedRow]:
    """The labelled rows with the name of their label and without the split column, which is counted in `marks`."""
    for where, row in rows:
        if "split" in row:
            marks[split_column.value_of(row)] += 1
            del row["split"]
        label = row.get("label")
        if label is not None:
            number = as_number(label)
            label = label.strip().casefold() if isinstance(label, str) else label
            if label in UNLABELLED or (number is not None and number < 0):
                counts["unlabelled"] += 1
                continue
            counts["numbers"] += number is not None
            written = str(label if number is None else number)
            row["label"] = task.written_labels.get(written, label if label in LABELS else row["label"])
        yield where, row


def _with_entities(rows: Rows, phrases: Counter[str], counts: Counter[str]) -> Iterator[PlacedRow]:
    for where, row in rows:
        changed = wikidata.with_entities(row, phrases)
        counts["unread"] += changed is None
        yield where, changed or row


def _split(pairs: Dataset) -> list[Dataset]:
    def is_test(premise: str, hypothesis: str) -> bool:
        # Sorted: a pair and its mirror image must fall on the same side.
        return stable_hash(*sorted((premise, hypothesis))) % 1000 < 1000 * TEST_SHARE

    sides: list[list[int]] = [[], []]
    for number, row in enumerate(rows_of(pairs.select_columns(["premise", "hypothesis"]))):
        sides[is_test(**row)].append(number)
    return [pairs.select(side) for side in sides]


def _readable_files(folder: Path) -> list[Path]:
    paths = [path for path in sorted(folder.iterdir()) if path.name not in METADATA and path.is_file()]
    files = [path for path in paths if path.suffix.lower() in READERS]
    if not files and any((folder / name).is_file() for name in METADATA):
        raise DataError(f"{folder}: written by save_to_disk; expected each part by to_parquet or to_json")
    if not files:
        raise DataError(f"{folder}: no data files; expected train and test as {', '.join(READERS)}")
    if packed := [path for path in paths if path.suffix in OPENERS and Path(path.stem).suffix in READERS]:
        raise DataError(f"{packed[0]}: a packed file, and pairs are read from unpacked ones: unpack it")
    if len(files) == 1 and any(_is_part(files[0].stem, name) for name in _NOT_FOR_TRAINING):
        raise DataError(
            f"{folder}: no file for train, only {files[0].name}; give that file to divide it into parts"
        )
    for path in files:
        check_inside(path, folder)
    if missing := [name for name in missing_shards(folder, "*") if Path(name).suffix.lower() in READERS]:
        raise DataError(f"{folder}: incomplete, {some(missing)} missing; copy or download all of its files")
    return files


def check_inside(path: Path, folder: Path) -> None:
    """Raise DataError for a link out of its folder, since the folder's maker may have no right to its target.

    The files of a snapshot in the Hub cache are links to the cache's own store, which are allowed.
    """
    root = folder.resolve()
    roots = [root, root.parents[1] / "blobs"] if root.parent.name == "snapshots" else [root]
    target = path.resolve()
    if not any(target.is_relative_to(each) for each in roots):
        raise DataError(f"{path}: a link out of {folder}, to {target}; give that path, or copy the data")


def _part(files: list[Path], alternatives: tuple[tuple[str, ...], ...], folder: Path) -> list[Path]:
    for names in alternatives:
        paths = [path for path in files if any(_is_part(path.stem, name) for name in names)]
        formats = {path.suffix.lower() for path in paths}
        if formats == {".jsonl", ".txt"}:
            # MultiNLI 1.0 has each part in both formats.
            return [path for path in paths if path.suffix.lower() == ".jsonl"]
        if len(formats) > 1:
            raise DataError(f"{folder}: {', '.join(p.name for p in paths)} are the same part twice; keep one")
        if paths:
            return paths
    expected = " or ".join("+".join(names) for names in alternatives)
    listed = ", ".join(path.name for path in files)
    raise DataError(f"{folder}: no file for {expected}; the folder has {listed}")


def _is_part(stem: str, name: str) -> bool:
    """`train`, `multinli_1.0_train` and `train-00000-of-00001` are all the part `train`."""
    stem = stem.partition("-0")[0]
    return stem == name or stem.endswith(f"_{name}") or stem.endswith(f".{name}")
