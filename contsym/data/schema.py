"""One example, its checks, and the Arrow table that holds a part of a dataset."""

from __future__ import annotations

import hashlib
import itertools
import math
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from contsym.errors import DataError
from contsym.tasks.schema import NLI_LABELS, TEXT_FIELDS

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from contsym.tasks.schema import Task
else:
    Dataset = Any  # a name for annotations: importing `datasets` takes a second

Kind = Literal["symmetric", "antisymmetric"]
OneForm = Literal["lexicalised", "delexicalised"]
Form = Literal[OneForm, "both"]
Draw = Literal["balanced", "natural"]
"""How shots are drawn. balanced: equal counts per label, spread over the relations. natural: as the data are."""
BALANCED: Draw = "balanced"
FORMS: tuple[OneForm, ...] = get_args(OneForm)
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

KIND_OF_LABEL: dict[str, Kind] = {"entailment": "symmetric", "contradiction": "antisymmetric"}
LABEL_OF_KIND: dict[str, str] = {"symmetric": "entailment", "antisymmetric": "contradiction"}
"""Label of a pair (A r B, B r A): if r is symmetric, the second follows; if r is antisymmetric, the second is
false (Yuan and Vlachos 2025, section 3)."""

COLUMNS = ("id", "premise", "hypothesis", "label", "relation", "kind", "subject", "object", "skill", "group")
"""Of a checked part. A single text is the premise, beside an empty hypothesis."""
SKILLS_BETWEEN = "|"
"""Between the skills of one pair."""
CONTENT_ID = "row-"
"""Prefix of the id that contsym gives to a row without an id."""
CONTENT = ("premise", "hypothesis", "label", "relation", "subject", "object")
_CHUNK = 4096

Row = dict[str, object]
PlacedRow = tuple[str, Row]
"""A row and its place for error messages, as `pairs.jsonl:17`."""


