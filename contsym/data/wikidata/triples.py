"""Wikidata triples and labels in the formats they come in, as tables of the engine.

Tab-separated triples (Wikidata5M, CoDEx, named facts) and SPARQL results go straight into the
engine; Wikidata's JSON dump and .bz2 files are streamed through a table on disk. Nothing here
holds more than a line of the input in Python.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from contsym.data.schema import file_sha256
from contsym.data.sql import engine_error, insert, one_row, out_of_room, quoted
from contsym.data.wikidata.dump import DumpCounts, read_dump
from contsym.data.wikidata.relations import Registry
from contsym.data.wikidata.text_files import OPENERS, chunks, scanned, text_lines, unreadable
from contsym.errors import DataError, SettingError

if TYPE_CHECKING:
    from contsym.data.sql import Connection


_T = TypeVar("_T")

_URI = r"^<?https?://www\.wikidata\.org/(entity|prop/direct|prop|wiki)/(Property:)?|>$"

# The columns of a SPARQL result, by the names that queries usually give them.
SPARQL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject", "item", "s", "x", "a"),
    "property": ("property", "prop", "p", "relation", "wdt"),
    "object": ("object", "value", "o", "y", "b"),
}


@dataclass(frozen=True)
class Read:
    """What reading one input gave."""

    name: str
    n_bytes: int
    sha256: str
    format: str
    n_lines: int
    n_bad: int
    first_bad: str
    """`file:line: what is wrong` of the first line that could not be used; empty if none."""

    def as_dict(self) -> dict[str, Any]:
        return {"file": self.name, "bytes": self.n_bytes, "sha256": self.sha256, "format": self.format,
                "lines": self.n_lines, "bad_lines": self.n_bad, "first_bad": self.first_bad}  # fmt: skip


def read_triples(
    con: Connection,
    path: Path,
    registry: Registry,
    max_bad: float,
    workspace: Path,
    sole_property: str | None = None,
) -> Read:
    """Fill the tables `triples` and `skipped` from a file of triples.

    triples(relation, subject, object, n): the distinct triples of registered relations and how
    often each was seen. skipped(property, n): what the registry does not have. labels(entity,
    label) is made too where the format carries names (a dump, SPARQL), else it is empty.

    Raises DataError where the file cannot be read, has no lines, or has a larger share of bad
    lines than `max_bad`.
    """
    kind = _format_of(path)
    if sole_property is not None and kind != "sparql":
        raise SettingError(
            f"--property {sole_property}: {path.name} says the property of each triple; --property is for "
            "a SPARQL result (.csv) without a column for it; leave it out"
        )
    con.execute("CREATE TABLE known (given VARCHAR, relation VARCHAR)")
    insert(con, "known", _spellings(registry))
    con.execute("CREATE TABLE labels (entity VARCHAR, label VARCHAR)")
    with _Hashing(path) as hashing:
        if kind == "dump":
            read = _from_dump(con, path, registry, workspace)
        elif kind == "sparql":
            read = scanned(path, workspace, lambda source: _from_sparql(con, path, source, sole_property))
        else:
            read = _from_tsv(con, path, workspace)
    n_lines, n_bad, first_bad = read
    found = Read(path.name, path.stat().st_size, hashing.digest, kind, n_lines, n_bad, first_bad)
    _refuse_bad(found, path, max_bad, "a triple: subject, property and object, separated by tabs")
    con.execute(
        f"""CREATE TABLE triples AS
        SELECT relation, subject, object, sum(n)::BIGINT AS n FROM (
          SELECT relation, n, {_entity_of("subject")} AS subject, {_entity_of("object")} AS object FROM counted)
        WHERE subject <> '' AND object <> '' GROUP BY ALL"""
    )
    con.execute("DROP TABLE counted")
    return found


def read_labels(con: Connection, path: Path, max_bad: float, workspace: Path) -> tuple[Read, int, str]:
    """Fill `labels` with the titles of the entities of `triples` from a label file.

    A line is an id, its title and any aliases, separated by tabs. Gives what was read, the
    number of ids that the file has more than once (the first line counts) and the first such.
    """
    with _Hashing(path) as hashing:
        _run(
            con,
            path,
            "CREATE TABLE entity_ids AS SELECT subject AS entity FROM triples UNION SELECT object FROM triples",
        )
        scanned(path, workspace, lambda source: _titles(con, path, source))
    n_lines, n_untitled = one_row(
        con, "SELECT count(*), count(*) FILTER (label IS NULL OR entity = '') FROM titles"
    )
    n_bad, first_bad = _rejected(con, "labels_bad", path)
    if n_untitled and not first_bad:
        first_bad = _first_line(path, lambda cells: len(cells) < 2 or not cells[0] or not cells[1].strip(),
                                "no title; expected an id, a tab and its title")  # fmt: skip
    n_bad += n_untitled
    read = Read(
        path.name,
        path.stat().st_size,
        hashing.digest,
        "labels",
        n_lines + n_bad - n_untitled,
        n_bad,
        first_bad,
    )
    _refuse_bad(read, path, max_bad, "an id, a tab and its title")
    n_twice, example = one_row(
        con,
        """SELECT count(*), arg_min(entity, number) FROM
        (SELECT entity, min(number) AS number FROM titles WHERE label IS NOT NULL GROUP BY entity HAVING count(*) > 1)""",
    )
    con.execute(
        """INSERT INTO labels SELECT entity, arg_min(label, number) FROM titles
        WHERE label IS NOT NULL AND entity IN (SELECT entity FROM entity_ids) GROUP BY entity"""
    )
    con.execute("DROP TABLE titles; DROP TABLE entity_ids")
    return read, n_twice, example or ""


def _entity_of(sql: str) -> str:
    """SQL that gives an entity as the tables name it: without Wikidata's address, each space a single one."""
    plain = f"trim(regexp_replace({sql}, '[\\x00-\\x20\\x7f]+', ' ', 'g'))"
    # Looked at first: a search in millions of labels takes seconds.
    has_address = f"contains({sql}, 'www.wikidata.org/')"
    return f"CASE WHEN {has_address} THEN regexp_replace({plain}, {quoted(_URI)}, '', 'g') ELSE {plain} END"


