"""Files of Wikidata triples and labels as tables of the engine.

The engine reads tab-separated triples (Wikidata5M, CoDEx, named facts) and SPARQL results directly; Wikidata's JSON
dump and .bz2 files are first streamed to a file on disk. At most one line of the input is in Python objects.
"""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from contsym.data.schema import file_sha256
from contsym.data.sql import Connection, insert, literal, one_row
from contsym.data.text_files import OPENERS, chunks, scanned, text_lines
from contsym.data.wikidata.delimited import (
    entity_of,
    first_line,
    identifier,
    rejected,
    run,
    scan_of,
    single_spaced,
    without_address,
    without_language,
)
from contsym.data.wikidata.dump import DumpCounts, read_dump
from contsym.data.wikidata.relations import Registry
from contsym.errors import DataError, SettingError

# Usual names of the columns of a SPARQL result.
SPARQL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject", "item", "s", "x", "a"),
    "property": ("property", "prop", "p", "relation", "wdt"),
    "object": ("object", "value", "o", "y", "b"),
}


Counts = tuple[int, int, str]
"""Lines, bad lines, and the first bad line with its problem."""


@dataclass(frozen=True)
class Read:
    """The manifest's entry of one input."""

    file: str
    bytes: int
    sha256: str
    format: str
    lines: int
    bad_lines: int
    first_bad: str
    """`file:line: problem` of the first bad line; empty if there is none."""


def read_triples(
    con: Connection,
    path: Path,
    registry: Registry,
    max_bad: float,
    workspace: Path,
    sole_property: str | None = None,
) -> Read:
    """Fill tables from a file of triples.

    triples(relation, subject, object, n): the distinct triples of registered relations and their counts.
    skipped(property, n): the properties that are not in the registry. labels(entity, label): the names that a dump or
    a SPARQL result has, otherwise empty.

    Raises DataError for a file that cannot be read or is empty, and for a share of bad lines above `max_bad`.
    """
    kind = _format_of(path)
    if sole_property is not None and kind != "sparql":
        raise SettingError(
            f"--property {sole_property}: {path.name} has the property of each triple; --property is for "
            "a SPARQL result (.csv) without a column for it; leave it out"
        )
    con.execute("CREATE TABLE spellings (spelling VARCHAR, relation VARCHAR)")
    insert(con, "spellings", _spellings(registry))
    con.execute("CREATE TABLE labels (entity VARCHAR, label VARCHAR)")
    sha256 = _Sha256(path)
    if kind == "dump":
        counts = _from_dump(con, path, registry, workspace)
    elif kind == "sparql":
        counts = scanned(path, workspace, lambda source: _from_sparql(con, path, source, sole_property))
    else:
        counts = _from_tsv(con, path, workspace)
    read = Read(path.name, path.stat().st_size, sha256.result(), kind, *counts)
    _refuse_bad(read, path, max_bad, "a triple: subject, property and object, separated by tabs")
    con.execute(
        f"""CREATE TABLE triples AS
        SELECT relation, subject, object, sum(n)::BIGINT AS n FROM (
          SELECT relation, n, {entity_of("subject")} AS subject, {entity_of("object")} AS object FROM counted)
        WHERE subject <> '' AND object <> '' GROUP BY ALL"""
    )
    con.execute("DROP TABLE counted")
    return read


def read_labels(con: Connection, path: Path, max_bad: float, workspace: Path) -> tuple[Read, int, int, str]:
    """Fill `labels` with the titles of the entities of `triples` from a label file.

    A line is an id, its title and any aliases, separated by tabs. A title replaces the label that the file of
    triples has. Returns the facts of the file, the number of entities that it names, the number of ids with several
    lines (the first one counts) and the first such id.
    """
    sha256 = _Sha256(path)
    sql = "SELECT subject AS entity FROM triples UNION SELECT object FROM triples"
    con.execute(f"CREATE TABLE entity_ids AS {sql}")
    scanned(path, workspace, lambda source: _titles(con, path, source))
    sql = "SELECT count(*), count(*) FILTER (label IS NULL OR entity = '') FROM titles"
    n_read, n_untitled = one_row(con, sql)
    n_rejected, first_bad = rejected(con, "labels_bad", path)
    if n_untitled and not first_bad:
        first_bad = first_line(path, lambda cells: len(cells) < 2 or not cells[0] or not cells[1].strip(),
                                "no title; expected an id, a tab and its title")  # fmt: skip
    counts = n_read + n_rejected, n_untitled + n_rejected, first_bad
    read = Read(path.name, path.stat().st_size, sha256.result(), "labels", *counts)
    _refuse_bad(read, path, max_bad, "an id, a tab and its title")
    n_twice, example = one_row(
        con,
        """SELECT count(*), arg_min(entity, number) FROM
        (SELECT entity, min(number) AS number FROM titles WHERE label IS NOT NULL GROUP BY entity HAVING count(*) > 1)""",
    )
    con.execute(
        """CREATE TABLE given AS SELECT entity, arg_min(label, number) AS label FROM titles
        WHERE label IS NOT NULL AND entity IN (SELECT entity FROM entity_ids) GROUP BY entity"""
    )
    # An entity with two labels would have each of its triples twice.
    con.execute("DELETE FROM labels WHERE entity IN (SELECT entity FROM given)")
    con.execute("INSERT INTO labels SELECT * FROM given")
    (n_named,) = one_row(con, "SELECT count(*) FROM given")
    con.execute("DROP TABLE titles; DROP TABLE entity_ids; DROP TABLE given")
    return read, n_named, n_twice, example or ""


