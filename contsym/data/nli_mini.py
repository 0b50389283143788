"""A small three-way NLI corpus made by a readable grammar, where MNLI is not at hand.

Each builder gives one hypothesis and a premise for each label. The three pairs stay in one part,
so that a hypothesis by itself says nothing about its label. Premises share their words with the
hypothesis under every label, and both polarities of a hypothesis occur wherever it has two.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")
Row = dict[str, str]


class Item(NamedTuple):
    """A hypothesis and, by label, a premise for it; clauses without capital and full stop."""

    hypothesis: str
    entailment: str
    neutral: str
    contradiction: str


class Verb(NamedTuple):
    base: str
    past: str
    participle: str


def _verb(base: str, past: str = "", participle: str = "") -> Verb:
    past = past or (base + "d" if base.endswith("e") else base + "ed")
    return Verb(base, past, participle or past)


# Lexicon ------------------------------------------------------------------------------------

PEOPLE = (
    *("Anna", "Tom", "Maria", "David", "Lena", "Omar", "Julia", "Peter", "Nadia", "Simon"),
    *("the nurse", "the pilot", "the baker", "the teacher", "the farmer", "the painter"),
    *("the lawyer", "the singer", "the doctor", "the guard", "the sailor", "the waiter"),
)
ROOMS = tuple(f"the {n}" for n in "room hall hotel cafe shop kitchen library garage".split())
GROUPS = "guests students players tourists workers dancers sailors teachers nurses".split()
NOUNS = "ring coat book lamp chair clock bottle mirror basket blanket candle kettle".split()
COLOURS = "red blue green black white yellow".split()
QUALITIES = "small big old new cheap expensive heavy broken".split()
NUMBERS = "three four five six seven eight nine ten eleven twelve".split()
SCENERY = ("it was raining", "it was late", "the weather was cold", "the street was quiet")

# Each scale has two sides that exclude each other; the words of one side mean the same.
Scale = tuple[tuple[str, ...], tuple[str, ...]]
CHARACTER: tuple[Scale, ...] = (
    (("happy", "glad"), ("sad", "unhappy")),
    (("rich", "wealthy"), ("poor",)),
    (("ill", "sick"), ("healthy",)),
    (("polite", "courteous"), ("rude", "impolite")),
    (("brave", "courageous"), ("cowardly",)),
    (("calm", "relaxed"), ("nervous", "anxious")),
    (("honest", "truthful"), ("dishonest", "untruthful")),
    (("famous", "well-known"), ("unknown",)),
)
ROOM_QUALITY: tuple[Scale, ...] = (
    (("big", "large"), ("small", "little")),
    (("quiet", "silent"), ("noisy", "loud")),
    (("clean",), ("dirty", "unclean")),
    (("cold", "chilly"), ("warm",)),
    (("crowded", "packed"), ("empty", "deserted")),
    (("beautiful", "lovely"), ("ugly", "unattractive")),
    (("modern",), ("old-fashioned",)),
)
MANNER: tuple[Scale, ...] = (
    (("quickly", "rapidly"), ("slowly",)),
    (("loudly",), ("quietly", "softly")),
    (("politely", "courteously"), ("rudely", "impolitely")),
    (("happily", "cheerfully"), ("sadly", "unhappily")),
    (("calmly",), ("nervously", "anxiously")),
)
SIGHTS = (("wet", "dry"), ("dry", "wet"), ("clean", "dirty"), ("black", "white"))

# Hypernym chains: kind > sort > leaf. Sorts of one kind exclude each other, as do leaves.
TAXONOMY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "animal": {
        "dog": ("poodle", "terrier", "beagle"),
        "bird": ("parrot", "sparrow", "owl"),
        "fish": ("salmon", "trout", "shark"),
    },
    "vehicle": {
        "car": ("taxi", "limousine", "convertible"),
        "boat": ("canoe", "ferry", "yacht"),
        "plane": ("jet", "glider", "seaplane"),
    },
    "plant": {"flower": ("rose", "tulip", "daisy"), "tree": ("oak", "birch", "willow")},
}

# Two verbs of one meaning, and what they are done to.
ACTIONS = (
    (_verb("repair"), _verb("fix"), ("car", "fence", "radio", "roof")),
    (_verb("close"), _verb("shut", "shut"), ("door", "window", "gate", "box")),
    (_verb("choose", "chose", "chosen"), _verb("select"), ("song", "dress", "menu", "card")),
    (_verb("hide", "hid", "hidden"), _verb("conceal"), ("letter", "key", "money", "map")),
    (_verb("build", "built"), _verb("construct"), ("wall", "bridge", "shed", "boat")),
    (_verb("finish"), _verb("complete"), ("report", "painting", "puzzle", "race")),
    (_verb("copy", "copied"), _verb("duplicate"), ("key", "file", "letter", "tape")),
)
DEALINGS = (
    (_verb("help"), _verb("assist")),
    (_verb("chase"), _verb("pursue")),
    (_verb("rescue"), _verb("save")),
    (_verb("trick"), _verb("deceive")),
    (_verb("praise"), _verb("commend")),
    (_verb("push"), _verb("shove")),
    (_verb("frighten"), _verb("scare")),
)
# The same event told from the giver's side and from the receiver's.
TRANSFERS = (
    (_verb("give", "gave", "given"), _verb("receive")),
    (_verb("lend", "lent"), _verb("borrow")),
    (_verb("sell", "sold"), _verb("buy", "bought")),
)
OBTAIN = (_verb("buy", "bought"), _verb("see", "saw"), _verb("find", "found"), _verb("photograph"))
COUNTED = (_verb("buy", "bought"), _verb("sell", "sold"), _verb("find", "found"), _verb("pack"))
SPEAK = (_verb("answer"), _verb("speak", "spoke"), _verb("reply", "replied"), _verb("sing", "sang"))
CROWD = (
    *(_verb("leave", "left"), _verb("laugh"), _verb("sing", "sang"), _verb("wait")),
    *(_verb("dance"), _verb("complain"), _verb("vote"), _verb("arrive")),
)
EVENTS = ("arrived", "left", "called", "fell asleep", "sat down", "started to sing", "woke up")
MILESTONES = ("retired", "moved to Rome", "joined the choir", "learned to swim", "left school")

# What follows about the deed: it was done, it was not, or either.
DONE = ("managed to", "remembered to", "did not fail to", "did not forget to")
UNDONE = ("failed to", "forgot to", "refused to", "did not manage to", "did not remember to")
UNDECIDED = ("wanted to", "planned to", "hoped to", "did not want to", "did not plan to")

# Hypothesis: premises that entail it, leave it open, contradict it. `few` and `none`, and `few`
# and `some`, are kept apart: readers disagree on whether few may be none.
QUANTIFIERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "all of the {g} {past}": (
        ("every one of the {g} {past}", "each of the {g} {past}"),
        ("some of the {g} {past}", "most of the {g} {past}"),
        ("none of the {g} {past}", "few of the {g} {past}", "some of the {g} did not {base}"),
    ),
    "some of the {g} {past}": (
        ("all of the {g} {past}", "most of the {g} {past}", "every one of the {g} {past}"),
        ("all of the {o} {past}", "some of the {o} {past}", "none of the {o} {past}"),
        ("none of the {g} {past}", "not one of the {g} {past}"),
    ),
    "none of the {g} {past}": (
        ("not one of the {g} {past}", "not a single one of the {g} {past}"),
        ("not all of the {g} {past}", "some of the {g} did not {base}", "none of the {o} {past}"),
        ("some of the {g} {past}", "all of the {g} {past}", "most of the {g} {past}"),
    ),
    "most of the {g} {past}": (
        ("all of the {g} {past}", "nearly all of the {g} {past}", "each of the {g} {past}"),
        ("some of the {g} {past}", "most of the {o} {past}"),
        ("few of the {g} {past}", "none of the {g} {past}", "hardly any of the {g} {past}"),
    ),
    "few of the {g} {past}": (
        ("only very few of the {g} {past}", "hardly any of the {g} {past}"),
        ("not all of the {g} {past}", "few of the {o} {past}", "some of the {g} did not {base}"),
        ("most of the {g} {past}", "all of the {g} {past}", "nearly all of the {g} {past}"),
    ),
    "not all of the {g} {past}": (
        ("none of the {g} {past}", "few of the {g} {past}", "some of the {g} did not {base}"),
        ("some of the {g} {past}", "not all of the {o} {past}"),
        ("all of the {g} {past}", "every one of the {g} {past}", "each of the {g} {past}"),
    ),
}

_HAS = ("{w} {past} {a} and {b}", "{w} {past} {b} and {a}", "{w} {past} {a} but not {b}")
_LACKS = ("{w} {past} neither {a} nor {b}", "{w} {past} {b} but not {a}")
_OPEN = ("{w} {past} {a} or {b}", "{w} {past} {b} or {a}", "{w} {past} {b} but not {c}")
CONNECTIVES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "{w} {past} {a}": (_HAS, _OPEN, _LACKS),
    "{w} did not {base} {a}": (_LACKS, _OPEN, _HAS),
    "{w} {past} {a} or {b}": (
        ("{w} {past} {a} and {c}", "{w} {past} {b} but not {c}"),
        ("{w} {past} {a} or {c}", "{w} {past} {c} but not {b}", "{w} {past} {c} or {b}"),
        ("{w} {past} neither {a} nor {b}", "{w} {past} {c} but neither {b} nor {a}"),
    ),
    "{w} {past} {a} and {b}": (
        ("{w} {past} both {a} and {b}", "{w} {past} {a}, {b} and {c}"),
        ("{w} {past} {a} or {b}", "{w} {past} {a} and {c}", "{w} {past} {b} but not {c}"),
        ("{w} {past} {a} but not {b}", "{w} {past} neither {a} nor {b}"),
    ),
    "{w} {past} neither {a} nor {b}": (
        ("{w} {past} {c} but neither {b} nor {a}", "{w} did not {base} {a}, {b} or {c}"),
        ("{w} {past} neither {a} nor {c}", "{w} {past} {c} but not {b}"),
        ("{w} {past} {a} or {b}", "{w} {past} {b} but not {a}", "{w} {past} {a} and {c}"),
    ),
}

# Where relations are strict: inverse words, and what stands in them.
LAYOUTS: tuple[tuple[str, tuple[str, str], tuple[str, ...]], ...] = (
    ("in the picture", ("to the left of", "to the right of"), tuple(f"the {n}" for n in NOUNS)),
    ("in the picture", ("above", "below"), tuple(f"the {n}" for n in NOUNS)),
    ("in the queue", ("in front of", "behind"), PEOPLE),
    ("on the map", ("north of", "south of"), ROOMS[1:5] + ("the station", "the lake")),
    ("on the map", ("east of", "west of"), ROOMS[1:5] + ("the station", "the lake")),
)

COUNTS: Mapping[str, Callable[[int], frozenset[int]]] = {
    "exactly": lambda n: frozenset({n}),
    "at least": lambda n: frozenset(range(n, 40)),
    "more than": lambda n: frozenset(range(n + 1, 40)),
    "at most": lambda n: frozenset(range(n + 1)),
    "fewer than": lambda n: frozenset(range(n)),
}


# Phenomena ----------------------------------------------------------------------------------


def paraphrase(rng: random.Random) -> Item:
    """Synonyms with active and passive, and transfers with their datives and converses."""
    a, b = rng.sample(PEOPLE, 2)
    if rng.random() < 0.4:
        give, take = rng.choice(TRANSFERS)
        thing = _a(rng.choice(NOUNS))

        def told(x: str, y: str) -> tuple[list[str], list[str]]:
            return (
                [f"{x} {give.past} {y} {thing}", f"{x} {give.past} {thing} to {y}"]
                + [f"{y} {take.past} {thing} from {x}"],
                [f"{x} did not {give.base} {y} {thing}", f"{x} did not {give.base} {thing} to {y}"]
                + [f"{y} did not {take.base} {thing} from {x}"],
            )
    else:
        first, second = rng.sample(rng.choice(DEALINGS), 2)

        def told(x: str, y: str) -> tuple[list[str], list[str]]:
            return (
                [f"{x} {first.past} {y}", f"{y} was {second.participle} by {x}"],
                [f"{x} did not {first.base} {y}", f"{y} was not {second.participle} by {x}"],
            )

    # Who did it to whom is all that tells the neutral pair from the other two.
    says, denies = rng.sample(told(a, b), 2)
    hypothesis, entailment = rng.sample(says, 2)
    neutral = rng.choice(rng.choice(told(b, a)))
    return Item(hypothesis, entailment, neutral, rng.choice(denies))


def hypernymy(rng: random.Random) -> Item:
    """Up the chain under `a`, down it under `not`, `no` and `every`."""
    kind = rng.choice(list(TAXONOMY))
    sort, other_sort = rng.sample(list(TAXONOMY[kind]), 2)
    leaf, stranger = rng.choice(TAXONOMY[kind][sort]), rng.choice(TAXONOMY[kind][other_sort])
    who, verb, (good, bad) = rng.choice(PEOPLE), rng.choice(OBTAIN), rng.choice(SIGHTS)
    place = rng.choice(("in the picture", "in the film", "near the station", "by the lake"))
    has, lacks = f"{who} {verb.past}", f"{who} did not {verb.base}"
    wide = rng.choice((kind, sort))
    return rng.choice(
        (
            Item(
                f"{has} {_a(sort)}",
                f"{has} {_a(leaf)}",
                f"{has} {_a(rng.choice((kind, stranger)))}",
                f"{lacks} any {wide}",
            ),
            Item(
                f"{lacks} {_a(sort)}",
                f"{lacks} any {kind}",
                rng.choice((f"{lacks} {_a(leaf)}", f"{has} {_a(stranger)}")),
                f"{has} {_a(leaf)}",
            ),
            Item(
                f"every {sort} {place} was {good}",
                f"every {kind} {place} was {good}",
                f"every {rng.choice((leaf, stranger))} {place} was {good}",
                f"{_a(leaf)} {place} was {bad}",
            ),
            Item(
                f"no {sort} {place} was {good}",
                f"no {kind} {place} was {good}",
                f"no {rng.choice((leaf, stranger))} {place} was {good}",
                f"{_a(leaf)} {place} was {good}",
            ),
            Item(
                f"{_a(sort)} {place} was {good}",
                f"{_a(leaf)} {place} was {good}",
                f"{_a(rng.choice((kind, stranger)))} {place} was {good}",
                rng.choice((f"no {wide} {place} was {good}", f"every {wide} {place} was {bad}")),
            ),
        )
    )


def negation(rng: random.Random) -> Item:
    """`not` with its scope, and verbs that say or leave open whether the deed was done."""
    who = rng.choice(PEOPLE)
    first, second, things = rng.choice(ACTIONS)
    verb = rng.choice((first, second))
    a, b, c = (f"the {thing}" for thing in rng.sample(things, 3))
    if rng.random() < 0.7:
        is_done, is_not, either = (
            f"{who} {rng.choice(words)} {verb.base} {a}" for words in (DONE, UNDONE, UNDECIDED)
        )
    else:
        is_done = f"{who} {verb.past} {a} but not {b}"
        is_not = f"{who} {verb.past} {b} but not {a}"
        either = f"{who} {verb.past} {b} but not {c}"
    said = f"{who} {first.past} {a}", f"{who} did not {first.base} {a}"
    return _of_either_polarity(rng, said, is_done, either, is_not)


def antonymy(rng: random.Random) -> Item:
    """A word, its synonym, its antonym and words of other scales."""
    names, scales = rng.choice(((PEOPLE, CHARACTER), (ROOMS, ROOM_QUALITY)))
    who = rng.choice(names)
    (side, opposite), *others = rng.sample(scales, 3)
    if rng.random() < 0.5:
        side, opposite = opposite, side
    other, another = (rng.choice(rng.choice(scale)) for scale in others)
    same = rng.choice(side)
    said = f"{who} was {rng.choice(side)}", f"{who} was not {rng.choice(side)}"
    if rng.random() < 0.3:
        has, open_, lacks = (
            f"{who} was {x} but not {y}"
            for x, y in ((same, other), (another, other), (other, same))
        )
    else:
        has, open_, lacks = (
            f"{who} was {_both(rng, word, other)}" for word in (same, another, rng.choice(opposite))
        )
    return _of_either_polarity(rng, said, has, open_, lacks)


def quantifiers(rng: random.Random) -> Item:
    group, other = rng.sample(GROUPS, 2)
    verb = rng.choice(CROWD)
    return _from_table(rng, QUANTIFIERS, g=group, o=other, base=verb.base, past=verb.past)


def numbers(rng: random.Random) -> Item:
    """Counts as sets of numbers: inside is entailment, apart contradiction, else neutral."""
    who, verb = rng.choice(PEOPLE), rng.choice(COUNTED)
    noun, other = (f"{n}s" for n in rng.sample(NOUNS, 2))
    phrases = {f"{word} {NUMBERS[n - 3]}": COUNTS[word](n) for word in COUNTS for n in range(3, 13)}
    said = rng.choice([phrase for phrase in phrases if not phrase.endswith(("three", "twelve"))])
    inside, apart, across = [], [], []
    for phrase, count in phrases.items():
        is_inside, is_apart = count <= phrases[said], count.isdisjoint(phrases[said])
        (inside if is_inside else apart if is_apart else across).append(phrase)

    def premise(counts: Sequence[str]) -> str:
        # By word first: most counts that contradict are exact, which would give them away.
        word = rng.choice(sorted({phrase.rsplit(" ", 1)[0] for phrase in counts}))
        count = rng.choice([phrase for phrase in counts if phrase.startswith(word)])
        extra = f"{rng.choice(list(phrases))} {other}"
        return f"{who} {verb.past} {_both(rng, f'{count} {noun}', extra)}"

    neutral = premise(across)
    if rng.random() < 0.3:
        neutral = f"{who} {verb.past} {rng.choice(list(phrases))} {other}"
    return Item(f"{who} {verb.past} {said} {noun}", premise(inside), neutral, premise(apart))


def conjunction(rng: random.Random) -> Item:
    a, b, c = (_a(noun) for noun in rng.sample(NOUNS, 3))
    who, verb = rng.choice(PEOPLE), rng.choice(OBTAIN)
    return _from_table(rng, CONNECTIVES, w=who, a=a, b=b, c=c, base=verb.base, past=verb.past)


def temporal_order(rng: random.Random) -> Item:
    """`before` and `after` between two events, or between two years."""
    people = a, b, c = rng.sample(PEOPLE, 3)
    if rng.random() < 0.5:
        deed = rng.choice(MILESTONES)
        early, late = sorted(rng.sample(range(1981, 2020), 2))
        hypothesis, first, second = rng.choice(
            ((f"{a} {deed} before {b}", early, late), (f"{a} {deed} after {b}", late, early))
        )
        when = f"{{}} {deed} in {{}} and {{}} in {{}}".format
        neutral = when(a, first, c, second)
        return Item(hypothesis, when(a, first, b, second), neutral, when(a, second, b, first))

    x, y, z = (f"{p} {e}" for p, e in zip(people, rng.sample(EVENTS, 3), strict=True))

    def told(first: str, then: str) -> list[str]:
        return [f"{first} before {then}", f"{then} after {first}", f"first {first}, then {then}"]

    hypothesis, entailment = rng.sample(told(x, y), 2)
    neutral = rng.choice([f"{x} and {y} on the same day", *told(x, z), *told(z, y)])
    return Item(hypothesis, entailment, neutral, rng.choice(told(y, x)))


def spatial(rng: random.Random) -> Item:
    """A relation, its inverse and a third thing."""
    frame, words, things = rng.choice(LAYOUTS)
    a, b, c = rng.sample(things, 3)
    word, inverse = rng.sample(words, 2)
    has, lacks = rng.choice(
        (
            (f"{a} was {word} {b}, and {c} was {word} {a}", f"{a} was {inverse} {b} and {c}"),
            (f"{b} was {inverse} {a}", f"{b} was {word} {a}"),
            (f"{a} was {word} {b} and {c}", f"{a} was {inverse} {b}"),
        )
    )
    open_ = rng.choice((f"{a} was {word} {c}", f"{a} and {b} were {word} {c}"))
    said = f"{frame}, {a} was {word} {b}", f"{frame}, {a} was not {word} {b}"
    premises = (f"{frame}, {premise}" for premise in (has, open_, lacks))
    return _of_either_polarity(rng, said, *premises)


def modification(rng: random.Random) -> Item:
    """Adjectives and adverbs added and dropped, also under negation."""
    who = rng.choice(PEOPLE)
    if rng.random() < 0.4:
        (side, opposite), (others, _) = rng.sample(MANNER, 2)
        verb, other = rng.choice(SPEAK), rng.choice(others)
        if rng.random() < 0.5:
            side, opposite = opposite, side
        said = f"{who} {verb.past} {side[0]}", f"{who} did not {verb.base} {side[0]}"
        has, lacks = (
            f"{who} {verb.past} {_both(rng, rng.choice(words), other)}" for words in (side, opposite)
        )
        return _of_either_polarity(rng, said, has, f"{who} {verb.past} {other}", lacks)

    verb, (noun, other_noun) = rng.choice(OBTAIN), rng.sample(NOUNS, 2)
    quality, colour = rng.choice(QUALITIES), rng.choice(COLOURS)
    adjective, other = rng.sample((quality, colour), 2)
    has, lacks = f"{who} {verb.past}", f"{who} did not {verb.base}"
    if rng.random() < 0.5:
        said = f"{has} {_a(f'{adjective} {noun}')}", f"{lacks} {_a(f'{adjective} {noun}')}"
        open_ = (f"{has} {_a(f'{other} {noun}')}", f"{lacks} {_a(f'{other} {noun}')}")
    else:
        said = f"{has} {_a(noun)}", f"{lacks} {_a(noun)}"
        open_ = (f"{has} {_a(f'{adjective} {other_noun}')}", f"{lacks} {_a(f'{adjective} {noun}')}")
    full = f"{has} {_a(f'{quality} {colour} {noun}')}"
    return _of_either_polarity(rng, said, full, rng.choice(open_), f"{lacks} any {noun}")


# How many of each 40 hypotheses a phenomenon gets: more where a word decides, since a sentence
# encoder that reads premise and hypothesis apart learns little from order and arithmetic.
SHARES: Mapping[Callable[[random.Random], Item], int] = {
    antonymy: 8, negation: 8, hypernymy: 5, modification: 4, quantifiers: 4,
    conjunction: 4, paraphrase: 3, numbers: 1, temporal_order: 1, spatial: 2,
}  # fmt: skip


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _both(rng: random.Random, x: str, y: str) -> str:
    return " and ".join(rng.sample((x, y), 2))


def _of_either_polarity(
    rng: random.Random, said: tuple[str, str], has: str, open_: str, lacks: str
) -> Item:
    """The statement or its denial; what entails the one contradicts the other."""
    statement, denial = said
    return rng.choice((Item(statement, has, open_, lacks), Item(denial, lacks, open_, has)))


def _from_table(
    rng: random.Random,
    table: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]],
    **words: str,
) -> Item:
    hypothesis = rng.choice(list(table))
    premises = (rng.choice(templates) for templates in table[hypothesis])
    return Item(*(text.format(**words) for text in (hypothesis, *premises)))


def _sentences(rng: random.Random, clause: str, scenery_share: float = 0.0) -> str:
    clauses = [rng.choice(SCENERY)] if rng.random() < scenery_share else []
    return " ".join(f"{c[0].upper()}{c[1:]}." for c in (*clauses, clause))


def _groups(rng: random.Random) -> Iterator[list[Row]]:
    """Endless groups of three pairs with one hypothesis each; no hypothesis comes twice."""
    seen: set[str] = set()
    rounds = [phenomenon for phenomenon, share in SHARES.items() for _ in range(share)]
    while True:
        rng.shuffle(rounds)
        for phenomenon in rounds:
            item = next(i for i in iter(lambda: phenomenon(rng), None) if i.hypothesis not in seen)
            seen.add(item.hypothesis)
            hypothesis, *premises = (
                _sentences(rng, clause, 0.2 * (field != "hypothesis"))
                for field, clause in item._asdict().items()
            )
            yield [
                {"premise": premise, "hypothesis": hypothesis, "label": label}
                | {"phenomenon": phenomenon.__name__}
                for premise, label in zip(premises, Item._fields[1:], strict=True)
            ]


def generate(
    n_train: int = 3000, n_test: int = 600, seed: int = 0
) -> tuple[list[Row], list[Row]]:
    """Train and test rows: id, premise, hypothesis, label and phenomenon; labels balanced.

    Raises ValueError where a size is not a multiple of three.
    """
    rng = random.Random(seed)
    groups = _groups(rng)
    parts: list[list[Row]] = []
    for size in (n_train, n_test):
        if size < 0 or size % 3:
            raise ValueError(f"{size} pairs; expected a multiple of 3, one pair for each label")
        rows = [row for _ in range(size // 3) for row in next(groups)]
        rng.shuffle(rows)
        parts.append([{"id": f"nli-mini-{sum(map(len, parts)) + n:05}"} | row for n, row in enumerate(rows)])
    return parts[0], parts[1]


def main(argv: Sequence[str] | None = None) -> None:
    """Write nli_mini.train.jsonl and nli_mini.test.jsonl into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for example: .")
    out = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    for part, rows in zip(("train", "test"), generate(), strict=True):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"nli_mini.{part}.jsonl").write_text(lines, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
