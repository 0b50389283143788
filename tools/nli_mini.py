"""Generates a small three-way NLI corpus from a readable grammar, as a stand-in for MNLI.

A rule has a hypothesis and premises that entail it, leave it open and contradict it. The three pairs of a rule stay in
one part, so a hypothesis alone does not predict its label. A denied hypothesis has the same premises with exchanged
labels, so `not` does not predict the label either.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Row = dict[str, str]
Scale = tuple[list[str], list[str]]


class Item(NamedTuple):
    """A hypothesis and a premise per label; clauses without capital letter and full stop."""

    hypothesis: str
    entailment: str
    neutral: str
    contradiction: str


class Verb(NamedTuple):
    base: str
    past: str
    participle: str


def _verb(forms: str) -> Verb:
    """The forms in `see saw seen`; a missing past form is regular, a missing participle equals the past form."""
    base, *others = forms.split()
    past, *participle = others or [base + ("d" if base.endswith("e") else "ed")]
    return Verb(base, past, *(participle or [past]))


def _scales(table: str) -> list[Scale]:
    """The scales in `tall high / low; ...`: the sides exclude each other, the words of a side are synonyms."""
    sides = [scale.split("/") for scale in table.split(";")]
    return [(one.split(), other.split()) for one, other in sides]


def _words(text: str) -> list[str]:
    return text.split()


# Lexicon ------------------------------------------------------------------------------------
PEOPLE = _words("Anna Tom Maria David Lena Omar Julia Peter Nadia Simon") + [
    f"the {role}"
    for role in _words("nurse pilot baker teacher farmer painter lawyer singer doctor guard waiter")
]
ROOMS = [f"the {room}" for room in _words("room hall hotel cafe shop kitchen library garage")]
SIGHTS = [f"the {sight}" for sight in _words("station lake museum bridge market tower")]
GROUPS = _words("guests students players tourists workers dancers sailors teachers nurses")
NOUNS = _words("ring coat book lamp chair clock bottle mirror basket blanket candle kettle")
COLOURS = _words("red blue green black white yellow")
QUALITIES = _words("small big old new cheap expensive heavy broken")
NUMBERS = _words("three four five six seven eight nine ten eleven twelve")
SCENERY = ("it was raining", "it was late", "the weather was cold", "the street was quiet")

CHARACTER = _scales(
    "happy glad / sad unhappy; rich wealthy / poor; ill sick / healthy; polite courteous / rude;"
    "brave courageous / cowardly; calm relaxed / nervous anxious; famous well-known / unknown;"
    "honest truthful / dishonest untruthful"
)
INTERIOR = _scales(
    "big large / small little; quiet / noisy loud; clean / dirty unclean; cold / warm;"
    "crowded / empty deserted; beautiful lovely / ugly; modern / old-fashioned"
)
MANNER = _scales(
    "quickly rapidly / slowly; loudly / quietly softly; politely courteously / rudely impolitely;"
    "happily cheerfully / sadly unhappily; calmly / nervously anxiously"
)

# Hypernym chains: kind > sort > leaf. Sorts of one kind exclude each other, as do leaves.
TAXONOMY: Mapping[str, Mapping[str, list[str]]] = {
    "animal": {
        "dog": _words("poodle terrier beagle"),
        "bird": _words("parrot sparrow owl"),
        "insect": _words("bee beetle butterfly"),
    },
    "vehicle": {
        "car": _words("taxi limousine convertible"),
        "boat": _words("canoe ferry yacht"),
        "plane": _words("jet glider seaplane"),
    },
    "plant": {"flower": _words("rose tulip daisy"), "tree": _words("oak birch willow")},
}

# Two synonymous verbs, and their objects.
ACTIONS = [
    (_verb(one), _verb(other), _words(things))
    for one, other, things in (
        ("repair", "fix", "car fence radio roof"),
        ("close", "shut shut", "door window gate box"),
        ("choose chose chosen", "select", "song dress menu card"),
        ("hide hid hidden", "conceal", "letter key money map"),
        ("build built", "construct", "wall bridge shed boat"),
        ("finish", "complete", "report painting puzzle drawing"),
        ("copy copied", "duplicate", "key file letter tape"),
    )
]
DEALINGS = [[_verb(verb) for verb in pair.split("/")] for pair in (
    *("help/assist", "rescue/save", "trick tricked/deceive", "praise/commend"),
    *("phone/telephone", "hug hugged/embrace", "frighten/scare"),
)]  # fmt: skip
# Two verbs for the same event, with the giver and with the receiver as subject.
TRANSFERS = [[_verb(verb) for verb in pair.split("/")] for pair in (
    "give gave given/receive", "lend lent/borrow", "sell sold/buy bought",
)]  # fmt: skip
OBTAIN = [_verb(verb) for verb in ("buy bought", "see saw", "find found", "photograph")]
SPEAK = [_verb(verb) for verb in ("answer", "speak spoke", "reply replied", "talk")]
GATHER = [_verb(verb) for verb in ("leave left", "laugh", "wait", "dance", "complain", "vote")]
EVENTS = ("arrived", "left", "called", "fell asleep", "sat down", "started to sing", "woke up")
MILESTONES = ("retired", "moved to Rome", "joined the choir", "learned to swim", "left school")

# Verb phrases by what they imply: the deed was done, it was not done, or either.
ATTEMPTS: Mapping[str, tuple[str, ...]] = {
    "done": ("managed to", "remembered to", "did not fail to", "did not forget to"),
    "fail": ("failed to", "forgot to", "refused to", "did not manage to"),
    "aim": ("wanted to", "planned to", "hoped to"),
    "loath": ("did not want to", "did not plan to"),
}

LAYOUTS: tuple[tuple[str, tuple[str, str], Sequence[str]], ...] = (
    ("in the picture", ("to the left of", "to the right of"), [f"the {n}" for n in NOUNS]),
    ("in the picture", ("above", "below"), [f"the {n}" for n in NOUNS]),
    ("in the queue", ("in front of", "behind"), PEOPLE),
    ("on the map", ("north of", "south of"), SIGHTS),
    ("on the map", ("east of", "west of"), SIGHTS),
)
COUNTS: Mapping[str, Callable[[int], frozenset[int]]] = {
    "exactly": lambda n: frozenset({n}),
    "at least": lambda n: frozenset(range(n, 40)),
    "more than": lambda n: frozenset(range(n + 1, 40)),
    "at most": lambda n: frozenset(range(n + 1)),
    "fewer than": lambda n: frozenset(range(n)),
}


# Rules --------------------------------------------------------------------------------------

# H: a hypothesis, and its denial if any. E, N, C: premises that entail it, leave it open and contradict it; for the
# denial, E and C change places. No rule pairs `few` with `none` or `some`, since readers disagree on whether few may
# be none.
GRAMMAR = """
dealing
H {a} {v.past} {b} | {a} did not {v.base} {b}
E {b} was {w.participle} by {a} | {a} {w.past} {b}
N {b} {v.past} {a} | {a} was {w.participle} by {b} | {b} did not {w.base} {a}
C {b} was not {w.participle} by {a} | {a} did not {w.base} {b}
H {b} was {v.participle} by {a} | {b} was not {v.participle} by {a}
E {a} {w.past} {b}
N {b} {v.past} {a} | {a} was {w.participle} by {b} | {b} did not {w.base} {a}
C {a} did not {w.base} {b}
transfer
H {a} {v.past} {b} {thing} | {a} did not {v.base} {b} {thing}
E {a} {v.past} {thing} to {b} | {b} {w.past} {thing} from {a}
N {b} {v.past} {a} {thing} | {a} {w.past} {thing} from {b} | {b} did not {v.base} {thing} to {a}
C {a} did not {v.base} {thing} to {b} | {b} did not {w.base} {thing} from {a}
hypernym
H {who} {v.past} {a_sort} | {who} did not {v.base} {a_sort}
E {who} {v.past} {a_leaf}
N {who} {v.past} {a_kind} | {who} {v.past} {a_stranger} | {who} did not {v.base} {a_leaf}
C {who} did not {v.base} any {kind} | {who} did not {v.base} any {sort}
H {a_sort} {place} was {good} | no {sort} {place} was {good}
E {a_leaf} {place} was {good}
N {a_kind} {place} was {good} | {a_stranger} {place} was {good} | no {leaf} {place} was {good}
C no {kind} {place} was {good} | every {kind} {place} was {bad}
H every {sort} {place} was {good} | not every {sort} {place} was {good}
E every {kind} {place} was {good}
N every {leaf} {place} was {good} | every {stranger} {place} was {good}
C {a_leaf} {place} was {bad} | {a_leaf} {place} was not {good}
negation
H {who} {v.past} {a} | {who} did not {v.base} {a}
E {who} {done} {w.base} {a} | {who} {w.past} {a} but not {b} | {who} {aim} {w.base} {a} and did
N {who} {aim} {w.base} {a} | {who} {w.past} {b} but not {c} | {who} {loath} {w.base} {a}
C {who} {fail} {w.base} {a} | {who} {w.past} {b} but not {a} | {who} {aim} {w.base} {a} but did not
antonym
H {who} was {x} | {who} was not {x}
E {who} was {same} and {y} | {who} was {y} and {same} | {who} was {same} but not {y}
N {who} was {z} and {y} | {who} was {y} and {z} | {who} was {z} but not {y}
C {who} was {opposite} and {y} | {who} was {y} and {opposite} | {who} was {y} but not {same}
adverb
H {who} {v.past} {x} | {who} did not {v.base} {x}
E {who} {v.past} {same} and {y} | {who} {v.past} {y} and {same}
N {who} {v.past} {y} | {who} {v.past} {y} and {z}
C {who} {v.past} {opposite} and {y} | {who} {v.past} {y} and {opposite}
adjective
H {who} {v.past} {one} | {who} did not {v.base} {one}
E {who} {v.past} {full}
N {who} {v.past} {other} | {who} {v.past} {bare} | {who} did not {v.base} {other}
C {who} did not {v.base} any {noun}
H {who} {v.past} {bare} | {who} did not {v.base} {bare}
E {who} {v.past} {full} | {who} {v.past} {one}
N {who} did not {v.base} {one} | {who} {v.past} {far}
C {who} did not {v.base} any {noun}
quantifier
H all of the {g} {v.past} | not all of the {g} {v.past}
E every one of the {g} {v.past} | each of the {g} {v.past}
N some of the {g} {v.past} | all of the {o} {v.past}
C none of the {g} {v.past} | few of the {g} {v.past} | some of the {g} did not {v.base}
H some of the {g} {v.past} | none of the {g} {v.past}
E all of the {g} {v.past} | most of the {g} {v.past} | every one of the {g} {v.past}
N some of the {g} did not {v.base} | none of the {o} {v.past} | most of the {o} {v.past}
C not one of the {g} {v.past} | not a single one of the {g} {v.past}
H most of the {g} {v.past}
E all of the {g} {v.past} | nearly all of the {g} {v.past}
N some of the {g} {v.past} | most of the {o} {v.past}
C few of the {g} {v.past} | none of the {g} {v.past} | hardly any of the {g} {v.past}
H few of the {g} {v.past}
E only very few of the {g} {v.past} | hardly any of the {g} {v.past}
N not all of the {g} {v.past} | few of the {o} {v.past} | nearly all of the {o} {v.past}
C most of the {g} {v.past} | all of the {g} {v.past} | nearly all of the {g} {v.past}
connective
H {who} {v.past} {a} | {who} did not {v.base} {a}
E {who} {v.past} {a} and {b} | {who} {v.past} {b} and {a} | {who} {v.past} {a} but not {b}
N {who} {v.past} {a} or {b} | {who} {v.past} {b} and {c} | {who} {v.past} {b} but not {c}
C {who} {v.past} neither {a} nor {b} | {who} {v.past} {b} but not {a}
H {who} {v.past} {a} or {b} | {who} {v.past} neither {a} nor {b}
E {who} {v.past} {a} and {c} | {who} {v.past} {b} but not {c}
N {who} {v.past} {a} or {c} | {who} {v.past} {c} but not {b} | {who} {v.past} neither {a} nor {c}
C {who} did not {v.base} {a}, {b} or {c} | {who} {v.past} {c} but neither {b} nor {a}
H {who} {v.past} {a} and {b}
E {who} {v.past} both {a} and {b} | {who} {v.past} {a}, {b} and {c}
N {who} {v.past} {a} or {b} | {who} {v.past} {a} and {c} | {who} {v.past} {b} but not {c}
C {who} {v.past} {a} but not {b} | {who} {v.past} neither {a} nor {b}
temporal
H {x} before {y}
E {y} after {x} | first {x}, then {y}
N {x} and {y} on the same day | {x} before {z} | {z} before {y} | {y} after {z}
C {y} before {x} | {x} after {y} | first {y}, then {x}
H {y} after {x}
E {x} before {y} | first {x}, then {y}
N {x} and {y} on the same day | {x} before {z} | {z} before {y} | {y} after {z}
C {x} after {y} | {y} before {x} | first {y}, then {x}
H {a} {deed} before {b} | {a} {deed} after {b}
E {a} {deed} in {early} and {b} in {late}
N {a} {deed} in {early} and {c} in {late} | {a} {deed} in {late} and {c} in {early}
C {a} {deed} in {late} and {b} in {early}
spatial
H {frame}, {a} was {word} {b} | {frame}, {a} was not {word} {b}
E {frame}, {b} was {inverse} {a} | {frame}, {a} was {word} {b} and {c}
N {frame}, {a} was {word} {c} | {frame}, {a} and {b} were {word} {c} | {frame}, {c} was {word} {b}
C {frame}, {b} was {word} {a} | {frame}, {a} was {inverse} {b} and {c}
"""


def _parsed(grammar: str) -> dict[str, list[dict[str, list[str]]]]:
    """The rules by name, each with its alternatives by label."""
    rules: dict[str, list[dict[str, list[str]]]] = {}
    for line in grammar.strip().splitlines():
        key, _, text = line.partition(" ")
        if not text:
            name = key
            rules[name] = []
            continue
        if key == "H":
            rules[name].append({})
        rules[name][-1][key] = text.split(" | ")
    return rules


RULES = _parsed(GRAMMAR)


def _filled(rng: random.Random, name: str, **words: object) -> Item:
    """An item of the rule with this name, affirmed or denied, with the words in their places."""
    rule = rng.choice(RULES[name])
    hypothesis = rng.choice(rule["H"])
    is_denied = hypothesis != rule["H"][0]
    premises = (rng.choice(rule[label]) for label in ("CNE" if is_denied else "ENC"))
    return Item(*(template.format(**words) for template in (hypothesis, *premises)))


# Phenomena ----------------------------------------------------------------------------------
def paraphrase(rng: random.Random) -> Item:
    """Synonyms in active and passive voice, and transfers with datives and converse verbs."""
    a, b = rng.sample(PEOPLE, 2)
    if rng.random() < 0.5:
        v, w = rng.choice(TRANSFERS)
        return _filled(rng, "transfer", a=a, b=b, v=v, w=w, thing=_a(rng.choice(NOUNS)))
    v, w = rng.sample(rng.choice(DEALINGS), 2)
    return _filled(rng, "dealing", a=a, b=b, v=v, w=w)


def hypernymy(rng: random.Random) -> Item:
    """Up the chain in a plain sentence, down it under `not`, `no` and `every`."""
    kind = rng.choice(list(TAXONOMY))
    sort, other = rng.sample(list(TAXONOMY[kind]), 2)
    nouns = {"kind": kind, "sort": sort} | {
        "leaf": rng.choice(TAXONOMY[kind][sort]),
        "stranger": rng.choice(TAXONOMY[kind][other]),
    }
    good, bad = rng.sample(rng.choice((("wet", "dry"), ("clean", "dirty"), ("black", "white"))), 2)
    nouns |= {f"a_{role}": _a(noun) for role, noun in nouns.items()}
    place = rng.choice(("in the picture", "in the film", "near the station", "by the lake"))
    nouns |= {"good": good, "bad": bad, "place": place}
    return _filled(rng, "hypernym", who=rng.choice(PEOPLE), v=rng.choice(OBTAIN), **nouns)


def negation(rng: random.Random) -> Item:
    """`not` with its scope, and verbs that imply or leave open whether the deed was done."""
    v, w, things = rng.choice(ACTIONS)
    a, b, c = (f"the {thing}" for thing in rng.sample(things, 3))
    words = {name: rng.choice(choices) for name, choices in ATTEMPTS.items()}
    w = rng.choice((v, w))
    return _filled(rng, "negation", who=rng.choice(PEOPLE), v=v, w=w, a=a, b=b, c=c, **words)


def antonymy(rng: random.Random) -> Item:
    """An adjective, its synonym, its antonym and adjectives of other scales."""
    names, scales = rng.choice(((PEOPLE, CHARACTER), (ROOMS, INTERIOR)))
    return _filled(rng, "antonym", who=rng.choice(names), **_on_scales(rng, scales))


def modification(rng: random.Random) -> Item:
    """Adverbs and adjectives added, dropped and exchanged."""
    who = rng.choice(PEOPLE)
    if rng.random() < 0.4:
        scales = _on_scales(rng, MANNER)
        return _filled(rng, "adverb", who=who, v=rng.choice(SPEAK), **scales)
    quality, colour = rng.choice(QUALITIES), rng.choice(COLOURS)
    noun, stranger = rng.sample(NOUNS, 2)
    one, other = rng.sample((quality, colour), 2)
    phrases = {"bare": noun, "one": f"{one} {noun}", "other": f"{other} {noun}"}
    phrases |= {"full": f"{quality} {colour} {noun}", "far": f"{one} {stranger}"}
    phrases = {name: _a(phrase) for name, phrase in phrases.items()} | {"noun": noun}
    return _filled(rng, "adjective", who=who, v=rng.choice(OBTAIN), **phrases)


def quantifiers(rng: random.Random) -> Item:
    """Shares of a group; the neutral premise may be about another group."""
    group, other = rng.sample(GROUPS, 2)
    return _filled(rng, "quantifier", g=group, o=other, v=rng.choice(GATHER))


def numbers(rng: random.Random) -> Item:
    """Counts as sets of numbers: a subset entails, a disjoint set contradicts, any other is neutral."""
    who, verb = rng.choice(PEOPLE), rng.choice(OBTAIN)
    noun, other = (f"{noun}s" for noun in rng.sample(NOUNS, 2))
    counts = {(w, n): COUNTS[w](i) for w in COUNTS for i, n in enumerate(NUMBERS, 3)}
    claim = rng.choice([(word, n) for word, n in counts if n not in (NUMBERS[0], NUMBERS[-1])])
    by_label: dict[str, dict[str, list[str]]] = {label: {} for label in Item._fields[1:]}
    for (word, n), count in counts.items():
        is_inside, is_apart = count <= counts[claim], count.isdisjoint(counts[claim])
        label = "entailment" if is_inside else "contradiction" if is_apart else "neutral"
        by_label[label].setdefault(word, []).append(f"{word} {n}")
    # The quantifier word is drawn first: otherwise most contradictions would be exact counts, and easy to guess.
    phrases = {label: rng.choice(rng.choice([*some.values()])) for label, some in by_label.items()}
    premises = {}
    for label, phrase in phrases.items():
        extra = f"{' '.join(rng.choice(list(counts)))} {other}"
        premises[label] = f"{who} {verb.past} " + rng.choice(
            (f"{phrase} {noun} and {extra}", f"{extra} and {phrase} {noun}")
        )
    return Item(f"{who} {verb.past} {' '.join(claim)} {noun}", **premises)


def conjunction(rng: random.Random) -> Item:
    """`and`, `or`, `but not` and `neither`; `or` does not exclude `and`."""
    a, b, c = (_a(noun) for noun in rng.sample(NOUNS, 3))
    who, verb = rng.choice(PEOPLE), rng.choice(OBTAIN)
    return _filled(rng, "connective", who=who, v=verb, a=a, b=b, c=c)


def temporal_order(rng: random.Random) -> Item:
    """`before` and `after` between two events, or by their years."""
    a, b, c = people = rng.sample(PEOPLE, 3)
    events = rng.sample(EVENTS, 3)
    words = {key: f"{p} {e}" for key, p, e in zip("xyz", people, events, strict=True)}
    early, late = (str(year) for year in sorted(rng.sample(range(1981, 2020), 2)))
    words |= {"deed": rng.choice(MILESTONES), "early": early, "late": late}
    return _filled(rng, "temporal", a=a, b=b, c=c, **words)


def spatial(rng: random.Random) -> Item:
    """A strict spatial relation, its inverse and a third object."""
    frame, words, things = rng.choice(LAYOUTS)
    a, b, c = rng.sample(things, 3)
    word, inverse = rng.sample(words, 2)
    return _filled(rng, "spatial", frame=frame, a=a, b=b, c=c, word=word, inverse=inverse)


# Hypotheses per phenomenon out of every 40: more where a single word decides, since an encoder that reads premise and
# hypothesis separately learns little from order and arithmetic.
SHARES: Mapping[Callable[[random.Random], Item], int] = {
    **dict.fromkeys((antonymy, negation, hypernymy), 6),
    **dict.fromkeys((modification, quantifiers, conjunction, paraphrase), 4),
    **dict.fromkeys((numbers, temporal_order, spatial), 2),
}


# Corpus -------------------------------------------------------------------------------------
def generate(n_train: int = 2400, n_test: int = 600, seed: int = 0) -> tuple[list[Row], list[Row]]:
    """Train and test rows: id, premise, hypothesis, label and phenomenon; labels balanced.

    Raises ValueError for a size that is not a multiple of three, and when the grammar has no new hypotheses left.
    """
    rng = random.Random(seed)
    groups = _groups(rng)
    parts: list[list[Row]] = []
    for size in (n_train, n_test):
        if size < 0 or size % 3:
            raise ValueError(f"{size} pairs; expected a multiple of 3, one pair for each label")
        rows = [row for _ in range(size // 3) for row in next(groups)]
        rng.shuffle(rows)
        parts.append(rows)
    for number, row in enumerate(row for part in parts for row in part):
        row["id"] = f"nli-mini-{number:05}"
    return parts[0], parts[1]


def _groups(rng: random.Random) -> Iterator[list[Row]]:
    """Groups of three pairs with one hypothesis each; hypotheses do not repeat."""
    seen: set[str] = set()
    rounds = [phenomenon for phenomenon, share in SHARES.items() for _ in range(share)]
    while True:
        rng.shuffle(rounds)
        for phenomenon in rounds:
            hypothesis, *premises = _unseen(rng, phenomenon, seen)
            yield [
                {
                    "id": "",
                    "premise": _sentences(rng, premise, scenery_share=0.2),
                    "hypothesis": _sentences(rng, hypothesis),
                    "label": label,
                    "phenomenon": phenomenon.__name__,
                }
                for premise, label in zip(premises, Item._fields[1:], strict=True)
            ]


def _unseen(rng: random.Random, phenomenon: Callable[[random.Random], Item], seen: set[str]) -> Item:
    for _ in range(1000):
        item = phenomenon(rng)
        if item.hypothesis not in seen:
            seen.add(item.hypothesis)
            return item
    raise ValueError(f"{phenomenon.__name__} has no new hypotheses left; ask for fewer pairs")


def _on_scales(rng: random.Random, scales: Sequence[Scale]) -> dict[str, str]:
    """A word, a word of its side, a word of the opposite side, and words of two other scales."""
    chosen, *others = rng.sample(scales, 3)
    side, opposite = rng.sample(chosen, 2)
    y, z = (rng.choice(rng.choice(scale)) for scale in others)
    words = {"x": rng.choice(side), "same": rng.choice(side), "opposite": rng.choice(opposite)}
    return words | {"y": y, "z": z}


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _sentences(rng: random.Random, clause: str, scenery_share: float = 0.0) -> str:
    """The clause as a sentence, sometimes after an unrelated sentence."""
    clauses = [rng.choice(SCENERY)] if rng.random() < scenery_share else []
    return " ".join(f"{each[0].upper()}{each[1:]}." for each in (*clauses, clause))


def main(argv: Sequence[str] | None = None) -> None:
    """Write nli_mini.train.jsonl and nli_mini.test.jsonl into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for example: .")
    out: Path = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    for part, rows in zip(("train", "test"), generate(), strict=True):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"nli_mini.{part}.jsonl").write_text(lines, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