def _titles(con: Connection, path: Path, source: Path) -> None:
    """Fill titles(number, entity, label) with the lines of a label file, in their order."""
    # A line is read whole: the number of its columns differs.
    scan = _csv(con, source, {"line": "VARCHAR"}, "labels_bad", delimiter="\x01")
    con.execute("SET preserve_insertion_order = true")
    con.execute("CREATE OR REPLACE SEQUENCE label_lines")
    _run(
        con,
        path,
        f"""CREATE TABLE titles AS
        SELECT nextval('label_lines') AS number, {_entity_of("split_part(line, chr(9), 1)")} AS entity,
          nullif(trim(regexp_replace(split_part(line, chr(9), 2), '[\\x00-\\x20\\x7f]+', ' ', 'g')), '') AS label
        FROM {scan} WHERE line IS NOT NULL""",
    )
    con.execute("SET preserve_insertion_order = false")


def _format_of(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"--triples {path}: no such file; expected triples as .tsv, .txt, .csv or .json")
    if path.stat().st_size == 0:
        raise DataError(f"{path}:1: the file is empty; expected triples")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    inner = (
        suffixes[-2] if suffixes and suffixes[-1] in OPENERS and len(suffixes) > 1 else "".join(suffixes[-1:])
    )
    if inner == ".json" or _is_json(path):
        return "dump"
    return "sparql" if inner == ".csv" else "tsv"


def _is_json(path: Path) -> bool:
    """By its first bytes, whatever the file is named; no line of triples begins so."""
    head = next(chunks(path), b"").removeprefix(b"\xef\xbb\xbf")
    return re.match(rb'\s*(\[\s*)?\{\s*"', head) is not None


def _spellings(registry: Registry) -> list[tuple[str, str]]:
    """A property as it may be written: its id, its URI or its English name."""
    found = {}
    for relation in registry.relations.values():
        for base in ("", "http://www.wikidata.org/prop/direct/", "http://www.wikidata.org/entity/"):
            found[base + relation.id] = relation.id
            found[f"<{base}{relation.id}>"] = relation.id
        found.setdefault(relation.name, relation.id)
    return list(found.items())


# ---- tab-separated ----
def _from_tsv(con: Connection, path: Path, workspace: Path) -> tuple[int, int, str]:
    columns = dict.fromkeys(("subject", "property", "object"), "VARCHAR")
    return scanned(
        path, workspace, lambda source: _count(con, path, _csv(con, source, columns, "triples_bad"))
    )


