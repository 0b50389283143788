"""Rows out of the file formats of NLI data, each with its place in the file."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.data import class_names
from contsym.data.json_values import json_values, reason_of
from contsym.data.part_columns import (
    FLAGS,
    PART_COLUMNS,
    MarkOf,
    is_nan,
    mark_in,
    other_mark,
    part_of,
    text_of,
)
from contsym.data.schema import PlacedRow, Row
from contsym.data.shards import some
from contsym.data.text_files import bytes_lines
from contsym.errors import DataError, first_line
from contsym.tasks.schema import TEXT_FIELDS, Task

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# The names that MultiNLI 1.0, SNLI, GLUE, ANLI, SICK and the Hub give a field.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "pairID", "pair_ID", "uid", "idx", "index"),
    "premise": ("premise", "sentence1", "sentence_A", "context"),
    "hypothesis": ("hypothesis", "sentence2", "sentence_B"),
    "label": class_names.LABEL_COLUMNS,
    "relation": ("relation",),
    "kind": ("kind",),
    "subject": ("subject",),
    "object": ("object",),
    "skill": ("skill", "skills"),
    "group": ("group",),
    "text": ("text", "sentence", "content", "tokens"),
}
FIELDS = {*(alias for aliases in ALIASES.values() for alias in aliases), *class_names.TEXT_COLUMNS}
_COLUMNS = FIELDS | PART_COLUMNS
_TEXTS = {name for names in TEXT_FIELDS.values() for name in names}
_BY_LOWER = {name.lower(): name for name in FIELDS}

MAX_LAYOUTS = 1000
"""Most sequences of columns of a file that are remembered; rows of other ones are looked at each time."""
MAX_LINE = 16 << 20
"""Most bytes of a line, which is held in memory: no sentence pair has more."""
MAX_DOCUMENT = 512 << 20
"""Most bytes of a file that is one JSON array."""
MAX_GROUP = 1 << 30
"""Most bytes that a row group of a Parquet file may unpack to; usual groups have some 100 MB."""
MAX_BATCH_TEXT = 256 << 20
"""Most bytes of text in one batch of a Parquet file, with its dictionaries written out."""
MIN_ROWS, ROWS_PER_BYTE = 1_000_000, 100
"""Most rows of a Parquet file: MIN_ROWS, or ROWS_PER_BYTE per byte of the file if that is more."""
_BATCH = 4096
_HEAD = 1 << 16
_LONGEST_NAME = 40


def read_rows(path: Path, task: Task | None = None) -> Iterator[PlacedRow]:
    """(where, row) for each row of a .jsonl, .json, .txt, .tsv, .csv or .parquet file; without a task, of NLI pairs.

    `where` is `file:line` (for Parquet `file:row N`). JSON and Parquet are recognised by their content. ALIASES
    maps the field names, in any case; unused fields are dropped. A class number becomes the class name that the file,
    or a card beside it, gives it. `split` also comes from a column of another name whose first value is a part, or
    from flags such as `is_test`. Raises DataError for a file that cannot be read, and for a row without sentences.
    """
    reader = _reader(path)
    schema = _parquet_schema(path) if reader is _parquet else None
    label_column = task.columns.get("label") if task else None
    names = cache(lambda: class_names.of_file(path, schema.metadata if schema else None, label_column))
    mark_of: MarkOf | None = None
    usual_of: dict[tuple[str, ...], dict[str, str]] = {}
    for where, row in _parquet(path, task) if reader is _parquet else reader(path):
        columns = tuple(row)
        usual = usual_of.get(columns)
        if usual is None:
            usual = usual_names(columns, task)
            all_columns = schema.names if schema else columns
            if task and columns and not usual_of:
                check_named(where, all_columns, task)
            # An empty first row is refused with the others, after the lines behind it were decoded.
            if columns or usual_of:
                _check_texts(where, usual.values(), all_columns, task)
            if columns and len(usual_of) < MAX_LAYOUTS:
                usual_of[columns] = usual
        if task and task.only and is_left_out(row, task):
            continue
        row = {name: row[column] for column, name in usual.items()}
        mark_of = mark_of or other_mark(row, _COLUMNS)
        renamed = rename(class_names.with_class_names(row, names, where))
        if (mark := mark_of(row)) and not part_of(mark_in(renamed)[1]):
            renamed["split"] = mark
        yield where, renamed


def raw_rows(path: Path) -> Iterator[PlacedRow]:
    """The rows of a text file as they are, under the names of its own columns. Raises DataError for a Parquet file."""
    reader = _reader(path)
    if reader is _parquet:
        raise DataError(f"{path}: a Parquet file; expected CSV, TSV or JSON")
    return reader(path)


def usual_names(columns: Collection[str], task: Task | None = None) -> dict[str, str]:
    """The name in ALIASES of each column, also where it differs in case or has spaces around it.

    A column that the task names for a field takes the place of all others for it.

    >>> usual_names([" Sentence1", "pairid", "Label", "label"])
    {' Sentence1': 'sentence1', 'pairid': 'pairID', 'label': 'label'}
    """
    usual = {c: c if c in _COLUMNS else _BY_LOWER.get(c.strip().lower(), c) for c in columns}
    usual = {c: name for c, name in usual.items() if c == name or name not in columns}
    if not task or not task.columns:
        return usual
    taken = {alias for field in task.columns for alias in ALIASES[field]}
    given = {column: field for field, column in task.columns.items()}
    return {c: given.get(c, name) for c, name in usual.items() if c in given or name not in taken}


def is_left_out(row: Mapping[str, object], task: Task) -> bool:
    """Whether a row is none of the task's, by a column of `only`."""
    return any(column in row and str(row[column]) not in values for column, values in task.only.items())


