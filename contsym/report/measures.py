"""Figures of a report: means with intervals, what was forgotten, shots needed, comparisons, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from contsym.data import shortcuts
from contsym.report.collect import Collected
from contsym.results.metrics.efficiency import Reached, area_under_curve, shots_to_reach
from contsym.results.metrics.stats import Comparison, Summary, best, compare_all, summarise_values
from contsym.results.predictions import read_aligned
from contsym.results.schema import PartAccuracy, SeedResult
from contsym.results.summary import never_learned

ALPHA = 0.05


@dataclass(frozen=True)
class Forgetting:
    """What a group forgot of a task; no summary unless every seed had learned it."""

    summary: Summary | None
    n_learned: int
    n: int

    @property
    def words(self) -> str:
        """In place of a figure that there is none of."""
        return "" if self.summary is not None else never_learned(self.n_learned, self.n)


@dataclass(frozen=True)
class Efficiency:
    """How a variant's accuracy grows with shots, over the seeds of which every number of shots is there."""

    n_seeds: int
    reached: Reached | None
    area: Summary | None


@dataclass(frozen=True)
class Family:
    """Every pair of variants on one task at one number of shots: what the correction is over."""

    task: str
    shots: int
    seeds: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    best: str | None
    """The variant that is better than every other by the test; None where there is none."""


