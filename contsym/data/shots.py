"""Few-shot subsets: nested, as many of each label, spread over the relations, seeded by the data."""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest
from typing import TYPE_CHECKING

from contsym.data.schema import KIND_OF_LABEL, LABELS, stable_hash
from contsym.data.wikidata import DELEXICALISED_SUFFIX
from contsym.errors import SettingError

if TYPE_CHECKING:
    from datasets import Dataset


def few_shot(pairs: Dataset, n_shots: int, seed: int) -> Dataset:
    """The first n_shots pairs of the seed's order, so that 16 shots are contained in 32.

    Symmetric and antisymmetric pairs alternate, and neutral ones are the third where the data
    have any; within a label the relations take turns, and within a relation the order is a
    hash of (seed, id): neither the order of the file nor the strategy has a say. A relation
    that runs out of pairs is passed over. Of delexicalised pairs the same are taken as of the
    lexicalised ones that they were made from.

    Raises SettingError where a label has too few pairs for its share.
    """
    by_label: dict[str, dict[str, list[int]]] = {label: defaultdict(list) for label in KIND_OF_LABEL}
    columns = (pairs["label"], pairs["relation"])
    for row, (label, relation) in enumerate(zip(*columns, strict=True)):
        by_label.setdefault(LABELS[label], defaultdict(list))[relation].append(row)
    n_labels = len(by_label)
    if n_shots < n_labels:
        raise SettingError(f"--shots {n_shots} is too few; expected at least {n_labels}, one of each label")
    ids = _ids(pairs)
    orders = [_take_turns(groups, ids, seed) for groups in by_label.values()]
    for place, (label, order) in enumerate(zip(by_label, orders, strict=True)):
        share = (n_shots + n_labels - 1 - place) // n_labels
        if share > len(order):
            kind = f"{KIND_OF_LABEL[label]} ({label})" if label in KIND_OF_LABEL else label
            raise SettingError(
                f"--shots {n_shots} needs {share} {kind} training pairs; the data have "
                f"{len(order)}; expected at most {n_labels * min(map(len, orders))}"
            )
    turns = [row for turn in zip_longest(*orders) for row in turn if row is not None]
    return pairs.select(turns[:n_shots])


def subset(pairs: Dataset, size: int, seed: int, option: str) -> Dataset:
    """The first `size` pairs of the seed's order, the labels taking turns; nested as well."""
    if not 1 <= size <= len(pairs):
        raise SettingError(f"{option} {size} is out of range; expected 1 to {len(pairs)}")
    groups: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(pairs["label"]):
        groups[str(label)].append(row)
    return pairs.select(_take_turns(groups, _ids(pairs), seed)[:size])


def _ids(pairs: Dataset) -> list[str]:
    ids = pairs["id"][:]
    if all(pair.endswith(DELEXICALISED_SUFFIX) for pair in ids):
        return [pair.removesuffix(DELEXICALISED_SUFFIX) for pair in ids]
    return ids


def _take_turns(groups: dict[str, list[int]], ids: list[str], seed: int) -> list[int]:
    shuffled = [
        sorted(groups[name], key=lambda row: stable_hash(seed, ids[row]))
        for name in sorted(groups, key=lambda name: stable_hash(seed, name))
    ]
    return [row for turn in zip_longest(*shuffled) for row in turn if row is not None]