@dataclass(frozen=True)
class TaskData:
    """The checked train, validation and test part of one experience, and their source.

    No part is empty, but for the train and validation part of a test set (`spec.test_only`) as it is loaded.
    """

    spec: Task
    """What its examples are; several experiences of a scenario may share a task."""
    source: str
    """The source as tables show it, for example `MultiNLI 1.0 (bundled sample)`."""
    train: Dataset
    validation: Dataset
    """Pairs to choose settings and stopping points by; nothing is trained on them, and no memory stores them."""
    test: Dataset
    """Pairs of the reported figures alone."""
    fingerprint: str
    """SHA-256 of the content of all parts."""
    notes: tuple[str, ...] = ()
    """What the reader left out or decided, one line each."""
    split: str | None = None
    """The split rule of the parts; None if unknown."""
    name: str = ""
    """Name of the experience, unique in its scenario; results are stored under it. Default: the task."""
    label_noise: float | None = None
    """Share of a seed's training labels to flip; None: no noise, and a run cannot ask for noise."""
    storing_only: bool = False
    """Whether a method with a memory takes no gradient step on these pairs."""
    labels: tuple[str, ...] = ()
    """The names of the class numbers in the column `label`. Default: those of the task."""
    classes: tuple[int, ...] = ()
    """The class number of each label of its task. Default: their order."""
    own_labels: tuple[str, ...] = ()
    """The labels that its examples can have. Default: all."""
    trained_on: tuple[TaskData, ...] = ()
    """Of an experience that is only tested: those that are trained on, whose training pairs are `train` here, so that
    leaks and shortcuts are those of the pairs that a method has seen."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.task)
        object.__setattr__(self, "labels", self.labels or self.spec.labels)
        object.__setattr__(self, "classes", self.classes or tuple(range(len(self.spec.labels))))
        object.__setattr__(self, "own_labels", self.own_labels or self.labels)

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.spec.name

    @property
    def tested_only(self) -> bool:
        """Whether nothing is trained on it."""
        return bool(self.trained_on)

    @property
    def few_shot(self) -> bool:
        """Whether the shots are drawn from it."""
        return self.spec.few_shot and not self.tested_only

    @property
    def own_classes(self) -> list[int]:
        """The class numbers of its own labels."""
        return [self.labels.index(label) for label in self.own_labels]

    @property
    def rows(self) -> dict[str, int]:
        return {name: len(part) for name, part in self.parts.items()}

    @property
    def parts(self) -> dict[Part, Dataset]:
        return {name: getattr(self, name) for name in PARTS}


def check_row(row: Mapping[str, object], where: str, task: Task | None = None) -> Row:
    """The row as the table stores it: text stripped, label as class number; of an NLI pair without a task.

    A relation pair of NLI labels without a kind gets the kind of its label; a neutral pair has no kind. A row without
    an id gets one made of its content. Raises DataError, which starts with `where`.
    """
    inputs, labels = (task.inputs, task.labels) if task else ("pair", NLI_LABELS)
    text = {}
    for name in TEXT_FIELDS[inputs]:
        value = row.get(name)
        if value is None:
            fields = ", ".join(map(str, row)) or "nothing"
            raise DataError(f"{where}: {name} is missing; the row has {fields}")
        if not isinstance(value, str):
            raise DataError(f"{where}: {name} is {type(value).__name__}; expected text")
        text[name] = value.strip()
        if not text[name]:
            what = "a sentence" if inputs == "pair" else "a text"
            raise DataError(f"{where}: {name} is empty; expected {what}")
    if inputs == "single":
        text = {"premise": text["text"], "hypothesis": ""}
    label = row.get("label")
    if label not in labels:
        problem = "label is missing" if label is None else f"label {_shown(label)} is unknown"
        # What stands for a label in the data is the task's own matter.
        hint = (
            " (or what [written] of the task's file has for one)"
            if task and task.written and label and not task.bundled and not task.source.startswith("hub:")
            else ""
        )
        raise DataError(f"{where}: {problem}; expected {some_of(labels)}{hint}")
    relation, kind = words_of(row.get("relation")), str(row.get("kind") or "").strip()
    if set(labels) <= set(NLI_LABELS) and (task is None or task.is_nli or task.symmetry):
        kind = _kind_of_relation(str(label), relation, kind, where)
    texts = {
        "id": row_id(row) or content_id({**row, **text}),
        **text,
        "relation": relation,
        "kind": kind,
        "subject": words_of(row.get("subject")),
        "object": words_of(row.get("object")),
        "skill": _listed(row.get("skill")),
        "group": words_of(row.get("group")),
    }
    check_unicode(texts, where)
    return {**texts, "label": labels.index(str(label))}


def _shown(value: object, most: int = 100) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _kind_of_relation(label: str, relation: str, kind: str, where: str) -> str:
    """The kind of the relation that a pair of NLI labels is of; empty for none."""
    if kind and kind not in LABEL_OF_KIND:
        raise DataError(f"{where}: kind {kind!r} is unknown; expected {some_of(tuple(LABEL_OF_KIND))}")
    if label == "neutral":
        # A premise that leaves its hypothesis open does not tell the relation's kind.
        return ""
    if kind and KIND_OF_LABEL[label] != kind:
        raise DataError(f"{where}: kind {kind!r} goes with label {LABEL_OF_KIND[kind]!r}, not {label!r}")
    return KIND_OF_LABEL[label] if relation else kind


def _listed(value: object) -> str:
    """The skills of a row as one text."""
    values = value if isinstance(value, list | tuple) else [value]
    return SKILLS_BETWEEN.join(filter(None, map(words_of, values)))


def row_id(row: Mapping[str, object]) -> str:
    """The `id` field as text; empty if the row has none. The number 0 is an id.

    >>> row_id({"id": 0}), row_id({"id": 7.0}), row_id({"id": " "}), row_id({"id": None})
    ('0', '7', '', '')
    """
    value = row.get("id")
    return value if isinstance(value, str) and value.strip() else words_of(value)


def content_id(row: Mapping[str, object]) -> str:
    """An id made of the row's content, the same in every file and format."""
    content = (words_of(row.get(name)) for name in CONTENT)
    return f"{CONTENT_ID}{stable_hash(*content):016x}"


def check_unicode(texts: Mapping[str, str], where: str) -> None:
    r"""Raise DataError for half a surrogate pair, which JSON can spell ("\ud800") and no encoding can write."""
    if "".join(texts.values()).isascii():
        return
    for name, text in texts.items():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(f"{where}: {name} has half a surrogate pair; expected Unicode text") from None


def table(checked: Iterable[Mapping[str, object]]) -> Dataset:
    """Checked rows in a memory-mapped Arrow file, which disappears with the dataset.

    At most one batch of rows is in Python objects at a time.
    """
    import pyarrow as pa

    rows = iter(checked)

    def batches() -> Iterator[pa.Table]:
        while batch := list(itertools.islice(rows, _CHUNK)):
            yield pa.table({name: [row[name] for row in batch] for name in COLUMNS}, schema=arrow_schema())

    return _mapped(batches())


