"""Few-shot subsets: nested, half of each kind, spread over the relations, seeded by the data."""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest
from typing import TYPE_CHECKING

from contsym.data.schema import KIND_OF_LABEL, LABELS, stable_hash
from contsym.errors import SettingError

if TYPE_CHECKING:
    from datasets import Dataset


def few_shot(pairs: Dataset, n_shots: int, seed: int) -> Dataset:
    """The first n_shots pairs of the seed's order, so that 16 shots are contained in 32.

    Symmetric and antisymmetric pairs alternate; within a kind the relations take turns, and
    within a relation the order is a hash of (seed, id): neither the order of the file nor
    the strategy has a say. A relation that runs out of pairs is passed over.

    Raises SettingError where a kind has too few pairs for its half.
    """
    if n_shots < 2:
        raise SettingError(f"--shots {n_shots} is too few; expected at least 2, one of each kind")
    by_kind: dict[str, dict[str, list[int]]] = {kind: defaultdict(list) for kind in KIND_OF_LABEL}
    columns = (pairs["label"], pairs["relation"])
    for row, (label, relation) in enumerate(zip(*columns, strict=True)):
        if LABELS[label] in by_kind:
            by_kind[LABELS[label]][relation].append(row)
    ids = pairs["id"][:]
    orders = [_take_turns(groups, ids, seed) for groups in by_kind.values()]
    for (label, kind), order, share in zip(
        KIND_OF_LABEL.items(), orders, (n_shots - n_shots // 2, n_shots // 2), strict=True
    ):
        if share > len(order):
            raise SettingError(
                f"--shots {n_shots} needs {share} {kind} ({label}) training pairs; the data have "
                f"{len(order)}; expected at most {2 * min(map(len, orders))}"
            )
    turns = [row for pair in zip_longest(*orders) for row in pair if row is not None]
    return pairs.select(turns[:n_shots])


def subset(pairs: Dataset, size: int, seed: int, option: str) -> Dataset:
    """The first `size` pairs of the seed's order, the labels taking turns; nested as well."""
    if not 1 <= size <= len(pairs):
        raise SettingError(f"{option} {size} is out of range; expected 1 to {len(pairs)}")
    groups: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(pairs["label"]):
        groups[str(label)].append(row)
    return pairs.select(_take_turns(groups, pairs["id"][:], seed)[:size])


def _take_turns(groups: dict[str, list[int]], ids: list[str], seed: int) -> list[int]:
    shuffled = [
        sorted(groups[name], key=lambda row: stable_hash(seed, ids[row]))
        for name in sorted(groups, key=lambda name: stable_hash(seed, name))
    ]
    return [row for turn in zip_longest(*shuffled) for row in turn if row is not None]
