"""Five rules that split pairs into train and test by hashes; SQL checks the promise of each afterwards.

All rules read a table of the engine with one row per pair:

    pairs(row, id, relation, kind, a, b, phrasing)

`row` is any unique number, `id` is the same in every build, `a` and `b` are the two entities in alphabetical
order. The rules fill sides(row, is_test), without the rows that are in neither part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from contsym.data.schema import LABEL_OF_KIND, Part, stable_hash
from contsym.data.sql import Connection, hash_share, insert, one_row
from contsym.errors import DataError

SplitRule = Literal["random", "pair", "entity", "relation", "phrasing"]
SIDES: tuple[Part, Part] = ("train", "test")
"""The parts that a rule fills, by the value of is_test; they are the files of a built dataset."""

SPLIT_RULES: Mapping[SplitRule, str] = {
    "random": "each pair by itself: leaky, its mirror image may be on the other side (the paper's)",
    "pair": "all pairs of the same two entities on one side",
    "entity": "no entity on both sides",
    "relation": "no relation on both sides, both kinds on each; no two entities either",
    "phrasing": "no phrasing on both sides; no two entities either",
}

# What each rule keeps from being on both sides: (name, SQL).
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
    """The outcome of a rule: pairs left out by reason, and a remark on the parts, if any."""

    n_left_out: Mapping[str, int]
    remark: str = ""


def assign(con: Connection, rule: SplitRule, test_share: float, seed: int) -> Split:
    """Fill `sides` by the rule; about `test_share` of its rows are test.

    Raises DataError where the pairs do not allow the rule (for example with one relation only), or where a part
    would be empty.
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
    share = n_test / (n_train + n_test)
    remark = f"the test part is {share:.1%} of the pairs, not {test_share:.0%}: whole groups go to one side"
    is_near = 0.5 <= share / test_share <= 2
    return Split({reason: n for reason, n in left_out.items() if n}, "" if is_near else remark)


def counts(con: Connection) -> tuple[int, int]:
    """The rows on the training and on the test side."""
    sql = "SELECT count(*) FILTER (NOT is_test), count(*) FILTER (is_test) FROM sides"
    n_train, n_test = one_row(con, sql)
    return n_train, n_test


def violations(con: Connection, table: str, rule: SplitRule) -> list[tuple[str, int, str]]:
    """(what, count, an example) of everything on both sides of `table` against the rule's promise.

    `table` has the columns of `pairs` and is_test.
    """
    broken = []
    for what, sql in PROMISES[rule]:
        n, example = one_row(
            con,
            f"""SELECT count(*), min(x) FROM (SELECT x FROM (SELECT {sql} AS x, is_test FROM {table})
            GROUP BY x HAVING bool_or(is_test) AND bool_or(NOT is_test))""",
        )
        if n:
            broken.append((what, n, str(example).replace("\x1f", " - ")))
    return broken


def check(con: Connection, table: str, rule: SplitRule) -> None:
    """Raise DataError where the parts of `table` break the rule's promise."""
    for what, n, example in violations(con, table, rule):
        raise DataError(
            f"--split {rule}: {n:,} times the same {what} is in training and in test, as {example}; nothing was written; "
            "please report this"
        )


def _by_hash(con: Connection, test_share: float, seed: int, *, columns: Sequence[str]) -> dict[str, int]:
    share = hash_share(str(seed), *columns)
    con.execute(f"INSERT INTO sides SELECT row, {share} < {test_share} FROM pairs")
    return {}


def _entity(con: Connection, test_share: float, seed: int) -> dict[str, int]:
    # Each entity is drawn independently. With a share q of test entities, q^2 of the pairs are within test and
    # (1-q)^2 within training; this q makes them s : 1-s.
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
            have = ", ".join(map(repr, sizes)) or "none"
            raise DataError(
                f"--split relation needs at least two {kind} relations, one per part; the data have {have}; add relations, "
                "two of each kind at least, or use another --split"
            )
        held_out += hold_out(sizes, test_share, seed)
    left_out = _by_group(con, "relation", held_out)
    return {**left_out, "test pairs of the more frequent kind": balance_kinds(con, True, seed)}


def balance_kinds(con: Connection, is_test: bool, seed: int) -> int:
    """Delete pairs of the more frequent kind on one side until both are equally frequent; gives their number.

    Relations take turns, so that pairs of small relations stay beside those of a large one.
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
        if len(sizes) > 1  # a relation with one phrasing stays in training
        for phrasing in hold_out(sizes, test_share, seed)
    ]
    if not held_out:
        raise DataError(
            "--split phrasing needs a relation with at least two phrasings; the data have none; add phrasings, or use "
            "another --split"
        )
    return _by_group(con, "phrasing", held_out)


def _by_group(con: Connection, column: str, held_out: Sequence[str]) -> dict[str, int]:
    """Move whole groups to test, and leave out training pairs whose two entities are in a test pair."""
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
    """Names whose sizes add up to about `share` of all, drawn by the seed.

    At least one is held out and at least one is not. A name that would take the sum above 1.5 times the share is
    skipped; if no name fits, the smallest is held out.

    >>> hold_out({"a": 90, "b": 10}, 0.2, seed=0)
    ['b']
    """
    names = sorted(sizes, key=lambda name: stable_hash(seed, name))
    target, total = share * sum(sizes.values()), 0
    held_out: list[str] = []
    for name in names:
        if total + sizes[name] <= 1.5 * target and total < target and len(held_out) < len(sizes) - 1:
            held_out.append(name)
            total += sizes[name]
    return held_out or [min(names, key=lambda name: sizes[name])]


def _n_pairs(con: Connection) -> int:
    return one_row(con, "SELECT count(*) FROM pairs")[0]


_RULES: Mapping[SplitRule, Callable[[Connection, float, int], dict[str, int]]] = {
    "random": partial(_by_hash, columns=("id",)),
    "pair": partial(_by_hash, columns=("a", "b")),
    "entity": _entity,
    "relation": _relation,
    "phrasing": _phrasing,
}
