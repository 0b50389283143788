"""The bundled task `predicates`: sentences by hand, and what a test elsewhere relies on."""

import importlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from contsym.data.sources import load_task
from contsym.data.wikidata.relations import registry

ROOT = Path(__file__).parents[2]
FUNCTION_WORDS = {
    "a", "about", "all", "ally", "as", "at", "for", "from", "in", "like", "long", "more", "of", "on",
    "over", "terms", "than", "the", "to", "way", "with", "within", "work",
}  # fmt: skip
"""Words of the lists that say nothing of symmetry by themselves, or only as a part of the whole ("on good terms with")."""


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("predicate_pairs")


@pytest.fixture(scope="module")
def parts():
    return {name: list(pairs) for name, pairs in load_task("predicates", "bundled").parts.items()}


def stem(word):
    return re.sub(r"(ies|es|s|ed|ing|er|or|y|e|ion)$", "", word)


def words(text):
    return {stem(word) for word in re.findall(r"[a-z]+", text.lower()) if word not in FUNCTION_WORDS}


def test_the_files_are_what_the_script_makes(script):
    folder, seen = ROOT / "contsym" / "data" / "bundled" / "predicates", set()
    for part in script.SIZES:
        lines = [json.dumps(row) for row in script.rows(part, seen)]
        assert (folder / f"{part}.jsonl").read_text("utf-8").splitlines() == lines


def test_sentences_by_hand(script):
    anna, we = script.Noun("Anna", "Anna", False), script.Noun("we", "us", True)
    grammar = script.Grammar("train", set())
    grammar.choice = lambda items: items[0]
    grammar.random = type("Zero", (), {"random": lambda self: 0.3, "randrange": lambda self, n: 2})()
    # The first of every list: no adverb, and the past tense of a made-up verb.
    assert grammar.reciprocal(True)[2](anna, we) == "Anna and we babited each other"
    assert grammar.comitative(True)[2](we, anna) == "we babited with Anna"
    assert grammar.other_made_up(False)[2](we, anna) == "we are babiter than Anna"
    name, predicate, sentence = grammar.noun(True)
    article = "an" if predicate[0] in "aeiou" else "a"
    assert (name, sentence(anna, we)) == ("noun", f"Anna is {article} {predicate} of us")


def test_each_pair_is_twins_with_exchanged_participants(parts):
    for rows in parts.values():
        for row in rows:
            said, twin = (sorted(re.findall(r"\w+", row[role].lower())) for role in ("premise", "hypothesis"))
            assert row["premise"] != row["hypothesis"]
            # Pronouns and verbs agree with their new place: most other words are the same.
            assert sum((Counter(said) & Counter(twin)).values()) >= len(said) - 6
        assert Counter(row["label"] for row in rows).most_common()[0][1] == len(rows) / 2


def test_parts_share_no_predicate_and_no_sentence(parts, script):
    constructions = {"coordination", "reciprocal", "comitative", "coordinated objects", "between"}
    constructions |= {"transitive", "oblique", "passive", "comparative"}
    predicates = [{row["relation"] for row in rows} - constructions for rows in parts.values()]
    assert all(len(each) > 20 for each in predicates)
    train, validation, test = predicates
    assert not train & validation and not train & test and not validation & test
    sentences = [row[role] for rows in parts.values() for row in rows for role in ("premise", "hypothesis")]
    assert len(sentences) == len(set(sentences))


def test_no_predicate_is_one_of_another_test(script):
    """So those of SIS, of Wikidata's and of WordNet's registry were never trained on."""
    tested = set()
    for name in ("wikidata", "wordnet"):
        for relation in registry(name).relations.values():
            for phrasing in relation.phrasings:
                tested |= words(re.sub(r"\[.\]", "", phrasing))
    sis = load_task("sis", "bundled").test
    tested |= {stem(verb) for verb in sis["relation"][:]}
    lists = [value for name, value in vars(script).items() if name.endswith(script.KINDS)]
    for predicates in lists:
        for predicate in predicates:
            base = predicate if isinstance(predicate, str) else predicate[0]
            assert not words(base) & tested, base
