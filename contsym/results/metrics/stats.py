"""Intervals, paired tests and what a number of seeds can show; SciPy underneath."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Correct = NDArray[np.bool_]


N_RESAMPLES = 10_000
BATCH = 1_000
"""Resamples held at a time."""


def spread(values: Sequence[float], *, sign: bool = False) -> str:
    """Mean and, of more than one value, the standard deviation (n - 1), for people.

    >>> spread([0.5, 0.7]), spread([0.25], sign=True)
    ('0.600±0.141', '+0.250')
    """
    import numpy as np

    text = f"{np.mean(values):+.3f}" if sign else f"{np.mean(values):.3f}"
    return text if len(values) == 1 else f"{text}±{np.std(values, ddof=1):.3f}"


def p_text(p: float) -> str:
    """A p value; of a very small one it matters only that it is small.

    >>> p_text(0.0312), p_text(0.00004), p_text(1.0)
    ('0.031', '< 0.001', '1.000')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


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


@dataclass(frozen=True)
class Summary:
    """A mean over seeds and the interval that holds it."""

    n: int
    mean: float
    std: float | None
    """With n - 1; None for one value."""
    low: float | None
    high: float | None
    method: Literal["bootstrap", "wilson", "none"]


def summarise_values(
    values: Sequence[float], *, n_items: int | None = None, confidence: float = 0.95, seed: int = 0
) -> Summary:
    """Mean, standard deviation and interval of one figure over its seeds.

    More than one value: the percentile bootstrap of the mean, at the level that Hesterberg
    expands for few values. With fewer than five it is the range of the values, and it never
    leaves that range. Not BCa, which has no value where all are equal, as accuracies of 1.0 are;
    then the interval is that value. The order of the values does not count.

    One value that is a share of n_items test pairs: Wilson's interval, which is about the pairs and
    says nothing about other seeds. One value without n_items: no interval.

    Source: Hesterberg 2015, What teachers should know about the bootstrap, section 4.4.

    >>> summarise_values([0.5, 0.7, 0.9])
    Summary(n=3, mean=0.7, std=0.2, low=0.5, high=0.9, method='bootstrap')
    """
    import numpy as np

    found = np.sort(np.asarray(values, dtype=float))
    assert len(found), "a summary of nothing"
    n, mean = len(found), round(float(found.mean()), 12)
    if n == 1:
        if n_items is None:
            return Summary(1, mean, None, None, None, "none")
        return Summary(1, mean, None, *wilson_interval(round(mean * n_items), n_items, confidence), "wilson")
    if found[0] == found[-1]:
        return Summary(n, float(found[0]), 0.0, float(found[0]), float(found[0]), "bootstrap")
    from scipy.stats import bootstrap

    interval = bootstrap(
        (found,),
        np.mean,
        n_resamples=N_RESAMPLES,
        confidence_level=expanded_confidence(n, confidence),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    std = round(float(found.std(ddof=1)), 12)
    return Summary(n, mean, std, round(float(interval.low), 12), round(float(interval.high), 12), "bootstrap")


def expanded_confidence(n: int, confidence: float = 0.95) -> float:
    """The level at which a percentile bootstrap of n values is as wide as a t interval of normal ones.

    >>> round(expanded_confidence(10), 4), round(expanded_confidence(1000), 4)
    (0.9829, 0.9504)
    """
    from scipy.stats import norm

    return float(1 - 2 * norm.sf(stretch(n, confidence) * norm.ppf((1 + confidence) / 2)))


def stretch(n: int, confidence: float = 0.95) -> float:
    """How much too narrow the bootstrap of a mean of n values is: sqrt(n / (n - 1)) t / z.

    The first factor mends the variance, which resampling takes with n, not n - 1; t / z, quantiles of
    Student's and the normal distribution, stands for not knowing the variance.
    """
    from scipy.stats import norm, t

    level = (1 + confidence) / 2
    return float((n / (n - 1)) ** 0.5 * t.ppf(level, n - 1) / norm.ppf(level))


@dataclass(frozen=True)
class PairedDifference:
    """Mean accuracy of a minus that of b, its interval, and how likely one as far from 0 is by chance."""

    difference: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    correct_a: Correct,
    correct_b: Correct,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedDifference:
    """The difference of two accuracies on the same seeds and test items, both resampled.

    d[s, i] = a[s, i] - b[s, i]; a resample draws seeds and, apart from them, items with replacement and
    takes the mean of d over the drawn rows and columns. Before that each row is moved until its mean lies
    `stretch` times as far from the mean of all, since few seeds resampled vary too little. With one
    seed only items are drawn. p is two-sided: twice the smaller share of resamples on one
    side of 0, these included, at most 1. The order of the seeds does not count.

    Where nothing but chance on single items tells the seeds apart, the interval is wider than it need be:
    that chance enters by the rows and by the columns.

    Shapes: (seeds, items), bool, both the same.
    Source: Owen 2007, The pigeonhole bootstrap; Hesterberg 2015 for the stretch.
    """
    import numpy as np

    d = _differences(correct_a, correct_b)
    n_seeds, n_items = d.shape
    # The same resamples are drawn whichever is called a, so that swapping the two only changes the sign.
    sign, (columns, counts) = max(
        ((sign, _columns(sign * d)) for sign in (1, -1)),
        key=lambda made: [part.tobytes() for part in made[1]],
    )
    means = columns @ counts / n_items
    away = (stretch(n_seeds, confidence) - 1 if n_seeds > 1 else 0.0) * (means - means.mean())
    moved = columns + away[:, np.newaxis]
    generator = np.random.default_rng(seed)
    parts = []
    for start in range(0, n_resamples, BATCH):
        n = min(BATCH, n_resamples - start)
        seeds = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n)
        items = generator.multinomial(n_items, counts / n_items, size=n)
        parts.append(((seeds @ moved) * items).sum(axis=1) / (n_seeds * n_items))
    # Sums of the same numbers in another order differ by rounding; what is 0 must count as 0.
    resampled = sign * np.round(np.clip(np.concatenate(parts), -1, 1), 12)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    n_one_side = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    p = min(1.0, 2 * (n_one_side + 1) / (n_resamples + 1))
    return PairedDifference(float(d.mean()), float(low), float(high), float(p))


