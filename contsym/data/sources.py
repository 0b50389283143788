"""Where a task's pairs come from: bundled, the Hub, or a file or folder."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from contsym.data import wikidata
from contsym.data.readers import read_rows, rename
from contsym.data.schema import (
    Form,
    TableBuilder,
    TaskData,
    check_row,
    content_fingerprint,
    stable_hash,
)
from contsym.errors import ContsymError, DataError

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, object]
Placed = tuple[str, Row]
Parts = tuple[Iterable[Placed], Iterable[Placed] | None]

UNLABELLED = (-1, "-1", "-", "")
"""No agreed label: MultiNLI writes '-', the Hub's copy -1. Such rows are left out and counted."""


@dataclass(frozen=True)
class Task:
    """What a task's name stands for in files and on the Hub."""

    name: str
    title: str
    numbered_labels: Mapping[str, str]
    """Labels that are written as numbers, as text."""
    hub: Mapping[str, str]
    """Hub data set by form; the form `any` where the task has only one."""
    relational: bool


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="mnli",
            title="MNLI",
            numbered_labels={"0": "entailment", "1": "neutral", "2": "contradiction"},
            hub={"any": "nyu-mll/multi_nli"},
            relational=False,
        ),
        Task(
            name="wikidata",
            title="Wikidata",
            # The Hub data sets of Yuan and Vlachos say "1" for entailment.
            numbered_labels={"1": "entailment", "0": "contradiction"},
            hub={
                "lexicalised": "MoyYuan/Asymmetricity-Text-NLI",
                "delexicalised": "MoyYuan/Asymmetricity-Delex-NLI",
            },
            relational=True,
        ),
    )
}

# Which file of a folder is which part. MultiNLI's and GLUE's `test` has no labels, so the
# development part comes first where there is one.
TRAIN_NAMES = ("train",)
TEST_NAMES = ("dev_matched", "validation_matched", "test", "validation", "dev")
TEST_SHARE = 0.2
"""Share of a source without a test part that is set aside by a hash of each pair."""


class Source(Protocol):
    """One place that pairs come from."""

    @property
    def name(self) -> str: ...

    @property
    def stand_in(self) -> bool: ...

    def read(self, task: Task, form: Form) -> Parts:
        """Rows of the train part and, if the source has one, of the test part."""
        ...


@dataclass(frozen=True)
class Bundled:
    """The data that come with contsym: no network, small, and said to be so."""

    name: str
    stand_in: bool

    def read(self, task: Task, form: Form) -> Parts:
        if task.name == "wikidata":
            rows = ((f"bundled:{row['id']}", row) for row in wikidata.bundled_pairs())
            return rows, None
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
    """A file, or a folder with a train and a test part."""

    path: Path
    stand_in: bool = False

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self, task: Task, form: Form) -> Parts:
        if self.path.is_file():
            return read_rows(self.path), None
        files = _readable_files(self.path)
        train = _part(files, TRAIN_NAMES, self.path)
        test = _part(files, TEST_NAMES, self.path)
        return _chained(train), _chained(test)


@dataclass(frozen=True)
class Hub:
    """A Hub data set, through `datasets.load_dataset`; works from the Hub cache offline."""

    repository: str | None
    revision: str | None
    stand_in: bool = False

    @property
    def name(self) -> str:
        return f"hub:{self.repository or ''}" + (f"@{self.revision}" if self.revision else "")

    def read(self, task: Task, form: Form) -> Parts:
        repository = self.repository or task.hub.get(form) or task.hub.get("any")
        assert repository is not None, "`both` is resolved by load_task"
        parts = _load_from_hub(repository, self.revision)
        train = _first(parts, TRAIN_NAMES)
        if train is None:
            raise DataError(f"hub:{repository} has no 'train' split; it has {', '.join(parts)}")
        test = _first(parts, TEST_NAMES)
        return _hub_rows(train, repository), None if test is None else _hub_rows(test, repository)


def parse_source(task: str, spec: str) -> Source:
    """`bundled`, `hub`, `hub@REVISION`, `hub:OWNER/NAME@REVISION`, or a path.

    Raises DataError where the path does not exist.
    """
    if spec == "bundled":
        return BUNDLED[task]
    head, _, revision = spec.partition("@")
    if head == "hub" or head.startswith("hub:"):
        return Hub(head.partition(":")[2] or None, revision or None)
    path = Path(spec).expanduser()
    if not spec or not (path.is_file() or path.is_dir()):
        raise DataError(
            f"--{task} {spec or repr(spec)}: no such file or folder; expected a path, 'bundled' or 'hub'"
        )
    return Files(path)