def _count(con: Connection, path: Path, rows: str) -> tuple[int, int, str]:
    """Fill `counted` and `skipped` out of `rows`, SQL that gives subject, property and object.

    Gives the lines, the bad ones and the first of these. One scan does it all: of a property
    that is not registered only the number of its triples is kept.
    """
    _run(
        con,
        path,
        # IN, not a join: for a join the engine may choose to hold the file's side in memory.
        f"""CREATE TABLE scanned AS SELECT property, CASE WHEN is_known THEN subject END AS subject,
          CASE WHEN is_known THEN object END AS object, count(*) AS n,
          count(*) FILTER (subject IS NULL OR property IS NULL OR object IS NULL) AS n_incomplete
        FROM (SELECT *, property IN (SELECT given FROM known) AS is_known FROM {rows}) GROUP BY ALL""",
    )
    con.execute(
        """CREATE TABLE counted AS SELECT relation, subject, object, sum(n)::BIGINT AS n
        FROM scanned JOIN known ON given = property
        WHERE subject IS NOT NULL AND object IS NOT NULL GROUP BY ALL"""
    )
    con.execute(
        """CREATE TABLE skipped AS SELECT property, (n - n_incomplete)::BIGINT AS n FROM scanned
        ANTI JOIN known ON given = property WHERE property IS NOT NULL AND n > n_incomplete"""
    )
    n_read, n_incomplete = one_row(
        con,
        "SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n_incomplete), 0)::BIGINT FROM scanned",
    )
    con.execute("DROP TABLE scanned")
    n_rejected, first_bad = _rejected(con, "triples_bad", path)
    if n_incomplete and not first_bad:
        first_bad = _first_line(
            path, lambda cells: len(cells) == 3 and not all(cells), "an empty cell; expected a triple"
        )
    return n_read + n_rejected, n_incomplete + n_rejected, first_bad


# ---- SPARQL ----
def _from_sparql(
    con: Connection, path: Path, source: Path, sole_property: str | None
) -> tuple[int, int, str]:
    header = _sparql_header(path)
    given = {name.lower(): name for name in header}
    columns = {}
    for role, names in SPARQL_COLUMNS.items():
        columns[role] = next((given[name] for name in names if name in given), None)
        if role == "property" and sole_property and columns[role] is not None:
            raise SettingError(
                f"--property {sole_property}: {path.name} has a column for it, {columns[role]}; leave it out"
            )
        if columns[role] is None and not (role == "property" and sole_property):
            hint = "; or say which property it is about with --property P26" if role == "property" else ""
            raise DataError(
                f"{path}:1: no column for the {role}; the header has {', '.join(header)}; expected "
                f"one of {', '.join(names)}{hint}"
            )

    def trimmed(column: str) -> str:
        return f"regexp_replace({_identifier(column)}, {quoted(_URI)}, '', 'g')"

    property_ = trimmed(columns["property"]) if columns["property"] else quoted(str(sole_property))

    def scan(rejects: str | None) -> str:
        names = dict.fromkeys(header, "VARCHAR")
        return _csv(con, source, names, rejects, delimiter=",", quote='"', header=True)

    found = _count(
        con,
        path,
        f"""(SELECT {trimmed(str(columns["subject"]))} AS subject, {property_} AS property,
          {trimmed(str(columns["object"]))} AS object FROM {scan("triples_bad")})""",
    )
    for role in ("subject", "object"):
        label = given.get(f"{columns[role]}label".lower())
        if label:
            # Wikidata's label service gives the id itself where there is no label.
            con.execute(
                f"""INSERT INTO labels SELECT entity, min(label) FROM
                (SELECT {trimmed(str(columns[role]))} AS entity, trim({_identifier(label)}) AS label
                 FROM {scan(None)})
                WHERE label <> '' AND label <> entity AND entity NOT IN (SELECT entity FROM labels) GROUP BY entity"""
            )
    return found


def _sparql_header(path: Path) -> list[str]:
    import csv

    for _, line in text_lines(path):
        try:
            names = next(csv.reader([line]), [])
        except csv.Error as error:
            raise DataError(f"{path}:1: the header is not CSV ({error}); expected names of columns") from None
        if len(set(map(str.lower, names))) < len(names) or not all(names):
            raise DataError(f"{path}:1: the header has an empty or repeated column: {line[:80]}")
        return names
    raise DataError(f"{path}:1: the file is empty; expected a header")


