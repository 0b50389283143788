"""The path integral of synaptic intelligence: how much each weight has lowered the loss on its way."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def lowered(gradient: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """What a step has lowered the loss by, to first order, by weight: -g (after - before).

    Source: Zenke, Poole and Ganguli 2017 (arXiv 1703.04200), equation 3.
    """
    return -gradient * (after - before)


def importance(path: Tensor, moved: Tensor, damping: float) -> Tensor:
    """max(0, path / (moved^2 + damping)), by weight: `path` is the sum of `lowered` over an experience, `moved` the way
    from its beginning to its end.

    Our departure: a weight that has raised the loss has importance 0, as a negative one would reward moving away.
    Source: Zenke, Poole and Ganguli 2017 (arXiv 1703.04200), equation 5.
    """
    return (path / (moved.square() + damping)).clamp_min(0)


def penalty(parts: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """sum over weights of importance * (weight - anchor)^2, of parts (importance, weight, anchor); a scalar.

    Source: Zenke, Poole and Ganguli 2017 (arXiv 1703.04200), equation 4, without its strength c.
    """
    return torch.stack([(o * (w - a).square()).sum() for o, w, a in parts]).sum()