def selected(pairs: Dataset, rows: Sequence[int]) -> Dataset:
    """The pairs at these positions, which ascend, in a mapped file of their own.

    `Dataset.select` takes no time, but what it selects is read row by row at each pass: ten times slower.
    """
    import numpy as np

    is_selected = np.zeros(len(pairs), dtype=bool)
    is_selected[list(rows)] = True
    batches = pairs.with_format("arrow").iter(batch_size=_CHUNK)
    return _mapped(
        batch.filter(is_selected[i * _CHUNK : (i + 1) * _CHUNK]) for i, batch in enumerate(batches)
    )


def renumbered(pairs: Dataset, numbers: Sequence[int]) -> Dataset:
    """The pairs with class number `numbers[n]` in place of n, in a mapped file of their own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    new, at = pa.array(numbers, pa.int64()), COLUMNS.index("label")
    return _mapped(
        batch.set_column(at, "label", pc.take(new, batch["label"]))
        for batch in pairs.with_format("arrow").iter(batch_size=_CHUNK)
    )


def _mapped(batches: Iterable[pa.Table]) -> Dataset:
    import pyarrow as pa
    from datasets import Dataset

    # A mapped file may lose its name while it is in use.
    with tempfile.TemporaryDirectory(prefix="contsym-", ignore_cleanup_errors=True) as folder:
        path = f"{folder}/rows.arrow"
        with pa.ipc.new_stream(path, arrow_schema()) as writer:
            for batch in batches:
                # One record batch each: a selection of rows comes as one chunk per row.
                writer.write_table(batch.cast(arrow_schema()).combine_chunks())
        return Dataset.from_file(path)


def in_one_table(pairs: Dataset) -> Dataset:
    """The pairs as a table in memory, if they are a selection of another table's rows.

    `datasets` would write that table beside the mapped file, into a folder that nobody deletes.
    """
    return pairs if pairs._indices is None else pairs.flatten_indices(keep_in_memory=True)


def stacked(parts: Sequence[Dataset]) -> Dataset:
    """The rows of all parts, one after the other."""
    from datasets import concatenate_datasets

    return parts[0] if len(parts) == 1 else concatenate_datasets(list(parts))


def arrow_schema():
    """Columns and Arrow types of every part of every task."""
    import pyarrow as pa

    return pa.schema([(c, pa.int64() if c == "label" else pa.string()) for c in COLUMNS])


def rows_of(pairs: Dataset) -> Iterator[dict[str, Any]]:
    """The rows of a dataset, read in batches.

    Iterating over the dataset or over one of its columns (`for label in pairs["label"]`) makes a table per row:
    25 to 500 times slower. An entire column is `pairs["label"][:]`.
    """
    for batch in pairs.iter(batch_size=_CHUNK):
        yield from (dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True))


def content_fingerprint(*parts: Dataset) -> str:
    """SHA-256 of the rows of the parts in order, ids included; file names do not count."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"\x1dpart")
        for batch in part.with_format("arrow").iter(batch_size=_CHUNK):
            for *row, skill, group in zip(*(batch.column(c).to_pylist() for c in COLUMNS), strict=True):
                digest.update("\x1f".join(map(str, row)).encode("utf-8", "surrogatepass"))
                if skill or group:
                    digest.update(f"\x1f{skill}\x1f{group}".encode("utf-8", "surrogatepass"))
                digest.update(b"\x1e")
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file. Raises DataError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def alike(text: str) -> str:
    r"""What counts of a text where it is compared with others: neither case, nor spaces, nor how letters are composed.

    >>> alike("Jos\u00e9  Mar\u00eda ") == alike("JOSE\u0301 MARI\u0301A"), alike("Jos\u00e9") == alike("Jose")
    (True, False)
    """
    folded = " ".join(text.split()).casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded)


def words_of(value: object) -> str:
    """A field's value as text: the number 0 is one, and no value is none.

    >>> words_of(0), words_of(7.0), words_of(False), words_of(" a "), words_of(None), words_of(math.nan)
    ('0', '7', 'False', 'a', '', '')
    """
    if isinstance(value, float):
        # pandas turns a column of integers with a gap into floats, and the gap into NaN.
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    return "" if value is None else str(value).strip()


def stable_hash(*parts: object) -> int:
    """A 64-bit number that is the same on every machine and in every process."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def some_of(names: Sequence[str], most: int = 8) -> str:
    """
    >>> some_of(["yes", "no"]), some_of("abcdefgh", most=3)
    ('yes or no', 'a, b, c or 5 others')
    >>> some_of("abcd", most=3)
    'a, b, c or d'
    """
    # One other name is as short as "1 other".
    most = most if len(names) > most + 1 else len(names)
    shown = [*names[:most], *([f"{len(names) - most} others"] if len(names) > most else [])]
    return f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else shown[0]
