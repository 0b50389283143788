"""Loaded pairs re-split: the promises hold for them too, and both forms stay together."""

import json
import re
import unicodedata

import pytest

from contsym.data.schema import alike
from contsym.data.sources import load_task
from contsym.data.splits import SPLIT_RULES
from contsym.data.wikidata.pairs import phrasing_of
from contsym.errors import DataError, SettingError
from tests.toy import relation_rows, write_task

PROMISED = {
    "pair": lambda p: {frozenset((p["subject"], p["object"]))},
    "entity": lambda p: {p["subject"], p["object"]},
    "relation": lambda p: {p["relation"]},
    "phrasing": lambda p: {phrasing_of(p["premise"], p["subject"], p["object"])},
}


@pytest.mark.parametrize(
    ("source", "rule"),
    # Every relation of the toy folder is about the same few pairs of names: most rules leave nothing of it.
    [
        *(("bundled", rule) for rule in SPLIT_RULES),
        ("a folder", "random"),
        ("a folder", "pair"),
        ("a folder", "entity"),
    ],
)
def test_loaded_pairs_keep_the_promise(rule, source, tmp_path):
    spec = "bundled" if source == "bundled" else str(write_task(tmp_path / "pairs", relation_rows(), 50))
    plain = load_task("wikidata", spec)
    data = load_task("wikidata", spec, "lexicalised", rule)
    by_id = {row["id"]: row for row in [row for part in plain.parts.values() for row in part]}
    parts = {name: list(part) for name, part in data.parts.items()}
    ids = [row["id"] for rows in parts.values() for row in rows]
    assert len(set(ids)) == len(ids) > 0.4 * len(by_id)
    assert all(row == by_id[row["id"]] for rows in parts.values() for row in rows)
    if rule in PROMISED:
        seen = {name: set().union(*(PROMISED[rule](row) for row in rows)) for name, rows in parts.items()}
        assert not seen["train"] & seen["test"]
        if not any("do not allow" in note for note in data.notes):
            assert not seen["train"] & seen["validation"]
    assert data.split == rule
    assert any(f"re-split: {rule}" in note for note in data.notes)
    assert data.fingerprint != plain.fingerprint


def test_pairs_that_do_not_allow_a_rule_are_refused(tmp_path):
    spec = str(write_task(tmp_path / "pairs", relation_rows(), 50))
    with pytest.raises(DataError, match="--split relation: the training part would be empty"):
        load_task("wikidata", spec, "lexicalised", "relation")
    with pytest.raises(DataError, match="--split phrasing needs a relation with at least two phrasings"):
        load_task("wikidata", spec, "lexicalised", "phrasing")


def test_every_run_gets_the_same_split():
    one, two = (load_task("wikidata", "bundled", "lexicalised", "relation") for _ in range(2))
    assert one.fingerprint == two.fingerprint


def test_both_forms_of_a_pair_are_on_one_side():
    data = load_task("wikidata", "bundled", "both", "pair")
    for part in data.parts.values():
        ids = part["id"][:]
        opaque = {i.removesuffix("#delexicalised") for i in ids if i.endswith("#delexicalised")}
        assert opaque == {i for i in ids if not i.endswith("#delexicalised")}


def test_delexicalised_pairs_are_resplit_too():
    data = load_task("wikidata", "bundled", "delexicalised", "entity")
    train, test = (
        {name for row in part for name in (row["subject"], row["object"])} for part in (data.train, data.test)
    )
    assert train and test and not train & test


def test_pairs_whose_hypothesis_is_not_a_mirror_are_refused(tmp_path):
    rows = relation_rows()
    rows[0] = {**rows[0], "label": "neutral", "hypothesis": "rain falls", "subject": "anna", "object": "ben"}
    spec = str(write_task(tmp_path / "pairs", rows, 50))
    message = (
        "--split pair: pair .* is neutral, and the entities of its hypothesis are unknown; build the dataset"
    )
    with pytest.raises(SettingError, match=message):
        load_task("wikidata", spec, "lexicalised", "pair")


def test_pairs_without_entities_are_refused(tmp_path):
    rows = [
        *relation_rows(),
        {"premise": "it rains", "hypothesis": "it pours", "label": "entailment", "relation": "r"},
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    message = re.escape("give fields 'subject' and 'object', or leave --split out")
    with pytest.raises(SettingError, match=message):
        load_task("wikidata", str(tmp_path / "pairs.jsonl"), "lexicalised", "pair")


@pytest.mark.parametrize("rule", ["pair", "entity"])
def test_one_name_written_in_two_ways_is_on_one_side(rule, tmp_path):
    forms = ("NFC", "NFD")
    rows = []
    for i in range(120):
        a, b = (unicodedata.normalize(forms[i % 2], f"Jos\u00e9 {name} {i // 2}") for name in "ab")
        a += " " * (i % 3)
        phrase, label = [("is near", "entailment"), ("is part of", "contradiction")][i % 2]
        rows.append({"premise": f"{a} {phrase} {b}", "hypothesis": f"{b} {phrase} {a}", "label": label, "relation": phrase,
                     "subject": a, "object": b})  # fmt: skip
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = load_task("wikidata", str(path), "lexicalised", rule)
    seen = {
        part: {alike(text) for name in ("subject", "object") for text in rows[name]}
        for part, rows in data.parts.items()
    }
    assert seen["test"] and not seen["train"] & seen["test"]
