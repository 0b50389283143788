"""What the entities of triples are called: by the labels of their ids, or by themselves where they are names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contsym.data.sql import one_row, quoted
from contsym.errors import DataError

if TYPE_CHECKING:
    from contsym.data.sql import Connection


WIKIDATA_ID = r"[QPL][1-9][0-9]*(-[FS][1-9][0-9]*)?"
"""A Wikidata item, property or lexeme: an id whether it has a label or not."""
_OTHER_ID = r"\S*[0-9]\S*"
"""What may stand for an entity where names must not be read, if it has a label."""


def name_entities(con: Connection, triples: Path, labels: Path | None, lexicalised: bool) -> list[str]:
    """Fill entities(entity, is_id, name, opaque, key) from `triples` and `labels`; gives warnings.

    Two entities of one key look the same. Ids of other graphs than Wikidata have no form in common
    and are known by the labels: what has one is an id. Where most of those entities have one, the
    others are ids as well, else names. Raises DataError where names are wanted and no id has one.
    """
    con.execute(
        f"""CREATE TABLE given AS SELECT entity, label, regexp_full_match(entity, {quoted(WIKIDATA_ID)}) AS is_wikidata
        FROM (SELECT subject AS entity FROM triples UNION SELECT object FROM triples) LEFT JOIN labels USING (entity)"""
    )
    n_other, n_labelled, example = one_row(
        con,
        "SELECT count(*), count(label), min(entity) FILTER (label IS NULL) FROM given WHERE NOT is_wikidata",
    )
    are_ids = 2 * n_labelled > n_other
    key = "lower(name)" if lexicalised else "opaque"
    con.execute(
        f"""CREATE TABLE entities AS SELECT *, {key} AS key FROM (
        SELECT entity, is_id, CASE WHEN is_id THEN label ELSE entity END AS name,
          CASE WHEN is_wikidata OR is_id AND regexp_full_match(entity, {quoted(_OTHER_ID)}) THEN entity
            ELSE 'ent-' || left(sha256(lower(entity)), 12) END AS opaque
        FROM (SELECT *, is_wikidata OR {are_ids} OR label IS NOT NULL AS is_id FROM given))"""
    )
    con.execute("DROP TABLE given")
    warnings = []
    if labels and n_other and not are_ids:
        named = f"{n_labelled:,}" if n_labelled else "none"
        warnings.append(
            f"{labels.name} names {named} of {n_other:,} entities that are not Wikidata ids; those without a label, as "
            f"{example}, are taken for names"
        )
    n_ids, n_named, example = one_row(
        con, "SELECT count(*), count(name), min(entity) FILTER (name IS NULL) FROM entities WHERE is_id"
    )
    if not lexicalised or n_ids == n_named:
        return warnings
    if not n_named:
        given = f"{labels} has no label for any" if labels else "they have no labels"
        raise DataError(
            f"{triples}: the entities are ids, as {example}, and {given}; give --labels FILE "
            "(an id, a tab, its title), or --form delexicalised"
        )
    return [
        *warnings,
        f"{n_ids - n_named:,} of {n_ids:,} ids have no label, as {example}; their triples are left out",
    ]
