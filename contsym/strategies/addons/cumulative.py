"""Cumulative training, an upper bound: each experience continues with the pairs of all so far.

Every experience is drawn equally often, so that 48 pairs count beside thousands. The budget of steps counts all
pairs drawn from. In one pass each present pair comes once, with one pair of each earlier experience.
Source: the cumulative baseline of Lomonaco and Maltoni 2017 (CORe50).
"""

from __future__ import annotations

from avalanche.benchmarks.utils import concat_datasets
from avalanche.core import SupervisedPlugin

from contsym.data.schema import rows_of
from contsym.scenarios.benchmark import pairs_of
from contsym.strategies.addons.base import Addon, pairs_bytes

CARD = {
    "source": "Lomonaco and Maltoni 2017 (arXiv 1705.03550), cumulative",
    "trains": "what the strategy trains, on all pairs so far",
    "stores": "every training pair",
    "family": "continual",
}


class Cumulative(Addon, SupervisedPlugin):
    def __init__(self, settings, seed: int) -> None:
        SupervisedPlugin.__init__(self)
        self.seed = seed
        self.past: list = []

    @classmethod
    def n_trained_on(cls, n_each, settings, *, one_pass: bool) -> int:
        n_parts = sum(n > 0 for n in n_each)
        return n_parts * (n_each[-1] if one_pass else max(n_each))

    @property
    def n_bytes(self) -> int:
        return pairs_bytes(pair for part in self.past for pair in rows_of(pairs_of(part)))

    def take(self, strategy) -> None:
        self.past.append(strategy.experience.dataset)

    def after_train_dataset_adaptation(self, strategy, **kwargs) -> None:
        if self.past:
            parts = [*self.past, strategy.adapted_dataset]
            largest = max(map(len, parts))
            if strategy.one_pass:
                strategy.adapted_dataset = _in_turn(parts, len(strategy.adapted_dataset))
                return
            strategy.adapted_dataset = concat_datasets([_repeated(part, largest) for part in parts])


def _in_turn(parts, n: int):
    """n pairs of each part, repeated where it has fewer; the parts take turns, so that each batch has pairs of all."""
    whole = concat_datasets([_repeated(part, n) for part in parts])
    return whole.subset([part * n + i for i in range(n) for part in range(len(parts))])


def _repeated(dataset, n: int):
    """The pairs repeated up to n."""
    return dataset.subset([i % len(dataset) for i in range(n)])
