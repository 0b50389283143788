"""Wikidata triples to NLI pairs: the relation registry, the pairs and their two forms."""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from contsym.data.schema import LABEL_OF_KIND, Form, Kind, stable_hash
from contsym.errors import DataError

Row = dict[str, object]


@dataclass(frozen=True)
class Relation:
    """One entry of relations.toml."""

    id: str
    name: str
    kind: Kind
    phrasings: tuple[str, ...]

    def sentence(self, phrasing: int, subject: str, object_: str) -> str:
        parts = re.split(r"(\[[XY]\])", self.phrasings[phrasing])
        return "".join({"[X]": subject, "[Y]": object_}.get(part, part) for part in parts)


@cache
def registry() -> Mapping[str, Relation]:
    """The relations of relations.toml by property id."""
    text = resources.files("contsym.data").joinpath("relations.toml").read_text("utf-8")
    return {
        key: Relation(key, entry["name"], entry["kind"], tuple(entry["phrasings"]))
        for key, entry in tomllib.loads(text)["relations"].items()
    }


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
        relation = registry()[fact["property"]]
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
    """
    first, second = ([word.rstrip(".") for word in s.split()] for s in (premise, hypothesis))
    n = len(first)
    if n != len(second):
        return
    for i in range(1, n - 1):
        for j in range(i + 1, n):
            a, r, b = first[:i], first[i:j], first[j:]
            if second == b + r + a:
                yield " ".join(a), " ".join(r), " ".join(b)


def name_entities(rows: Iterable[tuple[str, Row]]) -> tuple[list[tuple[str, Row]], int]:
    """The rows with relation, subject and object filled in, and how many could not be.

    A row that says them keeps them. Otherwise they are read off the mirrored form; where
    more than one reading fits, the phrase most frequent over the whole data wins.
    """
    kept = [(where, dict(row)) for where, row in rows]
    readings: dict[int, list[tuple[str, str, str]]] = {}
    phrases: Counter[str] = Counter()
    for number, (_, row) in enumerate(kept):
        if row.get("subject") and row.get("object"):
            continue
        found = list(mirror_of(str(row.get("premise", "")), str(row.get("hypothesis", ""))))
        if row.get("relation"):
            found = [reading for reading in found if reading[1] == row["relation"]] or found
        readings[number] = found
        phrases.update({phrase for _, phrase, _ in found})
    unread = 0
    for number, found in readings.items():
        if not found:
            unread += 1
            continue
        subject, phrase, object_ = max(found, key=lambda r: (phrases[r[1]], -len(r[1])))
        row = kept[number][1]
        row.update(subject=subject, object=object_)
        row["relation"] = row.get("relation") or phrase
    return kept, unread


def in_form(rows: Iterable[tuple[str, Row]], form: Form) -> Iterator[tuple[str, Row]]:
    """The rows in the form asked for; `both` gives each pair twice, side by side.

    Delexicalised: both entity names are replaced by opaque ids, so that nothing but the
    relation can be read. A row whose entities are not known cannot be delexicalised and is
    refused with its place.
    """
    for where, row in rows:
        if form != "delexicalised":
            yield where, row
        if form != "lexicalised":
            yield where, _delexicalised(row, where)


def _delexicalised(row: Row, where: str) -> Row:
    names = [str(row.get(role) or "") for role in ("subject", "object")]
    if not all(names):
        raise DataError(
            f"{where}: the entities are not known, so the pair cannot be delexicalised; give "
            "fields 'subject' and 'object', or use --form lexicalised"
        )
    # The longer name first: "York" must not be replaced inside "New York"; and whole words
    # only: "Art" must not be replaced inside "part".
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = rf"(?<!\w)(?:{longest_first})(?!\w)"
    texts = {
        role: re.sub(pattern, lambda match: opaque_id(match[0]), str(row[role]))
        for role in ("premise", "hypothesis")
    }
    changed = {role: opaque_id(name) for role, name in zip(("subject", "object"), names, strict=True)}
    return {**row, **texts, **changed, "id": f"{row.get('id') or where}#delexicalised"}
