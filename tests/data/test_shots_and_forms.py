"""Few-shot subsets and the two forms of a relation pair, as laws."""

import random
import re
from collections import Counter, defaultdict
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contsym.data.schema import in_one_table, selected, stable_hash
from contsym.data.shots import few_shot, few_shot_rows, missing_labels, subset, subset_rows
from contsym.data.wikidata.pairs import (
    DELEXICALISED_SUFFIX,
    bundled_pairs,
    count_phrases,
    in_form,
    mirror_of,
    opaque_id,
    phrasing_of,
    with_entities,
)
from contsym.data.wikidata.relations import registry
from contsym.errors import DataError, SettingError
from contsym.tasks.schema import NLI_LABELS
from tests.toy import table_from_rows


def pairs(n_per_relation=None, shuffle=None):
    """Symmetric r0..r2 and antisymmetric r3..r6 of unequal size."""
    sizes = n_per_relation or {"r0": 30, "r1": 5, "r2": 2, "r3": 40, "r4": 9, "r5": 1, "r6": 3}
    rows = [
        {
            "id": f"{name}/{i}",
            "premise": f"a{i} {name} b{i}",
            "hypothesis": f"b{i} {name} a{i}",
            "label": "entailment" if name < "r3" else "contradiction",
            "relation": name,
        }
        for name, size in sizes.items()
        for i in range(size)
    ]
    if shuffle is not None:
        random.Random(shuffle).shuffle(rows)
    return table_from_rows(rows)


ALL = pairs()


