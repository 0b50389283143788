"""Pairs of real sentences, and the relations of WordNet."""

import json
from collections import Counter
from pathlib import Path

import pytest

from contsym.data.sources import load_task
from contsym.data.wikidata.relations import registry, template
from contsym.data.wikidata.sentences import build_sentences
from contsym.errors import ContsymError
from tests.data.built import built


def sentence(i, relation, head=None, tail=None, text=None):
    head, tail = head or f"anna {i}", tail or f"ben {i}"
    text = text or f"In 1900 {head.title()} was seen with {tail.title()} ."
    return {"text": text, "head": head, "tail": tail, "relation": relation}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_pairs_are_balanced_and_the_phrase_does_not_give_the_label_away(tmp_path):
    """4 symmetric and 10 antisymmetric sentences: 7 contradict, and 3 antisymmetric ones follow like the symmetric ones."""
    rows = [sentence(i, "spouse") for i in range(4)]
    rows += [sentence(10 + i, "P25" if i % 2 else "P361") for i in range(10)]
    made = build_sentences(write(tmp_path / "in.jsonl", rows), tmp_path / "out" / "pairs.jsonl")
    assert (made.n_pairs, made.labels) == (14, {"entailment": 7, "contradiction": 7})
    assert made.relations["P26"] == {"entailment": 4}
    # Relations take turns: of five sentences each, three or four contradict.
    assert sorted(made.relations[name]["contradiction"] for name in ("P25", "P361")) == [3, 4]
    lines = (tmp_path / "out" / "pairs.jsonl").read_text("utf-8").splitlines()
    for row in map(json.loads, lines):
        is_symmetric = row["relation"] == "P26"
        assert row["kind"] == ("symmetric" if is_symmetric else "antisymmetric")
        follows = is_symmetric or row["group"] == "as stated"
        assert row["label"] == ("entailment" if follows else "contradiction")
        # The hypothesis states the relation of the head and the tail, exchanged or not, as the registry words it.
        ends = (row["subject"], row["object"])
        ends = ends if row["group"] == "as stated" else ends[::-1]
        relation = registry().relations[row["relation"]]
        said = {relation.sentence(i, *ends) for i in range(len(relation.phrasings))}
        assert row["hypothesis"] in said
        # Names are as the sentence spells them.
        assert row["subject"].startswith("Anna ") and row["subject"] in row["premise"]
    data = load_task("fewrel_pairs", str(tmp_path / "out" / "pairs.jsonl"))
    assert data.rows["test"] == 14
    assert Counter(data.test["kind"]) == {"symmetric": 4, "antisymmetric": 10}


def test_what_cannot_be_used_is_counted(tmp_path):
    rows = [
        sentence(0, "spouse"),
        sentence(1, "P25"),
        sentence(2, "voice type"),
        sentence(3, "spouse", text="Somebody else ."),
        sentence(4, "spouse", head="Anna", tail="anna"),
        sentence(1, "P25"),
    ]
    made = build_sentences(write(tmp_path / "in.jsonl", rows), tmp_path / "pairs.jsonl")
    assert made.labels == {"entailment": 1, "contradiction": 1}
    assert made.left_out == {
        "sentences of a relation without a registered kind": 1,
        "sentences without two different entities in them": 2,
        "repeated sentences": 1,
    }
    again = build_sentences(write(tmp_path / "back.jsonl", rows[::-1]), tmp_path / "again.jsonl")
    assert again.n_pairs == made.n_pairs
    # The order of the input does not decide.
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "pairs.jsonl").read_bytes()