def _check_texts(where: str, names: Collection[str], columns: Collection[str], task: Task | None) -> None:
    """Raise DataError for a row without columns of its texts."""
    for name in TEXT_FIELDS[task.inputs if task else "pair"]:
        if set(names).isdisjoint(ALIASES[name]):
            raise DataError(
                f"{where}: field {name!r} is missing; the row has {_listed(columns)}{_hint(name, columns)}"
            )


def _hint(name: str, columns: Collection[str]) -> str:
    """What the user may have meant, where that can be seen."""
    short = [column for column in islice(columns, 100) if len(column) <= _LONGEST_NAME]
    if len(columns) == 1 and (separator := next((sign for sign in ";|" if sign in "".join(short)), "")):
        return f"; its columns are separated by {separator!r}: save it with commas"
    near = difflib.get_close_matches(name, short, n=1, cutoff=0.8)
    return (
        f"; rename {near[0]!r} if it is meant, or name it under [columns] of a task (docs/tasks.md)"
        if near
        else ""
    )


def check_named(where: str, columns: Collection[str], task: Task) -> None:
    """Raise DataError where a column that the task names is not there."""
    for field, column in task.columns.items():
        if column not in columns:
            raise DataError(
                f"{where}: column {column!r}, which the task names for {field}, is missing; the row has {_listed(columns)}"
            )


def _listed(columns: Collection[str]) -> str:
    return some(sorted(column[:_LONGEST_NAME] for column in columns), 10) or "nothing"


def rename(row: Mapping[str, object]) -> Row:
    """The row under contsym's field names; the first alias with a value wins. A text may be a list of its words.

    `split` becomes (column, value), since messages name the column.
    """
    renamed: Row = {}
    for name, aliases in _aliases_in(tuple(row)):
        for alias in aliases:
            value = row[alias]
            if value is None or is_nan(value) or (name == "id" and not text_of(value)):
                continue
            renamed[name] = " ".join(map(str, value)) if name in _TEXTS and isinstance(value, list) else value
            break
    if not PART_COLUMNS.isdisjoint(row):
        marks = [(name, text_of(row[name])) for name in PART_COLUMNS if name in row]
        renamed["split"] = next((mark for mark in marks if part_of(mark[1])), marks[0])
    return renamed


