"""Pairs of real sentences and what they say of two entities: in one direction a relation holds, in the other it may not.

The premise is a sentence that states a relation between a head and a tail, as in FewRel. The hypothesis is a phrasing of
the registry. With the entities exchanged ("[tail] is a spouse of [head]") it follows if the relation is symmetric, and is
false if it is antisymmetric. If all hypotheses were exchanged, their phrase alone would tell the label. So a part of
the sentences of antisymmetric relations has a hypothesis in the direction of the sentence, which follows.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contsym.data.readers import MAX_DOCUMENT, read_rows
from contsym.data.schema import PlacedRow, check_unicode, stable_hash
from contsym.data.wikidata.relations import Registry, Relation, registry
from contsym.errors import ContsymError, DataError, SettingError
from contsym.files import write_file
from contsym.tasks.schema import SYMMETRY_LABELS, Task

COLUMNS = Task(
    name="sentences",
    summary="A sentence, two entities in it, and the relation that it states.",
    labels=SYMMETRY_LABELS,
    inputs="single",
    columns={"text": "text", "subject": "head", "object": "tail", "relation": "relation"},
)
"""What is read of a table: `text`, `head`, `tail`, `relation` (id or name)."""


@dataclass(frozen=True)
class Sentence:
    """A sentence that states `relation` of `subject` and `object`, spelt as in the sentence."""

    id: str
    text: str
    relation: Relation
    subject: str
    object: str


@dataclass(frozen=True)
class Made:
    """What `build_sentences` has written."""

    n_pairs: int
    labels: dict[str, int]
    relations: dict[str, dict[str, int]]
    """Pairs by relation and label."""
    left_out: dict[str, int]
    """Sentences by reason."""


def build_sentences(path: Path, out: Path, relations: Path | None = None, seed: int = 0) -> Made:
    """Write the pairs of a file of sentences to `out`, as JSON lines.

    Raises DataError for a row without a text, a head, a tail or a relation, and where no sentence is left.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected sentences with text, head, tail and relation")
    if out.exists():
        raise SettingError(f"--to {out} exists; name another file, or remove it")
    found, left_out = read_sentences(_rows(path), registry(relations))
    rows = balanced_pairs(found, seed)
    if not rows:
        counts = ", ".join(f"{n:,} {reason}" for reason, n in left_out.items()) or "none was read"
        raise DataError(f"{path}: no pairs of both labels can be made of its sentences ({counts})")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_file(out, text)
    except OSError as error:
        raise ContsymError(
            f"--to {out} cannot be written ({error.strerror or error}); expected a file in a place that you may write to"
        ) from None
    by_relation: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by_relation[row["relation"]][row["label"]] += 1
    return Made(
        n_pairs=len(rows),
        labels=dict(Counter(row["label"] for row in rows)),
        relations={name: dict(counts) for name, counts in sorted(by_relation.items())},
        left_out=dict(left_out),
    )


def _rows(path: Path) -> Iterator[PlacedRow]:
    """The rows of a file: a JSON object of lists by relation, as FewRel is distributed, or a table."""
    by_relation = _by_relation(path) if path.suffix.lower() == ".json" else None
    if by_relation is None:
        yield from read_rows(path, COLUMNS)
        return
    for relation, items in by_relation.items():
        for number, item in enumerate(items, 1):
            where = f"{path}: {relation} {number}"
            try:
                head, tail = (item[end][0] if isinstance(item[end], list) else None for end in ("h", "t"))
                text = " ".join(item["tokens"])
            except (LookupError, TypeError):
                raise DataError(f"{where}: not a sentence of FewRel; expected tokens, h and t") from None
            yield where, {"text": text, "subject": head, "object": tail, "relation": relation}


def _by_relation(path: Path) -> dict[str, list[Any]] | None:
    """The lists of FewRel's own format; None for another one, whose reader reports what is wrong."""
    if path.stat().st_size > MAX_DOCUMENT:
        return None
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    is_fewrel = isinstance(found, dict) and all(isinstance(items, list) for items in found.values())
    return found if found and is_fewrel else None


