"""The bundled NLI corpus: generated again, guessed without its premises, and decided by small models.

Every label is decided a second time, without the generator's rules: the sentences are read back
and compared over all situations of a toy world. Only the lexicon is shared.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import permutations, product
from pathlib import Path

import pytest

import contsym
from tools import nli_mini

BUNDLED = Path(contsym.__file__).parent / "data" / "bundled"
PARTS = {
    part: [
        json.loads(line)
        for line in (BUNDLED / f"nli_mini.{part}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    for part in ("train", "test")
}
ROWS = PARTS["train"] + PARTS["test"]
PEOPLE = sorted((person.lower() for person in nli_mini.PEOPLE), key=len, reverse=True)
PERSON = "|".join(PEOPLE)

Says = Callable[..., bool]


def verdict(worlds: Iterable[object], premise: Says, hypothesis: Says) -> str:
    """The label by definition: does the hypothesis hold wherever the premise does, or nowhere?"""
    held = {hypothesis(world) for world in worlds if premise(world)}
    assert held, "the premise holds nowhere"
    return {(True,): "entailment", (False,): "contradiction"}.get(tuple(held), "neutral")


def worlds_of(things: Iterable[str], states: Iterable[object]) -> list[dict[str, object]]:
    """Every way of giving each thing a state."""
    things, states = list(things), list(states)
    return [dict(zip(things, chosen, strict=True)) for chosen in product(states, repeat=len(things))]


def orders_of(things: Iterable[str]) -> list[dict[str, int]]:
    """Every way of placing the things in a row."""
    things = sorted(set(things))
    return [{thing: place for place, thing in enumerate(row)} for row in permutations(things)]


def clause(text: str) -> str:
    """The last sentence in lower case; the sentences before it are scenery."""
    return text.rstrip(".").rsplit(". ", 1)[-1].lower()


def decide_numbers(premise: str, hypothesis: str) -> str:
    words = ("three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    numerals = {word: number for number, word in enumerate(words, 3)}
    holds: dict[str, Callable[[int, int], bool]] = {
        "exactly": lambda k, n: k == n,
        "at least": lambda k, n: k >= n,
        "more than": lambda k, n: k > n,
        "at most": lambda k, n: k <= n,
        "fewer than": lambda k, n: k < n,
    }

    def says(text: str, noun: str) -> Says:
        counts = {what: (how, numerals[n]) for how, n, what in re.findall(pattern, text)}
        return lambda k: noun not in counts or holds[counts[noun][0]](k, counts[noun][1])

    pattern = rf"({'|'.join(holds)}) (\w+) (\w+)"
    noun = hypothesis.split()[-1]
    return verdict(range(30), says(premise, noun), says(hypothesis, noun))


def decide_quantifiers(premise: str, hypothesis: str) -> str:
    size = 20
    holds: dict[str, Callable[[int], bool]] = {
        **dict.fromkeys(("all", "every one", "each"), lambda k: k == size),
        **dict.fromkeys(("none", "not one", "not a single one"), lambda k: k == 0),
        "not all": lambda k: k < size,
        "some": lambda k: k > 0,
        "most": lambda k: 2 * k > size,
        "nearly all": lambda k: k >= 18,
        "few": lambda k: k <= 4,
        **dict.fromkeys(("hardly any", "only very few"), lambda k: k <= 2),
    }

    def says(text: str) -> Says:
        how, who, did_not = re.match(r"(.+) of the (\w+) (did not)?", text).groups()
        return lambda world: holds[how](size - world[who] if did_not else world[who])

    groups = sorted(set(re.findall(r"of the (\w+)", f"{premise} {hypothesis}")))
    return verdict(worlds_of(groups, range(size + 1)), says(premise), says(hypothesis))


def decide_conjunction(premise: str, hypothesis: str) -> str:
    holds: dict[str, Says] = {
        "_": lambda a: a,
        "not _": lambda a: not a,
        "_ and _": lambda a, b: a and b,
        "both _ and _": lambda a, b: a and b,
        "_ or _": lambda a, b: a or b,
        "_, _ and _": lambda a, b, c: a and b and c,
        "_ but not _": lambda a, b: a and not b,
        "neither _ nor _": lambda a, b: not (a or b),
        "_ but neither _ nor _": lambda a, b, c: a and not (b or c),
        "not _, _ or _": lambda a, b, c: not (a or b or c),
    }

    def says(text: str) -> Says:
        form = re.sub(r"\ban? \w+", "_", text)
        form = ("not " if "did not" in form else "") + re.search(r"(both |neither )?_.*", form)[0]
        return lambda world: holds[form](*(world[noun] for noun in re.findall(noun_phrase, text)))

    noun_phrase = r"\ban? (\w+)"
    nouns = sorted(set(re.findall(noun_phrase, f"{premise} {hypothesis}")))
    return verdict(worlds_of(nouns, (True, False)), says(premise), says(hypothesis))


ABOVE = {
    noun: {noun, sort, kind}
    for kind, sorts in nli_mini.TAXONOMY.items()
    for sort, leaves in sorts.items()
    for noun in (*leaves, f"other {sort}", f"other {kind}")
} | {f"other {kind}": {kind} for kind in nli_mini.TAXONOMY}


def decide_hypernymy(premise: str, hypothesis: str) -> str:
    """Worlds: each thing is absent, or has the hypothesis' quality, or lacks it."""
    scene = r"^(no|every|not every|an?) (\w+) (?:in|near|by) the \w+ was (not )?(\w+)$"
    match = re.match(scene, hypothesis)
    quality = match[4] if match else None
    words = set(f"{premise} {hypothesis}".split())
    sort = next(w for w in words if f"other {w}" in ABOVE and w not in nli_mini.TAXONOMY)
    kind = next(k for k, sorts in nli_mini.TAXONOMY.items() if sort in sorts)
    things = [*sorted(words & ABOVE.keys()), f"other {sort}", f"other {kind}"]

    def says(text: str) -> Says:
        found = re.match(scene, text)
        if found:
            how, noun, is_not, word = found.groups()
            is_good = (word == quality) != bool(is_not)
        else:
            how = "no" if "did not" in text else "a"
            noun, is_good = text.split()[-1], True

        def holds(world: dict[str, str]) -> bool:
            states = [state for thing, state in world.items() if noun in ABOVE[thing]]
            wanted, other = ("good", "bad") if is_good else ("bad", "good")
            some, all_ = wanted in states, other not in states
            return {"no": not some, "every": all_, "not every": not all_}.get(how, some)

        return holds

    worlds = worlds_of(things, ("absent", "good", "bad"))
    return verdict(worlds, says(premise), says(hypothesis))


