"""The figures of a report: means with intervals, forgetting, shots needed, comparisons, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from contsym.checked import tell_skipped
from contsym.errors import ContsymError
from contsym.report.collect import Collected
from contsym.report.during import During, during
from contsym.results.metrics.efficiency import (
    ShotsNeeded,
    area_under_curve,
    over_seeds,
    retention,
    shots_to_reach,
)
from contsym.results.metrics.stats import Comparison, Summary, best, compare_all, paired_t, summarise_values
from contsym.results.paper_readings import samples
from contsym.results.predictions import read_aligned
from contsym.results.reading import counts_needed, smallest_tried
from contsym.results.schema import PartAccuracy, SeedResult
from contsym.results.summary import best_shortcut, marks, mean_shortcuts
from contsym.results.training_audit import Audited, judge, read_audit

ALPHA = 0.05


@dataclass(frozen=True)
class Forgetting:
    """The forgetting or retention of a task in a group, over all its seeds."""

    summary: Summary
    marks: str
    """Whether the task was learned and is above its shortcuts; empty if so with every seed."""


@dataclass(frozen=True)
class Efficiency:
    """How a variant's accuracy grows with shots, over the seeds with a result at every number of shots."""

    n_seeds: int
    shots_needed: ShotsNeeded | None
    is_counted: bool
    """Whether the results count the examples needed themselves, as a search and a single pass do."""
    smallest: int | None
    """The fewest examples that were tried: to need these is to need at most these. None: not the same for all seeds."""
    area: Summary | None


@dataclass(frozen=True)
class Family:
    """The comparisons of all variants on one task at one number of shots; p is corrected over these."""

    task: str
    shots: int
    seeds: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    best: str | None
    """The variant that is better than every other by the tests, if there is one."""


@dataclass(frozen=True)
class TradeOff:
    """One group as a point: accuracy on the new task against forgetting of an earlier one."""

    variant: str
    shots: int
    accuracy: Summary
    forgetting: Forgetting
    seconds: float


