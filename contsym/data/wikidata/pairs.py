"""Relation pairs: the bundled ones, the entities of published ones, and the two forms."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources

from contsym.data.schema import LABEL_OF_KIND, Form, check_unicode, content_id, own_id, stable_hash
from contsym.data.wikidata.relations import registry
from contsym.errors import DataError

Row = dict[str, object]

DELEXICALISED_SUFFIX = "#delexicalised"
"""What the id of a pair's delexicalised twin ends with."""


def opaque_id(name: str) -> str:
    """An id for an entity whose Wikidata id is not verified: never of the form Q123.

    >>> opaque_id("Portugal")
    'ent-6636b318'
    """
    return f"ent-{hashlib.sha256(name.casefold().encode()).hexdigest()[:8]}"


def bundled_pairs() -> Iterator[Row]:
    """One pair for each bundled fact; the phrasing is chosen by a hash of the fact.

    Premise and hypothesis share the phrasing and swap the entities (the paper's form). For a
    symmetric relation which of the two comes first is drawn by the hash too, so that the
    order of the source table gives nothing away.
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

    Published pairs do not name their entities; their mirrored form gives them away. A
    sentence of n words is read in at most n^2 / 2 ways; all that fit are yielded, since
    "a r r b" fits in more than one. A full stop at the end of a word does not count: the
    published data lost those of names at the end of a sentence ("... ulysses s. grant jr").
    Where nothing fits, words that end both sentences are read as the phrase's end: "A is an
    equivalent name of B for other gender".
    """
    spelt = [sentence.split() for sentence in (premise, hypothesis)]
    first, second = ([word.rstrip(".") for word in words] for words in spelt)
    n = len(first)
    if n != len(second):
        return
    n_tail = 0
    while n_tail <= n - 3 and first[n - n_tail :] == second[n - n_tail :]:
        end, found = n - n_tail, False
        for i in range(1, end - 1):
            for j in range(i + 1, end):
                a, r, b = first[:i], first[i:j], first[j:end]
                if second[:end] == b + r + a:
                    found = True
                    # Each name as the sentence has it that kept more of its full stops.
                    a_again, b_again = spelt[1][end - i : end], spelt[1][: end - j]
                    yield (
                        _longer(spelt[0][:i], a_again),
                        " ".join(r + first[end:]),
                        _longer(spelt[0][j:end], b_again),
                    )
        if found:
            return
        n_tail += 1


def _longer(*spellings: list[str]) -> str:
    return max((" ".join(words) for words in spellings), key=len)


def count_phrases(rows: Iterable[Row]) -> Counter[str]:
    """In how many rows, of those that do not say their entities, each phrase can be read."""
    counts: Counter[str] = Counter()
    for row in rows:
        if not _says_its_entities(row):
            counts.update({phrase for _, phrase, _ in _readings(row)})
    return counts


def named(row: Row, phrases: Mapping[str, int]) -> Row | None:
    """The row with relation, subject and object; None where they cannot be read.

    A row that says them keeps them. Otherwise they are read off the mirrored form; where
    more than one reading fits, the phrase most frequent over the whole data wins.
    """
    if _says_its_entities(row):
        return row
    readings = _readings(row)
    if not readings:
        return None
    subject, phrase, object_ = max(readings, key=lambda r: (phrases.get(r[1], 0), -len(r[1])))
    return {**row, "subject": subject, "object": object_, "relation": row.get("relation") or phrase}


def _says_its_entities(row: Row) -> bool:
    return bool(row.get("subject") and row.get("object"))


def _readings(row: Row) -> list[tuple[str, str, str]]:
    found = list(mirror_of(str(row.get("premise", "")), str(row.get("hypothesis", ""))))
    relation = row.get("relation")
    return [reading for reading in found if reading[1] == relation] or found


def in_form(rows: Iterable[tuple[str, Row]], form: Form) -> Iterator[tuple[str, Row]]:
    """The rows in the form asked for; `both` gives each pair twice, side by side.

    Delexicalised: both entity names are replaced by opaque ids, so that nothing but the
    relation can be read. A row whose entities are not known, or are not in its premise as it
    says them, is refused with its place.
    """
    for where, row in rows:
        if form != "delexicalised":
            yield where, row
        if form != "lexicalised":
            yield where, _delexicalised(row, where)


def phrasing_of(premise: str, subject: str, object_: str) -> str:
    """The premise with [X] and [Y] in the place of its entities; itself where it has none.

    >>> phrasing_of("Spain borders Portugal", "Spain", "Portugal")
    '[X] borders [Y]'
    """
    if not (subject and object_):
        return premise
    return _replaced(premise, {subject: "[X]", object_: "[Y]"})[0]


def _delexicalised(row: Row, where: str) -> Row:
    if not all(isinstance(row.get(role), str) for role in ("premise", "hypothesis")):
        return row  # check_row says what is missing
    check_unicode(row, where)
    names = [str(row.get(role) or "") for role in ("subject", "object")]
    if not all(names):
        raise DataError(
            f"{where}: the entities are not known, so the pair cannot be delexicalised; give "
            "fields 'subject' and 'object', or use --form lexicalised"
        )
    ids = {name: opaque_id(name) for name in names}
    texts = {}
    for role in ("premise", "hypothesis"):
        texts[role], n_replaced = _replaced(str(row[role]), ids)
        if role == "premise" and n_replaced < len(ids):
            raise DataError(
                f"{where}: {' or '.join(map(repr, names))} is not in the premise as it is spelt here, so "
                "the pair cannot be delexicalised; mend 'subject' and 'object', or use --form lexicalised"
            )
    changed = {role: ids[name] for role, name in zip(("subject", "object"), names, strict=True)}
    return {**row, **texts, **changed, "id": f"{own_id(row) or content_id(row)}{DELEXICALISED_SUFFIX}"}


def _replaced(text: str, substitutes: Mapping[str, str]) -> tuple[str, int]:
    """The text with each name replaced, and how many of the names were found in it.

    The longer name first: "York" must not be replaced inside "New York"; and whole words
    only: "Art" must not be replaced inside "part". A full stop that a name has may be
    missing in the text, and space between its words may be of any kind.
    """
    patterns = [(_pattern(name), name) for name in sorted(substitutes, key=len, reverse=True)]
    found: set[str] = set()

    def substitute(match: re.Match[str]) -> str:
        name = patterns[int(match.lastgroup[1:])][1]  # type: ignore[index]
        found.add(name)
        return substitutes[name]

    either = "|".join(f"(?P<n{i}>{pattern})" for i, (pattern, _) in enumerate(patterns))
    return " ".join(re.sub(either, substitute, text).split()), len(found)


def _pattern(name: str) -> str:
    words = [
        re.escape(word.rstrip(".")) + r"\.*" if word.rstrip(".") and word.endswith(".") else re.escape(word)
        for word in name.split()
    ]
    return r"(?<!\w)" + r"\s+".join(words) + r"(?!\w)"
