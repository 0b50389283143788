"""How a premise p and a hypothesis h make a label embedding l, and back."""

from __future__ import annotations

import torch
from torch import Tensor

DIVISION_GUARD = 0.5
"""Default strength g of the guard, as a share of each premise's root mean square."""


def product(p: Tensor, label: Tensor) -> Tensor:
    """The premise carried to where a hypothesis of this label should be: p ∘ l.

    Shapes: p (..., dim), label broadcastable to it.
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), label scoring after RotatE.
    """
    return p * label


def guarded_division(h: Tensor, p: Tensor, guard: float = DIVISION_GUARD) -> Tensor:
    """The label embedding l with h ≈ p ∘ l, finite for every finite input: h ⊘ p.

    l_i = h_i p_i / (p_i^2 + (g * rms(p))^2), the least-squares solution of p_i l_i = h_i with
    a ridge of g * rms(p). Where |p_i| is well above g * rms(p) this is h_i / p_i; near zero it
    goes smoothly to 0, so |l_i| <= |h_i| / (2 g rms(p)). A premise of zeros gives zeros.

    Why a ridge: with plain division a few near-zero components of p outweigh all others, and
    MiniLM then fits its training pairs without learning the relation; a hard floor on |p_i|
    cuts the gradient there and learns more slowly (docs/method.md). The guard is relative,
    because encoders differ in the length of their vectors.

    Shapes: h and p (..., dim), floating point; half precision is computed and returned in
    float32, because the quotient of two halves leaves their range.
    Source: l = h ⊘ p in Yuan and Vlachos 2025 (arXiv 2504.16312); the guard is ours.

    >>> guarded_division(torch.tensor([6.0, 1.0]), torch.tensor([1.0, 0.0]), guard=1e-6)
    tensor([6., 0.])
    """
    h, p = h.float(), p.float()
    squared = p.square()
    ridge = guard**2 * squared.mean(dim=-1, keepdim=True)
    # A row of zeros has no scale of its own; the smallest normal number keeps 0 / 0 away.
    return h * p / (squared + ridge).clamp_min(torch.finfo(torch.float32).tiny)


def pair_features(p: Tensor, h: Tensor) -> Tensor:
    """[p, h, |p - h|, p ∘ h], the usual input of a pair classifier.

    Shapes: (batch, dim) twice -> (batch, 4 * dim).
    Source: Conneau et al. 2017 (InferSent), section 3.1.
    """
    return torch.cat([p, h, (p - h).abs(), p * h], dim=-1)
