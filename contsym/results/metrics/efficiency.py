"""The number of examples needed: shots to reach a target, area under the curve, retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contsym.results.metrics.matrix import least_to_reach
from contsym.results.metrics.stats import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Accuracies = NDArray[np.float64]


@dataclass(frozen=True)
class ShotsNeeded:
    """The least number of shots that reached a target; None: not reached."""

    per_seed: tuple[int | None, ...]
    median: int | None
    low: int | None
    high: int | None


def shots_to_reach(shots: Sequence[int], accuracies: Accuracies, target: float = 0.99) -> ShotsNeeded:
    """The least number of shots with an accuracy at or above the target: median over the seeds, with interval.

    A seed that never reaches the target counts as more shots than all tried, so it can make the median or an
    end of the interval None. For an even number of seeds the median is the larger of the two in the middle.
    The interval is the percentile bootstrap's, computed exactly: a resample holds only values of the seeds,
    so their probabilities are binomial sums. With fewer than six seeds it spans all of them.

    Source: Efron 1979, Bootstrap methods, section 3 (the bootstrap distribution of a median).

    >>> import numpy as np
    >>> shots_to_reach([8, 16, 32], np.array([[0.5, 0.99, 1.0], [0.5, 0.9, 0.98], [0.99, 0.9, 1.0]]))
    ShotsNeeded(per_seed=(16, None, 8), median=16, low=8, high=None)
    """
    _check(shots, accuracies)
    per_seed = tuple(least_to_reach(shots, row, target) for row in accuracies.tolist())
    ordered = sorted(per_seed, key=lambda n: (n is None, n))
    return ShotsNeeded(
        per_seed,
        ordered[len(ordered) // 2],
        _median_quantile(ordered, (1 - CONFIDENCE) / 2),
        _median_quantile(ordered, (1 + CONFIDENCE) / 2),
    )


def _median_quantile(ordered: Sequence[int | None], level: float) -> int | None:
    """The least value v such that the median of a resample is at most v with probability `level`."""
    from scipy.stats import binom

    n = len(ordered)
    for i in range(n):
        # A draw is at most the i-th value with probability (i + 1) / n. With ties it is more, but then
        # a later, equal value passes the level.
        if binom.sf(n // 2, n, (i + 1) / n) >= level:
            return ordered[i]
    return ordered[-1]


def area_under_curve(shots: Sequence[int], accuracies: Accuracies) -> Any:
    """Mean accuracy over the logarithm of the shots, (seeds,); 1.0: always right.

    The trapezoid rule over log2(shots), divided by the width; with one number of shots the accuracy
    there. Areas over different ranges of shots are not comparable.
    """
    import numpy as np
    from scipy.integrate import trapezoid

    _check(shots, accuracies)
    order = np.argsort(shots)
    x, y = np.log2(np.asarray(shots, dtype=float)[order]), np.asarray(accuracies, dtype=float)[:, order]
    return y[:, 0] if len(x) == 1 else trapezoid(y, x, axis=1) / (x[-1] - x[0])


def retention(before: float, after: float) -> float | None:
    """The share of a task's accuracy that remains, after / before; above 1 where later training helped.

    `before` is the accuracy after the task's own training; there is no share where it is 0.

    >>> retention(0.8, 0.4), retention(0.0, 0.36)
    (0.5, None)
    """
    return after / before if before else None


def _check(shots: Sequence[int], accuracies: Accuracies) -> None:
    import numpy as np

    assert np.shape(accuracies) == (len(accuracies), len(shots)) and len(accuracies) > 0 and len(shots) > 0
    assert min(shots) > 0 and len(set(shots)) == len(shots), f"shots {list(shots)}"
    assert np.isfinite(accuracies).all(), "a cell without accuracy; leave its seed or its shots out"