@lru_cache(maxsize=64)
def _aliases_in(columns: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    return [(name, [a for a in aliases if a in columns]) for name, aliases in ALIASES.items()]


def _reader(path: Path) -> Callable[[Path], Iterator[PlacedRow]]:
    """The reader for a file's content; the name decides only between tabs and commas."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: format {path.suffix!r} is unknown; expected {', '.join(READERS)}")
    if reader is _parquet:
        return reader
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if b"\r" in head[:-1] and b"\n" not in head:
        raise DataError(f"{path}: lines end with CR alone, as on old Macs; convert them to LF")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        return _parquet
    if text.startswith(b"[") and text[1:].lstrip()[:1] in (b"{", b"]"):
        return _json_document
    if text.startswith(b"{"):
        line = text.partition(b"\n")[0]
        # A line longer than the head is too long for a header of a table, and common in JSON.
        return _json_lines if len(line) == len(text) or _is_object(line) else reader
    _check_separator(path, text)
    return reader


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


_CONTENT = {
    ".jsonl": "one JSON object per line",
    ".json": "JSON",
    ".csv": "commas",
    ".tsv": "tabs",
    ".txt": "tabs",
}


def _check_separator(path: Path, text: bytes) -> None:
    """Raise DataError for a table whose header has another separator than the file's name implies."""
    header = text.partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    suffix = path.suffix.lower()
    for separator, suffixes, name in (("\t", (".tsv", ".txt"), "tabs"), (",", (".csv",), "commas")):
        n_fields = len(_COLUMNS & {column.strip('" ') for column in header.split(separator)})
        if suffix not in suffixes and n_fields > 1:
            raise DataError(
                f"{path}:1: a header with {name}; expected {_CONTENT[suffix]}; name the file {suffixes[0]} if it is "
                "such a table"
            )


def _lines(path: Path, max_bytes: int) -> Iterator[tuple[str, str]]:
    """(where, line) decoded one by one, so that bad UTF-8 is reported with its line."""
    for number, raw in enumerate(bytes_lines(path, max_bytes), 1):
        try:
            # utf-8-sig: Windows editors put a byte-order mark on the first line.
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problem = f"byte {error.start} is not UTF-8; convert the file to UTF-8"
            raise DataError(f"{path}:{number}: {problem}") from None
        yield f"{path}:{number}", line.rstrip("\r\n")


def _json_lines(path: Path) -> Iterator[PlacedRow]:
    for where, line in _lines(path, MAX_LINE):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({reason_of(error)}); expected one object per line") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: a {type(row).__name__}; expected one JSON object per line")
        yield where, row


def _json_document(path: Path) -> Iterator[PlacedRow]:
    """The objects of one array, or objects that span several lines; the text is held in memory."""
    if path.stat().st_size > MAX_DOCUMENT:
        limit = f"one JSON text of more than {MAX_DOCUMENT:,} bytes"
        raise DataError(f"{path}: {limit}; write one object per line (.jsonl)")
    text = "\n".join(line for _, line in _lines(path, MAX_DOCUMENT))
    try:
        for line, row in json_values(text):
            if not isinstance(row, dict):
                raise DataError(f"{path}:{line}: a {type(row).__name__}; expected JSON objects, one per pair")
            yield f"{path}:{line}", row
    except (ValueError, RecursionError) as error:
        place = f"{path}:{getattr(error, 'lineno', '')}".rstrip(":")
        raise DataError(f"{place}: not JSON ({reason_of(error)}); expected one array of objects") from None


def _tab_separated(path: Path) -> Iterator[PlacedRow]:
    """No quoting unless the header has it: MultiNLI and GLUE have bare quotation marks, which csv would misread."""
    _, header = next(_lines(path, MAX_LINE), ("", ""))
    if all(_is_quoted(name) for name in header.split("\t")):
        return _comma_separated(path, "\t")
    return _with_header((where, _cells(line) if line else []) for where, line in _lines(path, MAX_LINE))


