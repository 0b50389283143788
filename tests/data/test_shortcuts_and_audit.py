"""Scores of the shortcuts and findings of the audit, on data small enough to count by hand."""

import json
import unicodedata
from dataclasses import asdict

import duckdb
import pytest

from contsym.data.audit import audit, repeats
from contsym.data.schema import TaskData
from contsym.data.shortcuts import MAX_TRAIN, SHORTCUTS, best, scores
from contsym.data.sources import load_task
from contsym.errors import ContsymError
from contsym.tasks.catalog import own_tasks
from tests.data.built import built, couples
from tests.toy import table_from_rows


def pair(subject, phrase, object_, kind="symmetric", **more):
    return {
        "premise": f"{subject} {phrase} {object_}",
        "hypothesis": f"{object_} {phrase} {subject}",
        "label": {"symmetric": "entailment", "antisymmetric": "contradiction"}[kind],
        "relation": phrase,
        "subject": subject,
        "object": object_,
        **more,
    }


def nli(premise, hypothesis, label):
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


def data_of(train, test, split=None):
    validation = [pair("v", "is near", "w")]
    named = {"train": train, "validation": validation, "test": test}
    parts = {name: table_from_rows(rows, name) for name, rows in named.items()}
    return TaskData(own_tasks()["wikidata"], "here", **parts, fingerprint="f", split=split)


NEAR = [pair(f"a{i}", "is near", f"b{i}") for i in range(8)]
OF = [pair(f"c{i}", "is part of", f"d{i}", "antisymmetric") for i in range(8)]
TEST = [*(pair(f"e{i}", "is near", f"f{i}") for i in range(3)), pair("g", "is part of", "h", "antisymmetric")]

# -- shortcuts --


def test_the_phrase_gives_the_label_away():
    found = scores(table_from_rows([*NEAR, *OF]), table_from_rows(TEST))
    assert found["relation_phrase"] == 1.0
    assert found["hypothesis_only"] == found["bag_of_words"] == found["unordered_words"] == 1.0
    # Three of four are entailment.
    assert found["majority"] == 0.75
    assert list(found) == list(SHORTCUTS)


def test_an_unknown_phrase_gets_the_most_frequent_training_label():
    test = table_from_rows([pair("x", "is far from", "y"), pair("x", "owns", "y", "antisymmetric")])
    found = scores(table_from_rows([*NEAR, *OF[:2]]), test)
    assert found["relation_phrase"] == 0.5
    assert scores(table_from_rows([*NEAR[:2], *OF]), table_from_rows(TEST[:3]))["relation_phrase"] == 1.0


def test_the_label_in_the_hypothesis_is_found_without_the_premise():
    rows = [
        nli(f"p{i}", word, label)
        for i in range(9)
        for word, label in (("yes", "entailment"), ("no", "contradiction"))
    ]
    found = scores(table_from_rows(rows), table_from_rows(rows[:4]))
    assert found["hypothesis_only"] == 1.0
    assert "relation_phrase" not in found


def test_without_entities_no_phrase_is_known_and_none_is_looked_up():
    """The phrase would be the whole premise, which no test pair repeats: chance, where the relation gives all away."""
    nameless = [{**row, "subject": "", "object": ""} for row in [*NEAR, *OF]]
    tests = [{**row, "subject": "", "object": ""} for row in TEST]
    assert "relation_phrase" not in scores(table_from_rows(nameless), table_from_rows(tests))


def test_lengths_and_overlap_are_looked_at():
    long = [nli("a b c d e f g h", "z", "entailment") for _ in range(9)]
    short = [nli("a", "z", "contradiction") for _ in range(9)]
    assert scores(table_from_rows([*long, *short]), table_from_rows([long[0], short[0]]))["length"] == 1.0
    same = [nli(f"x{i} y{i}", f"y{i} x{i}", "entailment") for i in range(9)]
    other = [nli(f"x{i} y{i}", f"v{i} w{i}", "contradiction") for i in range(9)]
    test = [nli("q r", "r q", "entailment"), nli("q r", "s t", "contradiction")]
    found = scores(table_from_rows([*same, *other]), table_from_rows(test))
    assert found["overlap"] == 1.0
    # Words that were never seen and lengths that are all alike tell nothing.
    assert found["bag_of_words"] == found["length"] == 0.5


def test_word_order_alone_is_no_shortcut_of_the_unordered_bag():
    """A pair and its reverse have the same words: only a bag of words per side can differ."""
    rows = [nli("sun", "rain", "entailment"), nli("rain", "sun", "contradiction")] * 9
    found = scores(table_from_rows(rows), table_from_rows(rows[:2]))
    assert found["unordered_words"] == 0.5
    assert found["bag_of_words"] == found["hypothesis_only"] == 1.0