def decide_spatial(premise: str, hypothesis: str) -> str:
    words = {  # the smaller place of the two, in one dimension
        **dict.fromkeys(("to the left of", "above", "in front of", "north of", "east of"), True),
        **dict.fromkeys(("to the right of", "below", "behind", "south of", "west of"), False),
    }

    def read(text: str) -> tuple[list[str], bool, str, list[str]]:
        left, is_not, word, right = re.search(
            rf"^[\w ]+, (.+) (?:was|were) (not )?({'|'.join(words)}) (.+)$", text
        ).groups()
        return left.split(" and "), bool(is_not), word, right.split(" and ")

    def says(text: str) -> Says:
        left, is_not, word, right = read(text)
        return lambda at: is_not != all((at[a] < at[b]) == words[word] for a in left for b in right)

    things = [t for text in (premise, hypothesis) for i in (0, 3) for t in read(text)[i]]
    return verdict(orders_of(things), says(premise), says(hypothesis))


def decide_temporal_order(premise: str, hypothesis: str) -> str:
    years = {who: int(year) for who, year in re.findall(rf"({PERSON})[a-z ]* in (\d+)", premise)}

    def read(text: str) -> tuple[str, str, str]:
        text = re.sub(r"^first (.*), then (.*)$", r"\1 before \2", text)
        text = re.sub(r"^(.*) and (.*) on the same day$", r"\1 beside \2", text)
        return re.match(r"(.*) (before|after|beside) (.*)", text).groups()

    def says(text: str) -> Says:
        x, word, y = read(text)
        return lambda at: word == "beside" or (at[x] < at[y]) == (word == "before")

    x, _, y = read(hypothesis)
    if years:
        x = re.match(PERSON, x)[0]
        if y not in years:
            return "neutral"
        is_true = (years[x] < years[y]) == (" before " in hypothesis)
        return "entailment" if is_true else "contradiction"
    events = (x, y, read(premise)[0], read(premise)[2])
    return verdict(orders_of(events), says(premise), says(hypothesis))


