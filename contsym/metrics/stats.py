"""Intervals for shares and means."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""The 97.5% point of the normal distribution."""


def wilson_interval(n_right: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The Wilson score interval of a share n_right / n.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.

    >>> low, high = wilson_interval(50, 100)
    >>> round(low, 4), round(high, 4)
    (0.4038, 0.5962)
    """
    assert 0 <= n_right <= n and n > 0, "a share of nothing has no interval"
    share = n_right / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