def test_one_label_in_training_is_all_that_can_be_answered():
    found = scores(table_from_rows(NEAR), table_from_rows(TEST))
    assert set(found.values()) == {0.75}


def test_training_pairs_are_bounded(monkeypatch):
    monkeypatch.setattr("contsym.data.shortcuts.MAX_TRAIN", 6)
    assert scores(table_from_rows([*NEAR, *OF]), table_from_rows(TEST))["relation_phrase"] == 1.0
    assert MAX_TRAIN == 20_000


def test_the_same_pairs_score_the_same_again():
    made = [scores(table_from_rows([*NEAR, *OF]), table_from_rows(TEST)) for _ in range(2)]
    assert made[0] == made[1]


def test_best_is_the_first_of_the_highest():
    assert best({"majority": 0.5, "length": 0.7, "overlap": 0.7}) == ("length", 0.7)


# -- leaks --


def leaks_of(train, test, split=None):
    found = audit(data_of(train, test, split))
    return {leak.what: leak for leak in found.leaks}


def test_leaks_are_counted_row_by_row():
    train = [pair("ann", "is near", "ben"), pair("cat", "owns", "dog", "antisymmetric")]
    test = [
        pair("ann", "is near", "ben"),  # the same pair
        pair("ben", "is near", "ann"),  # mirrored
        pair("Ann", "is far from", "BEN"),  # the same entities
        pair("ann", "is near", "eve"),  # one entity
        pair("fay", "is near", "gus"),  # the relation
        pair("hal", "likes", "ida"),  # nothing
    ]
    found = {what: leak.n_rows for what, leak in leaks_of(train, test).items()}
    assert found == {
        "the same pair": 1,
        "the mirrored pair": 1,
        "the same two entities": 3,
        "one of the entities": 4,
        "the relation": 4,
        "the phrasing": 4,
    }
    leak = leaks_of(train, test)["the relation"]
    assert leak.share == pytest.approx(4 / 6)
    assert leak.examples == ("is near",)
    assert leaks_of(train, test)["the same pair"].examples == ("ann is near ben | ben is near ann",)


def test_what_the_split_forbids_is_marked():
    promised = {what for what, leak in leaks_of(NEAR, TEST, "relation").items() if leak.promised}
    assert promised == {"the relation", "the same two entities"}
    assert not any(leak.promised for leak in leaks_of(NEAR, TEST).values())


def test_a_task_without_relations_is_looked_through_for_shared_premises():
    rows = [nli("it rains", f"h{i}", "neutral") for i in range(3)]
    found = audit(data_of(rows[:2], [rows[2], nli("It rains", "x", "neutral")]))
    counts = {leak.what: leak.n_rows for leak in found.leaks if leak.share is not None}
    assert counts == {"the same pair": 0, "the mirrored pair": 0, "the premise": 2}
    assert found.not_looked_for == ("entities", "relation")
    # A relation alone says nothing of the entities.
    named = [{**row, "relation": "r"} for row in rows]
    found = audit(data_of(named[:2], named[2:]))
    assert found.not_looked_for == ("entities",)
    assert {leak.what: leak.share for leak in found.leaks}["the relation"] == 1.0


# -- doubtful rows --


def problems_of(rows, **options):
    return {problem.what: problem for problem in audit(data_of(rows, TEST), **options).problems}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("caf\N{REPLACEMENT CHARACTER}", "a replacement character"),
        ("cafÃ©", "UTF-8 that was decoded as another encoding"),
        ("itâ€™s", "UTF-8 that was decoded as another encoding"),
        ("a\x07b", "a control character"),
        ("Tom &amp; Jerry", "HTML left in the text"),
        ("a <b>bold</b> word", "HTML left in the text"),
    ],
)
def test_text_that_was_damaged_is_found(text, what):
    found = problems_of([*NEAR, pair(text, "is near", "x", id="odd")])
    (problem,) = [p for name, p in found.items() if name.startswith(what)]
    assert problem.n_rows == 1
    assert problem.examples == ("odd",)


@pytest.mark.parametrize("text", ["café", "Ångström", "R&D", "x < y", "naïve Â", "日本", "emoji 🙂"])
def test_text_that_is_right_is_not_complained_of(text):
    assert problems_of([*NEAR, pair(text, "is near", "x")]) == {}


def test_repeated_and_contradictory_pairs():
    twice = [nli("a b", "c d", "neutral"), nli("a b", "c d", "neutral"), nli("a b", "c d", "entailment")]
    found = problems_of([*NEAR, *twice, nli("same", "same", "entailment")])
    assert found["an example that is in its part more than once"].n_rows == 1
    assert found["an example with different labels"].n_rows == 1
    assert found["a hypothesis that repeats its premise"].n_rows == 1


