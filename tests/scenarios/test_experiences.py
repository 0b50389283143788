"""The pairs of an experience: dealing, labels, forms and noise, checked by hand."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contsym.data.schema import PARTS, TaskData, content_fingerprint
from contsym.data.shots import few_shot
from contsym.data.sources import load_task
from contsym.errors import ContsymError, DataError, SettingError
from contsym.scenarios.experiences import deal_relations, experience_data, flip_labels, part_of_pair
from contsym.scenarios.schema import Experience
from contsym.tasks.catalog import own_tasks
from contsym.tasks.schema import NLI_LABELS
from tests.toy import table_from_rows


def pairs(sizes):
    """Pairs by number per relation; relations that begin with s are symmetric."""
    return table_from_rows(
        {
            "id": f"{name}/{i}",
            "premise": f"a{i} {name} b{i}",
            "hypothesis": f"b{i} {name} a{i}",
            "label": "entailment" if name.startswith("s") else "contradiction",
            "relation": name,
            "subject": f"a{i}",
            "object": f"b{i}",
        }
        for name, size in sizes.items()
        for i in range(size)
    )


TRAIN = pairs({"s1": 9, "s2": 3, "s3": 5, "a1": 2, "a2": 8, "a3": 4, "a4": 1})
TEST = pairs({"s1": 2, "s2": 1, "s3": 1, "a1": 1, "a2": 2, "a3": 1, "a5": 1})
VALIDATION = pairs({"s1": 1, "s3": 2, "a2": 1, "a3": 1})
TASK = TaskData(
    own_tasks()["wikidata"], "toy", TRAIN, VALIDATION, TEST, content_fingerprint(TRAIN, VALIDATION, TEST)
)


def experience(**changes):
    return Experience(task="wikidata", name="one", **changes)


def test_relations_of_each_kind_are_dealt_in_turn_the_frequent_first():
    # By training pairs: s1 9, s3 5, s2 3; a2 8, a3 4, a1 2, a4 1, and a5 has none.
    assert deal_relations(TASK.parts, 2, "x") == [["s1", "s2", "a2", "a1", "a5"], ["s3", "a3", "a4"]]
    assert deal_relations(TASK.parts, 3, "x") == [["s1", "a2", "a4"], ["s3", "a3", "a5"], ["s2", "a1"]]


def test_the_fourth_part_has_one_kind_only_and_a_sixth_none():
    assert deal_relations(TASK.parts, 4, "x")[3] == ["a4"]
    with pytest.raises(DataError) as raised:
        deal_relations(TASK.parts, 6, "experience one")
    assert str(raised.value) == (
        "experience one: part 6 of 6 would have no relation; the data have at most 5 of one kind; expected at "
        "most 5 parts"
    )
    with pytest.raises(DataError) as raised:
        deal_relations(TASK.parts, 9, "experience one")
    assert str(raised.value) == (
        "experience one: 9 parts by relation; the data have 8 relations; expected at least one per part"
    )


def test_a_part_is_trained_and_tested_on_its_own_relations():
    found = experience_data(TASK, experience(part=(2, 3)))
    assert Counter(found.train["relation"]) == {"s3": 5, "a3": 4}
    assert Counter(found.validation["relation"]) == {"s3": 2, "a3": 1}
    assert Counter(found.test["relation"]) == {"s3": 1, "a3": 1, "a5": 1}
    assert (found.name, found.task) == ("one", "wikidata")
    assert found.notes == ("part 2 of 3: s3, a3, a5",)
    assert found.fingerprint == content_fingerprint(found.train, found.validation, found.test)


def test_all_parts_together_are_the_task():
    for by in ("relation", "pair"):
        parts = [experience_data(TASK, experience(part=(k, 2), by=by)) for k in (1, 2)]
        for side in PARTS:
            ids = [pair for part in parts for pair in getattr(part, side)["id"]]
            assert sorted(ids) == sorted(getattr(TASK, side)["id"]), (by, side)


def test_pairs_are_dealt_alike_in_both_forms():
    assert {part_of_pair(f"p{i}", 4) for i in range(50)} == {1, 2, 3, 4}
    assert part_of_pair("p1#delexicalised", 4) == part_of_pair("p1", 4)


def test_the_test_may_be_on_all():
    found = experience_data(TASK, experience(part=(2, 3), test="all"))
    assert len(found.train) == 9
    assert found.test is TEST
    assert found.validation is VALIDATION


def test_labels_and_relations_by_name():
    found = experience_data(TASK, experience(labels=("entailment",)))
    assert (len(found.train), len(found.test)) == (17, 4)
    found = experience_data(TASK, experience(relations=("a2", "s2")))
    assert Counter(found.train["relation"]) == {"a2": 8, "s2": 3}
    assert Counter(found.validation["relation"]) == {"a2": 1}
    with pytest.raises(DataError) as raised:
        experience_data(TASK, experience(relations=("s9",)))
    assert str(raised.value) == (
        "experience one: relation 's9' is not in the data; did you mean s3 or s2 or s1?"
    )
    with pytest.raises(DataError) as raised:
        experience_data(TASK, experience(relations=("a4",)))
    assert str(raised.value) == "experience one: no validation pairs are left (relations a4)"


@pytest.mark.parametrize("width", [0, 400])
def test_a_note_of_many_relations_names_the_first(width):
    names = [f"s{i:03}{'x' * width}" for i in range(104)]
    many = pairs(dict.fromkeys(names, 1))
    task = TaskData(own_tasks()["wikidata"], "toy", many, many, many, content_fingerprint(many))
    half = names[::2]
    listed = ", ".join(name[:100] for name in half[:50])
    for changes, start in (({"part": (1, 2)}, "part 1 of 2: "), ({"relations": tuple(half)}, "relations ")):
        (note,) = experience_data(task, experience(**changes)).notes
        assert note == f"{start}{listed} and 2 more"
        assert len(note) < 10_000


def test_a_plain_experience_is_its_task():
    found = experience_data(TASK, Experience(task="wikidata", name="wikidata"))
    assert found == TASK


def test_delexicalised_are_the_same_pairs_on_the_same_side():
    found = experience_data(TASK, experience(form="delexicalised"))
    assert [pair.removesuffix("#delexicalised") for pair in found.train["id"]] == TRAIN["id"][:]
    assert [pair.removesuffix("#delexicalised") for pair in found.test["id"]] == TEST["id"][:]
    assert found.train["label"][:] == TRAIN["label"][:]
    assert not any("a0" in premise for premise in found.train["premise"])
    shots = few_shot(TRAIN, 8, 3)["id"]
    again = few_shot(found.train, 8, 3)["id"]
    assert [pair.removesuffix("#delexicalised") for pair in again] == shots[:]


@given(share=st.floats(0, 1), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_noise_flips_the_rounded_share_and_nothing_else(share, seed):
    found = flip_labels(TRAIN, share, seed, [0, 2])
    flipped = [a != b for a, b in zip(found["label"], TRAIN["label"], strict=True)]
    assert sum(flipped) == round(share * len(TRAIN))
    assert set(found["label"]) <= {0, 2}
    for name in ("id", "premise", "hypothesis", "relation", "kind"):
        assert found[name][:] == TRAIN[name][:]


def test_more_noise_flips_the_same_and_more_and_seeds_differ():
    def flipped(share, seed=0):
        found = flip_labels(TRAIN, share, seed, [0, 2])["label"]
        return {i for i, (a, b) in enumerate(zip(found, TRAIN["label"], strict=True)) if a != b}

    assert flipped(0.2) < flipped(0.5)
    assert flipped(0.5) != flipped(0.5, seed=1)


def test_of_three_labels_both_others_are_taken():
    rows = [{"id": str(i), "premise": "p", "hypothesis": "h", "label": "neutral"} for i in range(40)]
    found = flip_labels(table_from_rows(rows), 1.0, 0, [0, 1, 2])
    assert {NLI_LABELS[label] for label in found["label"]} == {"entailment", "contradiction"}


def test_one_label_alone_cannot_be_noisy():
    with pytest.raises(SettingError) as raised:
        flip_labels(TRAIN, 0.5, 0, [0])
    assert str(raised.value) == (
        "label noise needs two labels to choose from; the training pairs have entailment"
    )
    assert flip_labels(TRAIN, 0.0, 0, [0])["label"][:] == TRAIN["label"][:]


def test_the_bundled_relations_in_five_parts():
    """39 relations, 15 symmetric: every part has both kinds, on both sides."""
    task = load_task("wikidata", "bundled")
    parts = [experience_data(task, experience(part=(k, 5))) for k in range(1, 6)]
    for part in parts:
        assert set(part.train["kind"]) == {"symmetric", "antisymmetric"}
        assert set(part.test["kind"]) == {"symmetric", "antisymmetric"}
    relations = [name for part in parts for name in set(part.train["relation"])]
    assert len(relations) == len(set(relations)) == 39
    with pytest.raises(
        ContsymError, match=r"^experience one: 40 parts by relation; the data have 39 relations"
    ):
        experience_data(task, experience(part=(1, 40)))
