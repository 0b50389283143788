"""Which pairs of a stream stay: a uniform sample of N, or every n-th for a look in passing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contsym.data.schema import stable_hash

if TYPE_CHECKING:
    from datasets import Dataset


RESERVOIR = "reservoir:"


class Reservoir:
    """A uniform sample of N pairs of a stream of experiences, which never holds more.

    Each pair draws a number, a hash of its texts and the seed; the N least stay. Like Vitter's
    algorithm R it gives every pair of the stream the same chance and needs no pair twice, but
    which ones stay does not depend on the order in which they come.
    Source: Vitter 1985; the least of random keys: Efraimidis and Spirakis 2006, with equal weights.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        self._kept: list[tuple[Dataset, list[int]]] = []
        """Of each finished experience what is left, with the pairs' numbers."""

    def forget(self) -> None:
        self._kept = []

    def sample(
        self, past: Sequence[Dataset], current: Dataset | None
    ) -> tuple[list[Dataset], Dataset | None]:
        """The sample of finished experiences, and of the pairs seen of the one under way.

        Of earlier calls it remembers the samples alone, and looks at what has come since.
        """
        new = [(pairs, self._numbers(pairs)) for pairs in past[len(self._kept) :]]
        self._kept = _least([*self._kept, *new], self.n)
        if current is None:
            return [pairs for pairs, _ in self._kept], None
        parts = _least([*self._kept, (current, self._numbers(current))], self.n)
        *before, now = (pairs for pairs, _ in parts)
        return before, now

    def _numbers(self, pairs: Dataset) -> list[int]:
        texts = zip(pairs["premise"][:], pairs["hypothesis"][:], strict=True)
        return [stable_hash(self.seed, "reservoir", *pair) for pair in texts]


def n_stored(mode: str) -> int:
    """The N of `reservoir:N`."""
    return int(mode.removeprefix(RESERVOIR))


def _least(parts: Sequence[tuple[Dataset, list[int]]], n: int) -> list[tuple[Dataset, list[int]]]:
    """The pairs with the n least numbers of all parts together; of equal ones the earlier."""
    where = (
        (number, part, row) for part, (_, numbers) in enumerate(parts) for row, number in enumerate(numbers)
    )
    rows: list[list[int]] = [[] for _ in parts]
    for _, part, row in sorted(where)[:n]:
        rows[part].append(row)
    return [
        (pairs.select(sorted(kept)), [numbers[row] for row in sorted(kept)])
        for (pairs, numbers), kept in zip(parts, rows, strict=True)
    ]


def thinned(past: Sequence[Dataset], limit: int) -> list[Dataset]:
    """Every n-th pair of each data set, with the least n that leaves at most `limit` pairs."""
    n_pairs = sum(len(pairs) for pairs in past)
    every = max(1, -(-n_pairs // limit))
    while sum(-(-len(pairs) // every) for pairs in past) > limit and every < n_pairs:
        every += 1
    return [pairs.select(range(0, len(pairs), every)) for pairs in past]
