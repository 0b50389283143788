"""Rows out of the file formats that NLI data come in, each with the place it was read from."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.data import class_names
from contsym.data.json_values import json_values, reason_of
from contsym.errors import DataError, first_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


Row = dict[str, object]

# The same field under the names that MultiNLI 1.0, SNLI, GLUE, ANLI and the Hub give it.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "pairID", "uid", "idx", "index"),
    "premise": ("premise", "sentence1", "context"),
    "hypothesis": ("hypothesis", "sentence2"),
    "label": ("label", "gold_label"),
    "relation": ("relation",),
    "kind": ("kind",),
    "subject": ("subject",),
    "object": ("object",),
}
PART_COLUMNS = (
    "split",
    "partition",
    "set",
    "subset",
    "fold",
    "part",
    "data_split",
    "dataset_split",
    "SemEval_set",
)
"""Columns that may say, row by row, which part of the data a row belongs to; in any case."""
_MARKING = dict.fromkeys(f(name) for name in PART_COLUMNS for f in (str, str.capitalize, str.upper)).keys()
KNOWN = {*(alias for each in ALIASES.values() for alias in each), *_MARKING, *class_names.TEXT_COLUMNS}

MAX_LINE = 16 << 20
"""Bytes of a line: what has more is no sentence pair, and would have to be held in memory whole."""
MAX_DOCUMENT = 512 << 20
"""Bytes of a file that is one JSON array."""
_BATCH = 4096
MAX_GROUP = 1 << 30
"""Bytes that a row group of a Parquet file may unpack to; writers make groups of some 100 MB."""
MAX_BATCH_TEXT = 256 << 20
"""Bytes of text in one batch of a Parquet file, once its dictionaries are written out."""
MIN_ROWS, ROWS_A_BYTE = 1_000_000, 100
"""Rows of a Parquet file: up to the first whatever its size, above it at most that many for each of its bytes."""


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """(where, row) for each row of a .jsonl, .json, .txt, .tsv, .csv or .parquet file.

    `where` is `file:line` (for Parquet `file:row N`). JSON and Parquet are known by their content,
    whatever the file's name. Field names are mapped by ALIASES; fields that contsym has no use for
    are dropped. A class number becomes the name that the file, or a card beside it, gives the class.
    Raises DataError for a file that cannot be read.
    """
    reader = _reader(path)
    schema = _parquet_schema(path) if reader is _parquet else None
    names = class_names.FileNames(path, class_names.of_parquet(schema.metadata) if schema else {})
    for where, row in reader(path):
        yield where, rename(names.spelt_out(row, where))


def rename(row: Mapping[str, object]) -> Row:
    """The row under contsym's field names; the first alias that says something wins.

    `split` becomes (column, value): the column is named where its values are not understood.
    """
    found: Row = {}
    for name, aliases in ALIASES.items():
        for alias in aliases:
            value = row.get(alias)
            if value is None or _is_nan(value) or (name == "id" and not _text(value)):
                continue
            found[name] = value
            break
    if not _MARKING.isdisjoint(row):
        marks = [(name, _text(row[name])) for name in _MARKING if name in row]
        found["split"] = next((mark for mark in marks if part_of(mark[1])), marks[0])
    return found


def part_of(value: str) -> str | None:
    """The part that a value of a column of parts stands for, None where it names none.

    >>> part_of("TRAIN"), part_of("val"), part_of("dev-matched"), part_of("train_r1"), part_of("3")
    ('train', 'validation', 'dev_matched', 'train_r1', None)
    """
    head, _, rest = value.strip().casefold().replace("-", "_").replace(" ", "_").partition("_")
    part = _PARTS.get(head)
    return None if part is None else f"{part}_{rest}" if rest and rest not in ("set", "split") else part


_PARTS = {spelling: part for part, spellings in {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing", "tst"),
    "validation": ("validation", "valid", "val", "eval", "evaluation"),
    "dev": ("dev", "devel", "development", "trial"),
}.items() for spelling in spellings}  # fmt: skip


def _is_nan(value: object) -> bool:
    """What pandas writes where a cell has no value."""
    return isinstance(value, float) and math.isnan(value)


def _text(value: object) -> str:
    return "" if value is None or _is_nan(value) else str(value).strip()


def _reader(path: Path) -> Callable[[Path], Iterator[tuple[str, Row]]]:
    """The reader for a file's content; its name decides between tabs and commas only."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: format {path.suffix!r} is unknown; expected {', '.join(READERS)}")
    if reader is _parquet:
        return reader
    head = _head(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        return _parquet
    if text.startswith(b"[") and text[1:].lstrip()[:1] in (b"{", b"]"):
        return _json_document
    if text.startswith(b"{"):
        line = text.partition(b"\n")[0]
        # A line that goes on behind what was looked at is long for a header, and no matter for JSON.
        return _json_lines if len(line) == len(text) or _is_object(line) else reader
    _check_separator(path, text)
    return reader


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _check_separator(path: Path, text: bytes) -> None:
    """Raise DataError for a table whose first line is a header by another separator than its name says."""
    header = text.partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    wanted = _SUFFIXES[path.suffix.lower()]
    for separator, (suffixes, what) in _SEPARATORS.items():
        if (
            path.suffix.lower() not in suffixes
            and len(KNOWN & {c.strip('" ') for c in header.split(separator)}) > 1
        ):
            raise DataError(
                f"{path}:1: a header with {what}; expected {wanted}; name the file {suffixes[0]} if it is such a table"
            )


_HEAD = 1 << 16
_SEPARATORS = {"\t": ((".tsv", ".txt"), "tabs"), ",": ((".csv",), "commas")}
_SUFFIXES = {
    ".jsonl": "one JSON object a line",
    ".json": "JSON",
    ".csv": "commas",
    ".tsv": "tabs",
    ".txt": "tabs",
}


def _lines(path: Path, most: int | None = None) -> Iterator[tuple[str, str]]:
    """(where, line) decoded one by one, so that bad UTF-8 is reported with its line."""
    most = most or MAX_LINE
    try:
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(most + 1), b"")
            for number, raw in enumerate(lines, 1):
                where = f"{path}:{number}"
                if len(raw) > most:
                    raise DataError(f"{where}: more than {most:,} bytes; expected a pair a line")
                try:
                    # utf-8-sig: Windows editors put a byte-order mark on the first line.
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{where}: byte {error.start} is not UTF-8; convert the file to UTF-8"
                    ) from None
                yield where, line.rstrip("\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _json_lines(path: Path) -> Iterator[tuple[str, Row]]:
    for where, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({reason_of(error)}); expected one object a line") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: a {type(row).__name__}; expected one JSON object a line")
        yield where, row


