"""Neutral pairs: hypotheses that the premise leaves open, drawn within each part after the split.

Works on the engine's tables of a build: rows (what is written), known_relations, allowed (which
phrasings a part may use) and grouped (all facts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from contsym.data.sql import hash_share, one_row, quoted
from contsym.data.wikidata.manifest import PARTS
from contsym.data.wikidata.relations import ANY_FAMILY, MIXED_DOMAIN

if TYPE_CHECKING:
    from contsym.data.sql import Connection


CANDIDATES = 8
"""Facts of an entity that a hypothesis is drawn from: bounded, or a country's would be all."""


def draw(con: Connection, wanted: Sequence[str], seed: int, say: Callable[[str], None]) -> list[str]:
    """Add neutral rows of the wanted kinds, in all half as many as a part has pairs.

    So three labels of equal size come of two. Gives a warning for each part that has too few.
    """
    con.execute(
        "CREATE TABLE relational AS SELECT r.*, k.domain, k.family FROM rows r JOIN known_relations k USING (relation)"
    )
    sql = "SELECT is_test, count(*) FROM relational GROUP BY is_test ORDER BY is_test"
    n_pairs = con.execute(sql).fetchall()
    warnings = []
    for kind in wanted:
        say(f"drawing {kind} hypotheses")
        con.execute(f"CREATE TABLE {kind}_rows AS {KINDS[kind](con, str(seed))}")
        order = hash_share(str(seed), quoted(kind), "id")
        for is_test, n in n_pairs:
            limit = n // (2 * len(wanted))
            con.execute(
                f"""INSERT INTO rows BY NAME SELECT * REPLACE (id || '~{kind}' AS id) FROM {kind}_rows
                WHERE is_test = {is_test} ORDER BY {order} LIMIT {limit}"""
            )
            sql = f"SELECT count(*) FROM {kind}_rows WHERE is_test = {is_test}"
            (n_made,) = one_row(con, sql)
            if n_made < limit:
                warnings.append(
                    f"--{kind}: the {PARTS[is_test]} part allows {n_made:,} such pairs of the {limit:,} wanted"
                )
    return warnings


def _unrelated(con: Connection, seed: str) -> str:
    """Hypotheses that state another fact of one of the premise's entities, of another family."""
    order = hash_share(seed, "'mention'", "id")
    # A few facts of each entity, or a country's would be joined with all of its own.
    con.execute(
        f"""CREATE TABLE mentions AS SELECT key, r.* FROM
        (SELECT unnest([a, b]) AS key, * FROM relational WHERE family <> {quoted(ANY_FAMILY)}) r
        QUALIFY row_number() OVER (PARTITION BY is_test, key ORDER BY {order}) <= {CANDIDATES}"""
    )
    chosen = hash_share(seed, "'neutral'", "r.id", "m.id")
    fields = ("relation", "i", "s_id", "o_id", "s_name", "o_name", "a", "b")
    packed = ", ".join(f"{name} := m.{name}" for name in fields)
    return f"""SELECT id, is_test, relation, '' AS kind, 'neutral' AS label, i, a, b, s_id, s_name, o_id, o_name,
        q.relation AS h_relation, q.i AS h_i, q.s_id AS hs_id, q.o_id AS ho_id, q.s_name AS hs_name,
        q.o_name AS ho_name, q.a AS h_a, q.b AS h_b FROM
      (SELECT r.id, arg_min(struct_pack({packed}), {chosen}) AS q
       FROM (SELECT unnest([a, b]) AS key, * FROM relational) r JOIN mentions m
       ON m.key = r.key AND m.is_test = r.is_test AND m.family <> r.family AND NOT (m.a = r.a AND m.b = r.b)
       GROUP BY r.id) JOIN relational USING (id)"""


def _swapped(con: Connection, seed: str) -> str:
    """Hypotheses about the same two entities with another relation of their type, not known to hold."""
    other = hash_share(seed, "'distract'", "r.id", "k.relation")
    phrasing = hash_share(seed, "'distract'", "c.id", "p.i")
    turned = hash_share(seed, "'distract'", "id") + " < 0.5"
    ends = ", ".join(
        f"CASE WHEN {turned} THEN {there}_{what} ELSE {here}_{what} END AS {role}_{what}"
        for role, here, there in (("hs", "s", "o"), ("ho", "o", "s"))
        for what in ("id", "name")
    )
    return f"""WITH present AS (SELECT DISTINCT is_test, relation, domain, family FROM relational
        WHERE domain <> {quoted(MIXED_DOMAIN)} AND family <> {quoted(ANY_FAMILY)}),
      chosen AS (SELECT r.id, r.is_test, arg_min(k.relation, {other}) AS h_relation
        FROM relational r JOIN present k
        ON k.is_test = r.is_test AND k.domain = r.domain AND k.family <> r.family
        LEFT JOIN grouped g ON g.relation = k.relation AND g.a = r.a AND g.b = r.b
        WHERE g.a IS NULL AND r.family <> {quoted(ANY_FAMILY)} GROUP BY ALL),
      said AS (SELECT c.id, c.h_relation, arg_min(p.i, {phrasing}) AS h_i FROM chosen c
        JOIN allowed p ON p.relation = c.h_relation AND p.is_test = c.is_test GROUP BY ALL)
      SELECT id, is_test, relation, '' AS kind, 'neutral' AS label, i, a, b, s_id, s_name, o_id, o_name,
        said.h_relation, said.h_i, {ends}, a AS h_a, b AS h_b FROM relational JOIN said USING (id)"""


KINDS: Mapping[str, Callable[[Connection, str], str]] = {"neutral": _unrelated, "distract": _swapped}
"""By the option that asks for them: the SQL of their rows, (connection, seed)."""