def decide_scales(premise: str, hypothesis: str) -> str:
    """Worlds: each scale stands at one side, at the other, or between."""
    sides = {
        word: (f"{number} {name}", side)
        for name in ("CHARACTER", "INTERIOR", "MANNER")
        for number, scale in enumerate(getattr(nli_mini, name))
        for side, words in zip((-1, 1), scale, strict=True)
        for word in words
    }

    def says(text: str) -> Says:
        # Each scale word with the words since the one before, where its `not` stands.
        found, between = [], []
        for word in re.findall(r"[\w-]+", text):
            between.append(word)
            if word in sides:
                found.append((*sides[word], "not" in between))
                between = []
        return lambda at: all((at[scale] == side) != denied for scale, side, denied in found)

    words = re.findall(r"[\w-]+", f"{premise} {hypothesis}")
    scales = sorted({sides[word][0] for word in words if word in sides})
    return verdict(worlds_of(scales, (-1, 0, 1)), says(premise), says(hypothesis))


def decide_modification(premise: str, hypothesis: str) -> str:
    """Worlds: which of the things got, each a noun with some of the adjectives in question."""
    if hypothesis.endswith("ly"):
        return decide_scales(premise, hypothesis)
    phrases = [re.search(r"\b(an?|any) ([a-z ]+)$", t)[2].split() for t in (premise, hypothesis)]
    adjectives = sorted({word for *before, _ in phrases for word in before})
    things = [
        {noun, *(a for a, has in zip(adjectives, chosen, strict=True) if has)}
        for noun in sorted({noun for *_, noun in phrases})
        for chosen in product((True, False), repeat=len(adjectives))
    ]

    def says(text: str, phrase: list[str]) -> Says:
        return lambda got: ("did not" in text) != any(set(phrase) <= thing for thing in got)

    worlds = [
        [thing for thing, has in zip(things, chosen, strict=True) if has]
        for chosen in product((True, False), repeat=len(things))
    ]
    return verdict(worlds, says(premise, phrases[0]), says(hypothesis, phrases[1]))


def decide_negation(premise: str, hypothesis: str) -> str:
    outcomes = (  # the first that is found decides
        *((r"but did not$", False), (r"and did$", True)),
        *((r"did not (fail|forget) to", True), (r"did not manage to", False)),
        *((r"did not (want|plan) to", None), (r"(wanted|planned|hoped) to", None)),
        *((r"(managed|remembered) to", True), (r"(failed|forgot|refused) to", False)),
    )
    thing = hypothesis.rsplit("the ", 1)[1]
    scoped = re.search(r"the (\w+) but not the (\w+)$", premise)
    if scoped:
        is_done = {scoped[1]: True, scoped[2]: False}.get(thing)
    else:
        assert f"the {thing}" in premise
        is_done = next(outcome for pattern, outcome in outcomes if re.search(pattern, premise))
    if is_done is None:
        return "neutral"
    return "entailment" if is_done != ("did not" in hypothesis) else "contradiction"


