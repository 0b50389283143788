"""Which reading of "samples needed" gives the paper's table: order and size of its figures, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from contsym.results import paper
from contsym.results.metrics.efficiency import over_seeds
from contsym.results.metrics.stats import CONFIDENCE
from contsym.results.metrics.trajectory import forgetting_at_target, pairs_to_reach

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contsym.results.schema import SeedResult

N_RESAMPLES = 2_000
"""Each computes two rank correlations of four methods."""
Samples = Mapping[str, Sequence[int | None]]
"""Pairs that each method needed, by seed; None: not reached."""
Losses = Mapping[str, Sequence[float | None]]
"""Accuracy that each method lost, by seed; None: not measured there."""


@dataclass(frozen=True)
class Tau:
    """Kendall's tau-b between our order of the methods and the paper's, with its bootstrap interval over seeds."""

    value: float
    low: float
    high: float
    n_seeds: int

    @property
    def words(self) -> str:
        """
        >>> Tau(0.667, -0.333, 1.0, 10).words
        '+0.67 [-0.33, +1.00]'
        """
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def is_above_0(self) -> bool:
        """Whether the interval says so; that of one seed has no width and says nothing.

        >>> Tau(1.0, 1.0, 1.0, 1).is_above_0, Tau(1.0, 1.0, 1.0, 2).is_above_0
        (False, True)
        """
        return self.n_seeds > 1 and self.low > 0


@dataclass(frozen=True)
class Outcome:
    """The figures of the paper's methods in one reading of its table."""

    name: str
    target: float
    samples: Samples
    forgetting: Losses
    """Accuracy lost on the first task at that moment, or at the end where the target was not reached."""

    @cached_property
    def tau_samples(self) -> Tau | None:
        values = {m: [math.inf if n is None else n for n in each] for m, each in self.samples.items()}
        return tau(values, {m.strategy: m.samples for m in paper.METHODS}, upper_median)

    @cached_property
    def tau_forgetting(self) -> Tau | None:
        return tau(self.losses, {m.strategy: m.forgetting for m in paper.METHODS}, mean)

    @property
    def losses(self) -> dict[str, list[float]]:
        """The forgetting of the methods that have it for every seed."""
        found = {m: [loss for loss in each if loss is not None] for m, each in self.forgetting.items()}
        return {m: each for m, each in found.items() if len(each) == len(self.forgetting[m])}

    @property
    def distance(self) -> tuple[float, float]:
        """How far the reading is from the paper, to sort by: first the orders, then the numbers of samples.

        The first is minus the mean of both tau; the second is the mean distance of the medians, in doublings.
        """
        taus = [each.value if each else 0.0 for each in (self.tau_samples, self.tau_forgetting)]
        doublings = [
            abs(math.log2(median / method.samples))
            for method in paper.METHODS
            if (per_seed := self.samples.get(method.strategy))
            and (median := over_seeds(per_seed).median) is not None
        ]
        missing = len(paper.METHODS) - len(doublings)
        # A method that did not reach the target is as far as the longest of the others would be at 16 times.
        return -sum(taus) / 2, (sum(doublings) + 4 * missing) / len(paper.METHODS)


def are_of_paper(results: Sequence[SeedResult]) -> bool:
    """Whether the tasks, their relations, and at least one of the methods are the paper's."""
    methods = {method.strategy for method in paper.METHODS}
    if not any(r.strategy in methods and r.tasks == paper.TASKS for r in results):
        return False
    return paper.are_of_wikidata(results[0].by_relation.get(paper.TASKS[-1], {}))


def readings_of(groups: Mapping[str, Sequence[SeedResult]]) -> list[Outcome]:
    """The readings of a sweep, of results by the reading's name: one per target that its results can answer.

    A pass that stops at 1.0 answers for 0.99 too. Seeds that a method of the paper lacks are left out of all, and so
    is a reading of other tasks or without any of the methods, and one whose results have no answer or, of one seed,
    several.
    """
    readings = []
    for name, results in groups.items():
        if any(r.tasks != paper.TASKS or r.trained_tasks != paper.TASKS for r in results):
            continue
        of_method = {m.strategy: [r for r in results if r.strategy == m.strategy] for m in paper.METHODS}
        of_method = {strategy: each for strategy, each in of_method.items() if each}
        if not of_method:
            continue
        seeds = sorted(set.intersection(*({r.seed for r in each} for each in of_method.values())))
        by_seed = {strategy: {r.seed: r for r in each} for strategy, each in of_method.items()}
        if any(len(by_seed[strategy]) < len(each) for strategy, each in of_method.items()):
            continue
        in_order = {strategy: [each[seed] for seed in seeds] for strategy, each in by_seed.items()}
        measured = [r for each in in_order.values() for r in each if r.search or r.trajectory]
        for target in targets(measured[0]) if measured else ():
            readings.append(
                Outcome(
                    name,
                    target,
                    {s: [samples(r, target) for r in each] for s, each in in_order.items()},
                    {s: [lost(r, target) for r in each] for s, each in in_order.items()},
                )
            )
    return readings


