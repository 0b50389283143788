"""Task arithmetic: after an experience, the encoder's first weights and a part of the sum of all task vectors.

w = w0 + scale * sum over experiences of (w_after - w_before), for what the strategy trains in the encoder; w0 are its
weights at the start of the run. The head stays as trained: it has no part in a task vector.
Source: Ilharco et al. 2023, section 2 and section 4 (addition).
Our departure: an experience begins where the one before has ended, so its vector is measured from there and not from w0,
which would count earlier experiences twice. Merging comes at the end of each experience but the first. With scale 1 it is
the bare strategy; under protocol retrain the known task's vector is zero, and after one more experience the encoder is
that of `wise_ft` with alpha = scale.
"""

from __future__ import annotations

import torch
from avalanche.core import SupervisedPlugin
from pydantic import Field
from torch import Tensor

from contsym.strategies.addons.base import Addon, AddonSettings, copies, tensors_bytes, trained_weights

CARD = {
    "source": "Ilharco et al. 2023 (arXiv 2212.04089)",
    "trains": "what the strategy trains",
    "stores": "the encoder's first weights and the sum of the task vectors",
    "family": "continual",
}


class TaskArithmetic(Addon, SupervisedPlugin):
    class Settings(AddonSettings):
        task_arithmetic_scale: float = Field(0.4, ge=0, description="factor of the sum of task vectors")

    def __init__(self, settings, seed: int) -> None:
        SupervisedPlugin.__init__(self)
        self.seed, self.settings = seed, settings
        self.first: dict[str, Tensor] = {}
        self.vectors: list[dict[str, Tensor]] = []
        """What is stored of task vectors, by name of the weight, on the CPU."""
        self._before: dict[str, Tensor] = {}

    @property
    def n_bytes(self) -> int:
        return sum(tensors_bytes(stored.values()) for stored in (self.first, *self.vectors))

    def start(self, model) -> None:
        self.first = _on_cpu(trained_weights(model.encoder))

    def before_training_exp(self, strategy, **kwargs) -> None:
        self._before = _on_cpu(trained_weights(strategy.model.encoder))
        # A method may add weights, such as an adapter.
        self.first = {**self._before, **self.first}

    def take(self, strategy) -> None:
        if strategy.clock.train_exp_counter == 0:
            self._add(strategy, self.first)
        self._before = {}

    def merge(self, strategy) -> None:
        self._add(strategy, self._before)
        for name, weight in trained_weights(strategy.model.encoder).items():
            parts = torch.stack([vector[name] for vector in self.vectors if name in vector])
            weight.copy_(self.first[name] + self.merged(parts))

    def _add(self, strategy, before: dict[str, Tensor]) -> None:
        weights = _on_cpu(trained_weights(strategy.model.encoder))
        vector = {name: weight - before[name] for name, weight in weights.items()}
        # That of a known task is zero.
        if any(part.any() for part in vector.values()):
            self.store(vector)

    def store(self, vector: dict[str, Tensor]) -> None:
        """Keep of a task vector what later merges need."""
        total = self.vectors[0] if self.vectors else {}
        both = {name: total[name] + part if name in total else part for name, part in vector.items()}
        self.vectors = [{**total, **both}]

    def merged(self, parts: Tensor) -> Tensor:
        """What is added to a first weight; parts (stored vectors, *weight) -> (*weight)."""
        return self.settings.task_arithmetic_scale * parts.sum(dim=0)


def _on_cpu(weights) -> dict[str, Tensor]:
    return {name: weight.cpu() for name, weight in copies(weights).items()}
