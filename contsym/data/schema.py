"""One example, its checks, and the table that holds many of them without Python objects."""

from __future__ import annotations

import hashlib
import itertools
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from contsym.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


Label = Literal["entailment", "neutral", "contradiction"]
Kind = Literal["symmetric", "antisymmetric"]
OneForm = Literal["lexicalised", "delexicalised"]
Form = Literal[OneForm, "both"]
FORMS: tuple[OneForm, ...] = get_args(OneForm)

LABELS: tuple[Label, ...] = ("entailment", "neutral", "contradiction")
"""The one label space of every scenario; a label's position is its class index."""

KIND_OF_LABEL: dict[str, Kind] = {"entailment": "symmetric", "contradiction": "antisymmetric"}
LABEL_OF_KIND: dict[Kind, Label] = {"symmetric": "entailment", "antisymmetric": "contradiction"}
"""Of a pair (A r B, B r A): r symmetric means that the second follows, antisymmetric that it
cannot be true as well (Yuan and Vlachos 2025, section 3)."""

COLUMNS = ("id", "premise", "hypothesis", "label", "relation", "kind", "subject", "object")
CONTENT_ID = "row-"
"""What the id of a row begins with that comes without one."""
CONTENT = ("premise", "hypothesis", "label", "relation", "subject", "object")
_CHUNK = 4096


