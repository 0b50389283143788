"""What may be on both sides of train and test: five rules, made by hashes and checked afterwards.

All rules work on a table of the engine that holds a row for each pair:

    pairs(row, id, relation, kind, a, b, phrasing)

`row` is any unique number, `id` names the pair the same way in every build, `a` and `b` are the
two entities in alphabetical order. The rules fill sides(row, is_test); a row that is in neither
part is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from contsym.data.schema import LABEL_OF_KIND, stable_hash
from contsym.data.sql import hash_share, insert, one_row
from contsym.errors import DataError

if TYPE_CHECKING:
    from contsym.data.sql import Connection


SplitRule = Literal["random", "pair", "entity", "relation", "phrasing"]

SPLIT_RULES: Mapping[SplitRule, str] = {
    "random": "each pair by itself: leaky, its mirror image may be on the other side (the paper's)",
    "pair": "all pairs of the same two entities on one side",
    "entity": "no entity on both sides",
    "relation": "no relation on both sides, both kinds on each; no two entities either",
    "phrasing": "no phrasing on both sides; no two entities either",
}

# What each rule promises never to be on both sides: (what it is called, its SQL).
_PAIR = ("pair of entities", "a || chr(31) || b")
PROMISES: Mapping[SplitRule, Sequence[tuple[str, str]]] = {
    "random": (),
    "pair": (_PAIR,),
    "entity": (("entity", "unnest([a, b])"),),
    "relation": (_PAIR, ("relation", "relation")),
    "phrasing": (_PAIR, ("phrasing", "phrasing")),
}


@dataclass(frozen=True)
class Split:
    """What a rule did, and how many pairs it had to leave out for what reason."""

    rule: SplitRule
    n_left_out: Mapping[str, int]
    remark: str = ""
    """What a reader should know of the parts; empty if nothing."""


def assign(con: Connection, rule: SplitRule, test_share: float, seed: int) -> Split:
    """Fill `sides` by the rule; about `test_share` of the rows that stay are test.

    Raises DataError where the pairs do not allow the rule (one relation only, say), or where a
    part would be empty.
    """
    con.execute("CREATE OR REPLACE TABLE sides (row BIGINT, is_test BOOLEAN)")
    left_out = _RULES[rule](con, test_share, seed)
    n_train, n_test = counts(con)
    if not n_train or not n_test:
        empty = "training" if not n_train else "test"
        raise DataError(
            f"--split {rule}: the {empty} part would be empty ({n_train + n_test:,} pairs are left); expected "
            "more pairs, or another --split, --test-share or --seed"
        )
    share, remark = n_test / (n_train + n_test), ""
    if not 0.5 <= share / test_share <= 2:
        remark = (
            f"the test part is {share:.1%} of the pairs, not {test_share:.0%}: whole groups go to one side"
        )
    return Split(rule, {reason: n for reason, n in left_out.items() if n}, remark)


def counts(con: Connection) -> tuple[int, int]:
    """The rows on the training and on the test side."""
    n_train, n_test = one_row(
        con, "SELECT count(*) FILTER (NOT is_test), count(*) FILTER (is_test) FROM sides"
    )
    return n_train, n_test


def violations(con: Connection, table: str, rule: SplitRule) -> list[tuple[str, int, str]]:
    """What is on both sides of `table` though the rule promised it would not be.

    `table` has the columns of `pairs` and is_test. Gives (what, how many, an example).
    """
    found = []
    for what, sql in PROMISES[rule]:
        n, example = one_row(
            con,
            f"""SELECT count(*), min(x) FROM (SELECT x FROM (SELECT {sql} AS x, is_test FROM {table})
            GROUP BY x HAVING bool_or(is_test) AND bool_or(NOT is_test))""",
        )
        if n:
            found.append((what, n, str(example).replace("\x1f", " - ")))
    return found


def check(con: Connection, table: str, rule: SplitRule) -> None:
    """Raise DataError where the parts of `table` break the rule's promise."""
    for what, n, example in violations(con, table, rule):
        raise DataError(
            f"--split {rule}: {n:,} of {what} are in training and in test, as {example}; nothing was written; "
            "please report this"
        )


def _random(con: Connection, test_share: float, seed: int) -> dict[str, int]:
    con.execute(f"INSERT INTO sides SELECT row, {hash_share(str(seed), 'id')} < {test_share} FROM pairs")
    return {}


def _pair(con: Connection, test_share: float, seed: int) -> dict[str, int]:
    con.execute(f"INSERT INTO sides SELECT row, {hash_share(str(seed), 'a', 'b')} < {test_share} FROM pairs")
    return {}