class Measures:
    """The figures of collected results, each computed once, when asked for."""

    def __init__(self, collected: Collected, target: float) -> None:
        self.collected, self.target = collected, target

    def accuracy(self, variant: str, shots: int, task: str) -> Summary | None:
        """At the end of the scenario; None where nothing is stored."""
        return self._share(variant, shots, task, lambda result: result.final[task])

    def own_accuracy(self, variant: str, shots: int, task: str) -> Summary | None:
        """Right after the task's own experience."""
        j = self.collected.tasks.index(task)
        return self._share(variant, shots, task, lambda result: result.matrix[j + 1][j])

    def _share(
        self, variant: str, shots: int, task: str, figure: Callable[[SeedResult], float]
    ) -> Summary | None:
        values = self.collected.values(variant, shots, figure)
        return summarise_values(values, n_items=self.collected.first.n_test[task]) if values else None

    def forgetting(self, variant: str, shots: int, task: str) -> Forgetting | None:
        """None where nothing is stored."""
        found = self.collected.values(
            variant, shots, lambda result: result.forgetting[task] if result.learned[task] else None
        )
        if not found:
            return None
        learned = [value for value in found if value is not None]
        whole = summarise_values(learned) if len(learned) == len(found) else None
        return Forgetting(whole, len(learned), len(found))

    def retention(self, variant: str, shots: int, task: str) -> Forgetting | None:
        """Accuracy at the end over accuracy after the own experience, as a share; where it was learned."""
        from contsym.results.metrics.efficiency import retention

        j = self.collected.tasks.index(task)
        found = self.collected.group(variant, shots)
        if not found:
            return None
        before = [s.result.matrix[j + 1][j] if s.result.learned[task] else None for s in found]
        kept = [v for v in retention(before, [s.result.final[task] for s in found]) if v is not None]
        return Forgetting(summarise_values(kept) if len(kept) == len(found) else None, len(kept), len(found))

    def best_shortcut(self, task: str, shots: int | None = None) -> tuple[str, float] | None:
        """Name and mean score of the shortcut that scores most; None where none was measured."""
        found = [
            scores
            for stored in self.collected.stored
            if shots in (None, stored.result.n_shots) and (scores := stored.result.shortcuts.get(task))
        ]
        if not found:
            return None
        names = [name for name in found[0] if all(name in scores for scores in found)]
        return shortcuts.best({name: sum(s[name] for s in found) / len(found) for name in names})

    def efficiency(self, variant: str) -> Efficiency:
        import numpy as np

        collected = self.collected
        seeds = collected.whole_seeds(variant)
        if not seeds:
            return Efficiency(0, None, None)
        # Right after learning it: where it is not the last task, the end tells of forgetting too.
        j = collected.tasks.index(collected.new_task)
        by_shots = [
            [s.result.matrix[j + 1][j] for s in collected.group(variant, n) if s.result.seed in seeds]
            for n in collected.shots
        ]
        table = np.array(by_shots).T
        reached = shots_to_reach(collected.shots, table, self.target)
        areas = area_under_curve(collected.shots, table)
        return Efficiency(len(seeds), reached, summarise_values([float(a) for a in areas]))

    def cost(self, variant: str, shots: int, name: str) -> float | None:
        """Mean over the seeds of a cost; costs per experience are added up. None where no seed is stored."""
        found = self.collected.values(variant, shots, lambda result: result.cost.total(name))
        return sum(found) / len(found) if found else None

    def seconds(self, variant: str, shots: int) -> float | None:
        found = self.collected.values(variant, shots, lambda result: result.seconds)
        return sum(found) / len(found) if found else None

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """Comparisons of all variants: for each task and number of shots with seeds that all of them have."""
        found = []
        for task in self.collected.tasks:
            for shots in self.collected.shots:
                variants = [v for v in self.collected.variants if self.collected.group(v, shots)]
                seeds = self.collected.common_seeds(variants, shots)
                if len(variants) > 1 and seeds:
                    found.append(self._family(task, shots, variants, seeds))
        return tuple(found)

    def family(self, task: str, shots: int) -> Family | None:
        return next((f for f in self.families if (f.task, f.shots) == (task, shots)), None)

    def _family(self, task: str, shots: int, variants: Sequence[str], seeds: Sequence[int]) -> Family:
        folders = {
            variant: {
                stored.result.seed: stored.folder
                for stored in self.collected.group(variant, shots)
                if stored.result.seed in seeds
            }
            for variant in variants
        }
        _, _, correct = read_aligned(folders, task)
        means = {variant: float(right.mean()) for variant, right in correct.items()}
        comparisons = tuple(compare_all(correct))
        return Family(task, shots, tuple(seeds), comparisons, best(comparisons, means, ALPHA))

    @cached_property
    def trade_offs(self) -> dict[str, list[TradeOff]]:
        """By earlier task: accuracy on the new task against forgetting, where it was learned in every seed."""
        found: dict[str, list[TradeOff]] = {}
        for task in self.collected.earlier_tasks:
            points = []
            for variant in self.collected.variants:
                for shots in self.collected.shots:
                    accuracy = self.accuracy(variant, shots, self.collected.new_task)
                    forgot = self.forgetting(variant, shots, task)
                    seconds = self.seconds(variant, shots)
                    if accuracy and forgot and forgot.summary and seconds is not None:
                        points.append(TradeOff(variant, shots, accuracy, forgot.summary, seconds))
            found[task] = points
        return found

    def by_kind(self, variant: str, shots: int, task: str) -> Mapping[str, Part]:
        """Mean accuracy on each kind at the end."""
        rows = self.collected.values(variant, shots, lambda result: result.by_kind.get(task))
        return self._parts([found[-1] for found in rows if found])

    def by_relation(self, variant: str, shots: int, task: str) -> Mapping[str, Part]:
        """Mean accuracy on each relation at the end, the commonest first."""
        found = self.collected.values(variant, shots, lambda result: result.by_relation.get(task))
        return self._parts([parts for parts in found if parts])

    def _parts(self, found: Sequence[Mapping[str, PartAccuracy]]) -> Mapping[str, Part]:
        names = {name: part.n for parts in found for name, part in parts.items()}
        return {
            name: Part(summarise_values([p[name].accuracy for p in found if name in p], n_items=n), n)
            for name, n in sorted(names.items(), key=lambda item: (-item[1], item[0]))
        }


@dataclass(frozen=True)
class Part:
    """Accuracy on a part of the test pairs, and how many they are."""

    accuracy: Summary
    n: int


@dataclass(frozen=True)
class TradeOff:
    """One group as a point: what it learned against what it forgot, and for how many seconds."""

    variant: str
    shots: int
    accuracy: Summary
    forgetting: Summary
    seconds: float


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of the points (gain, loss) no other beats: none has as much gain and as little loss and more of one.

    In order of loss. Equal points are all on the front.

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
