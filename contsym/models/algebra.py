"""Label embeddings l of a premise p and a hypothesis h, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

RelationName = Literal["division", "product", "rotation", "difference", "concat"]

DIVISION_GUARD = 0.5
"""Default strength g of the guard, as a share of each premise's root mean square."""

PHASE_GUARD = 1e-8
"""Complex numbers shorter than this have no angle; `rotation` takes them to 0."""


def product(p: Tensor, label: Tensor) -> Tensor:
    """p ∘ l: where a hypothesis with this label should be.

    h ∘ p is itself a label embedding: the same in both directions, and large where the sentences agree.

    Shapes: p (..., dim), label broadcastable to it.
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), label scoring after RotatE; as a label
    embedding, our ablation, the composition of DistMult (Yang et al. 2015).
    """
    return p * label


def guarded_division(h: Tensor, p: Tensor, guard: float = DIVISION_GUARD) -> Tensor:
    """h ⊘ p: the label embedding l with h ≈ p ∘ l, finite for every finite input.

    l_i = h_i p_i / (p_i^2 + (g * rms(p))^2), the least-squares solution of p_i l_i = h_i with
    a ridge of g * rms(p). Where |p_i| is well above g * rms(p), l_i is h_i / p_i; near zero it
    goes smoothly to 0, so |l_i| <= |h_i| / (2 g rms(p)). A premise of zeros gives zeros.

    Under plain division a few near-zero components of p outweigh all others, and MiniLM fits its training
    pairs without learning the relation; a hard floor on |p_i| cuts the gradient there and learns more
    slowly (docs/method.md). The guard is relative because encoders differ in the length of their vectors.

    Shapes: h and p (..., dim); half precision is computed and returned in float32, because the quotient
    of two halves leaves their range.
    Source: l = h ⊘ p in Yuan and Vlachos 2025 (arXiv 2504.16312); the guard is ours.

    >>> guarded_division(torch.tensor([6.0, 1.0]), torch.tensor([1.0, 0.0]), guard=1e-6)
    tensor([6., 0.])
    """
    h, p = h.float(), p.float()
    squared = p.square()
    ridge = guard**2 * squared.mean(dim=-1, keepdim=True)
    # A row of zeros has no scale; the smallest normal number avoids 0 / 0.
    return h * p / (squared + ridge).clamp_min(torch.finfo(torch.float32).tiny)


def rotation(h: Tensor, p: Tensor) -> Tensor:
    """The angles that turn p to h, l = h·conj(p) / |h·conj(p)|.

    The first half of a vector holds real parts, the second imaginary parts; so does the result. Each
    component has modulus 1, and goes smoothly to 0 where h or p has a modulus below PHASE_GUARD. Swapping h
    and p gives the conjugate. With an odd number of dimensions the last imaginary part is 0.

    Shapes: h and p (..., dim) -> (..., dim), or (..., dim + 1) for an odd dim; float32.
    Source: Sun et al. 2019 (RotatE), equation 2, solved for the relation.

    >>> rotation(torch.tensor([0.0, 3.0]), torch.tensor([2.0, 0.0]))  # 3i against 2: a right angle
    tensor([0., 1.])
    """
    (h_re, h_im), (p_re, p_im) = _phases(h), _phases(p)
    return torch.cat([h_re * p_re + h_im * p_im, h_im * p_re - h_re * p_im], dim=-1)


def _phases(vector: Tensor) -> tuple[Tensor, Tensor]:
    vector = vector.float()
    real, imaginary = functional.pad(vector, (0, vector.shape[-1] % 2)).chunk(2, dim=-1)
    # The floor is under the square, because the root has no gradient at 0.
    shrink = (real.square() + imaginary.square()).clamp_min(PHASE_GUARD**2).rsqrt()
    return real * shrink, imaginary * shrink


def difference(h: Tensor, p: Tensor) -> Tensor:
    """h - p, the step from the premise to the hypothesis; swapping the two negates it.

    Source: Bordes et al. 2013 (TransE), solved for the relation.
    """
    return h - p


def concatenation(h: Tensor, p: Tensor) -> Tensor:
    """[p, h]: the two sentences without a relation. Shapes: (..., dim) twice -> (..., 2 * dim)."""
    return torch.cat([p, h], dim=-1)


RELATIONS: dict[RelationName, Callable[[Tensor, Tensor], Tensor]] = {
    "division": guarded_division,
    "product": product,
    "rotation": rotation,
    "difference": difference,
    "concat": concatenation,
}
"""Label embeddings l as functions of (h, p), by name."""


def features_of(*vectors: Tensor) -> Tensor:
    """The features of an example: those of a pair (p, h), or the vector of one text as it is.

    Shapes: (batch, dim) once or twice -> (batch, dim) or (batch, 4 * dim).
    """
    return pair_features(*vectors) if len(vectors) == 2 else vectors[0]


def pair_features(p: Tensor, h: Tensor) -> Tensor:
    """[p, h, |p - h|, p ∘ h], the usual input of a pair classifier.

    Shapes: (batch, dim) twice -> (batch, 4 * dim).
    Source: Conneau et al. 2017 (InferSent), section 3.1.
    """
    return torch.cat([p, h, (p - h).abs(), p * h], dim=-1)
