"""The promises of the split rules, as properties of whole builds; each has a slow twin in plain Python."""

import re
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contsym.data.splits import SPLIT_RULES, assign, check, hold_out, violations
from contsym.data.sql import open_engine
from contsym.data.wikidata.relations import registry
from contsym.errors import DataError
from tests.data.built import built, couples

SYMMETRIC = ("P26", "P3373", "P47", "P530", "P451")
ANTISYMMETRIC = ("P40", "P22", "P131", "P361", "P57")
NAMES = [
    f"{first} {last}" for first in ("Anna", "Ben", "Çelik", "D'Arcy") for last in ("Ode", "Rau", 'of "X"')
] + [
    *("anna ode", "Q1x", "Ltd.", "New York", "York", "[X]", "a,b", "über", "Ωmega", "São Paulo", "x", "日本"),
]
triples = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(SYMMETRIC + ANTISYMMETRIC), st.sampled_from(NAMES)),
    min_size=40,
    max_size=120,
)
options = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 3),
        "test_share": st.sampled_from([0.2, 0.5]),
        **{name: st.booleans() for name in ("paraphrase", "neutral", "distract", "balance")},
    }
)


def facts_of(row):
    """(relation, phrasing, two entities) of premise and hypothesis; names that differ only in case do not occur."""
    for prefix in ("", "hypothesis_"):
        ends = frozenset((row[f"{prefix}subject_id"], row[f"{prefix}object_id"]))
        yield row[f"{prefix}relation"], row[f"{prefix}phrasing"], ends


PROMISED = {
    "random": lambda fact: [],
    "pair": lambda fact: [fact[2]],
    "entity": lambda fact: list(fact[2]),
    "relation": lambda fact: [fact[0], fact[2]],
    "phrasing": lambda fact: [fact[1], fact[2]],
}


def test_every_rule_has_a_promise_here():
    assert set(PROMISED) == set(SPLIT_RULES)


@pytest.mark.parametrize("rule", SPLIT_RULES)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(triples=triples, chosen=options)
def test_a_build_keeps_the_promise_of_its_split(rule, triples, chosen):
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = built(Path(folder), triples, split=rule, **chosen)
        except DataError as error:
            # Few pairs may leave a part empty; nothing is written then.
            if not re.search("would be empty|needs|no triple is left", str(error)):
                raise
            assert not (Path(folder) / "out").exists()
            return
    rows = made["rows"]
    seen = {part: {x for row in rows if row["part"] == part for f in facts_of(row) for x in PROMISED[rule](f)}
            for part in ("train", "test")}  # fmt: skip
    assert not seen["train"] & seen["test"]
    _check_rows(rows, triples)
    if rule == "relation" or chosen["balance"]:
        kinds = Counter(row["kind"] for row in rows if row["part"] == "test" and row["kind"])
        assert kinds["symmetric"] == kinds["antisymmetric"]
    counted = {
        part: Counter(row["label"] for row in rows if row["part"] == part) for part in ("train", "test")
    }
    assert made["labels"] == counted


def _check_rows(rows, triples):
    relations = registry().relations
    stated = {(s.lower(), r, o.lower()) for s, r, o in triples if s.lower() != o.lower()}
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        relation, s, o = relations[row["relation"]], row["subject"], row["object"]
        phrasing = relation.phrasings.index(row["phrasing"])
        is_stated = (s.lower(), relation.id, o.lower()) in stated
        is_mirrored = (o.lower(), relation.id, s.lower()) in stated
        assert is_stated or (relation.kind == "symmetric" and is_mirrored)
        # A pair that contradicts its kind is in no part.
        assert relation.kind == "symmetric" or not is_mirrored
        assert row["premise"] == relation.sentence(phrasing, s, o)
        assert row["delexicalised_premise"] == relation.sentence(
            phrasing, row["subject_id"], row["object_id"]
        )
        other = relations[row["hypothesis_relation"]]
        asked = other.phrasings.index(row["hypothesis_phrasing"])
        ids = row["hypothesis_subject_id"], row["hypothesis_object_id"]
        assert row["delexicalised_hypothesis"] == other.sentence(asked, *ids)
        if row["label"] == "neutral":
            assert row["kind"] == "" and row["id"].endswith(("~neutral", "~distract"))
            assert other.family != relation.family
            shared = set(ids) & {row["subject_id"], row["object_id"]}
            assert len(shared) == (2 if row["id"].endswith("~distract") else 1)
        else:
            assert (
                row["label"] == {"symmetric": "entailment", "antisymmetric": "contradiction"}[relation.kind]
            )
            assert row["hypothesis"] == relation.sentence(asked, o, s)