def _cells(line: str) -> list[str]:
    r"""The cells of a line; those that a CSV writer quoted for their quotation marks are as before it did.

    >>> _cells('"He said ""yes""."\t"Yes," he said.\t"Yes."')
    ['He said "yes".', '"Yes," he said.', '"Yes."']
    """
    cells = line.split("\t")
    if '""' not in line:
        return cells
    return [c[1:-1].replace('""', '"') if _is_quoted(c) and '""' in c[1:-1] else c for c in cells]


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def _comma_separated(path: Path, separator: str = ",") -> Iterator[PlacedRow]:
    lines = (line + "\n" for _, line in _lines(path, MAX_LINE))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        yield from _with_header((f"{path}:{reader.line_num}", cells) for cells in reader)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not CSV ({error})") from None


def _with_header(rows: Iterator[tuple[str, list[str]]]) -> Iterator[PlacedRow]:
    """The rows of a table as fields by the names in its first row; empty lines are skipped."""
    _, names = next(rows, ("", []))
    for where, cells in rows:
        if cells and len(cells) != len(names):
            raise DataError(f"{where}: {len(cells)} columns; the header has {len(names)}")
        if cells:
            yield where, dict(zip(names, cells, strict=True))


def _parquet(path: Path, task: Task | None = None) -> Iterator[PlacedRow]:
    schema = _parquet_schema(path)
    usual = usual_names(schema.names if schema else (), task)
    named = {column for column, name in usual.items() if name in _COLUMNS}
    return parquet_rows(path, named | _marking_columns(path) | set(task.only if task else ()))


def _marking_columns(path: Path) -> set[str]:
    """Columns of a Parquet file under other names that may name the part of each row, by type and least and most value."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            meta, schema = file.metadata, file.schema_arrow
    except (pa.ArrowException, OSError, ValueError):
        return set()  # reading the rows reports the error
    flat = {field.name for field in schema if not pa.types.is_nested(field.type)}
    found = {name for name in flat if name.strip().lower() in FLAGS}
    for j in range(meta.num_columns if meta.num_row_groups else 0):
        columns = [meta.row_group(i).column(j) for i in range(meta.num_row_groups)]
        ends = [v for c in columns if (s := c.statistics) and s.has_min_max for v in (s.min, s.max)]
        if (
            ends
            and columns[0].path_in_schema in flat
            and all(isinstance(v, str) and part_of(v) for v in ends)
        ):
            found.add(columns[0].path_in_schema)
    return found


def _parquet_schema(path: Path) -> pa.Schema | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError):
        return None  # reading the rows reports the error


def parquet_rows(path: Path, names: Collection[str]) -> Iterator[PlacedRow]:
    """(`file:row N`, row) for each row of a Parquet file, with its columns out of `names`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            fields = [field for field in file.schema_arrow if field.name in names]
            # Columns such as `set` may hold anything; a list does not name a part.
            nested_parts = {f.name for f in fields if pa.types.is_nested(f.type)} & PART_COLUMNS
            columns = [field.name for field in fields if field.name not in nested_parts]
            _check_parquet(path, file, columns)
        # Repeated values stay in a dictionary until they are checked: written out, a small file may fill the memory.
        with pq.ParquetFile(path, read_dictionary=columns) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                _check_batch(path, number, batch)
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:row {number}", row
    # Damaged files also raise plain errors, for example for text that is not UTF-8.
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({first_line(error)})") from None


def _check_parquet(path: Path, file: pq.ParquetFile, columns: Collection[str]) -> None:
    """Refuse a file that is far smaller than its unpacked content, and nested columns."""
    import pyarrow.types as types

    meta = file.metadata
    limit = max(MIN_ROWS, ROWS_PER_BYTE * path.stat().st_size)
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


READERS: Mapping[str, Callable[[Path], Iterator[PlacedRow]]] = {
    ".jsonl": _json_lines,
    ".json": _json_document,
    ".txt": _tab_separated,
    ".tsv": _tab_separated,
    ".csv": _comma_separated,
    ".parquet": _parquet,
}
