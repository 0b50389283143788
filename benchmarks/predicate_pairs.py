"""Make the bundled task `predicates`: python benchmarks/predicate_pairs.py FOLDER

Sentences of a small grammar, each with its twin, whose two participants are exchanged. What decides is the construction or
the predicate. A coordination ("Anna and the guest daxed"), a reciprocal ("... daxed each other") and a comitative ("Anna
daxed with the guest") follow from their twins whatever the verb means; half of the verbs are no words, so that nothing
else can be learned from them. In other constructions the predicate tells: "equals" is symmetric, "helped" is not.
Constructions and verb classes after Levin 1993 (English Verb Classes and Alternations), sections 1.2.1 to 1.2.6 and 36;
symmetric predicates after Winter 2018 (Symmetric predicates and the semantics of reciprocal alternations).

No predicate is one of SIS or of the registries of relations (tests/data/test_predicates.py), so tests on those are of
predicates that were never trained on. The parts share no predicate that has a meaning and no made-up verb.
The same bytes each time.
"""

# ruff: noqa: S311, SIM905 - the draw is no secret, and words are read more easily without quotes
from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SIZES = {"train": 1600, "validation": 200, "test": 400}
LABELS = {True: "entailment", False: "contradiction"}

# (base, past) or the base of a regular verb. Kinds by what follows for the twin, as a reader would say.
SYMMETRIC_VERBS = (
    "equal", "adjoin", "parallel", "date", "divorce", "intersect", "complement", "contradict", "counterbalance", "abut",
)  # fmt: skip
SYMMETRIC_WITH_PREPOSITION = (
    "cooperate with", "compete with", "negotiate with", "quarrel with", "concur with", "correlate with", "fuse with",
    "wrestle with", "dance with", "debate with", "trade with", "bargain with", "vie with", "dine with", "harmonize with",
    "diverge from", "deviate from", "haggle with", "conspire with", "reconcile with", "collide with", "intertwine with",
)  # fmt: skip
SYMMETRIC_ADJECTIVES = (
    "a lot like", "equal to", "parallel to", "close to", "identical to", "unlike", "compatible with", "far from",
    "distinct from", "simultaneous with", "comparable to", "within sight of", "analogous to", "a long way from",
    "in contact with", "in conflict with", "acquainted with", "on good terms with", "as old as", "as tall as",
    "beside", "apart from",
)  # fmt: skip
SYMMETRIC_NOUNS = (
    "friend", "cousin", "roommate", "classmate", "colleague", "rival", "enemy", "twin", "teammate", "ally", "pen pal",
    "opponent", "contemporary", "housemate", "lookalike", "in-law", "acquaintance", "compatriot", "competitor",
)  # fmt: skip
OTHER_VERBS = (
    "assist", "attack", "invite", "admire", "thank", "carry", "visit", "obey", "warn", "blame", "repair", "hire", "arrest",
    "defeat", "rescue", "describe", "wash", "order", "punish", "guard", "destroy", "trigger", "scold", "surround",
    "support", "finance", "publish", "examine", "hinder", "interrupt", "ignore", "inspect", "praise", "employ", "elect",
    "betray", "avoid", "watch", "clean", "trust", "cover", "injure", "insult", "treat", "pull", "drag", "kick", "cook",
    ("forgive", "forgave"), ("weave", "wove"), ("feed", "fed"), ("sell", "sold"), ("buy", "bought"), ("bite", "bit"),
    ("drive", "drove"), ("read", "read"), ("catch", "caught"), ("throw", "threw"), ("steal", "stole"), ("lead", "led"),
)  # fmt: skip
OTHER_WITH_PREPOSITION = (
    "look at", "listen to", "depend on", "work for", "point at", "wait for", "escape from", "laugh at", "apologize to",
    "care for", "complain about", "arrive at", "rely on", "report to", "pray for", "climb on", "search for", "crawl over",
    "originate from", "emerge from", "respond to", "wink at", "yell at", "vote for", "cling to", "stare at", "jump over",
)  # fmt: skip
OTHER_ADJECTIVES = (
    "taller than", "older than", "above", "below", "underneath", "behind", "on top of", "bigger than", "responsible for",
    "proud of", "afraid of", "north of", "inside", "worse than", "subject to", "full of", "ahead of", "inferior to",
    "dependent on", "jealous of", "grateful to", "to the left of", "more famous than", "less useful than", "typical of",
)  # fmt: skip
OTHER_NOUNS = (
    "boss", "servant", "apprentice", "ancestor", "grandmother", "uncle", "aunt", "nephew", "guardian", "tenant", "customer",
    "employee", "patient", "leader", "assistant", "imitation", "aftermath", "reason", "price", "roof", "branch", "edge",
    "centre", "victim", "winner", "descendant", "disciple", "mayor", "outpost", "ingredient", "inhabitant", "hero",
    "editor", "chief", "bodyguard", "heir", "landlord", "client", "source", "surface", "bottom", "symptom",
)  # fmt: skip

