"""Intervals for shares and means; SciPy underneath."""

from __future__ import annotations

from collections.abc import Sequence


def spread(values: Sequence[float], *, sign: bool = False) -> str:
    """Mean and, of more than one value, the standard deviation (n - 1), for people.

    >>> spread([0.5, 0.7]), spread([0.25], sign=True)
    ('0.600±0.141', '+0.250')
    """
    import numpy as np

    text = f"{np.mean(values):+.3f}" if sign else f"{np.mean(values):.3f}"
    return text if len(values) == 1 else f"{text}±{np.std(values, ddof=1):.3f}"


def wilson_interval(n_right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a share n_right / n.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.

    >>> low, high = wilson_interval(50, 100)
    >>> round(low, 4), round(high, 4)
    (0.4038, 0.5962)
    """
    from scipy.stats import binomtest

    interval = binomtest(n_right, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