@given(n=st.integers(2, 74), m=st.integers(2, 74), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_fewer_shots_are_the_first_of_more(n, m, seed):
    fewer, more = sorted((n, m))
    assert few_shot(ALL, more, seed)["id"][:fewer] == few_shot(ALL, fewer, seed)["id"][:]


@given(n=st.integers(2, 74), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_half_are_of_each_kind(n, seed):
    counts = Counter(few_shot(ALL, n, seed)["kind"])
    assert counts["symmetric"] - counts["antisymmetric"] == n % 2
    assert len(set(few_shot(ALL, n, seed)["id"])) == n


def test_relations_take_turns():
    # 14 shots, 7 a kind: three symmetric relations get 3, 2, 2 (r2 has only two); four
    # antisymmetric ones get two each but r5, which has one.
    counts = Counter(few_shot(ALL, 14, 0)["relation"])
    assert sorted(counts[f"r{i}"] for i in range(3)) == [2, 2, 3]
    assert counts["r5"] == 1
    assert sorted(counts[f"r{i}"] for i in (3, 4, 6)) == [2, 2, 2]


def test_the_order_of_the_file_has_no_say():
    assert few_shot(pairs(shuffle=1), 20, 5)["id"][:] == few_shot(pairs(shuffle=2), 20, 5)["id"][:]


def test_seeds_differ():
    assert few_shot(ALL, 20, 0)["id"][:] != few_shot(ALL, 20, 1)["id"][:]


def test_too_many_shots_name_the_kind_and_the_most():
    with pytest.raises(SettingError) as raised:
        few_shot(ALL, 80, 0)
    assert str(raised.value) == (
        "--shots 80 needs 40 symmetric (entailment) training pairs; the data have 37; expected at most 74"
    )


def test_neutral_pairs_are_a_third_label():
    rows = [
        {"id": f"{label}{i}", "premise": "p", "hypothesis": "h", "label": label, "relation": "r"}
        for label in ("entailment", "neutral", "contradiction")
        for i in range(9)
    ]
    table = table_from_rows(rows)
    assert Counter(few_shot(table, 8, 0)["label"]) == {0: 3, 1: 2, 2: 3}
    assert few_shot(table, 8, 0)["id"][:5] == few_shot(table, 5, 0)["id"][:]
    assert set(few_shot(table, 6, 0)["kind"]) == {"symmetric", "antisymmetric", ""}
    with pytest.raises(SettingError) as raised:
        few_shot(table, 30, 0)
    assert str(raised.value) == (
        "--shots 30 needs 10 symmetric (entailment) training pairs; the data have 9; expected at most 27"
    )


def test_a_subset_is_nested_and_balanced():
    big, small = subset(ALL, 40, 3, "--mnli-size"), subset(ALL, 11, 3, "--mnli-size")
    assert big["id"][:11] == small["id"][:]
    assert sorted(Counter(small["label"]).values()) == [5, 6]
    with pytest.raises(SettingError, match=r"^--mnli-size 91 is out of range; expected 1 to 90$"):
        subset(ALL, 91, 0, "--mnli-size")


# -- beside slow, obvious code --


def slow_turns(groups, ids, seed):
    shuffled = [
        sorted(groups[name], key=lambda row: stable_hash(seed, ids[row]))
        for name in sorted(groups, key=lambda name: stable_hash(seed, name))
    ]
    return [row for turn in zip_longest(*shuffled) for row in turn if row is not None]


def slow_ids(table):
    ids = list(table["id"])
    every = all(pair.endswith(DELEXICALISED_SUFFIX) for pair in ids)
    return [pair.removesuffix(DELEXICALISED_SUFFIX) for pair in ids] if every else ids


def slow_few_shot(table, n_shots, seed):
    by_label = {label: defaultdict(list) for label in ("entailment", "contradiction")}
    for row, (label, relation) in enumerate(zip(table["label"], table["relation"], strict=True)):
        by_label.setdefault(NLI_LABELS[label], defaultdict(list))[relation].append(row)
    orders = [slow_turns(groups, slow_ids(table), seed) for groups in by_label.values()]
    return [row for turn in zip_longest(*orders) for row in turn if row is not None][:n_shots]


def slow_subset(table, size, seed):
    groups = defaultdict(list)
    for row, label in enumerate(table["label"]):
        groups[str(label)].append(row)
    return slow_turns(groups, slow_ids(table), seed)[:size]


def odd(n, seed):
    """Pairs with few and repeated ids, some of them odd, of all labels and of none or few relations."""
    rng = random.Random(seed)
    suffix = DELEXICALISED_SUFFIX if seed % 3 == 0 else ""
    return table_from_rows(
        {
            "id": rng.choice(["a", "b\x1fc", "ü", "0", str(rng.randrange(10 * n))]) + suffix,
            "premise": "p",
            "hypothesis": "h",
            "label": rng.choice(NLI_LABELS[:3] if seed % 2 else ("contradiction", "entailment")),
            "relation": rng.choice(("r", "s", "t", f"u{rng.randrange(n)}")),
        }
        for _ in range(n)
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_fast_draw_takes_the_pairs_of_the_slow_one_in_its_order(seed):
    table = odd(20 + 15 * seed, seed)
    for n in (3, 10, min(Counter(table["label"]).values())):
        assert few_shot_rows(table, n, seed).tolist() == slow_few_shot(table, n, seed)
    for n in (1, 7, len(table)):
        assert subset_rows(table, n, seed, "--mnli-size").tolist() == slow_subset(table, n, seed)


# -- forms --


def test_delexicalised_pairs_name_no_entity():
    rows = [(str(row["id"]), dict(row)) for row in bundled_pairs()]
    for (_, row), (_, changed) in zip(rows, in_form(rows, "delexicalised"), strict=True):
        for name in (row["subject"], row["object"]):
            for role in ("premise", "hypothesis"):
                assert not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", changed[role]), (name, changed)
        assert changed["subject"] in changed["premise"]
        assert changed["object"] in changed["hypothesis"]
        assert changed["label"] == row["label"]


def test_both_gives_each_pair_twice_side_by_side():
    rows = [("w", {"id": "1", "premise": "a r b", "hypothesis": "b r a", "subject": "a", "object": "b"})]
    found = [row for _, row in in_form(rows, "both")]
    assert [row["id"] for row in found] == ["1", "1#delexicalised"]
    assert found[0]["premise"] == "a r b"
    assert found[1]["premise"] == f"{opaque_id('a')} r {opaque_id('b')}"


def test_the_longer_name_is_replaced_first():
    rows = [
        (
            "w",
            {"premise": "New York borders York", "hypothesis": "-", "subject": "York", "object": "New York"},
        )
    ]
    ((_, found),) = in_form(rows, "delexicalised")
    assert found["premise"] == f"{opaque_id('New York')} borders {opaque_id('York')}"


def test_only_whole_words_are_replaced():
    rows = [
        ("w", {"premise": "art is part of a cart", "hypothesis": "-", "subject": "art", "object": "a cart"})
    ]
    ((_, found),) = in_form(rows, "delexicalised")
    assert found["premise"] == f"{opaque_id('art')} is part of {opaque_id('a cart')}"


def test_a_pair_of_unknown_entities_cannot_be_delexicalised():
    with pytest.raises(DataError, match=r"^f:3: the entities are unknown"):
        list(in_form([("f:3", {"premise": "x", "hypothesis": "y"})], "delexicalised"))


@given(st.text(min_size=1))
def test_an_opaque_id_is_never_a_wikidata_id(name):
    assert re.fullmatch(r"ent-[0-9a-f]{8}", opaque_id(name))


def test_mirror_of_reads_entities_off_the_swap():
    assert list(mirror_of("new york is near york", "york is near new york")) == [
        ("new york", "is near", "york")
    ]
    assert list(mirror_of("Ada is near Ben.", "Ben is near Ada.")) == [("Ada", "is near", "Ben")]
    assert list(mirror_of("u. grant is a child of f. grant jr", "f. grant jr. is a child of u. grant")) == [
        ("u. grant", "is a child of", "f. grant jr.")
    ]
    assert list(mirror_of("a b c", "c b d")) == []
    assert list(mirror_of("a b", "b a")) == []


def test_of_several_readings_the_frequent_phrase_wins():
    # "x x x" could be read in one way only; "a is is b" as (a, is is, b), "a r r b" alike.
    rows = [
        {"premise": "a is b", "hypothesis": "b is a"},
        {"premise": "c is c is c", "hypothesis": "c is c is c"},
    ]
    phrases = count_phrases(rows)
    assert [with_entities(row, phrases)["relation"] for row in rows] == ["is", "is"]


def test_a_phrase_may_end_the_sentence():
    assert list(
        mirror_of(
            "andrea is the name of andreas for other gender", "andreas is the name of andrea for other gender"
        )
    )
    row = {"premise": "a is x of b for men", "hypothesis": "b is x of a for men"}
    found = with_entities(row, count_phrases([row]))
    assert (found["subject"], found["relation"], found["object"]) == ("a", "is x of for men", "b")
    ((_, changed),) = in_form([("w", found)], "delexicalised")
    assert changed["premise"] == f"{opaque_id('a')} is x of {opaque_id('b')} for men"


def test_what_is_not_mirrored_is_not_read():
    assert with_entities({"premise": "a knows b", "hypothesis": "c knows a"}, {}) is None


def test_a_name_at_the_end_may_have_lost_its_full_stop():
    row = {
        "premise": "u. grant is a child of f. grant jr",
        "hypothesis": "f. grant jr. is a child of u. grant",
    }
    ((_, changed),) = in_form([("w", with_entities(row, count_phrases([row])))], "delexicalised")
    ids = [opaque_id("u. grant"), opaque_id("f. grant jr.")]
    assert changed["premise"] == f"{ids[0]} is a child of {ids[1]}"
    assert changed["hypothesis"] == f"{ids[1]} is a child of {ids[0]}"


def test_names_that_are_not_in_the_premise_are_refused():
    row = {"premise": "x r y", "hypothesis": "y r x", "subject": "z", "object": "y"}
    with pytest.raises(DataError, match=r"^f:7: 'z' or 'y' is not in the premise in this spelling"):
        list(in_form([("f:7", row)], "delexicalised"))


def test_phrasing_of_leaves_the_template():
    assert phrasing_of("New York is in New York State", "New York", "New York State") == "[X] is in [Y]"
    assert phrasing_of("no names", "", "") == "no names"


def test_a_row_that_names_its_entities_keeps_them():
    row = {"premise": "p", "hypothesis": "h", "subject": "s", "object": "o", "relation": "P1"}
    assert with_entities(row, count_phrases([row])) == row


def test_bundled_pairs_swap_the_entities_and_follow_the_registry():
    for row in bundled_pairs():
        relation = registry().relations[row["relation"]]
        assert row["label"] == ("entailment" if relation.kind == "symmetric" else "contradiction")
        spoken = {
            (
                relation.sentence(i, row["subject"], row["object"]),
                relation.sentence(i, row["object"], row["subject"]),
            )
            for i in range(len(relation.phrasings))
        }
        assert (row["premise"], row["hypothesis"]) in spoken
        assert row["label"] in NLI_LABELS


def test_a_selection_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = [
        {"id": str(i), "premise": f"a {i}", "hypothesis": f"b {i}", "label": label, "relation": "r"}
        for i, label in enumerate(["entailment", "contradiction"] * 8)
    ]
    pairs = table_from_rows(rows)
    part = few_shot(pairs, 8, seed=0)
    numbered = in_one_table(part).add_column("row", list(range(8)))
    assert numbered["id"][:] == part["id"][:]
    assert in_one_table(pairs) is pairs
    assert list(tmp_path.iterdir()) == []


# -- natural draws --


def skewed():
    """One symmetric pair in sixteen, as in a training part whose reversed pairs went to the test."""
    rows = [
        {
            "id": f"p{i}",
            "premise": f"a{i} r b{i}",
            "hypothesis": f"b{i} r a{i}",
            "label": "contradiction" if i % 16 else "entailment",
            "relation": "of" if i % 16 else "near",
        }
        for i in range(320)
    ]
    return table_from_rows(rows)


def test_a_natural_draw_is_the_first_of_a_seeded_order_of_all_pairs():
    table = skewed()
    order = sorted(range(len(table)), key=lambda row: stable_hash(3, table["id"][row]))
    for n in (2, 48, 320):
        assert few_shot_rows(table, n, 3, "natural").tolist() == order[:n]
    # 48 / 16 = 3 symmetric pairs on average; a balanced draw has 24, but the data have only 20.
    counts = [Counter(few_shot(table, 48, seed, "natural")["label"])[0] for seed in range(40)]
    assert 2.4 < sum(counts) / len(counts) < 3.6  # 3, give or take three standard errors of 0.25
    with pytest.raises(SettingError, match="--shots 48 needs 24 symmetric"):
        few_shot(table, 48, 0)
    with pytest.raises(SettingError) as raised:
        few_shot(table, 321, 0, "natural")
    assert str(raised.value) == "--shots 321 is out of range; expected 1 to 320"


def test_labels_that_a_natural_draw_lacks_are_named():
    table = skewed()
    seed = next(s for s in range(99) if 0 not in few_shot(table, 2, s, "natural")["label"])
    assert missing_labels(few_shot(table, 2, seed, "natural"), table) == ["symmetric (entailment)"]
    assert missing_labels(few_shot(table, 2, 0), table) == []


@pytest.mark.parametrize("n", [0, 1, 4096, 9000])
def test_selected_pairs_are_those_of_select(n):
    numbered = ({"premise": f"p{i}", "hypothesis": f"h{i}", "label": "neutral"} for i in range(10_000))
    pairs = table_from_rows(numbered).select(range(9_999, -1, -1))  # a selection itself
    rows = sorted(np.random.default_rng(0).permutation(len(pairs))[:n].tolist())
    assert selected(pairs, rows)[:] == pairs.select(rows)[:]


spelt = st.text(alphabet="ab_é \t", max_size=12)
names = st.text(alphabet="ab_é ", min_size=1, max_size=3)


@settings(max_examples=300, deadline=None)
@given(text=spelt, subject=names, object_=names)
def test_names_without_full_stops_are_found_as_by_a_regular_expression(text, subject, object_):
    marks = {subject: "[X]", object_: "[Y]"}
    found = phrasing_of(text, subject, object_)
    if not all(name.strip() for name in marks):
        return
    by_length = sorted(marks, key=len, reverse=True)
    spaced = (r"\s+".join(map(re.escape, name.split())) for name in by_length)
    either = "|".join(rf"(?<!\w){each}(?!\w)" for each in spaced)
    same = {" ".join(name.split()): marks[name] for name in reversed(by_length)}
    slow = re.sub(either, lambda match: same[" ".join(match[0].split())], text)
    assert found == " ".join(slow.split())


words = st.lists(st.sampled_from(["a", "b", "r"]), min_size=1, max_size=3)


@given(a=words, r=words, b=words)
def test_every_reading_of_a_mirrored_pair_is_found(a, r, b):
    first, second = a + r + b, b + r + a
    n = len(first)
    cuts = [(i, j) for i in range(1, n) for j in range(i + 1, n)]
    parts = [(first[:i], first[i:j], first[j:]) for i, j in cuts]
    slow = [tuple(" ".join(part) for part in (x, y, z)) for x, y, z in parts if z + y + x == second]
    assert list(mirror_of(" ".join(first), " ".join(second))) == slow