NAMES = (
    "Anna Ben Carla David Elena Felix Grace Hugo Irene Jack Karen Liam Maria Noah Olga Peter Rosa Sam Tina Victor Wendy "
    "Yusuf Zoe Aisha Bruno Chen Dana Emil Farah Goran"
).split()
PLACES = "Lisbon Kenya Boston Peru Oslo Ghana Vienna Chile".split()
PEOPLE = (
    "teacher farmer lawyer boy girl queen minister pilot guest painter soldier coach nurse clerk tourist singer baker "
    "driver poet scientist"
).split()
THINGS = (
    "report river engine theory table storm company village machine budget garden bridge planet novel museum army song "
    "law forest statue hotel letter method dog"
).split()
PRONOUNS = (("I", "me"), ("he", "him"), ("she", "her"), ("they", "them"), ("we", "us"), ("you", "you"))
BEFORE = (*[""] * 8, "yesterday ", "last year ", "at first ", "I think that ", "they say that ", "of course ")
AFTER = (
    "", "", "", "", "", "", " yesterday", " last week", " again", " for years", " in the end", " at the meeting", " in 1990",
    " every day", " before dinner", ", and everyone noticed", ", but nobody knew", " because it was late",
    " when the war began", ", so we left", " with the help of a map", " and with good reason",
)  # fmt: skip
ONSETS = "b bl br ch cl d dr f fl fr g gl gr h j k l m n p pl pr r s sh sl sn sp st t th tr tw v w z".split()
NUCLEI = "a e i o u ee oo ou ai".split()
CODAS = "b ck d ff g ll m mp nd nk rd rk rp rt sk st x zz".split()
ENDINGS = "it ock ib um an".split()


class Noun(NamedTuple):
    subject: str
    object: str
    is_plural: bool


class Verb(NamedTuple):
    base: str
    third: str
    past: str
    participle: str
    preposition: str = ""


class Twins(NamedTuple):
    construction: str
    predicate: str
    premise: str
    hypothesis: str
    follows: bool


def inflected(verb: str | tuple[str, str]) -> Verb:
    """The forms of a verb; a pair is (base, past), whose participle is left out.

    >>> inflected("carry").third, inflected("carry").past, inflected("bake").past
    ('carries', 'carried', 'baked')
    """
    base, past = verb if isinstance(verb, tuple) else (verb, "")
    ends_in_y = base[-1] == "y" and base[-2] not in "aeiou"
    third = (
        base[:-1] + "ies"
        if ends_in_y
        else base + ("es" if base.endswith(("s", "x", "z", "ch", "sh")) else "s")
    )
    regular = base[:-1] + "ied" if ends_in_y else base + ("d" if base.endswith("e") else "ed")
    return Verb(base, third, past or regular, "" if past else regular)


def shares(items: tuple) -> dict[str, list]:
    """Six tenths of the predicates for training, two each for validation and test."""
    order = sorted(items, key=str)
    random.Random(str(order)).shuffle(order)
    a, b = round(0.6 * len(order)), round(0.8 * len(order))
    return {"train": order[:a], "validation": order[a:b], "test": order[b:]}


