"""Names of the entities of triples: the labels of their ids, or the entities themselves where they are names."""

from __future__ import annotations

from pathlib import Path

from contsym.data.schema import alike
from contsym.data.sql import Connection, engine_error, insert, literal, one_row
from contsym.errors import DataError, first_line

WIKIDATA_ID = r"[QPL][1-9][0-9]*(-[FS][1-9][0-9]*)?"
"""A Wikidata item, property or lexeme, which is an id even without a label."""
_ADDRESS = r"<?https?://\S+"
"""An id too, as in SPARQL results of other graphs: nobody's name looks like it."""
_OTHER_ID = r"\S*[0-9]\S*"
"""An entity with a label that may serve as its own opaque id, since it cannot be read as a name."""


_BATCH = 10_000
UNLABELLED = "triples with an unlabelled id"
UNKNOWN = "triples with a blank node or a statement for an entity"


def drop_unknown(con: Connection) -> int:
    """Delete the triples of an end that is no entity, and return their number.

    A query gives a blank node (`_:b0`, or an address with genid) for "some value", and a statement for `p:` without `ps:`.
    """
    ends = ("subject", "object")
    signs = "starts_with({0}, '_:') OR contains({0}, '/.well-known/genid/') OR starts_with({0}, 'statement/')"
    is_unknown = " OR ".join(signs.format(end) for end in ends)
    (n,) = one_row(con, f"SELECT coalesce(sum(n), 0)::BIGINT FROM triples WHERE {is_unknown}")
    if n:
        con.execute(f"DELETE FROM triples WHERE {is_unknown}")
    return n


def check_pattern(con: Connection, pattern: str, relations: Path | None) -> None:
    """Raise DataError for an `entity_name` of the registry `relations` that Python reads and the engine does not."""
    try:
        con.execute(f"SELECT regexp_extract('', {literal(pattern)}, 1)").fetchall()
    except engine_error() as error:
        raise DataError(
            f"{relations}: entity_name '{pattern}': {first_line(error, 200)}; expected a regular expression of RE2, "
            "without look-around and back-references"
        ) from None


def name_entities(
    con: Connection, triples: Path, labels: Path | None, lexicalised: bool, pattern: str = ""
) -> list[str]:
    """Fill entities(entity, is_id, name, opaque, key) from the tables `triples` and `labels`; returns warnings.

    Two entities with one key look the same. Ids of graphs other than Wikidata have no common form: an entity with
    a label is an id, and so is an address; the others are ids too where most entities have a label, and names otherwise.
    `pattern` is a registry's: an entity, or its label, that fits it is named by its group, and its opaque id is a hash.
    Raises DataError where names are needed and no id has one.
    """
    con.execute(
        f"""CREATE TABLE labelled AS SELECT entity, label, regexp_full_match(entity, {literal(WIKIDATA_ID)}) AS is_wikidata
        FROM (SELECT subject AS entity FROM triples UNION SELECT object FROM triples) LEFT JOIN labels USING (entity)"""
    )
    con.execute("ALTER TABLE labelled ADD COLUMN is_spelt BOOLEAN DEFAULT false")
    if pattern:
        read = f"replace(regexp_extract(coalesce(label, entity), {literal(pattern)}, 1), '_', ' ')"
        con.execute(f"UPDATE labelled SET label = {read}, is_spelt = true WHERE {read} <> ''")
    is_address = f"regexp_full_match(entity, {literal(_ADDRESS)})"
    others = f"labelled WHERE NOT is_wikidata AND NOT {is_address}"
    sql = f"SELECT count(*), count(label), min(entity) FILTER (label IS NULL) FROM {others}"
    n_other, n_labelled, example = one_row(con, sql)
    are_ids = 2 * n_labelled > n_other
    # Python would take longer for millions of names than all else, so it gets those that SQL cannot compare.
    plain = r"regexp_full_match(name, '[!-~]+( [!-~]+)*')"
    key = f"CASE WHEN {plain} THEN lower(name) END" if lexicalised else "opaque"
    con.execute(
        f"""CREATE TABLE entities AS SELECT *, {key} AS key FROM (
        SELECT entity, is_id, CASE WHEN is_id THEN label ELSE entity END AS name,
          CASE WHEN is_wikidata OR is_id AND NOT is_spelt AND regexp_full_match(entity, {literal(_OTHER_ID)}) THEN entity
            ELSE 'ent-' || left(sha256(lower(entity)), 12) END AS opaque
        FROM (SELECT *, is_wikidata OR {are_ids} OR label IS NOT NULL OR {is_address} AS is_id FROM labelled))"""
    )
    con.execute("DROP TABLE labelled")
    if lexicalised:
        con.execute("CREATE TABLE others (name VARCHAR, other VARCHAR)")
        names = con.cursor().execute(
            "SELECT DISTINCT name FROM entities WHERE key IS NULL AND name IS NOT NULL"
        )
        while some := names.fetchmany(_BATCH):
            insert(con, "others", [(name, alike(name)) for (name,) in some])
        con.execute(
            "UPDATE entities SET key = other FROM others WHERE key IS NULL AND entities.name = others.name"
        )
        con.execute("DROP TABLE others")
    warnings = []
    if labels and n_other and not are_ids:
        n_named = f"{n_labelled:,}" if n_labelled else "none"
        warnings.append(
            f"{labels.name} names {n_named} of {n_other:,} entities that are not Wikidata ids; those without a label, as "
            f"{example}, are read as names"
        )
    sql = "SELECT count(*), count(name), min(entity) FILTER (name IS NULL) FROM entities WHERE is_id"
    n_ids, n_named, example = one_row(con, sql)
    if not lexicalised or n_ids == n_named:
        return warnings
    if not n_named:
        problem = f"{labels} has no label for any" if labels else "they have no labels"
        raise DataError(
            f"{triples}: the entities are ids, as {example}, and {problem}; give --labels FILE "
            "(an id, a tab, its title), or --form delexicalised"
        )
    missing = f"{n_ids - n_named:,} of {n_ids:,} ids have no label, as {example}; their triples are left out"
    return [*warnings, missing]