def test_what_comes_more_than_once_is_counted_part_by_part():
    twice = [
        nli("a", "b", "neutral"),
        nli("a", "b", "neutral"),
        nli("c", "d", "neutral"),
        nli("c", "d", "entailment"),
    ]
    assert repeats(data_of([*NEAR, *twice], [*OF, NEAR[0]])) == [
        "2 pairs are in the train part more than once, 1 of them with different labels",
        "1 pairs are in the test part and in the train part",
    ]
    assert repeats(data_of(NEAR, OF)) == []


def test_entities_with_nearly_the_same_name():
    rows = [
        pair("São Paulo", "is near", "x1"),
        pair("sao paulo", "is near", "x2"),
        pair("A.B.", "is near", "AB"),
    ]
    problem = problems_of(rows)["entities with nearly the same name"]
    assert problem.n_rows == 4
    assert problem.examples == ("A.B. / AB", "São Paulo / sao paulo")


def test_relations_with_few_pairs_and_the_balance_of_labels():
    found = audit(data_of([*NEAR, *OF], TEST))
    assert found.small_relations == {"is part of": 9}
    assert found.labels == {
        "train": {"entailment": 8, "contradiction": 8},
        "validation": {"entailment": 1},
        "test": {"entailment": 3, "contradiction": 1},
    }


def test_sentences_over_the_limit_are_counted_with_the_tokenizer():
    def tokenizer(texts):
        return {"input_ids": [["[CLS]", *text.split(), "[SEP]"] for text in texts]}

    rows = [*NEAR, pair("one two three", "is near", "four five", id="long")]
    (problem,) = problems_of(rows, tokenizer=tokenizer, max_length=8).values()
    # 5 names, 2 words of the phrase and 2 special tokens are 9.
    assert (problem.n_rows, problem.examples) == (1, ("long",))
    assert problems_of(rows, tokenizer=tokenizer, max_length=9) == {}
    assert audit(data_of(rows, TEST)).unchecked == (
        "rows over the encoder's length limit: no encoder is available",
    )


def test_an_audit_is_json(tmp_path):
    found = audit(data_of([*NEAR, *OF], TEST))
    again = json.loads(json.dumps(asdict(found)))
    assert again["shortcuts"] == found.shortcuts
    assert found.best_shortcut == ("hypothesis_only", 1.0)


def test_a_relation_split_leaves_the_phrase_lookup_at_chance(tmp_path):
    facts = [
        t
        for i, r in enumerate(("P26", "P3373", "P47", "P40", "P22", "P131"))
        for t in couples(40, r, f"n{i}")
    ]
    built(tmp_path, facts, split="relation")
    found = audit(load_task("wikidata", str(tmp_path / "out")))
    assert found.split == "relation"
    assert found.shortcuts["relation_phrase"] == found.shortcuts["majority"] == 0.5
    assert not any(leak.n_rows for leak in found.leaks if leak.promised)
    built(tmp_path, facts, out=tmp_path / "pair")
    assert audit(load_task("wikidata", str(tmp_path / "pair"))).shortcuts["relation_phrase"] == 1.0


VARIANTS = {"space": lambda text: f" {text.replace(' ', '  ')} ", "NBSP": lambda text: text.replace(" ", "\u00a0"),
            "NFD": lambda text: unicodedata.normalize("NFD", text), "case": str.upper}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_pair_written_in_another_way_is_the_same_pair(variant):
    """As when a test set was copied by a program that changes spaces or composes letters."""
    train = [pair(f"Zo\u00eb Br\u00fbl\u00e9 {i}", "is near", f"Jos\u00e9 {i}") for i in range(8)]
    copies = [
        {
            name: variant(value) if name in ("premise", "hypothesis", "subject", "object") else value
            for name, value in row.items()
        }
        for row in train[:3]
    ]
    data = data_of(train, [*copies, pair("x", "is far from", "y")])
    found = {leak.what: leak.n_rows for leak in audit(data).leaks}
    assert (found["the same pair"], found["the same two entities"]) == (3, 3)
    assert "3 pairs are in the test part and in the train part" in repeats(data)


def test_a_full_temporary_folder_is_one_line(monkeypatch):
    def connect(*given, **options):
        raise duckdb.TransactionException("Failed to commit: Could not write file: No space left on device")

    monkeypatch.setattr(duckdb, "connect", connect)
    with pytest.raises(
        ContsymError, match=r"cannot be checked there \(.*No space left.*\); free space, or name another"
    ):
        audit(data_of(NEAR, TEST))
