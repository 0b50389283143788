"""Intervals, paired tests and what a number of seeds can show; SciPy underneath."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Correct = NDArray[np.bool_]


CONFIDENCE = 0.95
POWER = 0.8
"""Of the least detectable difference."""
N_RESAMPLES = 10_000
BATCH = 1_000
"""The number of resamples in memory at a time."""


def spread(values: Sequence[float], *, sign: bool = False) -> str:
    """Mean and, for more than one value, the standard deviation (n - 1), as text.

    >>> spread([0.5, 0.7]), spread([0.25], sign=True)
    ('0.600±0.141', '+0.250')
    """
    import numpy as np

    # Rounded, so that 0.65 and 0.655 give the same text here and where exact means are shown.
    mean = round(float(np.mean(values)), 12)
    text = f"{mean:+.3f}" if sign else f"{mean:.3f}"
    return text if len(values) == 1 else f"{text}±{np.std(values, ddof=1):.3f}"


def p_text(p: float) -> str:
    """A p value as text.

    >>> p_text(0.0312), p_text(0.00004), p_text(1.0)
    ('0.031', '< 0.001', '1.000')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def wilson_interval(n_right: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson score interval of a share n_right / n.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.

    >>> low, high = wilson_interval(50, 100)
    >>> round(low, 4), round(high, 4)
    (0.4038, 0.5962)
    """
    from scipy.stats import binomtest

    interval = binomtest(n_right, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Summary:
    """A mean over seeds with its interval."""

    n: int
    mean: float
    std: float | None
    """With n - 1; None for one value."""
    low: float | None
    high: float | None
    method: Literal["bootstrap", "wilson", "none"]


def summarise_values(values: Sequence[float], *, n_items: int | None = None) -> Summary:
    """Mean, standard deviation and interval of one figure over its seeds; their order does not matter.

    More than one value: the percentile bootstrap of the mean, at Hesterberg's level for few values. It
    never leaves the range of the values, and is that range for fewer than five. BCa is not used, since it is
    undefined where all values are equal, as accuracies of 1.0.

    One value, a share of n_items test pairs: Wilson's interval, which says nothing about other seeds.
    One value without n_items: no interval.

    Source: Hesterberg 2015, What teachers should know about the bootstrap, section 4.4.

    >>> summarise_values([0.5, 0.7, 0.9])
    Summary(n=3, mean=0.7, std=0.2, low=0.5, high=0.9, method='bootstrap')
    """
    import numpy as np

    ordered = np.sort(np.asarray(values, dtype=float))
    assert len(ordered), "a summary of nothing"
    n, mean = len(ordered), round(float(ordered.mean()), 12)
    if n == 1:
        if n_items is None:
            return Summary(1, mean, None, None, None, "none")
        return Summary(1, mean, None, *wilson_interval(round(mean * n_items), n_items), "wilson")
    if ordered[0] == ordered[-1]:
        only = float(ordered[0])
        return Summary(n, only, 0.0, only, only, "bootstrap")
    from scipy.stats import bootstrap

    interval = bootstrap(
        (ordered,),
        np.mean,
        n_resamples=N_RESAMPLES,
        confidence_level=expanded_confidence(n),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    std = round(float(ordered.std(ddof=1)), 12)
    return Summary(n, mean, std, round(float(interval.low), 12), round(float(interval.high), 12), "bootstrap")


def expanded_confidence(n: int) -> float:
    """The level at which a percentile bootstrap of n values is as wide as a t interval of normal ones.

    >>> round(expanded_confidence(10), 4), round(expanded_confidence(1000), 4)
    (0.9829, 0.9504)
    """
    from scipy.stats import norm

    return float(1 - 2 * norm.sf(stretch(n) * norm.ppf((1 + CONFIDENCE) / 2)))


def stretch(n: int) -> float:
    """The factor by which the bootstrap of a mean of n values is too narrow: sqrt(n / (n - 1)) t / z.

    The first factor corrects the variance, which resampling divides by n in place of n - 1. t and z are quantiles of
    Student's and the normal distribution; their ratio allows for the unknown variance.
    """
    from scipy.stats import norm, t

    level = (1 + CONFIDENCE) / 2
    return float((n / (n - 1)) ** 0.5 * t.ppf(level, n - 1) / norm.ppf(level))


@dataclass(frozen=True)
class PairedDifference:
    """Mean accuracy of a minus that of b, its interval, and its two-sided p."""

    difference: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    correct_a: Correct, correct_b: Correct, *, n_resamples: int = N_RESAMPLES
) -> PairedDifference:
    """The difference of two accuracies on the same seeds and test items, both resampled.

    d[s, i] = a[s, i] - b[s, i]. A resample draws seeds and, independently, items with replacement, and takes
    the mean of d over these rows and columns. Before that each row is shifted until its mean lies
    `stretch` times as far from the mean of all, since resampling few seeds varies too little. With one seed
    only items are drawn. p is twice the smaller share of resamples on one side of 0, 0 included, at most 1.
    The order of the seeds does not matter.

    Where the seeds differ only by chance on single items, the interval is too wide: that chance enters by the
    rows and by the columns.

    Shapes: (seeds, items), bool, both the same.
    Source: Owen 2007, The pigeonhole bootstrap; Hesterberg 2015 for the stretch.
    """
    import numpy as np

    d = _differences(correct_a, correct_b)
    n_seeds, n_items = d.shape
    # The resamples are the same for (a, b) and (b, a), so that swapping the two only changes the sign.
    sign, (columns, counts) = max(
        ((sign, _columns(sign * d)) for sign in (1, -1)),
        key=lambda signed: [part.tobytes() for part in signed[1]],
    )
    means = columns @ counts / n_items
    away = (stretch(n_seeds) - 1 if n_seeds > 1 else 0.0) * (means - means.mean())
    moved = columns + away[:, np.newaxis]
    generator = np.random.default_rng(0)
    parts = []
    for start in range(0, n_resamples, BATCH):
        n = min(BATCH, n_resamples - start)
        seeds = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n)
        items = generator.multinomial(n_items, counts / n_items, size=n)
        parts.append(((seeds @ moved) * items).sum(axis=1) / (n_seeds * n_items))
    # Rounded, since a sum that is 0 may differ from 0 by the order of its terms. Adding zero turns -0.0 into 0.0.
    resampled = sign * np.round(np.clip(np.concatenate(parts), -1, 1), 12) + 0.0
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    n_one_side = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    p = min(1.0, 2 * (n_one_side + 1) / (n_resamples + 1))
    return PairedDifference(float(d.mean()), float(low), float(high), float(p))


def _columns(d: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The distinct columns of d, with its rows in a canonical order, and the count of each column."""
    import numpy as np

    rows = sorted(d, key=lambda row: (row.sum(), row.tobytes()))
    columns, counts = np.unique(np.array(rows), axis=1, return_counts=True)
    return columns, counts


def mcnemar(correct_a: Correct, correct_b: Correct) -> float:
    """Exact two-sided p of the hypothesis that a is right where b is wrong as often as the reverse.

    With one seed this is McNemar's exact test over the discordant items. The answers of several seeds to one
    item are not independent, so an item counts once: for a where a is right on it in more seeds than b,
    for b where in fewer, not at all where in as many (the exact sign test over items). 1 where no item
    counts. The test is about these trained models on other items, not about other seeds.

    Source: McNemar 1947; Dixon and Mood 1946.

    >>> import numpy as np
    >>> mcnemar(np.array([[1, 1, 1, 1, 1, 1, 0]], bool), np.array([[0, 0, 0, 0, 0, 0, 0]], bool))
    0.03125
    """
    import numpy as np
    from scipy.stats import binomtest

    votes = np.sign(_differences(correct_a, correct_b).sum(axis=0))
    n_a, n_b = int((votes > 0).sum()), int((votes < 0).sum())
    return float(binomtest(n_a, n_a + n_b).pvalue) if n_a + n_b else 1.0


def paired_t(differences: Sequence[float], n_items: int) -> float | None:
    """Two-sided p of Student's paired test over per-seed differences; None for fewer than 2 seeds.

    Where all differences are equal, t has no value, and a few seeds may agree by chance: their deviation is taken to be
    one item of the n_items that an accuracy is a mean of. p is 1 where they are 0.

    >>> round(paired_t([0.02, 0.02], 100), 3), round(paired_t([0.02] * 3, 100), 3)
    (0.216, 0.074)
    """
    import numpy as np
    from scipy.stats import t, ttest_1samp

    rounded = np.round(np.asarray(differences, dtype=float), 12)
    if len(rounded) < 2:
        return None
    if rounded.min() == rounded.max():
        n = len(rounded)
        return float(2 * t.sf(abs(rounded[0]) * n_items * n**0.5, n - 1))
    return float(ttest_1samp(rounded, 0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected by Holm's step-down method, in the same order.

    The i-th smallest of m, counted from 0, is multiplied by m - i, and is at least the one before it and at
    most 1. SciPy's false_discovery_control bounds a different error.

    Source: Holm 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for i, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[place]))
        corrected[place] = largest
    return corrected


def least_difference(differences: Sequence[float]) -> float | None:
    """The least true difference that a paired t test over as many seeds would find with a power of 80%.

    delta = nc s / sqrt(n): s is the standard deviation (n - 1) of the per-seed differences, nc the
    noncentrality at which |t| with n - 1 degrees of freedom exceeds its critical value with this
    probability. For one pair, before correction. None for fewer than 2 seeds; 0 where all differences are equal.

    Source: Cohen 1988, section 2.

    >>> round(least_difference([0.1, 0.2, 0.3]), 3)
    0.326
    """
    import numpy as np

    n = len(differences)
    if n < 2:
        return None
    std = float(np.round(np.std(differences, ddof=1), 12))
    return _noncentrality(n) * std / n**0.5


def least_paired_change(n_differing: int, n: int) -> float | None:
    """The least true change of an accuracy that McNemar's test over n items would find with a power of 80%.

    The root delta of n delta^2 = (z_a sqrt(psi) + z_b sqrt(psi - delta^2))^2. psi is the share of items that one side
    alone answers correctly: n_differing / n, but at least delta. z_a = 1.960 belongs to 5%, two-sided, and
    z_b = 0.842 to the power. Before correction. None where n items could show no change at all (n below 4).

    Source: Connor 1987, Sample size for testing differences in proportions for the paired-sample design, solved for
    the difference.

    >>> round(least_paired_change(20, 100), 3), round(least_paired_change(0, 100), 3), least_paired_change(0, 3)
    (0.124, 0.077, None)
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z_a, z_b = norm.ppf((1 + CONFIDENCE) / 2), norm.ppf(POWER)

    def excess(delta: float) -> float:
        psi = max(n_differing / n, delta)
        return n * delta**2 - (z_a * psi**0.5 + z_b * (psi - delta**2) ** 0.5) ** 2

    return float(brentq(excess, 1e-9, 1)) if excess(1) > 0 else None


def _noncentrality(n: int) -> float:
    from scipy.optimize import brentq
    from scipy.stats import ncf, t

    # t squared is F with 1 and n - 1 degrees of freedom; SciPy's noncentral t is NaN where n is 2.
    critical = t.ppf((1 + CONFIDENCE) / 2, n - 1)

    def lacks(nc: float) -> float:
        return ncf.sf(critical**2, 1, n - 1, nc**2) - POWER

    # With n = 2 the critical value is 12.7; four times this is enough for any power up to 0.999.
    return float(brentq(lacks, 0, 4 * critical + 10))


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same seeds and items."""

    a: str
    b: str
    difference: float
    """Mean accuracy of a minus that of b."""
    low: float
    high: float
    p_bootstrap: float
    p_mcnemar: float
    p_seeds: float | None
    """Of the paired t test over seeds; None with one seed."""
    p: float
    """The largest of the three, corrected by Holm's method over all pairs."""
    least_difference: float | None
    """The least detectable difference; None with one seed, or if above 1, which no two accuracies differ by."""
    n_seeds: int
    n_items: int


def compare_all(correct: Mapping[str, Correct]) -> list[Comparison]:
    """Every pair, in the order of the names.

    A pair differs only where all three tests say so, so its p is their largest (an intersection-union test
    needs no correction among its parts, Berger 1982). McNemar's test ignores other seeds, and the t test other
    items. The bootstrap regards both, but its p is far too small for three seeds on one side of 0.
    `benchmarks/coverage.py` measures each test alone and all together. Holm's method corrects over all pairs.
    """
    comparisons = []
    for a, b in itertools.combinations(correct, 2):
        per_seed = _differences(correct[a], correct[b]).mean(axis=1)
        boot = paired_bootstrap(correct[a], correct[b])
        p_items, p_seeds = mcnemar(correct[a], correct[b]), paired_t(per_seed, len(correct[a][0]))
        least = least_difference(per_seed)
        comparisons.append(
            Comparison(
                a=a,
                b=b,
                difference=boot.difference,
                low=boot.low,
                high=boot.high,
                p_bootstrap=boot.p,
                p_mcnemar=p_items,
                p_seeds=p_seeds,
                p=max(boot.p, p_items, p_seeds or 0.0),
                least_difference=None if least is None or least > 1 else least,
                n_seeds=len(correct[a]),
                n_items=len(correct[a][0]),
            )
        )
    corrected = holm([c.p for c in comparisons])
    return [replace(c, p=p) for c, p in zip(comparisons, corrected, strict=True)]


def best(comparisons: Sequence[Comparison], means: Mapping[str, float], alpha: float = 0.05) -> str | None:
    """The name with the highest mean, if every other is worse by the tests; else None.

    None with one seed, too, whose tests are about the trained models and not about their methods.
    """
    top = max(means, key=lambda name: means[name])
    others, worse = set(means) - {top}, set()
    for c in comparisons:
        ahead = c.difference if c.a == top else -c.difference
        if top in (c.a, c.b) and c.n_seeds > 1 and c.p < alpha and ahead > 0:
            worse.add(c.b if c.a == top else c.a)
    return top if others and others <= worse else None


def _differences(correct_a: Correct, correct_b: Correct) -> NDArray[Any]:
    import numpy as np

    a, b = np.asarray(correct_a), np.asarray(correct_b)
    assert a.shape == b.shape and a.ndim == 2 and a.size, f"shapes {a.shape} and {b.shape}"
    return a.astype(np.int8) - b.astype(np.int8)