class Grammar:
    """Twins of one part. `seen` are the made-up verbs of other parts."""

    def __init__(self, part: str, seen: set[str]) -> None:
        self.random = random.Random(f"predicates {part}")
        self.seen, self.own = frozenset(seen), set[str]()
        pick = {name: shares(value)[part] for name, value in globals().items() if name.endswith(KINDS)}
        self.verbs = {True: pick["SYMMETRIC_VERBS"], False: pick["OTHER_VERBS"]}
        self.phrasal = {True: pick["SYMMETRIC_WITH_PREPOSITION"], False: pick["OTHER_WITH_PREPOSITION"]}
        self.adjectives = {True: pick["SYMMETRIC_ADJECTIVES"], False: pick["OTHER_ADJECTIVES"]}
        self.nouns = {True: pick["SYMMETRIC_NOUNS"], False: pick["OTHER_NOUNS"]}

    def twins(self) -> Iterator[Twins]:
        """Twins without end, those that follow and those that do not in turn."""
        made_up = (
            (self.coordination, self.reciprocal, self.comitative, self.objects),
            (self.transitive, self.other_made_up),
        )
        meant = (self.verb, self.verb_with_preposition, self.adjective, self.noun)
        while True:
            for follows in (True, False):
                known = self.random.random() < 0.5
                name, predicate, sentence = self.choice(meant if known else made_up[not follows])(follows)
                first, second = self.participant(), self.participant()
                while second.subject.split()[-1].rstrip("s") == first.subject.split()[-1].rstrip("s"):
                    second = self.participant()
                before, after = self.choice(BEFORE), self.choice(AFTER)
                premise, hypothesis = (
                    (text := f"{before}{sentence(*pair)}{after}.")[0].upper() + text[1:]
                    for pair in ((first, second), (second, first))
                )
                yield Twins(name, predicate, premise, hypothesis, follows)

    def choice(self, items):
        return self.random.choice(items)

    # -- Constructions: (name, predicate, sentence of two participants). --

    def coordination(self, follows: bool):
        verb = self.some_verb()
        tail = self.choice(
            ["", "", " together", f" {self.choice(['on', 'near', 'without'])} {self.participant().object}"]
        )
        if self.random.random() < 0.2:
            return "coordination", "", lambda x, y: f"{x.subject} and {y.subject} are {verb.base}s"
        form = self.form(verb)
        return "coordination", "", lambda x, y: f"{x.subject} and {y.subject} {form(True)}{tail}"

    def reciprocal(self, follows: bool):
        form, other = self.form(self.some_verb()), self.choice(["each other", "one another"])
        return "reciprocal", "", lambda x, y: f"{x.subject} and {y.subject} {form(True)} {other}"

    def comitative(self, follows: bool):
        form = self.form(self.made_up_verb())
        return "comitative", "", lambda x, y: f"{x.subject} {form(x.is_plural)} with {y.object}"

    def objects(self, follows: bool):
        """Two coordinated objects, or "between" two of them."""
        form, agent = self.form(self.some_verb()), self.participant()
        if self.random.random() < 0.3:
            thing = self.made_up_verb().base
            return "between", "", lambda x, y: f"there is a {thing} between {x.object} and {y.object}"
        subject = f"{agent.subject} {form(agent.is_plural)}"
        return "coordinated objects", "", lambda x, y: f"{subject} {x.object} and {y.object}"

    def transitive(self, follows: bool):
        verb = self.made_up_verb()
        form, tail = self.form(verb), self.tail()
        return "transitive", "", lambda x, y: f"{x.subject} {form(x.is_plural)} {y.object}{tail}"

    def other_made_up(self, follows: bool):
        verb = self.made_up_verb()
        k = self.random.randrange(3)
        if k == 0:
            preposition, form = (
                self.choice(["at", "on", "for", "over", "into", "off", "against", "about"]),
                self.form(verb),
            )
            return "oblique", "", lambda x, y: f"{x.subject} {form(x.is_plural)} {preposition} {y.object}"
        if k == 1:
            return "passive", "", lambda x, y: f"{x.subject} {was(x)} {verb.past} by {y.object}"
        return "comparative", "", lambda x, y: f"{x.subject} {is_(x)} {verb.base}er than {y.object}"

    def verb(self, follows: bool):
        verb = inflected(self.choice(self.verbs[follows]))
        if not follows and verb.participle and self.random.random() < 0.2:
            return "passive", verb.base, lambda x, y: f"{x.subject} {was(x)} {verb.participle} by {y.object}"
        form, tail = self.form(verb), "" if follows else self.tail()
        return "verb", verb.base, lambda x, y: f"{x.subject} {form(x.is_plural)} {y.object}{tail}"

    def verb_with_preposition(self, follows: bool):
        base, preposition = self.choice(self.phrasal[follows]).split()
        form = self.form(inflected(base))
        return (
            "verb with preposition",
            base,
            lambda x, y: f"{x.subject} {form(x.is_plural)} {preposition} {y.object}",
        )

    def adjective(self, follows: bool):
        adjective = self.choice(self.adjectives[follows])
        be = self.choice([is_, is_, was, lambda x: "will be", lambda x: "may be"])
        return "adjective", adjective, lambda x, y: f"{x.subject} {be(x)} {adjective} {y.object}"

    def noun(self, follows: bool):
        noun = self.choice(self.nouns[follows])
        a, be = self.choice([article(noun), article(noun), "the"]), self.choice(["is", "is", "was"])
        if follows and self.random.random() < 0.25:
            return "noun", noun, lambda x, y: f"{x.subject} and {y.subject} are {plural(noun)}"
        if self.random.random() < 0.25:
            return "noun", noun, lambda x, y: f"{x.subject} {has(x)} {y.object} as {article(noun)} {noun}"
        verb = {"is": is_, "was": was}[be]
        return "noun", noun, lambda x, y: f"{x.subject} {verb(x)} {a} {noun} of {y.object}"

    # -- Words. --

    def tail(self) -> str:
        """What follows an object, with the words of a symmetric construction in another place."""
        verb, thing = inflected(self.choice(["smile", "wave", "laugh", "return"])), self.choice(THINGS)
        return self.choice(
            ["", "", "", f" and {verb.past}", f" with {article(thing)} {thing}", f" and the {thing}'s owner"]
        )

    def some_verb(self) -> Verb:
        """A made-up verb, or one with a meaning, which the construction overrules."""
        return (
            self.made_up_verb() if self.random.random() < 0.6 else inflected(self.choice(self.verbs[False]))
        )

    def made_up_verb(self) -> Verb:
        while True:
            word = "".join(self.choice(part) for part in (ONSETS, NUCLEI, CODAS, ENDINGS))
            if word not in self.seen:
                self.own.add(word)
                return inflected(word)

    def form(self, verb: Verb) -> Callable[[bool], str]:
        """The verb in a tense, for a singular or plural subject."""
        k = self.random.random()
        adverb = self.choice(["", "", "", "", "quietly ", "often ", "never ", "really ", "almost "])
        if k < 0.45:
            return lambda is_plural: adverb + verb.past
        if k < 0.65:
            return lambda is_plural: adverb + (verb.base if is_plural else verb.third)
        modal = self.choice(["will", "can", "might", "must", "did not", "would", "could not"])
        return lambda is_plural: f"{modal} {verb.base}"

    def participant(self) -> Noun:
        k = self.random.random()
        if k < 0.3:
            name = self.choice(NAMES + PLACES)
            return Noun(name, name, False)
        if k < 0.45:
            subject, object_ = self.choice(PRONOUNS)
            return Noun(subject, object_, subject not in ("he", "she"))
        word = self.choice(PEOPLE + THINGS)
        if k < 0.7:
            whose = self.choice(["the", "my", "her", article(word), "this", "our", "another"])
            return Noun(f"{whose} {word}", f"{whose} {word}", False)
        if k < 0.87:
            text = self.choice(["the ", "some ", "many ", "", "most ", "these "]) + plural(word)
            return Noun(text, text, True)
        quality = self.choice(["old", "young", "red", "local", "famous", "first", "rich", "small"])
        where = self.choice(["of the house", "from the city", "next door", "in the story", "that I like"])
        return Noun(f"the {quality} {word} {where}", f"the {quality} {word} {where}", False)


