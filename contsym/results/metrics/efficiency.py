"""How few examples suffice: shots to reach a target, area under the curve, accuracy kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contsym.results.metrics.matrix import least_to_reach

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Accuracies = NDArray[np.float64]


@dataclass(frozen=True)
class Reached:
    """The least number of shots that reached a target; None stands for "not reached" throughout."""

    per_seed: tuple[int | None, ...]
    median: int | None
    low: int | None
    high: int | None
    """None: that end of the interval is beyond the largest number of shots tried."""


def shots_to_reach(
    shots: Sequence[int], accuracies: Accuracies, target: float = 0.99, *, confidence: float = 0.95
) -> Reached:
    """The least number of shots at which the accuracy is at the target or above, over the seeds.

    A seed that never got there counts as more than all shots tried, so it can make the median or an end
    of its interval "not reached", but is never averaged away. Of an even number of seeds the median
    is the larger of the two in the middle. The interval is the bootstrap's, percentile, exact: no more
    values can come out than went in, so their probabilities are binomial sums and nothing
    is drawn. With fewer than six seeds it spans all of them; with one seed it is that seed.

    Source: Efron 1979, Bootstrap methods, section 3 (the bootstrap distribution of a median).

    >>> import numpy as np
    >>> shots_to_reach([8, 16, 32], np.array([[0.5, 0.99, 1.0], [0.5, 0.9, 0.98], [0.99, 0.9, 1.0]]))
    Reached(per_seed=(16, None, 8), median=16, low=8, high=None)
    """
    _check(shots, accuracies)
    per_seed = tuple(least_to_reach(shots, row, target) for row in accuracies.tolist())
    ordered = sorted(per_seed, key=lambda n: (n is None, n))
    return Reached(
        per_seed,
        ordered[len(ordered) // 2],
        _median_quantile(ordered, (1 - confidence) / 2),
        _median_quantile(ordered, (1 + confidence) / 2),
    )


def _median_quantile(ordered: Sequence[int | None], level: float) -> int | None:
    """The least value that the median of a resample is at or below with probability `level`."""
    from scipy.stats import binom

    n = len(ordered)
    for i in range(n):
        # At or below the i-th value is a draw with probability (i + 1) / n, ties or not: of equal
        # values an earlier one may pass the level, and gives the same answer.
        if binom.sf(n // 2, n, (i + 1) / n) >= level:
            return ordered[i]
    return ordered[-1]


def area_under_curve(shots: Sequence[int], accuracies: Accuracies) -> Any:
    """Mean accuracy over the logarithm of the shots, (seeds,): 1.0 is always right.

    The trapezoid rule over log2(shots), divided by the width. With one number of shots it is the
    accuracy there. Areas over other ranges of shots are not comparable.
    """
    import numpy as np
    from scipy.integrate import trapezoid

    _check(shots, accuracies)
    order = np.argsort(shots)
    x, y = np.log2(np.asarray(shots, dtype=float)[order]), np.asarray(accuracies, dtype=float)[:, order]
    return y[:, 0] if len(x) == 1 else trapezoid(y, x, axis=1) / (x[-1] - x[0])


def retention(before: Sequence[float | None], after: Sequence[float]) -> list[float | None]:
    """Share of the first task's accuracy that is left, after / before, seed by seed.

    `before` is the accuracy after the task's own training, None where it was never learned; there, and
    where it is 0, nothing can be kept and the share is None. Above 1 where later training helped.

    >>> retention([0.8, None], [0.4, 0.36])
    [0.5, None]
    """
    return [a / b if b else None for b, a in zip(before, after, strict=True)]


def _check(shots: Sequence[int], accuracies: Accuracies) -> None:
    import numpy as np

    assert np.shape(accuracies) == (len(accuracies), len(shots)) and len(accuracies) > 0 and len(shots) > 0
    assert min(shots) > 0 and len(set(shots)) == len(shots), f"shots {list(shots)}"
    assert np.isfinite(accuracies).all(), "a cell without accuracy; leave its seed or its shots out"