def decide_paraphrase(premise: str, hypothesis: str) -> str:
    def read(text: str) -> tuple[list[str], bool]:
        roles = re.findall(rf"\b(?:{PERSON})\b", text)
        is_turned = re.search(r" (by|from) ", text)
        return roles[::-1] if is_turned else roles, " not " in text

    (roles, is_not), (other_roles, other_is_not) = read(premise), read(hypothesis)
    if roles != other_roles:
        return "neutral"
    return "entailment" if is_not == other_is_not else "contradiction"


DECIDE: dict[str, Callable[[str, str], str]] = {
    "antonymy": decide_scales,
    "conjunction": decide_conjunction,
    "hypernymy": decide_hypernymy,
    "modification": decide_modification,
    "negation": decide_negation,
    "numbers": decide_numbers,
    "paraphrase": decide_paraphrase,
    "quantifiers": decide_quantifiers,
    "spatial": decide_spatial,
    "temporal_order": decide_temporal_order,
}


def test_bundled_files_are_what_the_generator_gives():
    assert nli_mini.generate() == (PARTS["train"], PARTS["test"])


def test_command_writes_the_bundled_bytes(tmp_path):
    nli_mini.main(["--out", str(tmp_path / "new")])
    for part in PARTS:
        name = f"nli_mini.{part}.jsonl"
        assert (tmp_path / "new" / name).read_bytes() == (BUNDLED / name).read_bytes()


def test_another_seed_gives_other_pairs():
    assert nli_mini.generate(30, 3, seed=1) != nli_mini.generate(30, 3, seed=2)


def test_nothing_is_asked_and_nothing_given():
    assert nli_mini.generate(0, 0) == ([], [])


@pytest.mark.parametrize("size", [4, -3])
def test_size_must_be_a_multiple_of_three(size):
    with pytest.raises(ValueError, match=f"^{size} pairs; expected a multiple of 3, one pair for"):
        nli_mini.generate(size, 3)


@pytest.mark.parametrize(("part", "each"), [("train", 800), ("test", 200)])
def test_labels_are_balanced(part, each):
    counts = Counter(row["label"] for row in PARTS[part])
    assert counts == dict.fromkeys(("entailment", "neutral", "contradiction"), each)


def test_ids_and_pairs_come_once():
    assert [row["id"] for row in ROWS] == [f"nli-mini-{n:05}" for n in range(3000)]
    assert len({(row["premise"], row["hypothesis"]) for row in ROWS}) == len(ROWS)


def test_no_hypothesis_is_in_both_parts():
    train, test = ({row["hypothesis"] for row in rows} for rows in PARTS.values())
    assert not train & test


def test_each_hypothesis_has_each_label_once():
    labels = defaultdict(list)
    for row in ROWS:
        labels[row["hypothesis"]].append(row["label"])
    assert {tuple(sorted(found)) for found in labels.values()} == {("contradiction", "entailment", "neutral")}


def test_each_phenomenon_has_all_labels_in_both_parts():
    for rows in PARTS.values():
        found = {(row["phenomenon"], row["label"]) for row in rows}
        assert found == set(product(DECIDE, ("entailment", "neutral", "contradiction")))


def test_sentences_are_well_formed():
    for text in {row[field] for row in ROWS for field in ("premise", "hypothesis")}:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9, -]+\.( [A-Z][A-Za-z0-9, -]+\.)?", text), text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  | \.", text), text


@pytest.mark.parametrize(
    "settings",
    [{"ngram_range": (1, 2)}, {"analyzer": "char_wb", "ngram_range": (2, 4)}],
    ids=["words", "characters"],
)
def test_hypothesis_alone_does_not_tell_the_label(settings):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(**settings), LogisticRegression(max_iter=300))
    texts, labels = (
        {part: [row[field] for row in rows] for part, rows in PARTS.items()}
        for field in ("hypothesis", "label")
    )
    model.fit(texts["train"], labels["train"])
    assert model.score(texts["test"], labels["test"]) <= 0.40


