"""Delimited files of any size as SQL of the engine, and its report of their bad lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from contsym.data.sql import Connection, engine_error, literal, one_row
from contsym.data.text_files import text_lines, unreadable

_URI = r"^<?https?://www\.wikidata\.org/(entity|prop/direct|prop|wiki)/(Property:)?|>( ?\.)?$"
"""Around an entity; a line of N-Triples ends with a full stop."""


def without_address(sql: str) -> str:
    """SQL for an entity without Wikidata's address."""
    return f"regexp_replace({sql}, {literal(_URI)}, '', 'g')"


def entity_of(sql: str) -> str:
    """SQL for an entity without Wikidata's address and with single spaces."""
    # The regular expression alone would take seconds on millions of labels.
    has_address = f"contains({sql}, 'www.wikidata.org/')"
    text = single_spaced(sql)
    return f"CASE WHEN {has_address} THEN {without_address(text)} ELSE {text} END"


def single_spaced(sql: str) -> str:
    return f"trim(regexp_replace({sql}, '[\\x00-\\x20\\x7f]+', ' ', 'g'))"


def without_language(sql: str) -> str:
    """SQL for a title out of a SPARQL result or of Turtle, `"Spain"@en`; other titles stay."""
    pattern = literal(r'^"(.*)"@[A-Za-z][A-Za-z0-9-]*$')
    bare = f"replace(regexp_extract({sql}, {pattern}, 1), '\\\"', '\"')"
    return f"CASE WHEN regexp_full_match({sql}, {pattern}) THEN {bare} ELSE {sql} END"


def scan_of(
    con: Connection,
    path: Path,
    columns: Iterable[str],
    rejects: str | None,
    delimiter: str = "\t",
    has_header: bool = False,
) -> str:
    """SQL that scans a delimited file of text columns; only files with commas have quotes.

    Malformed lines go to the table `rejects`, or are dropped.
    """
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    quote = literal('"' if delimiter == "," else "")
    bad_lines = "ignore_errors=true"
    if rejects:
        con.execute(f"DROP TABLE IF EXISTS {rejects}")
        scan_table = literal(f"{rejects}_scan")
        bad_lines = f"store_rejects=true, rejects_table={literal(rejects)}, rejects_scan={scan_table}"
    return (
        f"read_csv({literal(str(path))}, delim={literal(delimiter)}, quote={quote}, escape={quote}, "
        f"header={str(has_header).lower()}, auto_detect=false, columns={{{types}}}, allow_quoted_nulls=false, {bad_lines})"
    )


def run(con: Connection, path: Path, sql: str) -> None:
    """Run a scan of a user's file; the engine's message becomes one line."""
    try:
        con.execute(sql)
    except engine_error() as error:
        if type(error).__name__ == "OutOfMemoryException":
            raise  # not a problem of the file
        raise unreadable(path, error) from None


def rejected(con: Connection, rejects: str, path: Path, separator: str = "tabs") -> tuple[int, str]:
    """The number of malformed lines, and the first of them."""
    (exists,) = one_row(con, f"SELECT count(*) FROM duckdb_tables() WHERE table_name = {literal(rejects)}")
    n_bad = one_row(con, f"SELECT count(DISTINCT line) FROM {rejects}")[0] if exists else 0
    if not n_bad:
        return 0, ""
    line, kind, message = one_row(
        con, f"SELECT line, error_type, error_message FROM {rejects} ORDER BY line, byte_position LIMIT 1"
    )
    problem = message.splitlines()[0].rstrip(". ")
    if "COLUMNS" in kind:
        expected, _, n_columns = problem.partition(" Found: ")
        problem = f"{n_columns} columns; expected {expected.rpartition(' ')[2]}, separated by {separator}"
    elif kind == "INVALID ENCODING":
        problem = "not UTF-8; convert the file to UTF-8"
    return n_bad, f"{path}:{line}: {problem}"


def first_line(path: Path, is_bad: Callable[[list[str]], bool], problem: str) -> str:
    """`file:line: problem` of the first line with bad cells; reads the file again."""
    for number, line in text_lines(path):
        if line and is_bad(line.split("\t")):
            return f"{path}:{number}: {problem}"
    return f"{path}: {problem}"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
