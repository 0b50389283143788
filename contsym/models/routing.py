"""The experience most like a pair of texts, in the space of the encoder's token embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize


def routing_features(p: Tensor, h: Tensor) -> Tensor:
    """[p + h, 2 |p - h|] at length 1: the topic of a pair, and the words in which its sentences differ.

    (p, h) and (h, p) have the same features. Shapes: (batch, dim) twice -> (batch, 2 dim).
    """
    return normalize(torch.cat([p + h, 2 * (p - h).abs()], dim=-1), dim=-1)


def expected_nearest(distances: Tensor, m: int) -> Tensor:
    """The distance to the nearest of m points drawn from the n stored points, averaged over all draws.

    Sorted distances d_(1) <= ... <= d_(n) are weighted by the chance that d_(i) is the least of the
    draw, C(n - i, m - 1) / C(n, m): the nearest distance with m = n, the mean with m = 1. The average makes
    2,000 stored points and 48 comparable, since one of more points is nearer by chance alone.

    Shapes: (batch, n) -> (batch,); raises ValueError unless 1 <= m <= n.
    """
    n = distances.shape[1]
    if not 1 <= m <= n:
        raise ValueError(f"a draw of {m} from {n} stored points; expected between 1 and {n}")
    # P(i + 1) / P(i) = (n - i - m + 1) / (n - i), from P(1) = m / n: no factorial to overflow.
    i = torch.arange(1, n, dtype=torch.float64, device=distances.device)
    ratios = ((n - i - m + 1) / (n - i)).clamp_min(0)
    weights = m / n * torch.cat([ratios.new_ones(1), ratios.cumprod(0)])
    return (distances.sort(dim=1).values.double() @ weights).float()


def routes(queries: Tensor, stored: Sequence[Tensor], n_drawn: int) -> Tensor:
    """The index of the stored set whose expected nearest point is nearest to each query.

    n_drawn points are drawn from every set, or as many as the smallest set has. Distances are Euclidean; of
    sets at the same distance the earlier wins.
    Shapes: (batch, dim) and (n_e, dim) for each set e -> (batch,), int64.
    """
    m = min(n_drawn, *map(len, stored))
    return torch.stack([expected_nearest(torch.cdist(queries, s), m) for s in stored]).argmin(dim=0)


def evenly(n: int, limit: int) -> list[int]:
    """At most `limit` of n rows, evenly spaced, the first among them."""
    n_rows = min(n, limit)
    return [i * n // n_rows for i in range(n_rows)]