def test_overlap_and_length_do_not_tell_the_label():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def features(row):
        p, h = (re.findall(r"[\w-]+", row[field].lower()) for field in ("premise", "hypothesis"))
        negations = {"not", "no", "none", "neither", "nor"}
        p_not, h_not = (bool(negations & set(words)) for words in (p, h))
        shared = len(set(p) & set(h)) / len(set(h))
        return [shared, len(p) - len(h), len(p), len(h), p_not, h_not, p_not != h_not]

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    train, test = PARTS["train"], PARTS["test"]
    model.fit([features(row) for row in train], [row["label"] for row in train])
    assert model.score([features(row) for row in test], [row["label"] for row in test]) <= 0.55


@pytest.mark.parametrize("phenomenon", DECIDE)
def test_labels_follow_from_the_sentences(phenomenon):
    rows = [row for row in ROWS if row["phenomenon"] == phenomenon]
    wrong = [
        row
        for row in rows
        if DECIDE[phenomenon](clause(row["premise"]), clause(row["hypothesis"])) != row["label"]
    ]
    assert rows
    assert not wrong, wrong[:5]


# Checked by hand: the models above must themselves be right.
@pytest.mark.parametrize(
    ("phenomenon", "premise", "hypothesis", "label"),
    [
        ("antonymy", "Anna was glad and poor.", "Anna was happy.", "entailment"),
        ("antonymy", "Anna was poor but not happy.", "Anna was sad.", "neutral"),
        ("antonymy", "Anna was sad.", "Anna was not happy.", "entailment"),
        ("antonymy", "The hall was small and cold.", "The hall was large.", "contradiction"),
        ("modification", "Tom spoke softly.", "Tom spoke loudly.", "contradiction"),
        ("modification", "Tom saw a ring.", "Tom saw a red ring.", "neutral"),
        ("modification", "Tom did not see any ring.", "Tom did not see a new ring.", "entailment"),
        ("hypernymy", "Every dog by the lake was wet.", "No owl by the lake was dry.", "neutral"),
        ("hypernymy", "Tom did not see a dog.", "Tom did not see any animal.", "neutral"),
        ("hypernymy", "Tom saw a poodle.", "Tom did not see any dog.", "contradiction"),
        ("negation", "Tom did not fail to hide the key.", "Tom hid the key.", "entailment"),
        ("negation", "Tom wanted to hide the key.", "Tom did not hide the key.", "neutral"),
        ("quantifiers", "Few of the nurses left.", "Not all of the nurses left.", "entailment"),
        ("quantifiers", "Some of the nurses left.", "Some of the nurses did not leave.", "neutral"),
        ("numbers", "Tom saw at least six rings.", "Tom saw more than five rings.", "entailment"),
        ("numbers", "Tom saw at least five rings.", "Tom saw more than five rings.", "neutral"),
        ("numbers", "Tom saw at most six rings.", "Tom saw more than six rings.", "contradiction"),
        ("conjunction", "Tom saw a ring or a lamp.", "Tom saw a ring and a lamp.", "neutral"),
        ("conjunction", "Tom saw a ring and a lamp.", "Tom saw a ring or a lamp.", "entailment"),
        ("spatial", "On the map, a was above b.", "On the map, b was above a.", "contradiction"),
        ("spatial", "On the map, a was above b.", "On the map, a was above c.", "neutral"),
        ("temporal_order", "First Tom sat, then Al sat.", "Al sat after Tom sat.", "entailment"),
        ("temporal_order", "Tom sat in 2 and Anna in 1.", "Tom sat before Anna.", "contradiction"),
        ("paraphrase", "Tom was not hugged by Anna.", "Anna embraced Tom.", "contradiction"),
        ("paraphrase", "Tom lent Anna a lamp.", "Anna lent Tom a lamp.", "neutral"),
    ],
)  # fmt: skip
def test_models_agree_with_a_reader(phenomenon, premise, hypothesis, label):
    assert DECIDE[phenomenon](clause(premise), clause(hypothesis)) == label
