"""The relation registry and the bundled facts, checked as files: no contsym code is imported."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "contsym" / "data"
REGISTRY = tomllib.loads((DATA / "wikidata" / "relations.toml").read_text(encoding="utf-8"))
RELATIONS = REGISTRY["relations"]
REFUSED = REGISTRY["refused"]

FIELDS = {"name", "kind", "kind_source", "phrasings", "notes"}
OPTIONAL = {"domain", "family"}
KINDS = {"symmetric", "antisymmetric"}

# The phrases of the published dataset. For P40, P22 and P25 the roles are exchanged, because Wikidata's
# triple (A, child, B) says that B is the child, and likewise for father and mother.
PUBLISHED = {
    "P3373": "[X] is a sibling of [Y]",
    "P1889": "[X] is different from [Y]",
    "P460": "[X] possibly the same as [Y]",
    "P1382": "[X] partially overlaps with [Y]",
    "equivalent-names": "[X] is an equivalent name of [Y]",
    "P131": "[X] is located in [Y]",
    "P361": "[X] is part of [Y]",
    "P279": "[X] is a type of [Y]",
    "P40": "[Y] is a child of [X]",
    "P22": "[Y] is the father of [X]",
    "P25": "[Y] is the mother of [X]",
    "P1542": "[X] led to [Y]",
    "P828": "[X] caused by [Y]",
    "P2670": "[X] has part(s) that are instances of [Y]",
}


def read_facts() -> list[tuple[str, str, str]]:
    path = DATA / "bundled" / "relation_facts.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == ["property", "subject", "object"]
    for number, row in enumerate(rows, start=2):
        assert len(row) == 3, f"{path.name}:{number}: expected 3 columns, got {row}"
    return [(row[0], row[1], row[2]) for row in rows]


FACTS = read_facts()


def repeated_pairs(facts: list[tuple[str, str, str]]) -> list[tuple[str, frozenset[str]]]:
    """Unordered pairs that one property has more than once: duplicates and mirror images."""
    counts = Counter(
        (prop, frozenset((subject.casefold(), object_.casefold()))) for prop, subject, object_ in facts
    )
    return [pair for pair, n in counts.items() if n > 1]


def test_repeated_pairs_finds_a_duplicate_and_a_mirror_but_not_another_property() -> None:
    fact = ("P47", "France", "Spain")
    assert repeated_pairs([fact, ("P530", "France", "Spain")]) == []
    assert len(repeated_pairs([fact, fact])) == 1
    assert len(repeated_pairs([fact, ("P47", "Spain", "France")])) == 1


def test_registry_has_a_version_and_at_least_40_relations() -> None:
    assert REGISTRY["registry_version"] == 2
    assert len(RELATIONS) >= 40
    assert sum(relation["kind"] == "symmetric" for relation in RELATIONS.values()) >= 18


@pytest.mark.parametrize("key", RELATIONS)
def test_relation_is_complete(key: str) -> None:
    relation = RELATIONS[key]
    assert FIELDS <= set(relation) <= FIELDS | OPTIONAL
    assert re.fullmatch(r"P[1-9]\d*", key) or key == "equivalent-names"
    assert relation["kind"] in KINDS
    assert relation["name"].strip()
    assert relation["kind_source"].strip()


@pytest.mark.parametrize("key", RELATIONS)
def test_relation_has_3_to_5_phrasings_with_each_slot_once(key: str) -> None:
    phrasings = RELATIONS[key]["phrasings"]
    assert 3 <= len(phrasings) <= 5
    for phrasing in phrasings:
        assert re.findall(r"\[(.*?)\]", phrasing) in (["X", "Y"], ["Y", "X"]), phrasing
        assert phrasing == phrasing.strip() and not phrasing.endswith("."), phrasing


def test_no_phrasing_serves_two_relations() -> None:
    owners = defaultdict(list)
    for key, relation in RELATIONS.items():
        for phrasing in relation["phrasings"]:
            owners[phrasing.casefold()].append(key)
    assert {phrasing: keys for phrasing, keys in owners.items() if len(keys) > 1} == {}


@pytest.mark.parametrize(("key", "phrase"), PUBLISHED.items())
def test_published_phrase_is_present(key: str, phrase: str) -> None:
    assert phrase in RELATIONS[key]["phrasings"]


def test_refused_properties_have_reasons_and_are_not_registered() -> None:
    assert len(REFUSED) >= 8
    assert set(REFUSED) & set(RELATIONS) == set()
    for key, entry in REFUSED.items():
        assert entry["name"].strip() and entry["reason"].strip(), key


def test_ten_relations_of_each_kind_have_at_least_40_facts() -> None:
    n_facts = Counter(prop for prop, _, _ in FACTS)
    assert {prop: n for prop, n in n_facts.items() if n < 40} == {}
    n_relations = Counter(RELATIONS[prop]["kind"] for prop in n_facts)
    assert n_relations["symmetric"] >= 10
    assert n_relations["antisymmetric"] >= 10


def test_every_fact_has_a_registered_property() -> None:
    assert {prop for prop, _, _ in FACTS} - set(RELATIONS) == set()


def test_no_fact_is_repeated_or_mirrored_or_about_itself() -> None:
    assert repeated_pairs(FACTS) == []
    assert [fact for fact in FACTS if fact[1].casefold() == fact[2].casefold()] == []


def test_inverse_properties_do_not_contradict_each_other() -> None:
    # (A, child, B) forbids that A's father or mother is B: nobody is a parent of their own parent.
    children = {(subject, object_) for prop, subject, object_ in FACTS if prop == "P40"}
    parents = {(subject, object_) for prop, subject, object_ in FACTS if prop in ("P22", "P25")}
    assert children & parents == set()


def test_every_field_is_a_clean_name() -> None:
    for fact in FACTS:
        for field in fact:
            assert field and field == " ".join(field.split()), fact
            assert '"' not in field, fact
            assert not re.fullmatch(r"Q\d+", field), fact