@pytest.mark.parametrize("rule", [rule for rule in SPLIT_RULES if rule != "random"])
def test_a_broken_promise_is_seen(rule):
    """The check can fail: one row of test copied into training."""
    with open_engine() as con:
        con.execute(
            """CREATE TABLE stated AS SELECT * FROM (VALUES (false, 'P26', 'a', 'b', '[X] and [Y]'),
            (true, 'P40', 'c', 'd', '[X] of [Y]')) t(is_test, relation, a, b, phrasing)"""
        )
        assert violations(con, "stated", rule) == []
        con.execute("INSERT INTO stated SELECT false, relation, a, b, phrasing FROM stated WHERE is_test")
        with pytest.raises(
            DataError, match=f"--split {rule}: . times the same .* is in training and in test, as "
        ):
            check(con, "stated", rule)


def test_the_papers_split_puts_mirrored_pairs_on_both_sides(tmp_path):
    """The leak of `random`: (A r B) in training, (B r A) in test."""
    both_ways = [t for s, r, o in couples(200) for t in ((s, r, o), (o, r, s))]
    parts = defaultdict(set)
    for row in built(tmp_path, [*both_ways, *couples(50, "P40")], split="random")["rows"]:
        parts[frozenset((row["subject"], row["object"]))].add(row["part"])
    assert sum(len(found) == 2 for found in parts.values()) > 30
    made = built(tmp_path, [*both_ways, *couples(50, "P40")], split="pair", out=tmp_path / "pair")
    assert len(made["rows"]) == 250


@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_the_test_share_is_about_what_was_asked_for(rule, tmp_path):
    facts = [t for i, r in enumerate(SYMMETRIC + ANTISYMMETRIC) for t in couples(100, r, f"n{i}")]
    made = built(tmp_path, facts, split=rule, test_share=0.3)
    share = sum(row["part"] == "test" for row in made["rows"]) / len(made["rows"])
    # Whole relations and phrasings go to one side, so those rules can only come near.
    assert share == pytest.approx(0.3, abs=0.05 if rule in ("random", "pair", "entity") else 0.2)


@pytest.mark.parametrize(
    ("sizes", "share", "n"),
    [({"a": 90, "b": 10}, 0.2, 10), ({"a": 1, "b": 1}, 0.2, 1), ({"a": 5, "b": 900}, 0.9, 5)],
)
def test_hold_out_takes_what_comes_near_the_share(sizes, share, n):
    found = hold_out(sizes, share, seed=0)
    assert sum(sizes[name] for name in found) == n


@given(sizes=st.dictionaries(st.text(min_size=1), st.integers(1, 1000), min_size=2), seed=st.integers(0, 99))
def test_hold_out_leaves_something_on_both_sides(sizes, seed):
    found = hold_out(sizes, 0.2, seed)
    assert 0 < len(found) < len(sizes)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("rule", "facts", "message"),
    [
        ("relation", [*couples(9), *couples(9, "P40"), *couples(9, "P22")],
         "--split relation needs at least two symmetric relations, one per part; the data have 'P26'; add "
         "relations, two of each kind at least, or use another --split"),
        ("pair", couples(1), "the training part would be empty|the test part would be empty"),
        ("entity", [("hub", "P26", f"n{i}") for i in range(3)], "would be empty"),
    ],
)  # fmt: skip
def test_data_that_do_not_allow_a_rule_are_refused(rule, facts, message, tmp_path):
    with pytest.raises(DataError, match=message):
        built(tmp_path, facts, split=rule)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["triples.tsv"]


def test_the_order_of_the_input_has_no_say(tmp_path):
    facts = [
        *couples(60),
        *couples(60, "P40", "parent"),
        *couples(60, "P3373", "kin"),
        *couples(60, "P22", "dad"),
    ]
    one = built(tmp_path, facts, split="relation", neutral=True, distract=True)
    two = built(tmp_path, facts[::-1], split="relation", neutral=True, distract=True, out=tmp_path / "again")
    assert one["files"] == two["files"]
    other = built(tmp_path, facts, split="pair", seed=1, out=tmp_path / "seed")
    assert other["files"] != one["files"]


def test_assign_counts_the_pairs_left_out(tmp_path):
    with open_engine(tmp_path) as con:
        con.execute(
            """CREATE TABLE pairs AS SELECT i AS row, 'id' || i AS id, 'P26' AS relation, 'symmetric' AS kind,
            'a' || (i % 7) AS a, 'b' || (i % 11) AS b, '' AS phrasing FROM range(77) t(i)"""
        )
        split = assign(con, "entity", 0.2, seed=0)
        (n,) = con.execute("SELECT count(*) FROM sides").fetchall()[0]
    assert split.n_left_out == {"pairs with an entity on each side": 77 - n}
