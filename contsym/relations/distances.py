"""Distances between embeddings: smaller is nearer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-8
"""Vectors shorter than this have no direction; their cosine with anything is 0."""


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos(a, b), in [0, 2], along the last dimension; 1 where either vector is zero.

    Shapes: a and b broadcastable to (..., dim) -> (...).
    """
    return 1 - functional.cosine_similarity(a, b, dim=-1, eps=EPSILON)


def pairwise_cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """The cosine distance of every row of a to every row of b.

    Shapes: (n, dim) and (m, dim) -> (n, m).
    """
    a = functional.normalize(a, dim=-1, eps=EPSILON)
    b = functional.normalize(b, dim=-1, eps=EPSILON)
    return 1 - a @ b.T


def label_distances(p: Tensor, h: Tensor, label_vectors: Tensor) -> Tensor:
    """d_c(p, h) = 1 - cos(h, p ∘ l_c) for every label c.

    Shapes: p and h (batch, dim), label_vectors (labels, dim) -> (batch, labels).
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), d_l(p, h) = 1 - sim(h, p ∘ l).

    cos(h, p ∘ l) = (h ∘ p)·l / (|h| |p ∘ l|), so two matrix products do it and no
    (batch, labels, dim) tensor is made.
    """
    dot = (h * p) @ label_vectors.T
    carried = (p.square() @ label_vectors.square().T).clamp_min(EPSILON**2).sqrt()
    length = h.norm(dim=-1, keepdim=True).clamp_min(EPSILON)
    return 1 - dot / (length * carried)


def off_diagonal(n: int, device: torch.device | None = None) -> Tensor:
    """A boolean (n, n) mask that is true except on the diagonal."""
    return ~torch.eye(n, dtype=torch.bool, device=device)
