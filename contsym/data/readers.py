"""Rows out of the file formats that NLI data come in, each with the place it was read from."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from contsym.errors import DataError

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
            for number, raw in enumerate(file, 1):
                where = f"{path}:{number}"
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
            reason = getattr(error, "msg", "nested too deeply")
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
            number = 0
            for batch in file.iter_batches(batch_size=4096, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:row {number}", row
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: not a readable Parquet file ({reason})") from None


READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, Row]]]] = {
    ".jsonl": _json_lines,
    ".txt": _tab_separated,
    ".tsv": _tab_separated,
    ".csv": _comma_separated,
    ".parquet": _parquet,
}