def _json_document(path: Path) -> Iterator[tuple[str, Row]]:
    """The objects of one array, or objects that are spread over lines; the text is held in memory."""
    if path.stat().st_size > MAX_DOCUMENT:
        raise DataError(
            f"{path}: one JSON text of more than {MAX_DOCUMENT:,} bytes; write one object a line (.jsonl)"
        )
    text = "\n".join(line for _, line in _lines(path, MAX_DOCUMENT))
    where = f"{path}:1"
    try:
        for line, row in json_values(text):
            where = f"{path}:{line}"
            if not isinstance(row, dict):
                raise DataError(f"{where}: a {type(row).__name__}; expected JSON objects, one a pair")
            yield where, row
    except (ValueError, RecursionError) as error:
        place = f"{path}:{getattr(error, 'lineno', '')}".rstrip(":")
        raise DataError(f"{place}: not JSON ({reason_of(error)}); expected one array of objects") from None


def _tab_separated(path: Path) -> Iterator[tuple[str, Row]]:
    # No quoting: MultiNLI and GLUE hold bare quotation marks, which csv would swallow.
    lines = _lines(path)
    _, header = next(lines, ("", ""))
    names = header.split("\t")
    for where, line in lines:
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(names):
            raise DataError(f"{where}: {len(cells)} columns; the header has {len(names)}")
        yield where, dict(zip(names, cells, strict=True))


def _comma_separated(path: Path) -> Iterator[tuple[str, Row]]:
    rows = csv.reader((line + "\n" for _, line in _lines(path)), strict=True)
    try:
        names = next(rows, [])
        for cells in rows:
            where = f"{path}:{rows.line_num}"
            if not cells:
                continue
            if len(cells) != len(names):
                raise DataError(f"{where}: {len(cells)} columns; the header has {len(names)}")
            yield where, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{rows.line_num}: not CSV ({error})") from None


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow.types as types

    schema = _parquet_schema(path)
    # `set` and the like may hold anything, and lists are no parts.
    nested = {field.name for field in schema or () if types.is_nested(field.type)}
    return parquet_rows(path, KNOWN - (nested & _MARKING))


def _parquet_schema(path: Path) -> pa.Schema | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError):
        return None  # reading the rows says what is wrong


def parquet_rows(path: Path, known: Collection[str]) -> Iterator[tuple[str, Row]]:
    """(`file:row N`, row) of a Parquet file, with those of its columns that are known."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if name in known]
            _check_parquet(path, file, columns)
        # A second look, for what is repeated to stay a dictionary: written out, a small file may fill the memory.
        with pq.ParquetFile(path, read_dictionary=columns) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                _check_batch(path, number, batch)
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:row {number}", row
    # Damaged files make it raise plain ones too, as for a column of bytes that are no UTF-8.
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({first_line(error)})") from None


def _check_parquet(path: Path, file: pq.ParquetFile, columns: Collection[str]) -> None:
    """Refuse what would be far larger in memory or on disk than the file is, and columns of no plain values."""
    import pyarrow.types as types

    meta = file.metadata
    limit = max(MIN_ROWS, ROWS_A_BYTE * path.stat().st_size)
    if meta.num_rows > limit:
        raise DataError(f"{path}: {meta.num_rows:,} rows in so small a file; expected at most {limit:,}")
    for i in range(meta.num_row_groups):
        group = meta.row_group(i)
        n_bytes = sum(group.column(j).total_uncompressed_size for j in range(group.num_columns))
        if n_bytes > MAX_GROUP:
            raise DataError(
                f"{path}: row group {i} unpacks to {n_bytes:,} bytes; expected at most {MAX_GROUP:,}; write it "
                "with smaller row groups"
            )
    for name in columns:
        kind = file.schema_arrow.field(name).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if types.is_nested(kind):
            raise DataError(f"{path}: column {name} is {kind}; expected text or numbers")


def _check_batch(path: Path, number: int, batch: pa.RecordBatch) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    n_bytes = 0
    for column in batch.columns:
        if not pa.types.is_dictionary(column.type):
            n_bytes += column.nbytes
        elif pa.types.is_string(column.type.value_type) or pa.types.is_binary(column.type.value_type):
            lengths = pc.binary_length(column.dictionary).take(column.indices)
            n_bytes += pc.sum(lengths).as_py() or 0
    if n_bytes > MAX_BATCH_TEXT:
        raise DataError(
            f"{path}:row {number + 1}: {n_bytes:,} bytes of text in {len(batch):,} rows; expected at most "
            f"{MAX_BATCH_TEXT:,}"
        )


READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, Row]]]] = {
    ".jsonl": _json_lines,
    ".json": _json_document,
    ".txt": _tab_separated,
    ".tsv": _tab_separated,
    ".csv": _comma_separated,
    ".parquet": _parquet,
}