def test_a_file_as_fewrel_has_it_gives_the_same_pairs(tmp_path):
    rows = [sentence(0, "P26"), sentence(1, "P25"), sentence(2, "P25")]
    items: dict[str, list] = {"P26": [], "P25": []}
    for row in rows:
        ends = {"h": [row["head"], "Q1", [[3, 4]]], "t": [row["tail"], "Q2", [[8, 9]]]}
        items[row["relation"]].append({"tokens": row["text"].split(), **ends})
    path = tmp_path / "val_wiki.json"
    path.write_text(json.dumps(items), "utf-8")
    build_sentences(path, tmp_path / "a.jsonl")
    build_sentences(write(tmp_path / "in.jsonl", rows), tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    path.write_text('{"P26": [{"tokens": ["a"], "h": ["a"]}]}', "utf-8")
    with pytest.raises(
        ContsymError, match=r"val_wiki\.json: P26 1: not a sentence of FewRel; expected tokens, h and t"
    ):
        build_sentences(path, tmp_path / "c.jsonl")


def test_mistakes_are_one_line(tmp_path):
    only = write(tmp_path / "one.jsonl", [sentence(0, "spouse")])
    with pytest.raises(
        ContsymError, match=r"one\.jsonl: no pairs of both labels can be made of its sentences"
    ):
        build_sentences(only, tmp_path / "pairs.jsonl")
    untold = write(tmp_path / "untold.jsonl", [{**sentence(0, "spouse"), "tail": ""}])
    with pytest.raises(ContsymError, match=r"untold\.jsonl:1: tail is missing; expected text"):
        build_sentences(untold, tmp_path / "pairs.jsonl")
    with pytest.raises(ContsymError, match=r"--to .*one\.jsonl exists; name another file"):
        build_sentences(only, only)
    assert not (tmp_path / "pairs.jsonl").exists()


SYNSETS = [
    ("dog.n.01", "_hypernym", "house_animal.n.02"),
    ("bark.v.01", "_verb_group", "cry_out.v.03"),
    ("dog.n.01", "_also_see", "cat.n.01"),
    ("bark.v.01", "_verb_group", "bark.v.02"),
    *((f"thing{i}.n.01", "_has_part", f"part{i}.n.01") for i in range(10)),
]


def test_words_of_wordnet_are_readable_and_their_ids_are_not(tmp_path):
    made = built(tmp_path, SYNSETS, relations=Path("wordnet"), bare=True)
    texts = {row["premise"] for row in made["rows"]} | {row["hypothesis"] for row in made["rows"]}
    assert texts >= {"dog is a narrower word than house animal", "house animal is a narrower word than dog"}
    assert texts >= {"bark is a verb of the group of cry out", "cry out is a verb of the group of bark"}
    assert all(row["subject_id"].startswith("ent-") and "dog" not in row["id"] for row in made["rows"])
    assert made["left_out"] == {"triples of two entities with the same name": 1}
    # Neither symmetric nor antisymmetric.
    assert "neither symmetric nor antisymmetric" in made["skipped_properties"]["_also_see"]["reason"]
    assert made["registry"]["file"] == "wordnet.toml of contsym"


def test_numbers_of_wordnet_get_names_from_its_definitions(tmp_path):
    labels = tmp_path / "definitions.txt"
    labels.write_text("00260881\t__land_reform_NN_1\ta redistribution\n00260622\t__reform_NN_1\tto better\n")
    triples = [("00260881", "_hypernym", "00260622"), ("00260622", "_similar_to", "00260881")]
    made = built(tmp_path, triples, relations=Path("wordnet"), labels=labels, bare=True, split="random")
    assert {name for row in made["rows"] for name in (row["subject"], row["object"])} == {
        "land reform",
        "reform",
    }


def test_no_phrase_of_wordnet_is_one_of_wikidata():
    own, other = registry(Path("wordnet")), registry()
    middles = [
        {template(phrasing)[1] for relation in each.relations.values() for phrasing in relation.phrasings}
        for each in (own, other)
    ]
    assert not middles[0] & middles[1]
    assert {relation.kind for relation in own.relations.values()} == {"symmetric", "antisymmetric"}
    assert set(own.refused) == {"_also_see"}


def test_an_unknown_registry_names_those_that_there_are(tmp_path):
    with pytest.raises(
        ContsymError, match=r"--relations wordnett: no such file; .* a file, or wikidata or wordnet"
    ):
        built(tmp_path, SYNSETS, relations=Path("wordnett"))