class Measures:
    """The figures of collected results, computed on request; None where a group has no result."""

    def __init__(self, collected: Collected, target: float) -> None:
        self.collected, self.target = collected, target
        self._audited: dict[tuple[str, int], Audited | None] = {}

    def accuracy(self, variant: str, shots: int, task: str) -> Summary | None:
        """At the end of the scenario."""
        return self._accuracy(variant, shots, task, lambda result: result.final[task])

    def own_accuracy(self, variant: str, shots: int, task: str) -> Summary | None:
        """Right after the task's own experience."""
        return self._accuracy(variant, shots, task, lambda result: result.own_accuracy(task))

    def _accuracy(
        self, variant: str, shots: int, task: str, accuracy: Callable[[SeedResult], float]
    ) -> Summary | None:
        values = self.collected.values(variant, shots, accuracy)
        return summarise_values(values, n_items=self.collected.first.n_test[task]) if values else None

    def forgetting(self, variant: str, shots: int, task: str) -> Forgetting | None:
        return self._marked(variant, shots, task, lambda r: r.forgetting[task])

    def retention(self, variant: str, shots: int, task: str) -> Forgetting | None:
        """Accuracy at the end over accuracy right after the own experience; None if a seed had an accuracy of 0."""
        return self._marked(variant, shots, task, lambda r: retention(r.own_accuracy(task), r.final[task]))

    def marks(self, variant: str, shots: int, task: str) -> str:
        """The words beside the task's figures, as `learned in 2 of 3 seeds`."""
        return marks(self.collected.group(variant, shots), task)

    def _marked(
        self, variant: str, shots: int, task: str, figure: Callable[[SeedResult], float | None]
    ) -> Forgetting | None:
        values = self.collected.values(variant, shots, figure)
        if not values or None in values:
            return None
        return Forgetting(summarise_values(values), self.marks(variant, shots, task))

    def shortcuts(self, task: str, shots: int) -> dict[str, float]:
        """The mean accuracy of each shortcut; empty where none was measured."""
        return mean_shortcuts(self._shortcut_scores(task, shots))

    def best_shortcut(self, task: str, shots: int) -> tuple[str, float] | None:
        """Name and mean accuracy; None where none was measured."""
        return best_shortcut(self._shortcut_scores(task, shots))

    def _shortcut_scores(self, task: str, shots: int) -> list[dict[str, float]]:
        return [result.shortcuts.get(task, {}) for result in self.collected.at(shots)]

    def efficiency(self, variant: str) -> Efficiency:
        import numpy as np

        collected = self.collected
        seeds = collected.complete_seeds(variant)
        if not seeds:
            return Efficiency(0, None, False, None, None)
        # Right after its own experience, since accuracy at the end also depends on forgetting.
        by_shots = [
            [
                result.own_accuracy(collected.new_task)
                for result in collected.group(variant, shots)
                if result.seed in seeds
            ]
            for shots in collected.shots
        ]
        accuracies = np.array(by_shots).T
        # A search has trained on what it found, and another training until its target: not on the most that they may.
        plain = [i for i, n in enumerate(collected.shots) if collected.is_fixed(n)]
        areas = area_under_curve([collected.shots[i] for i in plain], accuracies[:, plain]) if plain else None
        needed = shots_to_reach(collected.shots, accuracies, self.target)
        smallest = {collected.shots[0]}
        # A search and a single pass count the pairs themselves; a search may stand beside trainings on as many or more.
        searched = [n for n in collected.shots if any(r.search for r in collected.at(n))]
        counted = [r for r in collected.group(variant, (searched or collected.shots)[-1]) if r.seed in seeds]
        if is_counted := all(map(counts_needed, counted)):
            needed = over_seeds([samples(r, self.target) for r in counted])
            smallest = {n for r in counted if (n := smallest_tried(r)) is not None}
        return Efficiency(
            len(seeds),
            needed,
            is_counted,
            smallest.pop() if len(smallest) == 1 else None,
            summarise_values(areas.tolist()) if areas is not None else None,
        )

    def mean(self, variant: str, shots: int, figure: Callable[[SeedResult], float]) -> float | None:
        """Mean over the seeds of a figure without an interval, as a cost."""
        values = self.collected.values(variant, shots, figure)
        return sum(values) / len(values) if values else None

    def audited(self, variant: str, shots: int) -> Audited | None:
        """What `contsym audit` said of the group's seeds; None where none was audited."""
        if (variant, shots) not in self._audited:
            self._audited[variant, shots] = self._judged(variant, shots)
        return self._audited[variant, shots]

    def _judged(self, variant: str, shots: int) -> Audited | None:
        audits = []
        for folder in self.collected.folders(variant, shots).values():
            try:
                audits += [audit] if (audit := read_audit(folder)) else []
            except ContsymError as error:
                tell_skipped(error)
        # Those with the same rules can be judged together.
        alike = [audit for audit in audits if audit.sources == audits[-1].sources]
        return judge(alike) if alike else None

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """A family per task and number of shots, where all variants have seeds in common."""
        families = []
        for task in self.collected.tasks:
            for shots in self.collected.shots:
                variants = [v for v in self.collected.variants if self.collected.group(v, shots)]
                seeds = self.collected.common_seeds(variants, shots)
                if len(variants) > 1 and seeds:
                    families.append(self._family(task, shots, variants, seeds))
        return tuple(families)

    def family(self, task: str, shots: int) -> Family | None:
        return next((f for f in self.families if (f.task, f.shots) == (task, shots)), None)

    def _family(self, task: str, shots: int, variants: Sequence[str], seeds: Sequence[int]) -> Family:
        folders = {
            variant: {
                seed: folder
                for seed, folder in self.collected.folders(variant, shots).items()
                if seed in seeds
            }
            for variant in variants
        }
        _, _, correct = read_aligned(folders, task)
        means = {variant: float(right.mean()) for variant, right in correct.items()}
        comparisons = tuple(compare_all(correct))
        return Family(task, shots, tuple(seeds), comparisons, best(comparisons, means, ALPHA))

    def p_of_forgetting(self, family: Family, a: str, b: str) -> float:
        """Whether two variants forget a task alike: the paired t test over the seeds, times the number of pairs of variants.

        Not the comparison of their accuracies at the end: two may end alike and have begun differently.
        """
        collected, task = self.collected, family.task
        lost_a, lost_b = (
            [r.forgetting[task] for r in collected.group(v, family.shots) if r.seed in family.seeds]
            for v in (a, b)
        )
        differences = [x - y for x, y in zip(lost_a, lost_b, strict=True)]
        p = paired_t(differences, collected.first.n_test[task])
        return 1.0 if p is None else min(1.0, p * len(family.comparisons))

    @cached_property
    def trade_offs(self) -> dict[str, list[TradeOff]]:
        """By earlier task, every group that has a result."""
        points: dict[str, list[TradeOff]] = {task: [] for task in self.collected.earlier_tasks}
        for task in points:
            for variant in self.collected.variants:
                for shots in self.collected.shots:
                    accuracy = self.accuracy(variant, shots, self.collected.new_task)
                    forgetting = self.forgetting(variant, shots, task)
                    seconds = self.mean(variant, shots, lambda result: result.seconds)
                    if accuracy and forgetting and seconds is not None:
                        points[task].append(TradeOff(variant, shots, accuracy, forgetting, seconds))
        return points

    @cached_property
    def during(self) -> dict[str, list[During]]:
        """By earlier task, every group's figures of the trajectory."""
        return during(self.collected, self.target)

    def by_kind(self, variant: str, shots: int, task: str) -> Mapping[str, Summary]:
        """Accuracy on each kind at the end."""
        rows = self.collected.values(variant, shots, lambda result: result.by_kind.get(task))
        return self._parts([kinds[-1] for kinds in rows if kinds])

    def by_relation(self, variant: str, shots: int, task: str) -> Mapping[str, Summary]:
        """Accuracy on each relation at the end, the commonest first."""
        per_seed = self.collected.values(variant, shots, lambda result: result.by_relation.get(task))
        return self._parts([relations for relations in per_seed if relations])

    def _parts(self, per_seed: Sequence[Mapping[str, PartAccuracy]]) -> Mapping[str, Summary]:
        sizes = {name: part.n for parts in per_seed for name, part in parts.items()}
        return {
            name: summarise_values([p[name].accuracy for p in per_seed if name in p], n_items=n)
            for name, n in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        }


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the points (gain, loss) that no other point beats, in order of loss.

    A point beats another by at least as much gain and at most as much loss, unless the two are equal.

    >>> pareto_front([(0.9, 0.1), (0.8, 0.2), (0.7, 0.0)])
    [2, 0]
    """
    front, best_gain, best_loss = [], -math.inf, math.inf
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0])):
        gain, loss = points[i]
        if gain > best_gain or (gain == best_gain and loss == best_loss):
            front.append(i)
            best_gain, best_loss = gain, loss
    return front
