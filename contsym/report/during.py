"""What is forgotten of earlier tasks while the last experience is trained on, at equal places of all methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from contsym.report.collect import Collected
from contsym.results.metrics.stats import Summary, summarise_values
from contsym.results.metrics.trajectory import (
    Place,
    distance_at,
    first_reaching,
    forgetting_at,
    forgetting_at_target,
)
from contsym.results.schema import SeedResult
from contsym.results.schema_training import StoredPoint


@dataclass(frozen=True)
class Reached:
    """A figure of those seeds of a group that came to a place."""

    summary: Summary | None
    """None: no seed did."""
    n_seeds: int
    """Of the group."""

    @property
    def note(self) -> str:
        """How many seeds came there; empty if all did."""
        n = self.summary.n if self.summary else 0
        return "" if n == self.n_seeds else f"reached in {n} of {self.n_seeds} seeds"

    def is_below(self, other: Reached) -> bool:
        """Whether the interval lies below the other's; without intervals it does not."""
        a, b = self.summary, other.summary
        return a is not None and b is not None and None not in (a.high, b.low) and a.high < b.low  # type: ignore[operator]


@dataclass(frozen=True)
class Places:
    """The places at which the methods are compared: the least final value of any that moves; None: none does."""

    n_steps: int | None
    weights_distance: float | None
    features_distance: float | None


@dataclass(frozen=True)
class During:
    """A group's figures of an earlier task in the last experience."""

    variant: str
    shots: int
    places: Places
    takes_steps: bool
    before: Summary
    """Accuracy before the experience."""
    min_acc: Summary | None
    worst_case_accuracy: Summary | None
    stability_gap: Summary | None
    average_anytime_accuracy: Summary | None
    at_target: Reached
    """Forgetting, as the next three."""
    at_steps: Reached
    at_weights: Reached
    at_features: Reached
    steps_to_target: Reached
    weights_at_steps: Reached
    """Distance of the weights at the equal number of steps."""
    relearned: Reached | None
    """Pairs until the accuracy was back; None where it was not tried."""


def has_course(result: SeedResult, task: str) -> bool:
    """Whether an earlier task was measured before and while the last experience was trained on."""
    j = result.tasks.index(task)
    return len([p for p in last_points(result) if p.accuracies[j] is not None]) > 1


def measured_tasks(collected: Collected) -> list[str]:
    """The earlier tasks with a trajectory in any result."""
    return [t for t in collected.earlier_tasks if any(has_course(r, t) for r in collected.results)]


def last_points(result: SeedResult) -> list[StoredPoint]:
    """The points of the last experience."""
    return [point for point in result.trajectory if point.experience == len(result.trained_tasks) - 1]


def equal_places(results: Iterable[SeedResult]) -> Places:
    """The least final number of steps and the least final distances among results whose method moves."""
    ends = [points[-1] for result in results if (points := last_points(result))]

    def least(values: Iterable[float | None]) -> float | None:
        return min((value for value in values if value), default=None)

    n_steps = least(end.n_steps for end in ends)
    return Places(
        None if n_steps is None else int(n_steps),
        least(end.weights_distance for end in ends),
        least(end.features_distance for end in ends),
    )


def during(collected: Collected, target: float) -> dict[str, list[During]]:
    """By earlier task, the figures of every group whose seeds all have a trajectory."""
    found: dict[str, list[During]] = {}
    for task in measured_tasks(collected):
        for shots in collected.shots:
            places = equal_places(r for v in collected.variants for r in collected.group(v, shots))
            for variant in collected.variants:
                results = collected.group(variant, shots)
                if results and all(has_course(result, task) for result in results):
                    found.setdefault(task, []).append(
                        _of_group(variant, shots, results, task, places, target)
                    )
    return {
        task: sorted(rows, key=lambda row: collected.variants.index(row.variant))
        for task, rows in found.items()
    }


def _of_group(
    variant: str, shots: int, results: Sequence[SeedResult], task: str, places: Places, target: float
) -> During:
    j, last = results[0].tasks.index(task), len(results[0].trained_tasks) - 1

    def reached(figure: Callable[[SeedResult], float | None]) -> Reached:
        values = [value for result in results if (value := figure(result)) is not None]
        return Reached(summarise_values(values) if values else None, len(results))

    def of_all(figure: Callable[[SeedResult], float | None]) -> Summary | None:
        found = reached(figure)
        return None if found.note else found.summary

    def forgotten(by: Place, at: float | None) -> Reached:
        return reached(lambda r: None if at is None else forgetting_at(r.trajectory, last, j, by, at))

    def steps_to_target(result: SeedResult) -> float | None:
        point = first_reaching(result.trajectory, last, target)
        return point.n_steps if point else None

    def weights_at_steps(result: SeedResult) -> float | None:
        return None if places.n_steps is None else distance_at(result.trajectory, last, places.n_steps)

    before = of_all(lambda r: next(a for p in last_points(r) if (a := p.accuracies[j]) is not None))
    assert before is not None, "every seed has a trajectory"
    is_relearned = j == 0 and all(result.relearning for result in results)
    return During(
        variant,
        shots,
        places,
        takes_steps=any(last_points(result)[-1].n_steps for result in results),
        before=before,
        min_acc=of_all(lambda r: r.trajectory_figures.min_acc),
        worst_case_accuracy=of_all(lambda r: r.trajectory_figures.worst_case_accuracy),
        stability_gap=of_all(lambda r: r.trajectory_figures.stability_gap.get(task)),
        average_anytime_accuracy=of_all(lambda r: r.trajectory_figures.average_anytime_accuracy),
        at_target=reached(lambda r: forgetting_at_target(r.trajectory, last, j, target)),
        at_steps=forgotten("n_steps", places.n_steps),
        at_weights=forgotten("weights_distance", places.weights_distance),
        at_features=forgotten("features_distance", places.features_distance),
        steps_to_target=reached(steps_to_target),
        weights_at_steps=reached(weights_at_steps),
        relearned=reached(lambda r: r.relearning.n_pairs if r.relearning else None) if is_relearned else None,
    )
