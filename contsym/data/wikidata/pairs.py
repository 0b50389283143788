"""Relation pairs: the bundled pairs, the entities of published pairs, and the two forms."""

from __future__ import annotations

import csv
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources

from contsym.data.schema import (
    LABEL_OF_KIND,
    Form,
    PlacedRow,
    Row,
    check_unicode,
    content_id,
    row_id,
    stable_hash,
)
from contsym.data.wikidata.relations import registry
from contsym.errors import DataError

DELEXICALISED_SUFFIX = "#delexicalised"
"""Suffix of the id of a pair's delexicalised twin."""


def opaque_id(name: str) -> str:
    """An id for an entity without a verified Wikidata id, never of the form Q123.

    >>> opaque_id("Portugal")
    'ent-6636b318'
    """
    return f"ent-{hashlib.sha256(name.casefold().encode()).hexdigest()[:8]}"


def bundled_pairs() -> Iterator[Row]:
    """One pair per bundled fact; a hash of the fact draws the phrasing.

    Premise and hypothesis share the phrasing and swap the entities (the paper's form). The hash also draws which
    entity of a symmetric relation comes first, so that the order of the source table does not predict it.
    """
    text = resources.files("contsym.data").joinpath("bundled/relation_facts.tsv").read_text("utf-8")
    for fact in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        relation = registry().relations[fact["property"]]
        subject, object_ = fact["subject"], fact["object"]
        draw = stable_hash(relation.id, subject, object_)
        if relation.kind == "symmetric" and draw & 1:
            subject, object_ = object_, subject
        phrasing = (draw >> 1) % len(relation.phrasings)
        yield {
            "id": f"{relation.id}/{opaque_id(subject)}/{opaque_id(object_)}",
            "premise": relation.sentence(phrasing, subject, object_),
            "hypothesis": relation.sentence(phrasing, object_, subject),
            "label": LABEL_OF_KIND[relation.kind],
            "relation": relation.id,
            "kind": relation.kind,
            "subject": subject,
            "object": object_,
        }


def mirror_of(premise: str, hypothesis: str) -> Iterator[tuple[str, str, str]]:
    """Every (A, r, B) with premise = "A r B" and hypothesis = "B r A", word by word.

    Published pairs do not name their entities; the mirrored form reveals them. A sentence of n words has at most
    n^2 / 2 readings; all that fit are given, since "a r r b" fits in more than one. A full stop at the end of a word
    does not count: the published data lack those of names at the end of a sentence ("... ulysses s. grant jr"), and
    others end each sentence with one. So a name is spelt as at the beginning of its sentence.
    Where nothing fits, words that end both sentences count as the end of the phrase: "A is an equivalent name of B
    for other gender".
    """
    spelt = [sentence.split() for sentence in (premise, hypothesis)]
    first, second = ([word.rstrip(".") for word in words] for words in spelt)
    n = len(first)
    if n != len(second):
        return
    n_tail, fits = 0, False
    while not fits and n_tail <= n - 3 and first[n - n_tail :] == second[n - n_tail :]:
        end = n - n_tail
        ends_of_a = [i for i in range(1, end) if first[:i] == second[end - i : end]]
        starts_of_b = [j for j in range(1, end) if first[j:end] == second[: end - j]]
        for i, j in itertools.product(ends_of_a, starts_of_b):
            if i < j and first[i:j] == second[end - j : end - i]:
                fits = True
                subject, object_ = " ".join(spelt[0][:i]), " ".join(spelt[1][: end - j])
                yield subject, " ".join(first[i:j] + first[end:]), object_
        n_tail += 1


def count_phrases(rows: Iterable[Row]) -> Counter[str]:
    """For each phrase, the number of rows without stated entities that can be read with it."""
    counts: Counter[str] = Counter()
    for row in rows:
        if not _states_entities(row):
            counts.update({phrase for _, phrase, _ in _readings(row)})
    return counts


def with_entities(row: Row, phrases: Mapping[str, int]) -> Row | None:
    """The row with relation, subject and object; None if they are neither stated nor readable.

    They are read off the mirrored form; if several readings fit, the phrase most frequent in the whole data wins.
    """
    if _states_entities(row):
        return row
    readings = _readings(row)
    if not readings:
        return None
    subject, phrase, object_ = max(readings, key=lambda r: (phrases.get(r[1], 0), -len(r[1])))
    return {**row, "subject": subject, "object": object_, "relation": row.get("relation") or phrase}


def _states_entities(row: Row) -> bool:
    return bool(row.get("subject") and row.get("object"))


def _readings(row: Row) -> list[tuple[str, str, str]]:
    readings = list(mirror_of(str(row.get("premise", "")), str(row.get("hypothesis", ""))))
    relation = row.get("relation")
    return [reading for reading in readings if reading[1] == relation] or readings


