"""Few-shot subsets: nested, as many of each label, spread over the relations, seeded by the data."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from contsym.data.schema import KIND_OF_LABEL, LABELS, stable_hash
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX
from contsym.errors import SettingError

if TYPE_CHECKING:
    from datasets import Dataset

    Rows = np.ndarray


def few_shot(pairs: Dataset, n_shots: int, seed: int) -> Dataset:
    """The first n_shots pairs of the seed's order, so that 16 shots are contained in 32.

    Symmetric and antisymmetric pairs alternate, and neutral ones are the third where the data
    have any; within a label the relations take turns, and within a relation the order is a
    hash of (seed, id): neither the order of the file nor the strategy has a say. A relation
    that runs out of pairs is passed over. Of delexicalised pairs the same are taken as of the
    lexicalised ones that they were made from.

    Raises SettingError where a label has too few pairs for its share.
    """
    return pairs.select(few_shot_rows(pairs, n_shots, seed))


def few_shot_rows(pairs: Dataset, n_shots: int, seed: int) -> Rows:
    """Where `few_shot` finds its pairs. Raises as it does."""
    check_shots(pairs, n_shots)
    labels, relations = np.asarray(pairs["label"][:], dtype=np.int64), pairs["relation"][:]
    draws = _draws(pairs, seed)
    orders = []
    for code in _codes(pairs):
        rows = np.flatnonzero(labels == code)
        orders.append(_take_turns(rows, [relations[row] for row in rows.tolist()], draws, seed))
    return _interleaved(orders)[:n_shots]


def check_shots(pairs: Dataset, n_shots: int) -> None:
    """Raise SettingError where n_shots are too few for the labels, or a label has too few pairs for its share."""
    of_code = _codes(pairs)
    n_labels, counts = len(of_code), list(of_code.values())
    if n_shots < n_labels:
        raise SettingError(f"--shots {n_shots} is too few; expected at least {n_labels}, one of each label")
    for place, (code, count) in enumerate(of_code.items()):
        share = (n_shots + n_labels - 1 - place) // n_labels
        if share > count:
            label = LABELS[code]
            kind = f"{KIND_OF_LABEL[label]} ({label})" if label in KIND_OF_LABEL else label
            raise SettingError(
                f"--shots {n_shots} needs {share} {kind} training pairs; the data have "
                f"{count}; expected at most {n_labels * min(counts)}"
            )


def _codes(pairs: Dataset) -> dict[int, int]:
    """The labels that take turns, in the order of their turns, and how many pairs each has."""
    counts = Counter(pairs["label"][:])
    # A relation's two labels have a turn whether there are pairs of them or not.
    return {code: counts[code] for code in dict.fromkeys([*map(LABELS.index, KIND_OF_LABEL), *counts])}


def subset(pairs: Dataset, size: int, seed: int, option: str) -> Dataset:
    """The first `size` pairs of the seed's order, the labels taking turns; nested as well."""
    return pairs.select(subset_rows(pairs, size, seed, option))


def subset_rows(pairs: Dataset, size: int, seed: int, option: str) -> Rows:
    """Where `subset` finds its pairs. Raises as `check_size`."""
    check_size(pairs, size, option)
    labels = pairs["label"][:]
    return _take_turns(np.arange(len(pairs)), labels, _draws(pairs, seed), seed)[:size]


def check_size(pairs: Dataset, size: int, option: str) -> None:
    """Raise SettingError for a size that is out of range; `option` asks for it."""
    if not 1 <= size <= len(pairs):
        raise SettingError(f"{option} {size} is out of range; expected 1 to {len(pairs)}")


def _draws(pairs: Dataset, seed: int) -> Rows:
    """`stable_hash(seed, id)` of each pair."""
    ids = pairs["id"][:]
    if all(pair.endswith(DELEXICALISED_SUFFIX) for pair in ids):
        ids = [pair.removesuffix(DELEXICALISED_SUFFIX) for pair in ids]
    # What stable_hash does, without a call and a number of Python for each of a million ids.
    begun = hashlib.blake2b(f"{seed}\x1f".encode(), digest_size=8)
    digests = bytearray()
    for pair in ids:
        digest = begun.copy()
        digest.update(pair.encode("utf-8", "surrogatepass"))
        digests += digest.digest()
    return np.frombuffer(bytes(digests), dtype=">u8").astype(np.uint64)


def _take_turns(rows: Rows, names: Sequence[object], draws: Rows, seed: int) -> Rows:
    """The rows, those of each name in the order of their draws, and the names taking turns.

    `names` are those of the rows; whose turn is first is drawn by a hash of (seed, name). Equal draws
    stay in the order of the rows.
    """
    in_turn = sorted(dict.fromkeys(names), key=lambda name: stable_hash(seed, name))
    place_of = {name: place for place, name in enumerate(in_turn)}
    places = np.fromiter(map(place_of.__getitem__, names), dtype=np.int64, count=len(rows))
    by_place = np.lexsort((draws[rows], places))
    ends = np.cumsum(np.bincount(places, minlength=len(in_turn)))
    return _interleaved(np.split(rows[by_place], ends[:-1]))


def _interleaved(orders: Sequence[Rows]) -> Rows:
    """The first of each, then the second of each ...; who has no more is passed over.

    >>> _interleaved([np.array([1, 2, 3]), np.array([7]), np.array([8, 9])]).tolist()
    [1, 7, 8, 2, 9, 3]
    """
    rows = np.concatenate([*orders, np.empty(0, dtype=np.int64)]).astype(np.int64)
    turns = np.concatenate([np.arange(len(order)) for order in orders] or [rows])
    return rows[np.argsort(turns, kind="stable")]
