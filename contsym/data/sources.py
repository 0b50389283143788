"""Sources of a task's pairs: bundled, the Hub, a built dataset, or a file or folder."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol

from contsym.data import folders, hub, split_column
from contsym.data.class_names import as_number
from contsym.data.identity import Identities, remark_on_repeats, repeated_ids
from contsym.data.part_columns import Mark, marks_in
from contsym.data.readers import check_format, read_rows
from contsym.data.remarks import remark_on_numbers, remarks_on
from contsym.data.resplit import resplit
from contsym.data.schema import (
    PARTS,
    Dataset,
    Form,
    Part,
    PlacedRow,
    TaskData,
    check_row,
    content_fingerprint,
    rows_of,
    selected,
    some_of,
    stable_hash,
    table,
)
from contsym.data.splits import SIDES, SplitRule
from contsym.data.wikidata import manifest
from contsym.data.wikidata import pairs as wikidata
from contsym.errors import DataError, SettingError
from contsym.files import home_path
from contsym.tasks.catalog import as_task
from contsym.tasks.schema import Task, option_of

Rows = Iterable[PlacedRow]
Parts = Mapping[Part, Rows]

UNLABELLED = ("-", "")
"""Labels of rows without an agreed label in MultiNLI; the Hub's copy has a number below 0. Such rows are left out."""
TEST_SHARE = 0.2
"""Test share of a source without a test part."""


class Source(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def is_in_form(self) -> bool:
        """Whether the rows come in the form asked for; otherwise they are rewritten."""

    def read(self, task: Task, form: Form) -> Parts:
        """Rows of the train part, and of the validation and test part if the source has them; the same in every call."""


@dataclass(frozen=True)
class Bundled:
    name: str
    folder: str = ""
    """Of its files; the pairs of relations are made of facts."""
    is_in_form: bool = False

    def read(self, task: Task, form: Form) -> Parts:
        if task.symmetry:
            return {"train": ((f"bundled:{row['id']}", row) for row in wikidata.bundled_pairs())}
        files = resources.files("contsym.data").joinpath("bundled", self.folder)
        with resources.as_file(files) as path:
            present = [part for part in PARTS if (path / f"{part}.jsonl").is_file()]
            return {part: list(read_rows(path / f"{part}.jsonl", task)) for part in present}


BUNDLED = {
    "mnli": Bundled("MultiNLI 1.0 (bundled sample)", "multinli"),
    "predicates": Bundled("made-up sentences (bundled)", "predicates"),
    "sis": Bundled("Symmetry Inference Sentences (bundled)", "sis"),
    "wikidata": Bundled("wikidata_mini (bundled sample)"),
}


@dataclass(frozen=True)
class Files:
    """A file, or a folder with one file, or with a train, a test and perhaps a validation part."""

    path: Path
    is_in_form: bool = False

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self, task: Task, form: Form) -> Parts:
        if self.path.is_file():
            return {"train": read_rows(self.path, task)}
        files = folders.readable_files(self.path, task)
        if len(files) == 1:  # as the file itself
            return {"train": read_rows(files[0], task)}
        asked: Sequence[Part] = ("test",) if task.test_only else PARTS
        parts = {part: folders.files_of_part(files, task, part, self.path) for part in asked}
        return {
            part: itertools.chain.from_iterable(read_rows(path, task) for path in paths)
            for part, paths in parts.items()
            if paths
        }

    def remarks(self, task: Task) -> list[str]:
        return folders.remarks(self.path, task) if self.path.is_dir() else []


def parse_source(task: Task | str, spec: str, form: Form = "lexicalised") -> Source:
    """`bundled`, `hub`, `hub@REVISION`, `hub:OWNER/NAME:CONFIGURATION@REVISION`, or a path.

    Raises DataError where the path does not exist, and where there is no source.
    """
    task = as_task(task)
    if spec == "bundled" and task.name in BUNDLED and task.bundled:
        return BUNDLED[task.name]
    if not spec and not task.default_source:
        raise DataError(
            f"task {task.name} has no source of its own; give one: {option_of(task.name, 'PATH')}"
        )
    if spec == "hub" or spec.startswith(("hub@", "hub:")):
        return hub.parse_hub(task, spec, form)
    path = home_path(spec)
    if not spec or not (path.is_file() or path.is_dir()):
        if spec == task.source:
            raise DataError(
                f"task {task.name}: its source {spec} is not a file or folder; expected the path of one, or hub:OWNER/NAME"
            )
        expected = "a path, bundled or hub" if task.bundled else "a path or hub"
        raise DataError(
            f"{option_of(task.name, spec or repr(spec))}: no such file or folder; expected {expected}"
        )
    if manifest.is_built(path):
        return manifest.Built(path)
    if path.is_file():
        check_format(path)
    return Files(path)


