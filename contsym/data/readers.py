"""Rows out of the file formats of NLI data, each with its place in the file."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from contsym.data import class_names, parquet
from contsym.data.columns import (
    COLUMNS,
    LONGEST_NAME,
    check_named,
    check_texts,
    is_left_out,
    rename,
    usual_names,
)
from contsym.data.json_values import DECODER, Repeated, json_values, reason_of
from contsym.data.part_columns import (
    Marks,
    other_marks,
    part_of,
)
from contsym.data.schema import PlacedRow
from contsym.data.text_files import bytes_lines, check_is_there
from contsym.errors import DataError
from contsym.tasks.schema import Task

MAX_LAYOUTS = 1000
"""Most sequences of columns of a file that are remembered; rows of other ones are looked at each time."""
MAX_LINE = 16 << 20
"""Most bytes of a line, which is held in memory: no sentence pair has more."""
MAX_DOCUMENT = 512 << 20
"""Most bytes of a file that is one JSON array."""
_HEAD = 1 << 16
_HEAD_ROWS = 100
"""First rows of a file, by which columns that may name parts are found."""


def read_rows(path: Path, task: Task | None = None) -> Iterator[PlacedRow]:
    """(where, row) for each row of a .jsonl, .json, .txt, .tsv, .csv or .parquet file; without a task, of NLI pairs.

    `where` is `file:line` (for Parquet `file:row N`). JSON and Parquet are recognised by their content. ALIASES
    maps the field names, in any case; unused fields are dropped. A class number becomes the class name that the file,
    or a card beside it, gives it. `split` has the (column, value) of each column that may name the row's part, also of
    one of another name whose first values are parts, and of flags such as `is_test`. Raises DataError for a file that
    cannot be read, and for a row without sentences.
    """
    reader = _reader(path)
    schema = parquet.schema_of(path) if reader is parquet.task_rows else None
    label_column = task.columns.get("label") if task else None
    names = cache(lambda: class_names.of_file(path, schema.metadata if schema else None, label_column))
    rows = parquet.task_rows(path, task) if reader is parquet.task_rows else reader(path)
    yield from usual_rows(rows, names, task, schema.names if schema else ())


def usual_rows(
    rows: Iterable[PlacedRow],
    names: Callable[[], class_names.ClassNames],
    task: Task | None = None,
    source_columns: Collection[str] = (),
) -> Iterator[PlacedRow]:
    """The rows under contsym's field names, with class names and `split`, as `read_rows` gives them.

    `source_columns` are those of the source where a row has only some of them.
    """
    head, named = _peeked(_with_usual_names(rows, task, source_columns))
    marks_of = other_marks([row for _, row in head], COLUMNS) if head else None
    for where, row in named:
        renamed = rename(class_names.with_class_names(row, names, where))
        own = renamed.pop("split", None)
        marks: Marks = (own,) if isinstance(own, tuple) else ()
        if marks_of and not (marks and part_of(marks[0][1])):
            marks += marks_of(row)
        if marks:
            renamed["split"] = marks
        yield where, renamed


def _peeked(rows: Iterable[PlacedRow]) -> tuple[list[PlacedRow], Iterator[PlacedRow]]:
    """The first rows, and all rows; an error behind the first ones is raised behind them, where it was."""
    rest, head = iter(rows), list[PlacedRow]()
    problem: DataError | None = None
    try:
        for placed in itertools.islice(rest, _HEAD_ROWS):
            head.append(placed)
    except DataError as error:
        problem = error

    def every() -> Iterator[PlacedRow]:
        yield from head
        if problem:
            raise problem
        yield from rest

    return head, every()


def _with_usual_names(
    rows: Iterable[PlacedRow], task: Task | None, source_columns: Collection[str]
) -> Iterator[PlacedRow]:
    """The rows that the task does not leave out, under the usual names of their columns."""
    head, rows = _peeked(rows)
    # A writer may leave out what a row has no value for.
    columns_seen = source_columns or dict.fromkeys(column for _, row in head for column in row)
    usual_of: dict[tuple[str, ...], dict[str, str]] = {}
    for where, row in rows:
        columns = tuple(row)
        usual = usual_of.get(columns)
        if usual is None:
            usual = usual_names(columns, task, where)
            all_columns = source_columns or columns
            if task and columns and not usual_of:
                check_named(where, columns_seen, task)
            # An empty first row is refused with the others, after the lines behind it were decoded.
            if columns or usual_of:
                check_texts(where, usual.values(), all_columns, task, _list_of_rows(row))
            if columns and len(usual_of) < MAX_LAYOUTS:
                usual_of[columns] = usual
        if task and task.only and is_left_out(row, task, columns_seen):
            continue
        yield where, {name: row[column] for column, name in usual.items()}


def _list_of_rows(row: Mapping[str, object]) -> str:
    """The field of an object that holds rows in a list of its own; empty where there is none."""
    lists = (name for name, value in row.items() if isinstance(value, list) and value)
    return next((name for name in lists if all(isinstance(item, dict) for item in row[name][:2])), "")  # type: ignore[index]


def raw_rows(path: Path) -> Iterator[PlacedRow]:
    """The rows of a text file as they are, under the names of its own columns. Raises DataError for a Parquet file."""
    reader = _reader(path)
    if reader is parquet.task_rows:
        raise DataError(f"{path}: a Parquet file; expected CSV, TSV or JSON")
    return reader(path)


def check_format(path: Path) -> None:
    """Raise DataError for a file whose ending is not that of a file of examples."""
    if path.suffix.lower() in READERS:
        return
    expected = f"expected {', '.join(READERS)}"
    if path.suffix == ".toml":
        expected += f"; a task's or scenario's own file is given with --plugin {path}"
    raise DataError(f"{path}: format {path.suffix!r} is unknown; {expected}")


def _reader(path: Path) -> Callable[[Path], Iterator[PlacedRow]]:
    """The reader for a file's content; the name decides only between tabs and commas."""
    check_format(path)
    reader = READERS[path.suffix.lower()]
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    check_is_there(path, head)
    if reader is parquet.task_rows:
        return reader
    if b"\r" in head[:-1] and b"\n" not in head:
        raise DataError(f"{path}: lines end with CR alone, as on old Macs; convert them to LF")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        return parquet.task_rows
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
    tables = (("\t", (".tsv", ".txt"), "tabs"), (",", (".csv",), "commas"), (";", (".csv",), "semicolons"))
    for separator, suffixes, name in tables:
        n_fields = len(COLUMNS & {column.strip('" ') for column in header.split(separator)})
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
            row = DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({reason_of(error)}); expected one object per line") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: a {type(row).__name__}; expected one JSON object per line")
        yield where, _unrepeated(row, where)