def load_task(task_name: str, spec: str, form: Form = "lexicalised") -> TaskData:
    """The checked train and test part of a task.

    A source without a test part is split by a hash of each pair's sentences, both directions
    of a pair together. Raises DataError for the first row that is wrong, with its place.
    """
    task, source = TASKS[task_name], parse_source(task_name, spec)
    if isinstance(source, Hub) and task.relational and form == "both" and not source.repository:
        # The two forms are two data sets on the Hub.
        loaded = [source.read(task, each) for each in ("lexicalised", "delexicalised")]
        parts = [_chained_rows(part) for part in zip(*loaded, strict=True)]
        rewrite: Form = "lexicalised"
    else:
        parts = list(source.read(task, form))
        is_ready = isinstance(source, Hub) and not source.repository
        rewrite = "lexicalised" if is_ready or not task.relational else form
    notes: list[str] = []
    tables = []
    for part, rows in zip(("train", "test"), parts, strict=True):
        if rows is not None:
            table, remarks = _table(task, rows, rewrite)
            tables.append(table)
            notes += [f"{part}: {remark}" for remark in remarks]
    if len(tables) == 1:
        tables = _split(tables[0])
        notes.append(f"no test part: {TEST_SHARE:.0%} of the pairs are set aside by a hash of their text")
    train, test = tables
    for part, table in (("train", train), ("test", test)):
        if len(table) == 0:
            raise DataError(f"--{task_name} {spec}: the {part} part has no labelled pairs")
    return TaskData(
        task=task_name,
        source=_resolved_name(source, task, form),
        stand_in=source.stand_in,
        train=train,
        test=test,
        fingerprint=content_fingerprint(train, test),
        notes=tuple(notes),
    )


def _resolved_name(source: Source, task: Task, form: Form) -> str:
    if not isinstance(source, Hub) or source.repository:
        return source.name
    names = [task.hub.get(form) or task.hub.get("any")]
    if names == [None]:
        names = list(task.hub.values())
    return f"hub:{'+'.join(map(str, names))}" + (f"@{source.revision}" if source.revision else "")


def _table(task: Task, rows: Iterable[Placed], form: Form) -> tuple[Dataset, list[str]]:
    notes: list[str] = []
    counts: Counter[str] = Counter()
    labelled = _labelled(task, rows, counts)
    if task.relational:
        named, unread = wikidata.name_entities(labelled)
        if unread:
            notes.append(f"{unread} pairs are not of the form 'A r B', 'B r A'")
        labelled = wikidata.in_form(named, form)
    builder = TableBuilder()
    for where, row in labelled:
        builder.add(check_row(row, where))
    if counts["unlabelled"]:
        notes.append(f"{counts['unlabelled']} rows without an agreed label are left out")
    return builder.build(), notes


def _labelled(task: Task, rows: Iterable[Placed], counts: Counter[str]) -> Iterator[Placed]:
    for where, row in rows:
        label = row.get("label")
        if label in UNLABELLED and label is not None:
            counts["unlabelled"] += 1
            continue
        if label is not None:
            row["label"] = task.numbered_labels.get(str(label), label)
        yield where, row


def _split(pairs: Dataset) -> list[Dataset]:
    def is_test(premise: str, hypothesis: str) -> bool:
        # Sorted: a pair and its mirror image must fall on the same side.
        return stable_hash(*sorted((premise, hypothesis))) % 1000 < 1000 * TEST_SHARE

    sides: list[list[int]] = [[], []]
    for row, texts in enumerate(zip(pairs["premise"], pairs["hypothesis"], strict=True)):
        sides[is_test(*texts)].append(row)
    return [pairs.select(side) for side in sides]


def _readable_files(folder: Path) -> list[Path]:
    from contsym.data.readers import READERS

    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in READERS)
    if not files:
        raise DataError(f"{folder}: no data files; expected train and test as {', '.join(READERS)}")
    return files


def _part(files: list[Path], names: tuple[str, ...], folder: Path) -> list[Path]:
    for name in names:
        found = [path for path in files if _is_part(path.stem, name)]
        formats = {path.suffix.lower() for path in found}
        if len(formats) > 1 and formats != {".jsonl", ".txt"}:
            raise DataError(f"{folder}: {', '.join(p.name for p in found)} are the same part twice; keep one")
        if formats == {".jsonl", ".txt"}:
            # MultiNLI 1.0 ships each part in both formats.
            found = [path for path in found if path.suffix.lower() == ".jsonl"]
        if found:
            return found
    listed = ", ".join(path.name for path in files)
    raise DataError(f"{folder}: no file for {' or '.join(names)}; the folder has {listed}")


def _is_part(stem: str, name: str) -> bool:
    """`train`, `multinli_1.0_train` and `train-00000-of-00001` are all the part `train`."""
    stem = stem.partition("-0")[0]
    return stem == name or stem.endswith(f"_{name}") or stem.endswith(f".{name}")


def _chained(paths: list[Path]) -> Iterator[Placed]:
    return itertools.chain.from_iterable(map(read_rows, paths))


def _chained_rows(parts: Iterable[Iterable[Placed] | None]) -> Iterable[Placed] | None:
    parts = list(parts)
    return None if None in parts else itertools.chain.from_iterable(parts)  # type: ignore[arg-type]


def _first(parts: Mapping[str, Dataset], names: tuple[str, ...]) -> Dataset | None:
    return next((parts[name] for name in names if name in parts), None)


def _hub_rows(part: Dataset, repository: str) -> Iterator[Placed]:
    return ((f"hub:{repository}:row {n}", rename(row)) for n, row in enumerate(part, 1))


def _load_from_hub(repository: str, revision: str | None) -> Mapping[str, Dataset]:
    import datasets

    try:
        return datasets.load_dataset(repository, revision=revision)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise ContsymError(
            f"hub:{repository} cannot be loaded ({reason}); connect to the Hub, or give a local "
            "copy as a path, or use 'bundled'"
        ) from error