def _columns(d: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The distinct columns of d with its rows in an order of their own, and how often each comes.

    Items on which every seed has the same differences are one column, drawn as often as they are many.
    """
    import numpy as np

    rows = sorted(d, key=lambda row: (row.sum(), row.tobytes()))
    columns, counts = np.unique(np.array(rows), axis=1, return_counts=True)
    return columns, counts


def mcnemar(correct_a: Correct, correct_b: Correct) -> float:
    """Exact two-sided p that a is right where b is wrong as often as the other way round.

    With one seed it is McNemar's exact test over the discordant items. With several, the answers of
    the seeds to one item are not independent, so an item has one voice: it is for a if a is right on it in
    more seeds than b, for b if in fewer, and does not count if in as many (the exact sign test over items).
    1 where no item counts. It asks whether these trained models differ on other items, not whether
    other seeds would.

    Source: McNemar 1947; Dixon and Mood 1946.

    >>> import numpy as np
    >>> mcnemar(np.array([[1, 1, 1, 1, 1, 1, 0]], bool), np.array([[0, 0, 0, 0, 0, 0, 0]], bool))
    0.03125
    """
    import numpy as np
    from scipy.stats import binomtest

    voices = np.sign(_differences(correct_a, correct_b).sum(axis=0))
    n_a, n_b = int((voices > 0).sum()), int((voices < 0).sum())
    return float(binomtest(n_a, n_a + n_b).pvalue) if n_a + n_b else 1.0


def paired_t(differences: Sequence[float]) -> float | None:
    """Two-sided p of Student's paired test over per-seed differences; None for fewer than 2 seeds.

    Differences that are all equal leave nothing to chance: 0, or 1 where they are 0.
    """
    import numpy as np
    from scipy.stats import ttest_1samp

    found = np.round(np.asarray(differences, dtype=float), 12)
    if len(found) < 2:
        return None
    if found.min() == found.max():
        return 0.0 if found[0] else 1.0
    return float(ttest_1samp(found, 0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for being several, by Holm's step-down method, in the order given.

    The i-th smallest of m, counted from 0, is multiplied by m - i, is at least the one before it and at
    most 1. SciPy's false_discovery_control bounds another error, the share of false finds.

    Source: Holm 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for i, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[place]))
        corrected[place] = largest
    return corrected


def least_difference(
    differences: Sequence[float], *, confidence: float = 0.95, power: float = 0.8
) -> float | None:
    """The least true difference that a paired t test over so many seeds would find with this power.

    delta = nc s / sqrt(n), s the standard deviation (n - 1) of the per-seed differences, and nc the
    noncentrality at which |t| with n - 1 degrees of freedom is above its critical value as often as
    `power`. For one pair, before any correction. None for fewer than 2 seeds; 0 where all seeds differ alike.

    Source: Cohen 1988, section 2.

    >>> round(least_difference([0.1, 0.2, 0.3]), 3)
    0.326
    """
    import numpy as np

    n = len(differences)
    if n < 2:
        return None
    std = float(np.round(np.std(differences, ddof=1), 12))
    return _noncentrality(n, confidence, power) * std / n**0.5


def _noncentrality(n: int, confidence: float, power: float) -> float:
    from scipy.optimize import brentq
    from scipy.stats import ncf, t

    # t squared is F with 1 and n - 1 degrees of freedom; SciPy's noncentral t is NaN where n is 2.
    critical = t.ppf((1 + confidence) / 2, n - 1)

    def lacks(nc: float) -> float:
        return ncf.sf(critical**2, 1, n - 1, nc**2) - power

    # With n = 2 the critical value is 12.7; four of it is enough for any power up to 0.999.
    return float(brentq(lacks, 0, 4 * critical + 10))


@dataclass(frozen=True)
class Comparison:
    """Two strategies on the same seeds and items."""

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
    """The largest of these, corrected for the number of pairs by Holm's method."""
    least_difference: float | None
    """What these seeds could show at all (`least_difference`); None with one seed."""
    n_seeds: int
    n_items: int


def compare_all(correct: Mapping[str, Correct], *, seed: int = 0) -> list[Comparison]:
    """Every pair, in the order of the names given.

    A pair differs only where all three tests say so, so its p is their largest (an intersection-union test
    needs no correction among its parts, Berger 1982). McNemar's test knows nothing of other seeds, the t
    test nothing of other items; the bootstrap knows both, but of three seeds that fall on one side
    it makes a p far smaller than three seeds can give. `benchmarks/coverage.py` shows each alone and all
    together. These p are then corrected over all pairs (`holm`).
    """
    tested = []
    for a, b in itertools.combinations(correct, 2):
        per_seed = _differences(correct[a], correct[b]).mean(axis=1)
        boot = paired_bootstrap(correct[a], correct[b], seed=seed)
        p_items, p_seeds = mcnemar(correct[a], correct[b]), paired_t(per_seed)
        tested.append((a, b, boot, p_items, p_seeds, least_difference(per_seed)))
    corrected = holm([max(boot.p, p_items, p_seeds or 0.0) for _, _, boot, p_items, p_seeds, _ in tested])
    return [
        Comparison(
            a=a,
            b=b,
            difference=boot.difference,
            low=boot.low,
            high=boot.high,
            p_bootstrap=boot.p,
            p_mcnemar=p_items,
            p_seeds=p_seeds,
            p=p,
            least_difference=least,
            n_seeds=len(correct[a]),
            n_items=len(correct[a][0]),
        )
        for (a, b, boot, p_items, p_seeds, least), p in zip(tested, corrected, strict=True)
    ]


def best(comparisons: Sequence[Comparison], means: Mapping[str, float], alpha: float = 0.05) -> str | None:
    """The name with the highest mean, if every other one is worse by the tests; else None.

    None with one seed, too: its tests are about the models it trained, not about their methods.
    """
    top = max(means, key=lambda name: means[name])
    by_pair = {frozenset((c.a, c.b)): c for c in comparisons}
    against = [by_pair.get(frozenset((top, name))) for name in means if name != top]
    shown = [c is not None and _is_better(c, top, alpha) for c in against]
    return top if shown and all(shown) else None


def _is_better(comparison: Comparison, name: str, alpha: float) -> bool:
    ahead = comparison.difference if comparison.a == name else -comparison.difference
    return comparison.n_seeds > 1 and ahead > 0 and comparison.p < alpha


def _differences(correct_a: Correct, correct_b: Correct) -> NDArray[Any]:
    import numpy as np

    a, b = np.asarray(correct_a), np.asarray(correct_b)
    assert a.shape == b.shape and a.ndim == 2 and a.size, f"shapes {a.shape} and {b.shape}"
    return a.astype(np.int8) - b.astype(np.int8)