def _unrepeated(row: dict[str, object], where: str) -> dict[str, object]:
    if isinstance(row, Repeated):
        raise DataError(f"{where}: the object has {row.key[:LONGEST_NAME]!r} twice; expected each key once")
    return row


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
            where = f"{path}:{line}"
            yield where, _unrepeated(row, where)
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


def _comma_separated(path: Path, separator: str = "") -> Iterator[PlacedRow]:
    _, header = next(_lines(path, MAX_LINE), ("", ""))
    unquoted = re.sub(r'"[^"]*"', "", header)
    # Spreadsheets write semicolons where the comma is the decimal sign. Nobody can use a table of one column.
    separator = separator or (";" if ";" in unquoted and "," not in unquoted else ",")
    lines = (line + "\n" for _, line in _lines(path, MAX_LINE))
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        yield from _with_header(
            (f"{path}:{reader.line_num}", list(map(_without_space, cells))) for cells in reader
        )
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not CSV ({error})") from None


def _without_space(cell: str) -> str:
    """A quoted cell behind a comma and a space, whose quotation marks CSV takes for text.

    >>> _without_space(' "B knows A"'), _without_space(' "never" he said')
    ('B knows A', ' "never" he said')
    """
    if not cell.startswith(' "'):
        return cell
    bare = cell.strip()
    return bare[1:-1].replace('""', '"') if _is_quoted(bare) else cell


def _with_header(rows: Iterator[tuple[str, list[str]]]) -> Iterator[PlacedRow]:
    """The rows of a table as fields by the names in its first row; empty lines are skipped."""
    where, names = next(rows, ("", []))
    if twice := next((name for name in names if name and names.count(name) > 1), ""):
        raise DataError(f"{where}: the header has {twice[:LONGEST_NAME]!r} twice; expected each column once")
    for where, cells in rows:
        if cells and len(cells) != len(names):
            raise DataError(f"{where}: {len(cells)} columns; the header has {len(names)}")
        if cells:
            yield where, dict(zip(names, cells, strict=True))


READERS: Mapping[str, Callable[[Path], Iterator[PlacedRow]]] = {
    ".jsonl": _json_lines,
    ".json": _json_document,
    ".txt": _tab_separated,
    ".tsv": _tab_separated,
    ".csv": _comma_separated,
    ".parquet": parquet.task_rows,
}
