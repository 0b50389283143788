"""Distances between embeddings: smaller is nearer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Metric = Literal["cosine", "euclidean"]

EPSILON = 1e-8
"""Vectors shorter than this have no direction; their cosine with anything is 0."""


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos(a, b), in [0, 2], along the last dimension; 1 where either vector is zero.

    Shapes: a and b broadcastable to (..., dim) -> (...).
    """
    return 1 - functional.cosine_similarity(a, b, dim=-1, eps=EPSILON)


def pairwise_cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """The cosine distance of every row of a to every row of b: (n, dim) and (m, dim) -> (n, m)."""
    a = functional.normalize(a, dim=-1, eps=EPSILON)
    b = functional.normalize(b, dim=-1, eps=EPSILON)
    return 1 - a @ b.T


def unit(vectors: Tensor) -> Tensor:
    """The vectors at length 1; vectors without a direction become zeros, with a gradient of 0."""
    length = vectors.norm(dim=-1, keepdim=True)
    return torch.where(length > EPSILON, vectors / length.clamp_min(EPSILON), torch.zeros_like(vectors))


def pairwise_euclidean_distance(a: Tensor, b: Tensor) -> Tensor:
    """The Euclidean distance of every row of a to every row of b: (n, dim) and (m, dim) -> (n, m).

    For vectors of length 1 it is the chord sqrt(2 * cosine distance), in [0, 2]. A tensor (n, m, dim) holds
    the differences, because |a|^2 + |b|^2 - 2 ab loses near neighbours to rounding. The gradient of a
    distance of 0 is 0.
    """
    return torch.linalg.vector_norm(a[:, None] - b[None], dim=-1)


PAIRWISE: dict[Metric, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": pairwise_cosine_distance,
    "euclidean": pairwise_euclidean_distance,
}
"""Pairwise distances, by name."""


def label_distances(p: Tensor, h: Tensor, label_vectors: Tensor) -> Tensor:
    """d_c(p, h) = 1 - cos(h, p ∘ l_c) for every label c.

    Shapes: p and h (batch, dim), label_vectors (labels, dim) -> (batch, labels).
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), d_l(p, h) = 1 - sim(h, p ∘ l).

    cos(h, p ∘ l) = (h ∘ p)·l / (|h| |p ∘ l|) takes two matrix products and no (batch, labels, dim) tensor.
    """
    dot = (h * p) @ label_vectors.T
    carried = (p.square() @ label_vectors.square().T).clamp_min(EPSILON**2).sqrt()
    length = h.norm(dim=-1, keepdim=True).clamp_min(EPSILON)
    return 1 - dot / (length * carried)


def off_diagonal(n: int, device: torch.device | None = None) -> Tensor:
    """A boolean (n, n) mask that is true except on the diagonal."""
    return ~torch.eye(n, dtype=torch.bool, device=device)