def _titles(con: Connection, path: Path, source: Path) -> None:
    """Fill titles(number, entity, label) with the lines of a label file in order."""
    # Each line is one column, since the number of aliases differs.
    scan = scan_of(con, source, ["line"], "labels_bad", "\x01")
    con.execute("SET preserve_insertion_order = true")
    con.execute("CREATE OR REPLACE SEQUENCE label_lines")
    run(
        con,
        path,
        f"""CREATE TABLE titles AS
        SELECT nextval('label_lines') AS number, {entity_of("split_part(line, chr(9), 1)")} AS entity,
          nullif({without_language(single_spaced("split_part(line, chr(9), 2)"))}, '') AS label
        FROM {scan} WHERE line IS NOT NULL""",
    )
    con.execute("SET preserve_insertion_order = false")


def _format_of(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"--triples {path}: no such file; expected triples as .tsv, .txt, .csv or .json")
    if path.stat().st_size == 0:
        raise DataError(f"{path}:1: the file is empty; expected triples")
    unpacked = path.with_suffix("") if path.suffix.lower() in OPENERS else path
    suffix = (unpacked.suffix or path.suffix).lower()
    # Whatever the file's name: no line of triples starts like JSON.
    head = next(chunks(path), b"").removeprefix(b"\xef\xbb\xbf")
    if suffix == ".json" or re.match(rb'\s*(\[\s*)?\{\s*"', head):
        return "dump"
    return "sparql" if suffix == ".csv" or _has_variables(head) else "tsv"


def _has_variables(head: bytes) -> bool:
    """Whether lines with tabs begin with the variables of a SPARQL result, which no triple looks like."""
    names = {*_variables(head.partition(b"\n")[0].decode("utf-8", "replace").strip("\r").lower(), "\t")}
    known = {role for role, usual in SPARQL_COLUMNS.items() if names & {*usual}}
    has_labels = any(name.endswith("label") for name in names)
    return len(known) == 3 or (known >= {"subject", "object"} and (has_labels or len(names) == 2))


def _variables(line: str, delimiter: str) -> list[str]:
    """The names in a header; those in a file with tabs may begin with a question mark."""
    names = line.split("\t") if delimiter == "\t" else next(csv.reader([line]), [])
    return [name.removeprefix("?") for name in names]


def _spellings(registry: Registry) -> list[tuple[str, str]]:
    """(spelling, relation) for the id, the URIs and the English name of each property."""
    spellings = {}
    for relation in registry.relations.values():
        for base in ("", "http://www.wikidata.org/prop/direct/", "http://www.wikidata.org/entity/"):
            spellings[base + relation.id] = relation.id
            spellings[f"<{base}{relation.id}>"] = relation.id
        spellings.setdefault(relation.name, relation.id)
    return list(spellings.items())


# ---- tab-separated ----
def _from_tsv(con: Connection, path: Path, workspace: Path) -> Counts:
    def count(source: Path) -> Counts:
        return _count(con, path, scan_of(con, source, SPARQL_COLUMNS, "triples_bad"))

    return scanned(path, workspace, count)


def _count(con: Connection, path: Path, rows: str, separator: str = "tabs") -> Counts:
    """Fill `counted` and `skipped` from `rows`, the SQL of subject, property and object.

    Returns the number of lines, of bad lines, and the first bad line. One scan suffices, since of a property that is
    not registered only the number of triples is needed.
    """
    run(
        con,
        path,
        # IN, not a join: in a join the engine may hold the file's side in memory.
        f"""CREATE TABLE scanned AS SELECT property, CASE WHEN is_registered THEN subject END AS subject,
          CASE WHEN is_registered THEN object END AS object, count(*) AS n,
          count(*) FILTER (subject IS NULL OR property IS NULL OR object IS NULL) AS n_incomplete
        FROM (SELECT *, property IN (SELECT spelling FROM spellings) AS is_registered FROM {rows}) GROUP BY ALL""",
    )
    con.execute(
        """CREATE TABLE counted AS SELECT relation, subject, object, sum(n)::BIGINT AS n
        FROM scanned JOIN spellings ON spelling = property
        WHERE subject IS NOT NULL AND object IS NOT NULL GROUP BY ALL"""
    )
    con.execute(
        """CREATE TABLE skipped AS SELECT property, (n - n_incomplete)::BIGINT AS n FROM scanned
        ANTI JOIN spellings ON spelling = property WHERE property IS NOT NULL AND n > n_incomplete"""
    )
    sql = "SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n_incomplete), 0)::BIGINT FROM scanned"
    n_read, n_incomplete = one_row(con, sql)
    con.execute("DROP TABLE scanned")
    n_rejected, first_bad = rejected(con, "triples_bad", path, separator)
    if n_incomplete and not first_bad:
        problem = "an empty cell; expected a triple"
        first_bad = first_line(path, lambda cells: len(cells) == 3 and not all(cells), problem)
    return n_read + n_rejected, n_incomplete + n_rejected, first_bad


