"""GDumb: a small memory balanced over classes is filled greedily, and each time a new model learns it alone.

At each experience but the first the memory takes what it can of the present pairs, the weights are put back to the first
ones, and the budget of steps is spent on the memory. A method's own memory of pairs, as a k-NN's, has all of them.
A class is a label of one experience: where each task has labels of its own, this is the paper's. Of labels that
tasks share, the first task's pairs would fill the memory, and no later pair would find a place.
Under protocol retrain the first weights are those of the encoder that knows the first task.
Source: Prabhu, Torr and Dokania 2020, section 3 and algorithm 1.
Our departures: the first experience is trained on all its pairs, as by the bare strategy; the budget of steps and
the learning rate are the strategy's.
"""

from __future__ import annotations

import torch
from avalanche.benchmarks.utils import concat_datasets
from pydantic import Field

from contsym.errors import SettingError
from contsym.models.balanced import balanced
from contsym.scenarios.benchmark import pairs_of
from contsym.strategies.addons.base import AddonSettings, pairs_bytes, tensors_bytes
from contsym.strategies.addons.joint import Joint

CARD = {
    "source": "Prabhu, Torr and Dokania 2020 (GDumb, ECCV)",
    "trains": "what the strategy trains, from the start on the memory alone",
    "stores": "a balanced memory of pairs and the first weights",
    "family": "continual",
}


class Gdumb(Joint):
    class Settings(AddonSettings):
        gdumb_size: int = Field(200, ge=1, description="pairs in the memory")

    def __init__(self, settings, seed: int) -> None:
        super().__init__(settings, seed)
        self.size, self.generator = settings.gdumb_size, torch.Generator().manual_seed(seed)
        self.memory: list = []
        """((experience, label), (experience, row of its pairs)) of each stored pair."""

    @classmethod
    def check(cls, strategy, config, n_trained: int) -> None:
        super().check(strategy, config, n_trained)
        if config.one_pass or config.stop_at is not None:
            option = "--one-pass" if config.one_pass else f"--until {config.until}"
            raise SettingError(
                f"{option}: gdumb has chosen its pairs before the first step, so no number of pairs seen can be given; "
                "leave it out, or choose replay"
            )

    @classmethod
    def n_trained_on(cls, n_each, settings, *, one_pass: bool) -> int:
        return n_each[-1] if len(n_each) == 1 else min(settings.gdumb_size, sum(n_each))

    @property
    def n_bytes(self) -> int:
        pairs = (pairs_of(self.past[place])[row] for _, (place, row) in self.memory)
        return pairs_bytes(pairs) + tensors_bytes(self.first.values())

    def take(self, strategy) -> None:
        # Later experiences enter the memory before their training.
        if not self.past:
            self._store(strategy.experience.dataset)

    def after_train_dataset_adaptation(self, strategy, **kwargs) -> None:
        if not self.past:
            return
        self._store(strategy.experience.dataset)
        parts = [
            part.subset([row for _, (of, row) in self.memory if of == place])
            for place, part in enumerate(self.past)
        ]
        strategy.adapted_dataset = concat_datasets(parts)

    def _store(self, dataset) -> None:
        place = len(self.past)
        self.past.append(dataset)
        labels = pairs_of(dataset)["label"][:]
        new = [((place, label), (place, row)) for row, label in enumerate(labels)]
        self.memory = balanced(self.memory, new, self.size, self.generator)
