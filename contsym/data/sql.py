"""DuckDB for tables larger than memory, each database in a temporary folder; no other module opens it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.errors import ContsymError, first_line
from contsym.machine import n_cores

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection
else:
    Connection = Any  # a name for annotations, which does not load DuckDB

MEMORY_LIMIT = "600MB"
"""Memory of the engine; it spills the rest to its folder."""


@contextmanager
def open_engine(folder: Path | None = None) -> Iterator[Connection]:
    """A connection to an empty database on disk, in `folder` or in the system's temporary folder.

    Its files disappear when the block ends. Extensions are neither installed nor loaded automatically, so the
    engine never uses the network.
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
        # Replacement scans would let a table name refer to a Python variable.
        "python_enable_replacements": False,
    }
    try:
        with duckdb.connect(str(workspace / "tables.db"), config=config) as connection:
            yield connection
    except RuntimeError as error:
        # DuckDB raises this for Ctrl-C during a query.
        if "interrupted" in str(error):
            raise KeyboardInterrupt from None
        raise
    except (duckdb.IOException, duckdb.TransactionException, duckdb.OutOfMemoryException) as error:
        if folder:
            raise  # its user knows what the folder is for
        raise ContsymError(
            f"{tempfile.gettempdir()}: the data cannot be checked there ({first_line(error, 120)}); free space, or name "
            "another folder (TMPDIR)"
        ) from None
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def one_row(con: Connection, sql: str) -> tuple:
    """The only row of a query; fetching all rows leaves the connection idle."""
    (row,) = con.execute(sql).fetchall()
    return row


def insert(con: Connection, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Append a few rows to a table in one transaction."""
    if rows:
        # Lists as parameters: registering a table would import pandas.
        columns = [list(column) for column in zip(*rows, strict=True)]
        con.execute(f"INSERT INTO {table} SELECT {', '.join('unnest(?)' for _ in columns)}", columns)


def engine_error() -> type[Exception]:
    """DuckDB's base error, for `except` clauses; its messages are not for users."""
    import duckdb

    return duckdb.Error


def hash_share(*columns: str) -> str:
    """SQL for a number in [0, 1) made of a hash of the columns, the same on every machine.

    A character that no cell of a table holds joins the columns, so that ("a", "bc") and ("ab", "c") differ.
    """
    text = " || chr(31) || ".join(f"CAST({column} AS VARCHAR)" for column in columns)
    # 53 bits, which a double holds exactly.
    return f"((md5_number_lower({text}) >> 11)::DOUBLE / 9007199254740992.0)"


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
