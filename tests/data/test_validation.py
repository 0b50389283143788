"""The validation part: the source's own, or cut out of training by the rule that holds for the test part."""

import itertools
import json
from collections import Counter

import pytest

from contsym.data.sources import load_task
from contsym.data.validation import cut, without_repeats
from contsym.errors import DataError
from tests.toy import table_from_rows

NOTHING = table_from_rows([{"premise": "no", "hypothesis": "one", "label": "neutral"}])


def nli(n_premises, hypotheses=3):
    labels = itertools.cycle(("entailment", "neutral", "contradiction"))
    return [
        {"id": f"{i}/{j}", "premise": f"p {i}", "hypothesis": f"h {i} {j}", "label": label}
        for (i, j), label in zip(
            itertools.product(range(n_premises), range(hypotheses)), labels, strict=False
        )
    ]


def facts(
    entities, relations=("near", "of"), label=lambda r: "entailment" if r == "near" else "contradiction"
):
    return [
        {
            "id": f"{a} {r} {b}",
            "premise": f"{a} {r} {b}",
            "hypothesis": f"{b} {r} {a}",
            "label": label(r),
            "relation": r,
            "subject": a,
            "object": b,
        }
        for a, b in entities
        for r in relations
    ]


def write(folder, **parts):
    for name, rows in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "test", "validation"), ("test", "validation")),
        (("train", "test", "dev"), ("test", "dev")),
        (("train", "dev_matched", "dev_mismatched"), ("dev_matched", "dev_mismatched")),
        (
            ("train", "validation_matched", "validation_mismatched"),
            ("validation_matched", "validation_mismatched"),
        ),
        (("train", "dev"), ("dev", "train")),
        (("train", "test"), ("test", "train")),
    ],
)
def test_the_validation_part_is_the_sources_own_or_of_training(names, expected, tmp_path):
    rows = nli(40)
    parts = {name: rows[30 * i : 30 * i + 30] for i, name in enumerate(names)}
    data = load_task("mnli", write(tmp_path, **parts))
    test, validation = ({row["id"] for row in parts[name]} for name in expected)
    assert set(data.test["id"]) == test
    if expected[1] == "train":  # a tenth, a whole premise
        assert (data.rows["train"], data.rows["validation"]) == (27, 3)
        assert len({pair.partition("/")[0] for pair in data.validation["id"]}) == 1
    else:
        assert set(data.validation["id"]) == validation
        assert data.notes == ()


def test_a_validation_part_that_is_the_test_part_is_not_chosen_by(tmp_path):
    rows = nli(20)
    data = load_task("mnli", write(tmp_path, train=rows[:30], dev=rows[30:], test=rows[30:]))
    assert data.rows == {"train": 27, "validation": 3, "test": 30}
    assert data.notes[0] == "validation: all 30 pairs are in another part too; training pairs are taken"


def test_pairs_of_one_premise_stay_together_and_labels_keep_their_shares():
    made = cut(table_from_rows(nli(400)), NOTHING, None, relational=False)
    assert Counter(made.validation["label"]) == {0: 40, 1: 40, 2: 40}
    assert not set(made.validation["premise"]) & set(made.train["premise"])
    assert made.notes == ("validation: 120 of the 1,200 training pairs, all pairs of one premise together",)


def test_there_are_at_most_a_thousand():
    made = cut(table_from_rows(nli(6000, 2)), NOTHING, None, relational=False)
    assert 990 <= len(made.validation) <= 1000
    assert len(made.validation) + len(made.train) == 12_000


def test_a_small_part_still_has_every_label_and_one_pair_is_too_few():
    made = cut(table_from_rows(nli(12, 1)), NOTHING, None, relational=False)
    assert set(made.validation["label"]) == set(made.train["label"]) == {0, 1, 2}
    with pytest.raises(DataError, match=r"1 training pairs are too few to take a validation part from"):
        cut(table_from_rows(nli(1, 1)), NOTHING, None, relational=False)


def test_one_premise_for_all_is_cut_pair_by_pair_and_said():
    made = cut(table_from_rows(nli(1, 30)), NOTHING, None, relational=False)
    assert len(made.validation) == 3
    assert made.notes[1] == "validation: the training pairs do not allow rule premise; rule random is used"


def test_pairs_that_are_in_the_test_too_are_left_in_training():
    rows = nli(20, 1)
    made = cut(table_from_rows(rows), table_from_rows(rows[:15]), None, relational=False)
    assert set(made.validation["id"]) <= {row["id"] for row in rows[15:]}
    found, n = without_repeats(table_from_rows(rows[:3]), [table_from_rows(rows[2:])])
    assert (found["id"][:], n) == (["0/0", "1/0"], 1)


def test_no_entity_is_on_both_sides_and_separate_couples_cost_no_training_pair():
    couples = [(f"a{i}", f"b{i}") for i in range(100)]
    made = cut(table_from_rows(facts(couples)), NOTHING, "entity", relational=True)
    assert (len(made.train), len(made.validation)) == (180, 20)
    names = [{*part["subject"], *part["object"]} for part in (made.train, made.validation)]
    assert not names[0] & names[1]


def test_too_few_relations_for_unseen_ones_are_cut_by_pair_and_said():
    couples = [(f"a{i}", f"b{i}") for i in range(100)]
    made = cut(table_from_rows(facts(couples)), NOTHING, "relation", relational=True)
    assert made.notes[1] == "validation: the training pairs do not allow rule relation; rule pair is used"
    assert not set(made.train["subject"]) & set(made.validation["subject"])


def test_unseen_relations_are_chosen_on_unseen_relations():
    relations = [f"{kind}{i}" for kind in ("near", "of") for i in range(12)]
    couples = [[(f"{r} a{i}", f"{r} b{i}") for i in range(20)] for r in relations]
    label = lambda r: "entailment" if r.startswith("near") else "contradiction"  # noqa: E731
    rows = [row for r, own in zip(relations, couples, strict=True) for row in facts(own, (r,), label)]
    made = cut(table_from_rows(rows), NOTHING, "relation", relational=True)
    assert not set(made.train["relation"]) & set(made.validation["relation"])
    assert Counter(made.validation["label"]) in ({0: 20, 2: 20}, {0: 40, 2: 40})


def test_the_order_of_the_rows_has_no_say():
    rows = facts([(f"a{i % 9}", f"b{i}") for i in range(60)])
    for rule in (None, "pair", "entity"):
        one, other = (
            cut(table_from_rows(each), NOTHING, rule, relational=True).validation["id"]
            for each in (rows, rows[::-1])
        )
        assert sorted(one) == sorted(other)