def _entity(con: Connection, test_share: float, seed: int) -> dict[str, int]:
    # Each entity is drawn by itself. With a share q of test entities, q^2 of the pairs are
    # within test and (1-q)^2 within training; this q makes them s : 1-s.
    s = test_share
    q = math.sqrt(s) / (math.sqrt(s) + math.sqrt(1 - s))
    con.execute(
        f"""INSERT INTO sides SELECT row, a_test FROM
        (SELECT row, {hash_share(str(seed), "a")} < {q} AS a_test, {hash_share(str(seed), "b")} < {q} AS b_test
         FROM pairs) WHERE a_test = b_test"""
    )
    return {"pairs with an entity on each side": _n_pairs(con) - sum(counts(con))}


def _relation(con: Connection, test_share: float, seed: int) -> dict[str, int]:
    rows = con.execute("SELECT kind, relation, count(*) FROM pairs GROUP BY ALL ORDER BY ALL").fetchall()
    held_out = []
    for kind in LABEL_OF_KIND:
        sizes = {relation: n for k, relation, n in rows if k == kind}
        if len(sizes) < 2:
            raise DataError(
                f"--split relation needs two {kind} relations or more, one for each part; the data have "
                f"{', '.join(sizes) or 'none'}"
            )
        held_out += hold_out(sizes, test_share, seed)
    left_out = _by_group(con, "relation", held_out)
    return {**left_out, "test pairs of the more frequent kind": balance_kinds(con, True, seed)}


def balance_kinds(con: Connection, is_test: bool, seed: int) -> int:
    """Leave as many pairs of the one kind as of the other on one side; gives how many went.

    Relations take turns, so that a large one does not crowd the small ones out.
    """
    side = f"(SELECT * FROM pairs JOIN sides USING (row) WHERE is_test = {is_test})"
    n_of = dict(con.execute(f"SELECT kind, count(*) FROM {side} GROUP BY kind").fetchall())
    n_each = min(n_of.get(kind, 0) for kind in LABEL_OF_KIND)
    n_before = sum(counts(con))
    draw = hash_share(str(seed), "id")
    con.execute(
        f"""DELETE FROM sides WHERE row IN (
          SELECT row FROM (SELECT row, row_number() OVER (PARTITION BY kind ORDER BY turn, draw) AS place FROM
            (SELECT row, kind, {draw} AS draw,
               row_number() OVER (PARTITION BY relation ORDER BY {draw}) AS turn FROM {side}))
          WHERE place > {n_each})"""
    )
    return n_before - sum(counts(con))


def _phrasing(con: Connection, test_share: float, seed: int) -> dict[str, int]:
    rows = con.execute("SELECT relation, phrasing, count(*) FROM pairs GROUP BY ALL ORDER BY ALL").fetchall()
    by_relation: dict[str, dict[str, int]] = {}
    for relation, phrasing, n in rows:
        by_relation.setdefault(relation, {})[phrasing] = n
    held_out = [
        phrasing
        for sizes in by_relation.values()
        if len(sizes) > 1  # a relation that is said in one way only stays in training
        for phrasing in hold_out(sizes, test_share, seed)
    ]
    if not held_out:
        raise DataError(
            "--split phrasing needs a relation that is said in two ways or more; the data have none"
        )
    return _by_group(con, "phrasing", held_out)


def _by_group(con: Connection, column: str, held_out: Sequence[str]) -> dict[str, int]:
    """Whole groups to test; training pairs of two entities that a test pair has too are left out."""
    con.execute("CREATE OR REPLACE TABLE held_out (name VARCHAR)")
    insert(con, "held_out", [[name] for name in held_out])
    con.execute(f"INSERT INTO sides SELECT row, {column} IN (SELECT name FROM held_out) FROM pairs")
    con.execute(
        """DELETE FROM sides WHERE NOT is_test AND row IN (
          SELECT row FROM pairs SEMI JOIN
            (SELECT DISTINCT a, b FROM pairs JOIN sides USING (row) WHERE is_test) t
            ON pairs.a = t.a AND pairs.b = t.b)"""
    )
    return {"training pairs of two entities that are in test": _n_pairs(con) - sum(counts(con))}


def hold_out(sizes: Mapping[str, int], share: float, seed: int) -> list[str]:
    """Names whose sizes add up to about `share` of all, in an order that the seed draws.

    At least one is held out and at least one is not. A name that would take the sum above one
    and a half times the share is passed over, unless none fits: then it is the smallest.

    >>> hold_out({"a": 90, "b": 10}, 0.2, seed=0)
    ['b']
    """
    names = sorted(sizes, key=lambda name: stable_hash(seed, name))
    wanted, total = share * sum(sizes.values()), 0
    found: list[str] = []
    for name in names:
        if total + sizes[name] <= 1.5 * wanted and total < wanted and len(found) < len(sizes) - 1:
            found.append(name)
            total += sizes[name]
    return found or [min(names, key=lambda name: sizes[name])]


def _n_pairs(con: Connection) -> int:
    return one_row(con, "SELECT count(*) FROM pairs")[0]


_RULES = {"random": _random, "pair": _pair, "entity": _entity, "relation": _relation, "phrasing": _phrasing}
