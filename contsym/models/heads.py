"""Heads that several strategies share: modules between the vectors of a pair and an objective."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from contsym.models.algebra import DIVISION_GUARD, RELATIONS, RelationName, guarded_division, pair_features
from contsym.models.distances import unit


class Relation(nn.Module):
    """(p, h) -> the label embedding l of a relation of algebra.RELATIONS; no parameters.

    `guard` belongs to division. With unit_length every l is scaled to length 1 (zeros stay zeros).
    Shapes: (batch, dim) twice -> (batch, dim); for concat (batch, 2 * dim).
    """

    def __init__(
        self, name: RelationName = "division", *, guard: float = DIVISION_GUARD, unit_length: bool = False
    ) -> None:
        super().__init__()
        self.relate = partial(guarded_division, guard=guard) if name == "division" else RELATIONS[name]
        self.unit_length = unit_length

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        embedding = self.relate(h, p)
        return unit(embedding) if self.unit_length else embedding


class TextClassifier(nn.Module):
    """The vector of one text -> logits. Shapes: (batch, dim) -> (batch, labels)."""

    def __init__(self, dim: int, n_labels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, n_labels)
        seeded_init(self, generator)

    def forward(self, text: Tensor) -> Tensor:
        return self.linear(text)


class PairClassifier(nn.Module):
    """(p, h) -> logits over [p, h, |p - h|, p ∘ h]. Shapes: (batch, dim) twice -> (batch, labels).

    `weights`, the state of a trained classifier, replace the new ones.
    """

    def __init__(
        self, dim: int, n_labels: int, generator: torch.Generator, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * dim, n_labels)
        seeded_init(self, generator)
        if weights is not None:
            self.load_state_dict(dict(weights))

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return self.linear(pair_features(p, h))


def seeded_init(module: nn.Module, generator: torch.Generator) -> None:
    """Set Glorot-uniform weights and zero biases, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
