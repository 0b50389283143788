"""Task arithmetic: after an experience, the encoder's first weights and a part of the sum of all task vectors.

w = w0 + scale * sum over experiences of (w_after - w_before), for what the strategy trains in the encoder (of an adapter,
each of its factors); w0 are its weights at the start of the run. The head stays as trained: it has no part in a task vector.
Source: Ilharco et al. 2023, section 2 and section 4 (addition).
Our departure: an experience begins where the one before has ended, so its vector is measured from there and not from w0,
which would count earlier experiences twice. Merging comes at the end of each experience but the first. With scale 1 it is
the bare strategy; under protocol retrain the known task's vector is zero, and after one more experience the encoder is
that of `wise_ft` with alpha = scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from avalanche.core import SupervisedPlugin
from pydantic import Field
from torch import Tensor

from contsym.models.pair_model import trained_weights
from contsym.strategies.addons.base import (
    Addon,
    AddonSettings,
    check_shared,
    copies,
    set_weights,
    tensors_bytes,
)

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
        check_shared(self, strategy, [f"encoder.{name}" for name in self._before])
        # A method may add weights, such as an adapter.
        self.first = {**self._before, **self.first}

    def take(self, strategy) -> None:
        if strategy.clock.train_exp_counter == 0:
            self.vectors = self._with_present(strategy, self.first)
        self._before = {}

    def merge(self, strategy) -> None:
        # Made before the weights change.
        vectors = self._with_present(strategy, self._before)
        set_weights(strategy.model, self._merged(vectors))
        self.vectors = vectors

    def merged(self, strategy) -> dict[str, Tensor]:
        return self._merged(self._with_present(strategy, self._before))

    def _merged(self, vectors: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        parts = {name: [vector[name] for vector in vectors if name in vector] for name in self._before}
        return {
            f"encoder.{name}": self.first[name] + self.summed(torch.stack(each))
            for name, each in parts.items()
            if each
        }

    def _with_present(self, strategy, before: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """What is stored, with the task vector of the present experience so far."""
        weights = _on_cpu(trained_weights(strategy.model.encoder))
        vector = {name: weight - before[name] for name, weight in weights.items()}
        # That of a known task is zero.
        return self.with_vector(vector) if any(part.any() for part in vector.values()) else self.vectors

    def with_vector(self, vector: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """What is stored, with what later merges need of one more task vector."""
        total = self.vectors[0] if self.vectors else {}
        both = {name: total[name] + part if name in total else part for name, part in vector.items()}
        return [{**total, **both}]

    def summed(self, parts: Tensor) -> Tensor:
        """What is added to a first weight; parts (stored vectors, *weight) -> (*weight)."""
        return self.settings.task_arithmetic_scale * parts.sum(dim=0)


def _on_cpu(weights) -> dict[str, Tensor]:
    return {name: weight.cpu() for name, weight in copies(weights).items()}