def in_form(rows: Iterable[PlacedRow], form: Form) -> Iterator[PlacedRow]:
    """The rows in a form; `both` gives each pair twice in succession.

    The delexicalised form has opaque ids in place of both entity names, so that only the relation can be read.
    Raises DataError, with its place, for a row whose entities are unknown or not in its premise.
    """
    for where, row in rows:
        if form != "delexicalised":
            yield where, row
        if form != "lexicalised":
            yield where, _delexicalised(row, where)


def phrasing_of(premise: str, subject: str, object_: str) -> str:
    """The premise with [X] and [Y] in place of its entities; unchanged if the entities are unknown.

    >>> phrasing_of("Spain borders Portugal", "Spain", "Portugal")
    '[X] borders [Y]'
    """
    if not (subject and object_):
        return premise
    return _replaced(premise, {subject: "[X]", object_: "[Y]"})[0]


def _delexicalised(row: Row, where: str) -> Row:
    if not all(isinstance(row.get(role), str) for role in ("premise", "hypothesis")):
        return row  # check_row reports the missing field
    check_unicode({name: value for name, value in row.items() if isinstance(value, str)}, where)
    names = [str(row.get(role) or "") for role in ("subject", "object")]
    if not all(names):
        raise DataError(
            f"{where}: the entities are unknown, so the pair cannot be delexicalised; give fields 'subject' and "
            "'object', or use --form lexicalised"
        )
    ids = {name: opaque_id(name) for name in names}
    texts = {}
    for role in ("premise", "hypothesis"):
        texts[role], n_replaced = _replaced(str(row[role]), ids)
        if role == "premise" and n_replaced < len(ids):
            raise DataError(
                f"{where}: {' or '.join(map(repr, names))} is not in the premise in this spelling, so the pair "
                "cannot be delexicalised; correct 'subject' and 'object', or use --form lexicalised"
            )
    texts |= {role: ids[name] for role, name in zip(("subject", "object"), names, strict=True)}
    return {**row, **texts, "id": f"{row_id(row) or content_id(row)}{DELEXICALISED_SUFFIX}"}


def _replaced(text: str, substitutes: Mapping[str, str]) -> tuple[str, int]:
    """The text with each name replaced, and the number of names in it.

    The longer name comes first: "York" must not be replaced inside "New York". Only whole words count: "Art" must
    not be replaced inside "part". The text may lack the full stops of a name, and may separate words by any space.
    """
    names = sorted(substitutes, key=len, reverse=True)
    if all(_is_literal(name) for name in names):
        return _replaced_literally(text, {name: substitutes[name] for name in names})
    patterns = [(_pattern(name), name) for name in names]
    present: set[str] = set()

    def substitute(match: re.Match[str]) -> str:
        name = patterns[int(match.lastgroup[1:])][1]  # type: ignore[index]
        present.add(name)
        return substitutes[name]

    either = "|".join(f"(?P<n{i}>{pattern})" for i, (pattern, _) in enumerate(patterns))
    return " ".join(re.sub(either, substitute, text).split()), len(present)


def _is_literal(name: str) -> bool:
    words = name.split()
    return bool(words) and not any(word.endswith(".") for word in words)


def _replaced_literally(text: str, substitutes: Mapping[str, str]) -> tuple[str, int]:
    """`_replaced` for names without a full stop at the end of a word; the first of two names at one place is taken.

    To compile a regular expression for each pair would take most of the time in which large data are read.
    """
    text, done, present = " ".join(text.split()), "", set()
    spelt = {name: " ".join(name.split()) for name in substitutes}
    place_of = {name: _find(text, spelt[name], 0) for name in substitutes}
    start = 0
    while found := [(place, name) for name, place in place_of.items() if place >= 0]:
        place, name = min(found, key=lambda each: each[0])
        done += text[start:place] + substitutes[name]
        present.add(name)
        start = place + len(spelt[name])
        for other, there in place_of.items():
            if 0 <= there < start:
                place_of[other] = _find(text, spelt[other], start)
    return done + text[start:], len(present)


def _find(text: str, name: str, start: int) -> int:
    """The place of the name as a whole word, from `start` on; -1 if there is none."""
    while (place := text.find(name, start)) >= 0:
        around = text[max(0, place - 1) : place] + text[place + len(name) : place + len(name) + 1]
        if not any(character.isalnum() or character == "_" for character in around):
            return place
        start = place + 1
    return -1


def _pattern(name: str) -> str:
    words = [
        re.escape(word.rstrip(".")) + r"\.*" if word.rstrip(".") and word.endswith(".") else re.escape(word)
        for word in name.split()
    ]
    return r"(?<!\w)" + r"\s+".join(words) + r"(?!\w)"