@dataclass(frozen=True)
class TaskData:
    """The checked train and test part of one experience, and where they came from."""

    task: str
    """What it is of, one of TASKS; several experiences of a scenario may be of the same task."""
    source: str
    """What a reader of a table must see, as `nli_mini (stand-in for MNLI)`."""
    stand_in: bool
    train: Dataset
    test: Dataset
    fingerprint: str
    """SHA-256 over the content of both parts."""
    notes: tuple[str, ...] = ()
    """What was left out or decided while reading, one line each."""
    split: str | None = None
    """The rule that the parts were made by, where it is known."""
    name: str = ""
    """Of the experience, no other of its scenario has it; results are kept under it. Default: the task's."""
    label_noise: float | None = None
    """Share of a seed's training labels that are flipped; None: none, and a run cannot ask for any."""
    storing_only: bool = False
    """A method with a memory takes no gradient step on it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.task)

    @property
    def rows(self) -> dict[str, int]:
        return {"train": len(self.train), "test": len(self.test)}


def check_row(row: Mapping[str, object], where: str) -> dict[str, object]:
    """The row as the table stores it: text stripped, label as class index.

    A relation pair gets its kind from its label where the row does not say it, and a kind
    that contradicts the label is refused; a neutral pair has none. A row without an id gets one of its
    content. Raises DataError, which starts with `where`.
    """
    text = {}
    for name in ("premise", "hypothesis"):
        value = row.get(name)
        if value is None:
            given = ", ".join(sorted(str(key) for key in row)) or "nothing"
            raise DataError(f"{where}: field {name!r} is missing; the row has {given}")
        if not isinstance(value, str):
            raise DataError(f"{where}: {name} is {type(value).__name__}; expected text")
        text[name] = value.strip()
        if not text[name]:
            raise DataError(f"{where}: {name} is empty; expected a sentence")
    check_unicode(row, where)
    label = row.get("label")
    if label is None:
        raise DataError(f"{where}: field 'label' is missing; expected {_choice(LABELS)}")
    if label not in LABELS:
        raise DataError(f"{where}: label {label!r} is unknown; expected {_choice(LABELS)}")
    relation = str(row.get("relation") or "").strip()
    kind = str(row.get("kind") or "")
    if kind and kind not in LABEL_OF_KIND:
        raise DataError(f"{where}: kind {kind!r} is unknown; expected {_choice(tuple(LABEL_OF_KIND))}")
    if kind and label != "neutral" and LABEL_OF_KIND[kind] != label:  # type: ignore[index]
        raise DataError(
            f"{where}: kind {kind!r} goes with label {LABEL_OF_KIND[kind]!r}, not {label!r}"  # type: ignore[index]
        )
    if label == "neutral":
        # A premise that leaves its hypothesis open says nothing of the relation's kind.
        kind = ""
    elif relation and not kind:
        kind = KIND_OF_LABEL[str(label)]
    return {
        "id": own_id(row) or content_id(row),
        **text,
        "label": LABELS.index(label),  # type: ignore[arg-type]
        "relation": relation,
        "kind": kind,
        "subject": str(row.get("subject") or ""),
        "object": str(row.get("object") or ""),
    }


def own_id(row: Mapping[str, object]) -> str:
    """The id that a row comes with, as text; empty where it has none. The number 0 is an id.

    >>> own_id({"id": 0}), own_id({"id": 7.0}), own_id({"id": " "}), own_id({"id": None})
    ('0', '7', '', '')
    """
    given = row.get("id")
    if isinstance(given, float):
        # pandas makes a column of numbers with a gap one of floats, and the gap NaN.
        given = int(given) if given.is_integer() else None if math.isnan(given) else given
    text = "" if given is None else str(given)
    return text if text.strip() else ""


def content_id(row: Mapping[str, object]) -> str:
    """An id made of what a row says, the same in any file of any format."""
    said = (str(row.get(name) or "").strip() for name in CONTENT)
    return f"{CONTENT_ID}{stable_hash(*said):016x}"


def check_unicode(row: Mapping[str, object], where: str) -> None:
    """Raise DataError for half a surrogate pair, which JSON can spell and no encoding has."""
    for name in COLUMNS:
        if isinstance(value := row.get(name), str) and not _is_unicode(value):
            raise DataError(f"{where}: {name} holds half a surrogate pair; expected Unicode text")


def table(checked: Iterable[Mapping[str, object]]) -> Dataset:
    """Checked rows in a memory-mapped Arrow file; no more than one batch is Python objects.

    The file goes when the data set does.
    """
    import pyarrow as pa
    from datasets import Dataset

    rows = iter(checked)
    # A mapped file may lose its name while it is in use. Where it may not (Windows), it stays
    # in the system's temporary folder.
    with tempfile.TemporaryDirectory(prefix="contsym-", ignore_cleanup_errors=True) as folder:
        path = f"{folder}/rows.arrow"
        with pa.ipc.new_stream(path, arrow_schema()) as writer:
            while batch := list(itertools.islice(rows, _CHUNK)):
                columns = {name: [row[name] for row in batch] for name in COLUMNS}
                writer.write(pa.record_batch(columns, schema=arrow_schema()))
        return Dataset.from_file(path)


def whole(pairs: Dataset) -> Dataset:
    """The pairs as a table of their own, in memory, where they are a selection of another's rows.

    `datasets` would write that table beside the mapped file, into a folder that nobody deletes.
    """
    return pairs if pairs._indices is None else pairs.flatten_indices(keep_in_memory=True)


def arrow_schema():
    """Columns and Arrow types of every part of every task."""
    import pyarrow as pa

    return pa.schema([(c, pa.int64() if c == "label" else pa.string()) for c in COLUMNS])


def table_from_rows(rows: Iterable[Mapping[str, object]], source: str = "rows") -> Dataset:
    """Rows checked and stored; `source` names them in errors."""
    return table(check_row(row, f"{source}:{number}") for number, row in enumerate(rows, 1))


def rows_of(pairs: Dataset) -> Iterator[dict[str, Any]]:
    """The rows of a data set, read a batch at a time.

    Iterating the data set itself, or one of its columns (`for label in pairs["label"]`), makes a table of
    each row: 25 to 500 times slower. A whole column is `pairs["label"][:]`.
    """
    for batch in pairs.iter(batch_size=_CHUNK):
        yield from (dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True))


def content_fingerprint(*parts: Dataset) -> str:
    """SHA-256 over everything the parts say, in order; ids count, file names do not."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"\x1dpart")
        for batch in part.with_format("arrow").iter(batch_size=_CHUNK):
            for row in zip(*(batch.column(c).to_pylist() for c in COLUMNS), strict=True):
                digest.update("\x1f".join(map(str, row)).encode("utf-8", "surrogatepass"))
                digest.update(b"\x1e")
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def stable_hash(*parts: object) -> int:
    """A 64-bit number that is the same on every machine and in every process."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _is_unicode(text: str) -> bool:
    r"""JSON can say "\ud800" alone, which no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _choice(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
