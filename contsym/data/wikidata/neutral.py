"""Neutral pairs, whose hypotheses the premise leaves open, drawn within each part after the split.

Reads the engine's tables of a build: rows (the output), known_relations, allowed (the phrasings of each part)
and grouped (all facts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from contsym.data.splits import SIDES
from contsym.data.sql import Connection, hash_share, literal, one_row
from contsym.data.wikidata.relations import ANY_FAMILY, MIXED_DOMAIN

CANDIDATES = 8
"""Most facts of an entity to draw a hypothesis from, since a country has very many."""


def draw(con: Connection, kinds: Sequence[str], seed: int, say: Callable[[str], None]) -> list[str]:
    """Add neutral rows of the kinds, in total half as many as a part has pairs, so that three labels are equal.

    Returns a warning for each part that allows fewer.
    """
    con.execute(
        "CREATE TABLE relational AS SELECT r.*, k.domain, k.family FROM rows r JOIN known_relations k USING (relation)"
    )
    sql = "SELECT is_test, count(*) FROM relational GROUP BY is_test ORDER BY is_test"
    n_pairs = con.execute(sql).fetchall()
    warnings = []
    for kind in kinds:
        say(f"drawing {kind} hypotheses")
        con.execute(f"CREATE TABLE {kind}_rows AS {KINDS[kind](con, str(seed))}")
        order = hash_share(str(seed), literal(kind), "id")
        for is_test, n in n_pairs:
            limit = n // (2 * len(kinds))
            con.execute(
                f"""INSERT INTO rows BY NAME SELECT * REPLACE (id || '~{kind}' AS id) FROM {kind}_rows
                WHERE is_test = {is_test} ORDER BY {order} LIMIT {limit}"""
            )
            (n_rows,) = one_row(con, f"SELECT count(*) FROM {kind}_rows WHERE is_test = {is_test}")
            if n_rows < limit:
                part = SIDES[is_test]
                warnings.append(f"--{kind}: the {part} part allows only {n_rows:,} of {limit:,} such pairs")
    return warnings


def _unrelated(con: Connection, seed: str) -> str:
    """SQL for hypotheses that state a fact of another family about one of the premise's entities."""
    order = hash_share(seed, "'mention'", "id")
    # A few facts per entity: otherwise all facts of a country would be joined with each other.
    con.execute(
        f"""CREATE TABLE mentions AS SELECT key, r.* FROM
        (SELECT unnest([a, b]) AS key, * FROM relational WHERE family <> {literal(ANY_FAMILY)}) r
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
    """SQL for hypotheses about the same two entities with another relation of their type that the data do not state."""
    other = hash_share(seed, "'distract'", "r.id", "k.relation")
    phrasing = hash_share(seed, "'distract'", "c.id", "p.i")
    turned = hash_share(seed, "'distract'", "id") + " < 0.5"
    ends = ", ".join(
        f"CASE WHEN {turned} THEN {there}_{what} ELSE {here}_{what} END AS {role}_{what}"
        for role, here, there in (("hs", "s", "o"), ("ho", "o", "s"))
        for what in ("id", "name")
    )
    return f"""WITH present AS (SELECT DISTINCT is_test, relation, domain, family FROM relational
        WHERE domain <> {literal(MIXED_DOMAIN)} AND family <> {literal(ANY_FAMILY)}),
      chosen AS (SELECT r.id, r.is_test, arg_min(k.relation, {other}) AS h_relation
        FROM relational r JOIN present k
        ON k.is_test = r.is_test AND k.domain = r.domain AND k.family <> r.family
        LEFT JOIN grouped g ON g.relation = k.relation AND g.a = r.a AND g.b = r.b
        WHERE g.a IS NULL AND r.family <> {literal(ANY_FAMILY)} GROUP BY ALL),
      phrased AS (SELECT c.id, c.h_relation, arg_min(p.i, {phrasing}) AS h_i FROM chosen c
        JOIN allowed p ON p.relation = c.h_relation AND p.is_test = c.is_test GROUP BY ALL)
      SELECT id, is_test, relation, '' AS kind, 'neutral' AS label, i, a, b, s_id, s_name, o_id, o_name,
        phrased.h_relation, phrased.h_i, {ends}, a AS h_a, b AS h_b FROM relational JOIN phrased USING (id)"""


KINDS: Mapping[str, Callable[[Connection, str], str]] = {"neutral": _unrelated, "distract": _swapped}
"""By option: (connection, seed) to the SQL of the rows."""
