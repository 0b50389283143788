"""Arithmetic of weights: interpolation, task vectors, and their merge by trimming and sign."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def interpolation(before: Tensor, after: Tensor, alpha: float) -> Tensor:
    """(1 - alpha) before + alpha after, elementwise; exact at 0 and 1 and where both are equal.

    Source: Wortsman et al. 2022 (WiSE-FT, arXiv 2109.01903), section 3.
    """
    return torch.lerp(before, after, alpha)


def threshold(vector: Sequence[Tensor], density: float) -> Tensor:
    """The least size of an entry among the largest max(1, round(density * n)) of all n entries together; a scalar."""
    sizes = torch.cat([part.flatten().abs() for part in vector])
    n_kept = max(1, round(density * len(sizes)))
    return sizes.kthvalue(len(sizes) - n_kept + 1).values


def trimmed(vector: Tensor, least: Tensor) -> Tensor:
    """The vector with zeros in place of entries smaller in size than `least`.

    Source: Yadav et al. 2023 (TIES, arXiv 2306.01708), section 4, step 1.
    """
    return vector.where(vector.abs() >= least, 0.0)


def disjoint_mean(vectors: Tensor) -> Tensor:
    """By entry, the mean of those vectors that have the elected sign there; (n, ...) -> (...).

    The elected sign is that of the sum. A zero has no sign and no part in the mean; where the sum is 0, so is the mean.
    Source: Yadav et al. 2023 (TIES, arXiv 2306.01708), section 4, steps 2 and 3.
    """
    agrees = (vectors.sign() == vectors.sum(dim=0).sign()) & (vectors != 0)
    return (vectors * agrees).sum(dim=0) / agrees.sum(dim=0).clamp_min(1)