def load_task(
    task: Task | str, spec: str, form: Form = "lexicalised", split: SplitRule | None = None
) -> TaskData:
    """The checked train, validation and test part of a task; a name is that of one of contsym's own.

    A source that is one part is divided by its column `split` (or similar), and without such a column by a hash of
    each pair's sentences, both directions of a pair together. `split` re-splits the pairs of a relational task by
    that rule. A source without a validation part, or re-split, gets one out of its training pairs. Raises DataError
    for the first wrong row, with its place.
    """
    task = as_task(task)
    source = parse_source(task, spec, form)
    if split and not task.symmetry:
        raise SettingError(
            f"--split {split}: {task.words} is not of symmetric relations; expected a task such as wikidata"
        )
    try:
        parts, notes = _Reading(task, source, form).tables(together=split is not None)
    except hub.HubError as error:
        raise DataError(f"{error}: {option_of(task.name, 'PATH')}") from None
    if isinstance(source, hub.Hub | Files):
        notes += source.remarks(task)
    if task.test_only:
        return _test_set(task, source, parts, notes)
    is_one = len(parts) == 1
    if split:
        (train, test), remarks = resplit(
            [parts[part] for part in SIDES if part in parts], split, TEST_SHARE, task.labels
        )
        parts = {"train": train, "test": test}
        notes += remarks
    elif is_one:
        parts = dict(zip(SIDES, _split(parts["train"]), strict=True))
        share = f"{TEST_SHARE:.0%} of its {task.examples}"
        notes.append(f"one part only: a hash of the text moves {share} to the test part")
    n = sum(map(len, parts.values()))
    for part, pairs in parts.items():
        if len(pairs) == 0 and is_one and not split:
            problem = (
                f"{n} labelled {task.examples} are too few to divide" if n else f"no labelled {task.examples}"
            ) + " that [only] of the task keeps" * bool(task.only)
            raise DataError(
                f"{_given(task, spec)}: {problem}; expected some 20, or a folder with train and test"
            )
        if len(pairs) == 0:
            raise DataError(f"{_given(task, spec)}: the {part} part has no labelled {task.examples}")
    rule = split or (source.split if isinstance(source, manifest.Built) else None)
    try:
        train, validation, remarks = _with_validation(task, parts, rule, mirrored=is_one)
    except DataError as error:
        raise DataError(f"{_given(task, spec)}: {error}") from None
    test = parts["test"]
    notes += remarks
    # Of relations, and of pairs of natural language inference, two of the three labels are usual.
    missing = (
        []
        if task.symmetry or task.is_nli
        else [task.labels[i] for i in {*range(len(task.labels))} - {*train.unique("label")}]
    )
    if missing:
        notes.append(f"no training example has the label {some_of(sorted(missing))}")
    return TaskData(
        spec=task,
        source=source.name,
        train=train,
        validation=validation,
        test=test,
        fingerprint=content_fingerprint(train, validation, test),
        notes=tuple(notes),
        split=rule,
    )


def _given(task: Task, spec: str) -> str:
    """The source as its user named it, in the task's file or on the command line."""
    return f"task {task.name}, source {spec}" if spec == task.source else option_of(task.name, spec)


def _test_set(task: Task, source: Source, parts: Mapping[Part, Dataset], notes: Sequence[str]) -> TaskData:
    """The task of a test set: the test part of its source, or all of a source that is one part."""
    test, none = parts["test" if "test" in parts else "train"], table(())
    if len(test) == 0:
        raise DataError(f"{option_of(task.name, source.name)}: no labelled {task.examples}")
    fingerprint = content_fingerprint(none, none, test)
    return TaskData(
        spec=task,
        source=source.name,
        train=none,
        validation=none,
        test=test,
        fingerprint=fingerprint,
        notes=tuple(notes),
    )


def _with_validation(
    task: Task, parts: Mapping[Part, Dataset], rule: SplitRule | None, *, mirrored: bool
) -> tuple[Dataset, Dataset, list[str]]:
    """The training pairs, the validation pairs and remarks; no validation pair is in another part."""
    from contsym.data.validation import cut, without_repeats  # imports NumPy

    train, test = parts["train"], parts["test"]
    notes: list[str] = []
    validation, n_repeated = without_repeats(parts.get("validation", table(())), [train, test])
    if len(validation) == 0:
        if n_repeated:
            what = f"all {n_repeated:,} {task.examples} are in another part too; training {task.examples} are taken"
            notes.append(f"validation: {what}")
        made = cut(
            train,
            test,
            rule,
            relational=task.symmetry,
            mirrored=mirrored and not rule,
            examples=task.examples,
        )
        train, notes = made.train, [*notes, *made.notes]
        validation, n_repeated = without_repeats(made.validation, [train, test])
    if n_repeated:
        notes.append(f"validation: {n_repeated:,} {task.examples} left out, which are in another part too")
    if len(validation) == 0:
        raise DataError(
            f"every example of the validation part is in another part too; expected different {task.examples}"
        )
    return train, validation, notes


