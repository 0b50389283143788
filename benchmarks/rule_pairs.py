"""Make the bundled rules of the audit of training: python benchmarks/rule_pairs.py FOLDER

Pairs of plain sentences whose label follows from one rule, so that anybody can check each answer. A rule has several
constructions, and these together have all labels, because a model that gives one label to all pairs alike must fail in it.
Validation and test have the same words and no pair in common. The same bytes each time.

monotonicity  "every" and "no" go down in their noun, "some" and "two" go up (Yanaka et al. 2019, MED, section 2)
replacement   one word is replaced: by a wider one it follows, by a narrower one it may, by an exclusive one it cannot
              (Glockner et al. 2018, Breaking NLI, section 2)
swap          subject and object exchanged says something else; in the passive it says the same (McCoy et al. 2019, HANS)
comparatives  the direction of a comparison, and another quality
negation      "not" contradicts; "not" of the opposite follows
"""
# ruff: noqa: S311 - the draw is no secret

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

E, N, C = "entailment", "neutral", "contradiction"
SIZES = {"validation": 200, "test": 400}
Pair = tuple[str, str, str, str]
"""Construction, premise, hypothesis, label."""

PEOPLE = [
    "doctor",
    "lawyer",
    "teacher",
    "singer",
    "farmer",
    "tourist",
    "student",
    "nurse",
    "painter",
    "judge",
    "baker",
    "pilot",
]
NAMES = ["Anna", "Ben", "Carla", "David", "Elena", "Felix", "Grace", "Hugo", "Irene", "Jack", "Maria", "Tom"]
PLACES = [
    "in the park",
    "at the station",
    "in the kitchen",
    "near the river",
    "in the garden",
    "at the market",
    "in the street",
]

# (narrow, wide): a poodle is a dog.
KINDS = [
    ("poodle", "dog"), ("rose", "flower"), ("violin", "instrument"), ("sparrow", "bird"), ("apple", "fruit"),
    ("oak", "tree"), ("trout", "fish"), ("guitar", "instrument"), ("tulip", "flower"), ("eagle", "bird"),
    ("hammer", "tool"), ("carrot", "vegetable"), ("beetle", "insect"), ("sofa", "piece of furniture"),
    ("taxi", "vehicle"),
]  # fmt: skip
# Two that nothing can be at once.
EXCLUSIVE = [
    ("cat", "horse"), ("red", "green"), ("young", "old"), ("summer", "winter"), ("coffee", "milk"),
    ("cow", "sheep"), ("blue", "yellow"), ("tall", "short"), ("morning", "evening"), ("bread", "soup"),
    ("empty", "full"), ("wooden", "metal"), ("open", "closed"), ("north", "south"), ("silver", "black"),
]  # fmt: skip
ADJECTIVES = [
    "brown", "small", "tired", "friendly", "young", "quiet", "hungry", "foreign", "rich", "old",
]  # fmt: skip
DID = [
    "slept", "laughed", "danced", "shouted", "waited", "smiled", "sang", "arrived late", "left early",
]  # fmt: skip
VERBS = [
    ("helped", "helped"), ("saw", "seen"), ("called", "called"), ("thanked", "thanked"), ("followed", "followed"),
    ("invited", "invited"), ("paid", "paid"), ("blamed", "blamed"), ("watched", "watched"),
    ("recommended", "recommended"), ("chased", "chased"), ("ignored", "ignored"),
]  # fmt: skip
# (more, less, of another quality)
COMPARED = [
    ("taller", "shorter", "happier"), ("older", "younger", "richer"), ("faster", "slower", "louder"),
    ("heavier", "lighter", "smarter"), ("stronger", "weaker", "kinder"), ("richer", "poorer", "older"),
    ("louder", "quieter", "taller"),
]  # fmt: skip
# (state, its opposite): of two states one holds.
STATES = [
    ("asleep", "awake"), ("alive", "dead"), ("present", "absent"), ("married", "unmarried"), ("guilty", "innocent"),
    ("alone", "in company"), ("visible", "invisible"), ("early", "late"),
]  # fmt: skip
DOING = [
    "cooking dinner", "reading a book", "playing chess", "washing the car", "writing a letter", "eating lunch",
    "riding a bike", "singing a song", "painting the fence",
]  # fmt: skip


def monotonicity(draw: random.Random) -> Iterator[Pair]:
    """Down: every, no. Up: some, two."""
    while True:
        adjective, person, did = draw.choice(ADJECTIVES), draw.choice(PEOPLE), draw.choice(DID)
        place = draw.choice(PLACES)
        for quantifier in ("Every", "No"):
            wide, narrow = (
                f"{quantifier} {person} {place} {did}.",
                f"{quantifier} {adjective} {person} {place} {did}.",
            )
            yield "down, to a narrower noun", wide, narrow, E
            yield "down, to a wider noun", narrow, wide, N
        many = draw.choice(["Some", "Two", "Several"])
        wide, narrow = f"{many} {person}s {place} {did}.", f"{many} {adjective} {person}s {place} {did}."
        yield "up, to a wider noun", narrow, wide, E
        yield "up, to a narrower noun", wide, narrow, N
        yield "up, to none", narrow, f"No {person}s {place} {did}.", C


