"""Rows out of the file formats that NLI data come in, each with the place it was read from."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.errors import DataError

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

MAX_LINE = 16 << 20
"""Bytes of a line: what has more is no sentence pair, and would have to be held in memory whole."""
_BATCH = 4096
MAX_GROUP = 1 << 30
"""Bytes that a row group of a Parquet file may unpack to; writers make groups of some 100 MB."""
MAX_BATCH_TEXT = 256 << 20
"""Bytes of text in one batch of a Parquet file, once its dictionaries are written out."""
MIN_ROWS, ROWS_A_BYTE = 1_000_000, 100
"""Rows of a Parquet file: up to the first whatever its size, above it at most that many for each of its bytes."""


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """(where, row) for each row of a .jsonl, .txt, .tsv, .csv or .parquet file.

    `where` is `file:line` (for Parquet `file:row N`). Field names are mapped by ALIASES;
    fields that contsym has no use for are dropped. Raises DataError for a file that cannot be
    read as what its name says.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: format {path.suffix!r} is unknown; expected {', '.join(READERS)}")
    for where, row in reader(path):
        yield where, rename(row)


def rename(row: Mapping[str, object]) -> Row:
    """The row under contsym's field names; the first alias that is present wins."""
    found: Row = {}
    for name, aliases in ALIASES.items():
        for alias in aliases:
            if row.get(alias) is not None:
                found[name] = row[alias]
                break
    return found


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(where, line) decoded one by one, so that bad UTF-8 is reported with its line."""
    try:
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(MAX_LINE + 1), b"")
            for number, raw in enumerate(lines, 1):
                where = f"{path}:{number}"
                if len(raw) > MAX_LINE:
                    raise DataError(f"{where}: more than {MAX_LINE:,} bytes; expected a pair a line")
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
            # Python's own, of a number with thousands of digits, goes on about itself behind a semicolon.
            said = getattr(error, "msg", None) or str(error).partition(";")[0]
            reason = "nested too deeply" if isinstance(error, RecursionError) else said
            raise DataError(f"{where}: not JSON ({reason}); expected one object a line") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: a {type(row).__name__}; expected one JSON object a line")
        yield where, row


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
    return parquet_rows(path, {alias for aliases in ALIASES.values() for alias in aliases})


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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: not a readable Parquet file ({reason})") from None


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
    ".txt": _tab_separated,
    ".tsv": _tab_separated,
    ".csv": _comma_separated,
    ".parquet": _parquet,
}