def read_sentences(rows: Iterable[PlacedRow], known: Registry) -> tuple[list[Sentence], Counter[str]]:
    """The usable sentences, and the number of others by reason."""
    by_name = {relation.name: relation for relation in known.relations.values()} | dict(known.relations)
    left_out: Counter[str] = Counter()
    sentences: dict[str, Sentence] = {}
    for where, row in rows:
        texts = {name: str(row.get(name) or "").strip() for name in ("text", "subject", "object", "relation")}
        for field, text in texts.items():
            if not text:
                raise DataError(f"{where}: {COLUMNS.columns[field]} is missing; expected text")
        check_unicode(texts, where)
        relation = by_name.get(texts["relation"])
        if relation is None:
            left_out["sentences of a relation without a registered kind"] += 1
            continue
        names = [_spelt(texts["text"], texts[role]) for role in ("subject", "object")]
        if not all(names) or names[0].casefold() == names[1].casefold():
            left_out["sentences without two different entities in them"] += 1
            continue
        one = Sentence(_id(relation, texts), texts["text"], relation, *names)
        left_out["repeated sentences"] += one.id in sentences
        sentences[one.id] = one
    return list(sentences.values()), +left_out


def balanced_pairs(sentences: Sequence[Sentence], seed: int = 0) -> list[dict[str, str]]:
    """One pair per sentence, as many of each label; none where one label is impossible.

    With s symmetric and a antisymmetric sentences, (a + s) / 2 of the antisymmetric ones are exchanged and contradict, and
    the others follow like the symmetric ones; where s is greater than a, as many symmetric ones are left out.
    Relations take turns, so that each has its share of both directions. Hashes draw order and phrasing.
    """
    by_kind: dict[str, list[Sentence]] = {"symmetric": [], "antisymmetric": []}
    for sentence in _in_turns(sentences, seed):
        by_kind[sentence.relation.kind].append(sentence)
    antisymmetric = by_kind["antisymmetric"]
    symmetric = by_kind["symmetric"][: len(antisymmetric)]
    n_false = (len(antisymmetric) + len(symmetric)) // 2
    n_true = n_false - len(symmetric)
    pairs = [_pair(each, seed, exchanged=True) for each in (*symmetric, *antisymmetric[:n_false])]
    pairs += [_pair(each, seed, exchanged=False) for each in antisymmetric[n_false : n_false + n_true]]
    return sorted(pairs, key=lambda row: stable_hash(seed, "order", row["id"]))


def _in_turns(sentences: Sequence[Sentence], seed: int) -> list[Sentence]:
    """The sentences in seeded order, the first of each relation before the second of any."""
    turns: Counter[str] = Counter()
    placed = []
    for sentence in sorted(sentences, key=lambda each: stable_hash(seed, each.id)):
        placed.append((turns[sentence.relation.id], stable_hash(seed, sentence.relation.id), sentence))
        turns[sentence.relation.id] += 1
    return [sentence for *_, sentence in sorted(placed, key=lambda each: each[:2])]


def _pair(sentence: Sentence, seed: int, *, exchanged: bool) -> dict[str, str]:
    relation = sentence.relation
    ends = sentence.subject, sentence.object
    phrasing = stable_hash(seed, "phrasing", sentence.id) % len(relation.phrasings)
    is_false = exchanged and relation.kind == "antisymmetric"
    return {
        "id": sentence.id,
        "premise": sentence.text,
        "hypothesis": relation.sentence(phrasing, *(ends[::-1] if exchanged else ends)),
        "label": "contradiction" if is_false else "entailment",
        "relation": relation.id,
        "kind": relation.kind,
        "group": "exchanged" if exchanged else "as stated",
        "subject": sentence.subject,
        "object": sentence.object,
    }


def _id(relation: Relation, texts: dict[str, str]) -> str:
    content = (texts[name] for name in ("text", "subject", "object"))
    return f"{relation.id}/{stable_hash(*content):016x}"


def _spelt(text: str, name: str) -> str:
    """The name as the text spells it; empty where it is not in the text as whole words.

    >>> _spelt("Crossing the Lambeth Bridge", "lambeth bridge"), _spelt("Parting", "part")
    ('Lambeth Bridge', '')
    """
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)
    return found[0] if found else ""
