"""Few-shot subsets: nested, balanced over labels and relations or as the data are, drawn by data and seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contsym.data.schema import BALANCED, KIND_OF_LABEL, Dataset, Draw, TaskData, stable_hash
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX
from contsym.errors import SettingError

Rows = np.ndarray


@dataclass(frozen=True)
class Classes:
    """The labels among which a balanced draw shares out the shots."""

    names: tuple[str, ...]
    """For people, by class number."""
    always: tuple[int, ...]
    """Those that take turns first, in this order, whether the pairs have them or not."""


SYMMETRY = Classes(("symmetric (entailment)", "neutral", "antisymmetric (contradiction)"), (0, 2))


def classes_of(task: TaskData) -> Classes:
    """Those of a task: of symmetric relations their two labels first, of any other all of its own."""
    if not task.spec.symmetry:
        return Classes(task.labels, tuple(task.own_classes))
    names, number_of = list(task.labels), dict(zip(task.spec.labels, task.classes, strict=True))
    for label, kind in KIND_OF_LABEL.items():
        names[number_of[label]] = f"{kind} ({label})"
    return Classes(tuple(names), tuple(number_of[label] for label in KIND_OF_LABEL))


def few_shot(
    pairs: Dataset, n_shots: int, seed: int, draw: Draw = BALANCED, classes: Classes = SYMMETRY
) -> Dataset:
    """The first n_shots pairs of the seed's order, so that 32 shots contain the 16.

    A hash of (seed, id) orders the pairs, independent of the file's order and of the strategy. In a natural draw that
    is all. In a balanced one the labels take turns, as symmetric and antisymmetric pairs do, with neutral ones as the
    third where the data have any, and within a label the relations take turns; a relation that runs out of pairs is skipped.
    Delexicalised pairs are drawn as the lexicalised pairs that they were made from.

    Raises SettingError where there are too few pairs; in a balanced draw, of one label.
    """
    return pairs.select(few_shot_rows(pairs, n_shots, seed, draw, classes))


def few_shot_rows(
    pairs: Dataset, n_shots: int, seed: int, draw: Draw = BALANCED, classes: Classes = SYMMETRY
) -> Rows:
    """Row numbers of `few_shot`, with its errors."""
    check_shots(pairs, n_shots, draw, classes)
    return few_shot_order(pairs, seed, draw, classes)[:n_shots]


def few_shot_order(pairs: Dataset, seed: int, draw: Draw = BALANCED, classes: Classes = SYMMETRY) -> Rows:
    """All row numbers in the order of `few_shot`; a label that runs out of pairs is skipped."""
    draws = draws_of(pairs, seed)
    if draw == "natural":
        return np.argsort(draws, kind="stable")
    labels, relations = np.asarray(pairs["label"][:], dtype=np.int64), pairs["relation"][:]
    orders = []
    for code in _label_counts(pairs, classes):
        rows = np.flatnonzero(labels == code)
        orders.append(_take_turns(rows, [relations[row] for row in rows.tolist()], draws, seed))
    return _interleaved(orders)


def check_shots(pairs: Dataset, n_shots: int, draw: Draw = BALANCED, classes: Classes = SYMMETRY) -> None:
    """Raise SettingError where the pairs are fewer than n_shots.

    In a balanced draw also where n_shots is below the number of labels, or a label has too few pairs.
    """
    if draw == "natural":
        check_size(pairs, n_shots, "--shots")
        return
    counts = _label_counts(pairs, classes)
    n_labels = len(counts)
    if n_shots < n_labels:
        raise SettingError(f"--shots {n_shots} is too few; expected at least {n_labels}, one per label")
    for place, (code, count) in enumerate(counts.items()):
        share = (n_shots + n_labels - 1 - place) // n_labels
        if not count:
            raise SettingError(
                f"--shots {n_shots}: no training example is {classes.names[code]}, and a balanced draw has some of every "
                "label; expected data with all labels, or --draw natural"
            )
        if share > count:
            raise SettingError(
                f"--shots {n_shots} needs {share} {classes.names[code]} training pairs; the data have "
                f"{count}; expected at most {_most(list(counts.values()))}"
            )


def most_shots(pairs: Dataset, draw: Draw = BALANCED, classes: Classes = SYMMETRY) -> int:
    """The largest number of shots that `check_shots` lets pass."""
    return _most(list(_label_counts(pairs, classes).values())) if draw == BALANCED else len(pairs)


def fewest_shots(pairs: Dataset, draw: Draw = BALANCED, classes: Classes = SYMMETRY) -> int:
    """The smallest one: a balanced draw has some of every label."""
    return len(_label_counts(pairs, classes)) if draw == BALANCED else 2


def _most(counts: Sequence[int]) -> int:
    """The shots of a balanced draw until the first label has none left when its turn comes.

    >>> _most([10, 5]), _most([5, 10])
    (11, 10)
    """
    return min(len(counts) * count + place for place, count in enumerate(counts))


def missing_labels(part: Dataset, pairs: Dataset, classes: Classes = SYMMETRY) -> list[str]:
    """Names of the labels that the pairs have and a part of them has not."""
    return [classes.names[code] for code in sorted({*pairs["label"][:]} - {*part["label"][:]})]


def _label_counts(pairs: Dataset, classes: Classes) -> dict[int, int]:
    """Pairs per label, in the order in which the labels take turns."""
    counts = Counter(pairs["label"][:])
    return {code: counts[code] for code in dict.fromkeys([*classes.always, *counts])}


def subset(pairs: Dataset, size: int, seed: int, option: str) -> Dataset:
    """The first `size` pairs of the seed's order, in which the labels take turns; nested as well."""
    return pairs.select(subset_rows(pairs, size, seed, option))