def targets(result: SeedResult) -> tuple[float, ...]:
    """The accuracies for which the result says how many pairs they need."""
    target, stop = result.options.target, result.options.until or result.options.target
    # Training did not go on to a target above the one that ended it.
    return (stop,) if result.search or target >= stop else (target, stop)


def samples(result: SeedResult, target: float) -> int | None:
    """Pairs of the new task that the result needed: of the smallest training set, or seen in one training."""
    if result.search:
        return result.search.found
    experience = result.tasks.index(result.new_task)
    return pairs_to_reach(result.trajectory, experience, target)[1]


def lost(result: SeedResult, target: float) -> float | None:
    """Accuracy on the first task that training on the new one cost; None: not measured when the target was reached.

    On the test pairs where training ended there, or never came there; where it went on, on the validation pairs when the
    target was reached.
    """
    first, experience, until = result.tasks[0], result.tasks.index(result.new_task), result.options.until
    ended_there = result.search or (until is not None and until <= target)
    if ended_there or samples(result, target) is None:
        return result.forgetting[first]
    return forgetting_at_target(result.trajectory, experience, 0, target)


Centre = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


def upper_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis, as `over_seeds` has it: of an even number the larger of the two in the middle."""
    import numpy as np

    return np.sort(values, axis=-1)[..., values.shape[-1] // 2]


def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.mean(axis=-1)


def tau(
    figures: Mapping[str, Sequence[float]], paper_figures: Mapping[str, float], centre: Centre
) -> Tau | None:
    """Kendall's tau-b of the figures' centres over seeds with the paper's; None with fewer than two methods in common.

    The interval resamples seeds with replacement, the same for all methods, and takes percentiles. Infinity ranks behind
    every number. Seeds that a method lacks are left out for all. Source: Kendall 1945 for ties.

    >>> ours = {"a": [16, 32, 16], "b": [64, 64, 48], "c": [400, 320, 336]}
    >>> tau(ours, {"a": 48, "b": 64, "c": 336}, upper_median)
    Tau(value=1.0, low=1.0, high=1.0, n_seeds=3)
    """
    import numpy as np

    names = [name for name in paper_figures if figures.get(name)]
    n_seeds = min((len(figures[name]) for name in names), default=0)
    if len(names) < 2 or not n_seeds:
        return None
    values = np.array([figures[name][:n_seeds] for name in names], dtype=float)
    theirs = np.array([paper_figures[name] for name in names], dtype=float)
    generator = np.random.default_rng(0)
    draws = generator.integers(n_seeds, size=(N_RESAMPLES, n_seeds))
    # (methods, resamples)
    centres = centre(values[:, draws])
    resampled = [_tau_b(each, theirs) for each in centres.T]
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Tau(_tau_b(centre(values), theirs), float(low), float(high), n_seeds)


def _tau_b(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """0 where all of ours are equal: then there is no order."""
    import numpy as np

    # As ranks, since differences of two infinities are not numbers.
    ranks = np.unique(ours, return_inverse=True)[1]
    i, j = np.triu_indices(len(ranks), 1)
    a, b = np.sign(ranks[i] - ranks[j]), np.sign(theirs[i] - theirs[j])
    n_a, n_b = np.count_nonzero(a), np.count_nonzero(b)
    return float((a * b).sum() / math.sqrt(n_a * n_b)) if n_a and n_b else 0.0


def nearest(readings: Sequence[Outcome]) -> Outcome:
    """The reading whose orders are most like the paper's; the numbers of samples decide between equal orders."""
    return in_order(readings)[0]


def in_order(readings: Sequence[Outcome]) -> list[Outcome]:
    """The readings, the nearest first; those with fewer methods come last."""
    return sorted(readings, key=lambda reading: (-len(reading.samples), reading.distance))


def fullest(readings: Sequence[Outcome]) -> list[Outcome]:
    """The readings with the most methods: two methods have the paper's order by chance."""
    most = max(len(reading.samples) for reading in readings)
    return [reading for reading in readings if len(reading.samples) == most]


def verdict(readings: Sequence[Outcome]) -> str:
    """What the readings say of the paper's table, in sentences."""
    n_all, readings = len(readings), fullest(readings)
    best = nearest(readings)
    confirmed = {
        "samples": [r for r in readings if r.tau_samples and r.tau_samples.is_above_0],
        "forgetting": [r for r in readings if r.tau_forgetting and r.tau_forgetting.is_above_0],
    }
    both = [r for r in confirmed["samples"] if r in confirmed["forgetting"]]
    n = f"{len(readings)} reading{'s' * (len(readings) > 1)}"
    n += f" with all {len(best.samples)} methods" * (len(readings) < n_all)
    words = [f"Nearest to the paper's table is: {best.name}, target {best.target:g}."]
    if both:
        words.insert(
            0,
            f"The paper's order of the methods, by samples and by forgetting, comes out under {len(both)} of {n}.",
        )
    else:
        words.insert(
            0, f"The paper's order of the methods, by samples and by forgetting, comes out under none of {n}."
        )
        for figure, found in confirmed.items():
            words.append(
                f"Its order by {figure} alone comes out under {len(found)} of them."
                if found
                else f"Its order by {figure} is not confirmed by any."
            )
    words.append("An order comes out where the interval of Kendall's tau is above 0.")
    return " ".join(words)
