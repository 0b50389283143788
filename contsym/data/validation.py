"""The validation part of a task: the source's own, or a part of the training pairs under the task's split rule."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contsym.data.resplit import sides
from contsym.data.schema import Dataset, alike, rows_of, selected, stable_hash
from contsym.data.shots import draws_of
from contsym.data.splits import SplitRule
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX
from contsym.errors import DataError

SEED = 271_828
"""Seed of the cut, not of the run: every seed chooses by the same pairs. Builds and re-splits have other seeds, since
with theirs the hashes that would be drawn here are in the test part already."""
SHARE, MOST = 0.1, 1000
"""The validation part is this share of the training pairs, and at most so many."""
MOST_LOST = 0.3
"""Share of the training pairs that a rule may take, pairs that it leaves out included; else the next weaker rule."""
_BATCH = 4096

Grouping = SplitRule | None
_WEAKER: Mapping[Grouping, Grouping] = {
    "relation": "pair",
    "phrasing": "pair",
    "entity": "pair",
    "pair": "random",
}
_WORDS: Mapping[Grouping, str] = {
    None: "all pairs of one premise together",
    "random": "each pair by itself",
    "pair": "all pairs of the same two entities together",
    "entity": "no entity of theirs is trained on",
    "relation": "no relation of theirs is trained on",
    "phrasing": "no phrasing of theirs is trained on",
}
_Row = Mapping[str, object]
_Text = tuple[str, str]


@dataclass(frozen=True)
class Cut:
    train: Dataset
    validation: Dataset
    notes: tuple[str, ...]


def cut(
    train: Dataset,
    test: Dataset,
    rule: SplitRule | None,
    *,
    relational: bool,
    mirrored: bool = False,
    examples: str = "pairs",
) -> Cut:
    """A seeded part of the training pairs for validation, which leaves them; test pairs are not taken.

    What the rule keeps from being on both sides of training and test, it keeps from being in training and validation
    too. Pairs of a task without relations are grouped by premise, relation pairs of no known rule each by itself; with
    `mirrored` a pair and its mirror image together. Both forms of a pair stay on one side. Where the pairs do not
    allow a rule, the next weaker one is taken, with a note. Labels and relations have their shares in the validation
    part where the groups allow. The notes call them `examples`.

    Raises DataError for fewer than two training pairs.
    """
    wanted: Grouping = rule or ("random" if relational else None)
    grouping: Grouping = wanted
    tested = _shared_texts(test, [train])
    while (chosen := _rows(train, grouping, mirrored, tested)) is None and grouping != "random":
        grouping = _WEAKER.get(grouping, "random")
    if chosen is None:
        raise DataError(
            f"{len(train)} training {examples} are too few to take a validation part from; expected more, or a validation "
            "part of the data's own"
        )
    kept, held = chosen
    words = _WORDS[grouping] if examples == "pairs" or grouping else "equal ones together"
    notes = [f"validation: {len(held):,} of the {len(train):,} training {examples}, {words}"]
    if grouping != wanted:
        notes.append(
            f"validation: the training {examples} do not allow rule {wanted or 'premise'}; rule {grouping} is used"
        )
    if n_left_out := len(train) - len(kept) - len(held):
        notes.append(
            f"validation: {n_left_out:,} {examples} left out of training, which share something with it"
        )
    return Cut(selected(train, kept), selected(train, held), tuple(notes))


def without_repeats(validation: Dataset, others: Sequence[Dataset]) -> tuple[Dataset, int]:
    """The validation pairs whose two sentences are in no other part, and the number of the rest."""
    repeated = _shared_texts(validation, others)
    if not repeated:
        return validation, 0
    rows = [number for number, text in enumerate(_texts(validation)) if text not in repeated]
    return selected(validation, rows), len(validation) - len(rows)


def _shared_texts(pairs: Dataset, others: Sequence[Dataset]) -> set[_Text]:
    """The sentences of the pairs that are in one of the others too."""
    texts = set(_texts(pairs))
    return texts.intersection(itertools.chain.from_iterable(map(_texts, others)))


def _texts(pairs: Dataset) -> Iterator[_Text]:
    # In batches: there may be more pairs than fit into memory.
    for batch in pairs.select_columns(["premise", "hypothesis"]).iter(batch_size=_BATCH):
        yield from zip(map(alike, batch["premise"]), map(alike, batch["hypothesis"]), strict=True)


def _rows(
    train: Dataset, grouping: Grouping, mirrored: bool, tested: Collection[_Text]
) -> tuple[list[int], list[int]] | None:
    """(row numbers to train on, row numbers for validation) by the grouping; None if the pairs do not allow it."""
    share = min(SHARE, MOST / max(1, len(train)))
    if grouping in ("relation", "phrasing"):
        return _by_rule(train, grouping, share)
    if grouping == "entity":
        return _whole_groups(train, _components(train), share, tested) or _by_rule(train, grouping, share)
    keys: dict[Grouping, Callable[[_Row], Hashable]] = {
        None: lambda row: alike(str(row["premise"])),
        "pair": _entities,
        "random": (lambda row: tuple(sorted(_text(row)))) if mirrored else _text,
    }
    rows = rows_of(train.select_columns(["premise", "hypothesis", "subject", "object"]))
    # Numbers in place of texts, since there may be millions of pairs; equal keys are what counts.
    hashes = np.fromiter((hash(keys[grouping](row)) for row in rows), dtype=np.int64, count=len(train))
    return _whole_groups(train, hashes, share, tested)


def _by_rule(train: Dataset, rule: SplitRule, share: float) -> tuple[list[int], list[int]] | None:
    labels = train["label"][:]
    for part in (share, share / 4):  # the smaller part costs the training fewer pairs
        try:
            kept, held, _ = sides([train], rule, part, SEED)
        except DataError:  # too few relations or phrasings
            continue
        held = _at_most(train, held)
        is_cheap = len(train) - len(kept) <= MOST_LOST * len(train)
        if is_cheap and _have_all_labels(labels, kept, held):
            return kept, held
    return None


def _at_most(train: Dataset, held: list[int]) -> list[int]:
    """The first MOST rows, the labels in turn; the others are left out."""
    if len(held) <= MOST:
        return held
    ids, labels = train["id"][:], train["label"][:]
    held = sorted(held, key=lambda row: stable_hash(SEED, ids[row]))
    n_seen: Counter[int] = Counter()
    turns = {}
    for row in held:
        turns[row] = n_seen[labels[row]]
        n_seen[labels[row]] += 1
    return sorted(sorted(held, key=turns.__getitem__)[:MOST])


def _whole_groups(
    train: Dataset, keys: np.ndarray, share: float, tested: Collection[_Text]
) -> tuple[list[int], list[int]] | None:
    """Groups of rows of one key in seeded order, each if its rows still fit the quotas of their labels and relations.

    Groups with tested sentences stay in training.
    """
    labels, relations = train["label"][:], train["relation"][:]
    n_left, room = Counter(labels), _quotas(Counter(zip(labels, relations, strict=True)), share)
    held: list[int] = []

    def hold(group: Sequence[int]) -> None:
        held.extend(group)
        n_left.subtract(labels[row] for row in group)

    for group in _in_order(train, keys, tested):
        if not room:
            break
        needed = Counter((labels[row], relations[row]) for row in group)
        if all(n <= room[stratum] for stratum, n in needed.items()):
            hold(group)
            room -= needed  # drops what is used up, and a Counter has 0 for it
    missing = {label for label, n in Counter(labels).items() if n > 1} - {labels[row] for row in held}
    for group in _in_order(train, keys, tested) if missing else ():
        counts = Counter(labels[row] for row in group)
        if missing & set(counts) and all(n_left[label] > n for label, n in counts.items()):
            hold(group)
            missing -= set(counts)
    is_held = np.zeros(len(train), dtype=bool)
    is_held[held] = True
    kept = np.flatnonzero(~is_held).tolist()
    return (kept, sorted(held)) if _have_all_labels(labels, kept, held) else None


def _in_order(train: Dataset, keys: np.ndarray, tested: Collection[_Text]) -> Iterator[list[int]]:
    """Row numbers by key, in seeded order; the delexicalised twin of a pair is where the pair is."""
    ids = train["id"][:]
    if any(each.endswith(DELEXICALISED_SUFFIX) for each in ids):
        number_of = {each: number for number, each in enumerate(ids)}
        keys = keys[[number_of.get(each.removesuffix(DELEXICALISED_SUFFIX), i) for i, each in enumerate(ids)]]
    _, groups = np.unique(keys, return_inverse=True)
    is_tested = np.zeros(len(train), dtype=bool)
    if tested:
        is_tested[:] = [text in tested for text in _texts(train)]
        is_tested = np.isin(groups, groups[is_tested])
    draws = draws_of(train, SEED)
    first = np.full(groups.max(initial=-1) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(first, groups, draws)
    rows = np.lexsort((draws, groups, first[groups]))
    rows = rows[~is_tested[rows]]
    ends = np.flatnonzero(np.diff(groups[rows])) + 1
    for start, end in itertools.pairwise([0, *ends.tolist(), len(rows)]):
        if start < end:
            yield rows[start:end].tolist()


def _quotas(sizes: Counter[tuple[int, str]], share: float) -> Counter[tuple[int, str]]:
    """The share of each stratum, rounded so that the sums over strata are the share of the sums.

    >>> _quotas(Counter({(0, "a"): 5, (0, "b"): 5, (2, "c"): 10}), 0.1)
    Counter({(0, 'a'): 1, (2, 'c'): 1})
    """
    quotas: Counter[tuple[int, str]] = Counter()
    n_pairs = n_drawn = 0
    for stratum in sorted(sizes):
        n_pairs += sizes[stratum]
        quotas[stratum] = math.floor(n_pairs * share + 0.5) - n_drawn
        n_drawn += quotas[stratum]
    return +quotas


def _have_all_labels(labels: Sequence[int], kept: Sequence[int], held: Sequence[int]) -> bool:
    """Whether both parts have each label; of a label with one pair, training alone."""
    counts = Counter(labels)
    in_kept, in_held = ({labels[i] for i in part} for part in (kept, held))
    return bool(held) and in_kept == set(counts) and in_held >= {each for each, n in counts.items() if n > 1}


def _components(train: Dataset) -> np.ndarray:
    """The connected component of each row's entities, so that no entity is in two groups."""
    number_of: dict[str, int] = {}
    above: list[int] = []

    def root(name: str) -> int:
        number = number_of.setdefault(name, len(above))
        if number == len(above):
            above.append(number)
        while above[number] != number:
            above[number] = number = above[above[number]]
        return number

    firsts = []
    for row in rows_of(train.select_columns(["subject", "object"])):
        first, second = _entities(row)
        firsts.append(root(first))
        above[firsts[-1]] = root(second)
    names = list(number_of)
    return np.fromiter((root(names[number]) for number in firsts), dtype=np.int64, count=len(train))


def _entities(row: _Row) -> tuple[str, str]:
    first, second = sorted((alike(str(row["subject"])), alike(str(row["object"]))))
    return first, second


def _text(row: _Row) -> _Text:
    return alike(str(row["premise"])), alike(str(row["hypothesis"]))