# ---- the JSON dump ----
def _from_dump(con: Connection, path: Path, registry: Registry, workspace: Path) -> tuple[int, int, str]:
    counts = DumpCounts()
    triples, labels = workspace / "dump.triples.tsv", workspace / "dump.labels.tsv"
    with triples.open("w", encoding="utf-8") as triple_file, labels.open("w", encoding="utf-8") as label_file:
        for entity, name, statements in read_dump(path, registry, counts):
            if name:
                label_file.write(f"{entity}\t{name}\n")
            for property_, value in statements:
                triple_file.write(f"{entity}\t{property_}\t{value}\n")
    _from_tsv(con, triples, workspace)
    scan = _csv(con, labels, {"entity": "VARCHAR", "label": "VARCHAR"}, "labels_bad")
    con.execute(
        f"""INSERT INTO labels SELECT entity, min(label) FROM {scan} WHERE entity IN
        (SELECT subject FROM counted UNION SELECT object FROM counted) GROUP BY entity"""
    )
    return counts.n_lines, counts.n_bad, counts.first_bad


# ---- reading ----
class _Hashing:
    """A file's SHA-256, made by a thread beside the engine that reads the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.digest = ""

    def __enter__(self) -> _Hashing:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def _work(self) -> None:
        try:
            self.digest = file_sha256(self._path)
        except DataError:
            self.digest = ""

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._thread.join()


def _csv(
    con: Connection,
    path: Path,
    columns: Mapping[str, str],
    rejects: str | None,
    *,
    delimiter: str = "\t",
    quote: str = "",
    header: bool = False,
) -> str:
    """SQL that scans a delimited file; lines that do not fit go to the table `rejects`, or nowhere."""
    types = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in columns.items())
    bad_lines = "ignore_errors=true"
    if rejects:
        con.execute(f"DROP TABLE IF EXISTS {rejects}")
        bad_lines = (
            f"store_rejects=true, rejects_table={quoted(rejects)}, rejects_scan={quoted(rejects + '_scan')}"
        )
    return (
        f"read_csv({quoted(str(path))}, delim={quoted(delimiter)}, quote={quoted(quote)}, escape={quoted(quote)}, "
        f"header={str(header).lower()}, auto_detect=false, columns={{{types}}}, allow_quoted_nulls=false, {bad_lines})"
    )


def _run(con: Connection, path: Path, sql: str) -> None:
    """Run a scan of a user's file; the engine's message becomes one line."""
    try:
        con.execute(sql)
    except out_of_room():
        raise  # says nothing of the file
    except engine_error() as error:
        raise unreadable(path, error) from None


def _rejected(con: Connection, rejects: str, path: Path) -> tuple[int, str]:
    """How many lines did not fit, and the first of them."""
    exists = one_row(con, f"SELECT count(*) FROM duckdb_tables() WHERE table_name = {quoted(rejects)}")[0]
    if not exists:
        return 0, ""
    (n_bad,) = one_row(con, f"SELECT count(DISTINCT line) FROM {rejects}")
    if not n_bad:
        return 0, ""
    line, kind, message = one_row(
        con, f"SELECT line, error_type, error_message FROM {rejects} ORDER BY line, byte_position LIMIT 1"
    )
    said = message.splitlines()[0].rstrip(". ")
    separator = "commas" if _format_of(path) == "sparql" else "tabs"
    if "COLUMNS" in kind:
        expected, _, found = said.partition(" Found: ")
        said = f"{found} columns; expected {expected.rpartition(' ')[2]}, separated by {separator}"
    elif kind == "INVALID ENCODING":
        said = "not UTF-8; convert the file to UTF-8"
    return n_bad, f"{path}:{line}: {said}"


def _refuse_bad(read: Read, path: Path, max_bad: float, expected: str) -> None:
    if read.n_lines == 0:
        raise DataError(f"{path}:1: the file has no lines; expected {expected}")
    if read.n_bad > max_bad * read.n_lines:
        raise DataError(
            f"{read.first_bad} ({read.n_bad:,} of {read.n_lines:,} lines are bad, more than --max-bad {max_bad:g})"
        )


def _first_line(path: Path, is_bad: Callable[[list[str]], bool], said: str) -> str:
    """`file:line: said` of the first line whose cells are bad; a second look, made only on error."""
    for number, line in text_lines(path):
        if line and is_bad(line.split("\t")):
            return f"{path}:{number}: {said}"
    return f"{path}: {said}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
