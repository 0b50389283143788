"""Pooling: one vector from the token states of a text.

Shapes: states (n, tokens, dim), mask (n, tokens) of 0 and 1 -> (n, dim). Padding may be on either side; only
tokens with mask 1 count. A row without such tokens gives zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The mean of the token states; a mask of other numbers weights them.

    Source: Reimers and Gurevych 2019 (Sentence-BERT), section 3, MEAN strategy.
    """
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)


def mean_sqrt_len_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The sum of the token states, divided by the square root of their number."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1).sqrt()


def cls_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The state of the first token."""
    # The mean of one token, because a gather adds gradients in any order on a GPU.
    return mean_pool(states, mask * (mask.cumsum(dim=1) == 1))


def last_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The state of the last token, the only one that has seen the whole text in a decoder-only model."""
    return mean_pool(states, mask * (mask.cumsum(dim=1) == mask.sum(dim=1, keepdim=True)))


def max_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The largest value of each dimension."""
    padding = mask.unsqueeze(-1) == 0
    largest = states.masked_fill(padding, -torch.inf).amax(dim=1)
    return largest.masked_fill(padding.all(dim=1), 0)


def weighted_mean_pool(states: Tensor, mask: Tensor, n_before: int = 0) -> Tensor:
    """The mean in which the i-th token (from 1) weighs n_before + i.

    Source: Muennighoff 2022 (SGPT, arXiv 2202.08904), section 4.1, equation 2.
    """
    return mean_pool(states, mask * (mask.cumsum(dim=1) + n_before))


MODES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean_pool,
    "cls": cls_pool,
    "last": last_pool,
    "max": max_pool,
    "mean_sqrt_len": mean_sqrt_len_pool,
    "weighted_mean": weighted_mean_pool,
}


def pool(states: Tensor, mask: Tensor, modes: Sequence[str], n_skipped: int = 0) -> Tensor:
    """The vectors of several modes, concatenated: (n, len(modes) * dim).

    The first n_skipped tokens of each text, such as a prompt, are left out.
    """
    if n_skipped:
        mask = mask * (mask.cumsum(dim=1) > n_skipped)
    pooled = [
        weighted_mean_pool(states, mask, n_skipped) if mode == "weighted_mean" else MODES[mode](states, mask)
        for mode in modes
    ]
    return torch.cat(pooled, dim=-1) if len(pooled) > 1 else pooled[0]