KINDS = ("_VERBS", "_WITH_PREPOSITION", "_ADJECTIVES", "_NOUNS")


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def plural(noun: str) -> str:
    """The plural of a noun of these lists.

    >>> plural("army"), plural("coach"), plural("ally"), plural("boy")
    ('armies', 'coaches', 'allies', 'boys')
    """
    if noun[-1] == "y" and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch")) else "s")


def is_(x: Noun) -> str:
    return "am" if x.subject == "I" else "are" if x.is_plural else "is"


def was(x: Noun) -> str:
    return "was" if x.subject == "I" or not x.is_plural else "were"


def has(x: Noun) -> str:
    return "have" if x.is_plural else "has"


def rows(part: str, seen: set[str]) -> Iterator[dict[str, str]]:
    """The rows of a part; its made-up verbs are added to `seen`."""
    grammar = Grammar(part, seen)
    twins, texts = grammar.twins(), set[str]()
    while len(texts) < SIZES[part]:
        one = next(twins)
        # The label of each sentence comes in turn, also where a sentence that was there is drawn again.
        while one.premise in texts or one.hypothesis in texts or one.follows is bool(len(texts) % 2):
            one = next(twins)
        texts.add(one.premise)
        yield {
            "id": f"{part}-{len(texts):04}",
            "premise": one.premise,
            "hypothesis": one.hypothesis,
            "label": LABELS[one.follows],
            "relation": one.predicate or one.construction,
            "group": f"{one.construction}{'' if one.predicate else ', made-up predicate'}",
        }
    seen |= grammar.own


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    seen = set[str]()
    for part in SIZES:
        lines = "".join(json.dumps(row) + "\n" for row in rows(part, seen))
        (folder / f"{part}.jsonl").write_text(lines, "utf-8")
        print(f"{folder / part}.jsonl: {SIZES[part]} pairs")


if __name__ == "__main__":
    main()
