"""Small modules between the pooled vectors of a pair and an objective."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsym.models.algebra import DIVISION_GUARD, RELATIONS, RelationName, guarded_division, pair_features
from contsym.models.distances import cosine_distance, label_distances, unit


class RandomLabelVectors(nn.Module):
    """(p, h) -> scores -d_c(p, h), with one fixed random vector l_c for each label.

    The vectors are a buffer: saved with the model and moved with it, never optimised.
    Shapes: (batch, dim) twice -> (batch, labels).
    """

    def __init__(self, dim: int, n_labels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.label_vectors: Tensor
        self.register_buffer("label_vectors", torch.randn(n_labels, dim, generator=generator))

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return -label_distances(p, h, self.label_vectors)


class Relation(nn.Module):
    """(p, h) -> the label embedding l of a relation of algebra.RELATIONS; nothing to learn.

    The guard is division's. With unit_length every l is scaled to length 1 (zeros stay zeros).
    Shapes: (batch, dim) twice -> (batch, dim); of concat (batch, 2 * dim).
    """

    def __init__(
        self,
        name: RelationName = "division",
        *,
        guard: float = DIVISION_GUARD,
        unit_length: bool = False,
    ) -> None:
        super().__init__()
        self.relate = partial(guarded_division, guard=guard) if name == "division" else RELATIONS[name]
        self.unit_length = unit_length

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        embedding = self.relate(h, p)
        return unit(embedding) if self.unit_length else embedding


class Similarity(nn.Module):
    """(p, h) -> cos(p, h), one number for a pair. Shapes: (batch, dim) twice -> (batch, 1)."""

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return 1 - cosine_distance(p, h)[:, None]


class LearnedRelation(nn.Module):
    """(p, h) -> l by a small network over [p, h, |p - h|, p ∘ h], trained with the encoder.

    Shapes: (batch, dim) twice -> (batch, dim). The hidden layer is as wide as the encoder.
    """

    def __init__(self, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.LayerNorm(4 * dim), nn.Linear(4 * dim, dim), nn.GELU(), nn.Linear(dim, dim)
        )
        seeded_init(self, generator)

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return self.network(pair_features(p, h))


class PairClassifier(nn.Module):
    """(p, h) -> logits over [p, h, |p - h|, p ∘ h]. Shapes: (batch, dim) twice -> (batch, labels).

    With `weights`, those of an earlier one are taken in place of new ones.
    """

    def __init__(
        self,
        dim: int,
        n_labels: int,
        generator: torch.Generator,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * dim, n_labels)
        seeded_init(self, generator)
        if weights is not None:
            self.load_state_dict(dict(weights))

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return self.linear(pair_features(p, h))


class JointClassifier(nn.Module):
    """One vector of a jointly encoded pair -> logits. Shapes: (batch, dim) -> (batch, labels)."""

    def __init__(self, dim: int, n_labels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, n_labels)
        seeded_init(self, generator)

    def forward(self, pair: Tensor) -> Tensor:
        return self.linear(pair)


class ReadEmbedding(nn.Module):
    """(p, h) -> an embedding of the pair to train on; `read` gives it a label's logits.

    The embedding is [p, h, |p - h|, p ∘ h], or l = h ⊘ p. `weight` and `bias` are buffers that somebody
    sets, zero until then: saved with the model, and no part of the gradient.
    Shapes: (batch, dim) twice -> (batch, 4 * dim) or (batch, dim); read -> (batch, labels).
    """

    def __init__(self, dim: int, n_labels: int, embedding: Literal["features", "division"]) -> None:
        super().__init__()
        self.embedding = embedding
        width = 4 * dim if embedding == "features" else dim
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.zeros(n_labels, width))
        self.register_buffer("bias", torch.zeros(n_labels))

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return pair_features(p, h) if self.embedding == "features" else guarded_division(h, p)

    def read(self, embeddings: Tensor) -> Tensor:
        return functional.linear(embeddings.to(self.weight.device), self.weight, self.bias)


def seeded_init(module: nn.Module, generator: torch.Generator) -> None:
    """Glorot-uniform weights and zero biases from the given generator, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