# ---- SPARQL ----
def _from_sparql(con: Connection, path: Path, source: Path, sole_property: str | None) -> Counts:
    header, delimiter = _sparql_header(path)
    by_lower = {name.lower(): name for name in header}
    columns: dict[str, str] = {}
    for role, names in SPARQL_COLUMNS.items():
        column = next((by_lower[name] for name in names if name in by_lower), None)
        is_sole = role == "property" and sole_property
        if column and is_sole:
            problem = f"{path.name} has a column for it, {column}"
            raise SettingError(f"--property {sole_property}: {problem}; leave it out")
        if column:
            columns[role] = column
        elif not is_sole:
            hint = "; or name the property of all rows with --property P26" if role == "property" else ""
            raise DataError(
                f"{path}:1: no column for the {role}; the header has {', '.join(header)}; expected "
                f"one of {', '.join(names)}{hint}"
            )

    def without_uri(role: str) -> str:
        # Blank nodes are `t123` in older results of Wikidata's service.
        blank = r"regexp_replace({0}, '^t([0-9]+)$', '_:\1')"
        return blank.format(without_address(identifier(columns[role])))

    def scan(rejects: str | None) -> str:
        return scan_of(con, source, header, rejects, delimiter, has_header=True)

    property_ = without_uri("property") if "property" in columns else literal(str(sole_property))
    counts = _count(
        con,
        path,
        f"""(SELECT {without_uri("subject")} AS subject, {property_} AS property,
          {without_uri("object")} AS object FROM {scan("triples_bad")})""",
        "tabs" if delimiter == "\t" else "commas",
    )
    for role in ("subject", "object"):
        if column := by_lower.get(f"{columns[role]}label".lower()):
            label = without_language(f"trim({identifier(column)})")
            # Wikidata's label service returns the id itself where there is no label.
            con.execute(
                f"""INSERT INTO labels SELECT entity, min(label) FROM
                (SELECT {without_uri(role)} AS entity, {label} AS label FROM {scan(None)})
                WHERE label <> '' AND label <> entity AND entity NOT IN (SELECT entity FROM labels) GROUP BY entity"""
            )
    return counts


def _sparql_header(path: Path) -> tuple[list[str], str]:
    """The names of the columns, and the sign between them."""
    for _, line in text_lines(path):
        delimiter = "\t" if "\t" in line else ","
        try:
            names = _variables(line, delimiter)
        except csv.Error as error:
            raise DataError(f"{path}:1: the header is not CSV ({error}); expected names of columns") from None
        if len(set(map(str.lower, names))) < len(names) or not all(names):
            raise DataError(f"{path}:1: the header has an empty or repeated column: {line[:80]}")
        return names, delimiter
    raise DataError(f"{path}:1: the file is empty; expected a header")


# ---- the JSON dump ----
def _from_dump(con: Connection, path: Path, registry: Registry, workspace: Path) -> Counts:
    counts = DumpCounts()
    triples, labels = workspace / "dump.triples.tsv", workspace / "dump.labels.tsv"
    with triples.open("w", encoding="utf-8") as triple_file, labels.open("w", encoding="utf-8") as label_file:
        for entity, name, statements in read_dump(path, registry, counts):
            if name:
                label_file.write(f"{entity}\t{name}\n")
            for property_, value in statements:
                triple_file.write(f"{entity}\t{property_}\t{value}\n")
    _from_tsv(con, triples, workspace)
    scan = scan_of(con, labels, ["entity", "label"], "labels_bad")
    con.execute(
        f"""INSERT INTO labels SELECT entity, min(label) FROM {scan} WHERE entity IN
        (SELECT subject FROM counted UNION SELECT object FROM counted) GROUP BY entity"""
    )
    return counts.n_lines, counts.n_bad, counts.first_bad


# ---- reading ----
class _Sha256(threading.Thread):
    """Computes a file's SHA-256 while the engine reads the file."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path, self._digest = path, ""
        self.start()

    def run(self) -> None:
        with suppress(DataError):  # the engine reports the error
            self._digest = file_sha256(self._path)

    def result(self) -> str:
        self.join()
        return self._digest


def _refuse_bad(read: Read, path: Path, max_bad: float, expected: str) -> None:
    if read.lines == 0:
        raise DataError(f"{path}:1: the file has no lines; expected {expected}")
    if read.bad_lines > max_bad * read.lines:
        raise DataError(
            f"{read.first_bad} ({read.bad_lines:,} of {read.lines:,} lines are bad, more than --max-bad {max_bad:g})"
        )
