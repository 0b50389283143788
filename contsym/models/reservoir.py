"""Samples of stored pairs: N of a stream, uniformly, or every n-th pair for a quick look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contsym.data.schema import stable_hash

if TYPE_CHECKING:
    from datasets import Dataset


RESERVOIR = "reservoir:"


class Reservoir:
    """A uniform sample of N pairs from a stream of experiences; it never holds more.

    The key of a pair is a hash of its texts and the seed; the N pairs of least key stay. As in Vitter's
    algorithm R, every pair has the same chance and is read once; here the sample does not depend on
    the order of the pairs.
    Source: Vitter 1985; least random keys: Efraimidis and Spirakis 2006, with equal weights.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        self._past: list[tuple[Dataset, list[int]]] = []
        """The sampled pairs of each finished experience, and their keys."""

    def forget(self) -> None:
        self._past = []

    def sample(
        self, past: Sequence[Dataset], current: Dataset | None
    ) -> tuple[list[Dataset], Dataset | None]:
        """The sampled pairs of each finished experience, and of the present one.

        Between calls only the samples are remembered; new experiences are read once.
        """
        new = [(pairs, self._keys(pairs)) for pairs in past[len(self._past) :]]
        self._past = _least([*self._past, *new], self.n)
        if current is None:
            return [pairs for pairs, _ in self._past], None
        parts = _least([*self._past, (current, self._keys(current))], self.n)
        *before, now = (pairs for pairs, _ in parts)
        return before, now

    def _keys(self, pairs: Dataset) -> list[int]:
        texts = zip(pairs["premise"][:], pairs["hypothesis"][:], strict=True)
        return [stable_hash(self.seed, "reservoir", *pair) for pair in texts]


def _least(parts: Sequence[tuple[Dataset, list[int]]], n: int) -> list[tuple[Dataset, list[int]]]:
    """The pairs with the n least keys of all parts together; of equal keys the earlier pair."""
    order = sorted((key, part, row) for part, (_, keys) in enumerate(parts) for row, key in enumerate(keys))
    rows = [sorted(row for _, of, row in order[:n] if of == part) for part in range(len(parts))]
    return [
        (pairs.select(sample), [keys[row] for row in sample])
        for (pairs, keys), sample in zip(parts, rows, strict=True)
    ]


def thinned(past: Sequence[Dataset], limit: int) -> list[Dataset]:
    """Every n-th pair of each dataset, with the least n that leaves at most `limit` pairs."""
    n_pairs = sum(len(pairs) for pairs in past)
    every = max(1, -(-n_pairs // limit))
    while sum(-(-len(pairs) // every) for pairs in past) > limit and every < n_pairs:
        every += 1
    return [pairs.select(range(0, len(pairs), every)) for pairs in past]
