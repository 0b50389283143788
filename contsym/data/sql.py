"""The one place that opens DuckDB: tables larger than memory, in a folder of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.machine import n_cores

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection


MEMORY_LIMIT = "600MB"
"""What the engine may hold; the rest is spilled to its folder."""


@contextmanager
def open_engine(folder: Path | None = None) -> Iterator[Connection]:
    """A connection to an empty database on disk, in `folder` or in the system's temporary one.

    Its files are gone when the block ends. Nothing is fetched from a network: extensions
    are neither installed nor loaded by themselves.
    """
    import duckdb

    workspace = Path(tempfile.mkdtemp(prefix=".engine-", dir=folder))
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(workspace / "spill"),
        "threads": n_cores(),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        # Replacement scans would let a table name find a Python variable.
        "python_enable_replacements": False,
    }
    try:
        connection = duckdb.connect(str(workspace / "tables.db"), config=config)
        try:
            yield connection
        except RuntimeError as error:
            # What DuckDB makes of Ctrl-C in the middle of a query.
            if "interrupted" in str(error):
                raise KeyboardInterrupt from None
            raise
        finally:
            connection.close()
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def one_row(con: Connection, sql: str) -> tuple:
    """The row of a query that gives one; fetched to its end, or the connection would stay busy."""
    (found,) = con.execute(sql).fetchall()
    return found


def insert(con: Connection, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Append a few rows to a table in one go: row by row takes a transaction each."""
    if rows:
        # Lists as parameters: registering a table would import pandas.
        columns = [list(column) for column in zip(*rows, strict=True)]
        con.execute(f"INSERT INTO {table} SELECT {', '.join('unnest(?)' for _ in columns)}", columns)


def engine_error() -> type[Exception]:
    """What DuckDB raises; its messages are for `except` clauses, not for users."""
    import duckdb

    return duckdb.Error


def out_of_room() -> type[Exception]:
    """What DuckDB raises where memory and the disk that it spills to are both full."""
    import duckdb

    return duckdb.OutOfMemoryException


def hash_share(*columns: str) -> str:
    """SQL for a number in [0, 1), drawn by a hash of the columns: the same on every machine.

    Columns are joined by a character that no cell of a table holds, so that ("a", "bc") and
    ("ab", "c") draw differently.
    """
    text = " || chr(31) || ".join(f"CAST({column} AS VARCHAR)" for column in columns)
    # 53 bits, which a double holds exactly.
    return f"((md5_number_lower({text}) >> 11)::DOUBLE / 9007199254740992.0)"


def quoted(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