def subset_rows(pairs: Dataset, size: int, seed: int, option: str) -> Rows:
    """Row numbers of `subset`. Raises as `check_size`."""
    check_size(pairs, size, option)
    labels = pairs["label"][:]
    return _take_turns(np.arange(len(pairs)), labels, draws_of(pairs, seed), seed)[:size]


def check_size(pairs: Dataset, size: int, option: str) -> None:
    """Raise SettingError for a size out of range; the message names the option."""
    if not 1 <= size <= len(pairs):
        raise SettingError(f"{option} {size} is out of range; expected 1 to {len(pairs)}")


def draws_of(pairs: Dataset, seed: int) -> Rows:
    """`stable_hash(seed, id)` per pair, without a Python call and a Python number for each of a million ids."""
    ids = pairs["id"][:]
    if all(pair.endswith(DELEXICALISED_SUFFIX) for pair in ids):
        ids = [pair.removesuffix(DELEXICALISED_SUFFIX) for pair in ids]
    prefix = hashlib.blake2b(f"{seed}\x1f".encode(), digest_size=8)
    digests = bytearray()
    for pair in ids:
        digest = prefix.copy()
        digest.update(pair.encode("utf-8", "surrogatepass"))
        digests += digest.digest()
    return np.frombuffer(bytes(digests), dtype=">u8").astype(np.uint64)


def _take_turns(rows: Rows, names: Sequence[object], draws: Rows, seed: int) -> Rows:
    """The rows in an order in which their names take turns; the rows of one name go by their draws.

    A hash of (seed, name) orders the names. Rows with equal draws keep their order.
    """
    in_turn = sorted(dict.fromkeys(names), key=lambda name: stable_hash(seed, name))
    place_of = {name: place for place, name in enumerate(in_turn)}
    places = np.fromiter(map(place_of.__getitem__, names), dtype=np.int64, count=len(rows))
    by_place = np.lexsort((draws[rows], places))
    ends = np.cumsum(np.bincount(places, minlength=len(in_turn)))
    return _interleaved(np.split(rows[by_place], ends[:-1]))


def _interleaved(orders: Sequence[Rows]) -> Rows:
    """The first row of each order, then the second of each, and so on; an order that has ended is skipped.

    >>> _interleaved([np.array([1, 2, 3]), np.array([7]), np.array([8, 9])]).tolist()
    [1, 7, 8, 2, 9, 3]
    """
    rows = np.concatenate([*orders, np.empty(0, dtype=np.int64)]).astype(np.int64)
    turns = np.concatenate([np.arange(len(order)) for order in orders] or [rows])
    return rows[np.argsort(turns, kind="stable")]
