"""Rows out of Parquet files: only the columns that are used, and no more than fits into memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.data.columns import COLUMNS, usual_names
from contsym.data.part_columns import FLAGS, PART_COLUMNS, part_of
from contsym.data.schema import PlacedRow
from contsym.errors import DataError, first_line
from contsym.tasks.schema import Task

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_GROUP = 1 << 30
"""Most bytes that a row group of a Parquet file may unpack to; usual groups have some 100 MB."""
MAX_BATCH_TEXT = 256 << 20
"""Most bytes of text in one batch of a Parquet file, with its dictionaries written out."""
MIN_ROWS, ROWS_PER_BYTE = 1_000_000, 100
"""Most rows of a Parquet file: MIN_ROWS, or ROWS_PER_BYTE per byte of the file if that is more."""
_BATCH = 4096


def task_rows(path: Path, task: Task | None = None) -> Iterator[PlacedRow]:
    """`parquet_rows` with the columns that a task can use."""
    schema = schema_of(path)
    usual = usual_names(schema.names if schema else (), task)
    named = {column for column, name in usual.items() if name in COLUMNS}
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


def schema_of(path: Path) -> pa.Schema | None:
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
            if twice := next((name for name in columns if columns.count(name) > 1), ""):
                raise DataError(f"{path}: column {twice!r} is there twice; expected each column once")
            _check_parquet(path, file, columns)
            # Of a list the path of its items.
            leaves = [file.schema.column(i) for i in range(len(file.schema))]
            paths = [
                leaf.path for leaf in leaves if leaf.path.partition(".")[0] in columns or leaf.path in columns
            ]
        # Repeated values stay in a dictionary until they are checked: written out, a small file may fill the memory.
        with pq.ParquetFile(path, read_dictionary=paths) as file:
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
        # A text may be a list of its words.
        if types.is_nested(kind) and not (types.is_list(kind) and types.is_string(kind.value_type)):
            raise DataError(f"{path}: column {name} is {kind}; expected text or numbers")


def _check_batch(path: Path, number: int, batch: pa.RecordBatch) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    n_bytes = 0
    lists = pa.types.is_list, pa.types.is_large_list
    for column in (c.flatten() if any(of(c.type) for of in lists) else c for c in batch.columns):
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