class _Reading:
    """One source read for one task: its rows checked, with ids and in the form asked for, part by part."""

    def __init__(self, task: Task, source: Source, form: Form) -> None:
        self._task, self._source, self._form = task, source, form
        self._rewrite: Form = "lexicalised" if source.is_in_form or not task.symmetry else form
        self._division: split_column.Division | None = None
        self._phrases: Counter[str] = Counter()
        self._notes: list[str] = []

    def tables(self, *, together: bool) -> tuple[dict[Part, Dataset], list[str]]:
        """The parts and remarks on them; with `together`, an id is unique in all parts together."""
        parts = self._source.read(self._task, self._form)
        if len(parts) == 1 and not self._task.test_only:
            self._division, self._notes = split_column.divided(self._task, parts["train"], self._source.name)
        if self._task.symmetry and not isinstance(self._source, manifest.Built):
            for rows in self._parts().values():
                self._phrases += wikidata.count_phrases(row for _, row in rows)
        tables, remarks = self._read({part: Identities() for part in PARTS})
        groups: list[tuple[Part, ...]] = [tuple(tables)] if together else [(part,) for part in tables]
        repeated = {group: repeated_ids([tables[part] for part in group]) for group in groups}
        if any(repeated.values()):
            identities = {group: Identities(each) for group, each in repeated.items()}
            tables, remarks = self._read({part: identities[group] for group in groups for part in group})
            remarks += [remark for each in repeated.values() if (remark := remark_on_repeats(each))]
        return tables, self._notes + remarks

    def _parts(self) -> Parts:
        def read() -> Parts:
            return self._source.read(self._task, self._form)

        if self._division:
            division = self._division
            return {part: split_column.rows_with(division, part, read()["train"]) for part in division.values}
        return read()

    def _read(self, identities: Mapping[Part, Identities]) -> tuple[dict[Part, Dataset], list[str]]:
        tables: dict[Part, Dataset] = {}
        notes: list[str] = []
        for part, rows in self._parts().items():
            counts: Counter[str] = Counter()
            marks: Counter[Mark] = Counter()
            rows = identities[part].add_ids(with_labels(self._task, rows, counts, marks))
            if self._task.symmetry:
                rows = wikidata.in_form(_with_entities(rows, self._phrases, counts), self._rewrite)
            tables[part] = table(check_row(row, where, self._task) for where, row in rows)
            remarks = remarks_on(counts)
            remarks += [remark_on_numbers(self._task)] if counts["numbers"] else []
            if remark := split_column.contradicting(marks, part):
                remarks.append(remark)
            notes += [f"{part}: {remark}" for remark in remarks]
        return tables, notes


def with_labels(task: Task, rows: Rows, counts: Counter[str], marks: Counter[Mark]) -> Iterator[PlacedRow]:
    """The labelled rows with the name of their label and without the marks of their part, which `marks` counts."""
    usual = {
        name for name in task.labels if task.label_of.get(name.strip().casefold()) == name == name.casefold()
    }
    for where, row in rows:
        if "split" in row:
            marks.update(marks_in(row))
            del row["split"]
        label = row.get("label")
        if label is not None and not (isinstance(label, str) and label in usual):
            number = as_number(label)
            written = str(label).strip().casefold()
            text = written if number is None or written in task.label_of else str(number)
            if text in task.label_of:
                row["label"] = name = task.label_of[text]
                counts["numbers"] += number is not None and name.casefold() != text
            elif text in UNLABELLED or (number is not None and number < 0):
                counts["unlabelled"] += 1
                continue
        yield where, row


def labelled_rows(task: Task, spec: str) -> Iterator[tuple[str, str]]:
    """(where, label) of each labelled row of a task's source, in its order."""
    for rows in parse_source(task, spec).read(task, "lexicalised").values():
        for where, row in with_labels(task, rows, Counter(), Counter()):
            yield where, str(row["label"])


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
    return [selected(pairs, side) for side in sides]


def source_label(name: str) -> str:
    """The name of a source without the path of this machine.

    >>> source_label("/data/nli/mnli"), source_label("hub:nyu-mll/multi_nli@e8e8f8")
    ('mnli', 'hub:nyu-mll/multi_nli@e8e8f8')
    """
    return name if name.startswith("hub:") else Path(name).name