def replacement(draw: random.Random) -> Iterator[Pair]:
    while True:
        narrow, wide = draw.choice(KINDS)
        place, (person, seller) = draw.choice(PLACES), draw.sample(PEOPLE, 2)
        start, end = draw.choice([
            (f"The {person} looked at", f" {place}."),
            ("There is", f" {place}."),
            (f"The {person} bought", f" from a {seller}."),
        ])  # fmt: skip
        few, many = (f"{start} {article(thing)} {thing}{end}" for thing in (narrow, wide))
        yield "by a wider word", few, many, E
        yield "by a narrower word", many, few, N
        one, other = draw.choice(EXCLUSIVE)
        first, second = (one, other) if draw.random() < 0.5 else (other, one)
        yield "by an exclusive word", *(EXCLUSIVE_SENTENCES[one](word, person) for word in (first, second)), C


EXCLUSIVE_SENTENCES: dict[str, Callable[[str, str], str]] = {
    "cat": lambda word, person: f"The only animal of the {person} is a {word}.",
    "red": lambda word, person: f"The front door of the {person} is completely {word}.",
    "young": lambda word, person: f"The {person} is very {word}.",
    "summer": lambda word, person: f"The {person} was born in {word}.",
    "coffee": lambda word, person: f"There is only {word} in the cup of the {person}.",
    "cow": lambda word, person: f"The only animal of the {person} is a {word}.",
    "blue": lambda word, person: f"The whole house of the {person} is {word}.",
    "tall": lambda word, person: f"The {person} is very {word}.",
    "morning": lambda word, person: f"The {person} arrived in the {word} and at no other time.",
    "bread": lambda word, person: f"The {person} ate only {word}.",
    "empty": lambda word, person: f"The glass of the {person} is {word}.",
    "wooden": lambda word, person: f"The {person} sat on a {word} chair and nowhere else.",
    "open": lambda word, person: f"The door of the {person} is {word}.",
    "north": lambda word, person: f"The {person} lives in the far {word} of the country.",
    "silver": lambda word, person: f"The only car of the {person} is completely {word}.",
}


def swap(draw: random.Random) -> Iterator[Pair]:
    while True:
        one, other = (f"the {person}" for person in draw.sample(PEOPLE, 2))
        verb, participle = draw.choice(VERBS)
        place = draw.choice(PLACES)
        said = cased(f"{one} {verb} {other} {place}.")
        yield "exchanged", said, cased(f"{other} {verb} {one} {place}."), N
        yield "passive", said, cased(f"{other} was {participle} by {one} {place}."), E
        yield "passive, denied", said, cased(f"{other} was not {participle} by {one} {place}."), C


def comparatives(draw: random.Random) -> Iterator[Pair]:
    while True:
        one, other = draw.sample(NAMES, 2)
        more, less, another = draw.choice(COMPARED)
        said = f"{one} is {more} than {other}."
        yield "reversed", said, f"{other} is {more} than {one}.", C
        yield "reversed with the opposite", said, f"{other} is {less} than {one}.", E
        yield "another quality", said, f"{one} is {another} than {other}.", N
        yield "denied", said, f"{one} is not {more} than {other}.", C
        yield "less said", f"{one} is much {more} than {other}.", said, E


def negation(draw: random.Random) -> Iterator[Pair]:
    while True:
        person, doing, place = draw.choice(PEOPLE), draw.choice(DOING), draw.choice(PLACES)
        said = f"The {person} is {doing} {place}."
        yield "denied", said, f"The {person} is not {doing} {place}.", C
        yield "nobody", said, f"Nobody is {doing} {place}.", C
        yield "less said", said, f"The {person} is {doing}.", E
        yield "somebody", said, f"Somebody is {doing} {place}.", E
        yield "more said", f"The {person} is {doing}.", f"The {person} is {doing} {place} with a friend.", N
        state, opposite = draw.choice(STATES)
        first, second = (state, opposite) if draw.random() < 0.5 else (opposite, state)
        yield "opposite denied", f"The {person} is {first}.", f"The {person} is not {second}.", E
        yield "opposite", f"The {person} is {first}.", f"The {person} is {second}.", C


RULES = {f.__name__: f for f in (monotonicity, replacement, swap, comparatives, negation)}


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def cased(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def rows(part: str, seen: set[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """The pairs of all rules, constructions in turn; none of `seen`, to which they are added."""
    for name, rule in RULES.items():
        pairs, n = rule(random.Random(f"{name} {part}")), 0
        while n < SIZES[part]:
            construction, *texts, label = next(pairs)
            premise, hypothesis = texts
            if (premise, hypothesis) in seen:
                continue
            seen.add((premise, hypothesis))
            n += 1
            row = {
                "id": f"{name}-{part}-{n:03}",
                "premise": premise,
                "hypothesis": hypothesis,
                "label": label,
            }
            yield {**row, "group": f"{name}: {construction}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    seen = set[tuple[str, str]]()
    for part in SIZES:
        lines = [json.dumps(row) + "\n" for row in rows(part, seen)]
        (folder / f"{part}.jsonl").write_text("".join(lines), "utf-8")
        print(f"{folder / part}.jsonl: {len(lines)} pairs")


if __name__ == "__main__":
    main()
