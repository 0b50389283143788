"""Figures of a trajectory: the accuracy of old tasks during training, and forgetting at equal places.

A trajectory is a list of points: accuracies of the tasks, measured at some steps of each experience, the first one
before the experience (step 0). A(E_i, f_t) is the accuracy on task i after step t; experience k teaches task k.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

PART, TOTAL = 192, 1024
"""The most samples that a point measures, per task and of all tasks together."""

GROWTH = 2
"""Factor between the steps of two points."""

Place = Literal["n_steps", "n_pairs_seen", "weights_distance", "features_distance"]
"""By what two trajectories are compared."""


class Measured(Protocol):
    """A point of a trajectory, as `results.schema_training.StoredPoint`."""

    @property
    def experience(self) -> int: ...
    @property
    def n_steps(self) -> int: ...
    @property
    def n_pairs_seen(self) -> int: ...
    @property
    def n_distinct_pairs(self) -> int: ...
    @property
    def accuracies(self) -> Sequence[float | None]: ...
    @property
    def weights_distance(self) -> float | None: ...
    @property
    def features_distance(self) -> float | None: ...


Points = Sequence[Measured]


def part_size(n_tasks: int) -> int:
    """The most samples of a task that a point measures."""
    return max(16, min(PART, TOTAL // n_tasks))


def linear_cka(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F) with centred columns: 1 for features equal up to rotation and scale.

    Features that do not vary are like each other (1), and unlike others (0).
    Shapes: (pairs, features) and (pairs, other features).
    Source: Kornblith et al. 2019 (arXiv 1905.00414), equations 1 and 3 with a linear kernel.
    """
    x, y = (np.asarray(z, dtype=np.float64) - np.mean(z, axis=0, dtype=np.float64) for z in (x, y))
    # (pairs, pairs), since there are fewer pairs than features: <X X^T, Y Y^T> = ||Y^T X||_F^2.
    of_x, of_y = x @ x.T, y @ y.T
    lengths = np.linalg.norm(of_x), np.linalg.norm(of_y)
    if not all(lengths):
        return float(not any(lengths))
    return float(min(1.0, np.sum(of_x * of_y) / (lengths[0] * lengths[1])))


def pairs_to_reach(points: Points, experience: int, target: float) -> tuple[int | None, int | None]:
    """(distinct pairs, pairs seen) at the first point of the experience with an accuracy at or above the target.

    (None, None): not reached. The point before the experience does not count.
    """
    point = first_reaching(points, experience, target)
    return (point.n_distinct_pairs, point.n_pairs_seen) if point else (None, None)


def first_reaching(points: Points, experience: int, target: float) -> Measured | None:
    """The first point after a batch of the experience with an accuracy at or above the target; None: not reached."""
    return next(
        (
            point
            for point in points
            if point.experience == experience
            and point.n_pairs_seen
            and (reached := point.accuracies[experience]) is not None
            and reached >= target
        ),
        None,
    )


def least_accuracy(points: Points, task: int) -> float | None:
    """The least accuracy on a task in the experiences after its own; None: not measured there.

    min over n > |T_i| of A(E_i, f_n); the points before an experience do not count.
    Source: De Lange et al. 2023 (arXiv 2205.13452), min-ACC before its mean over tasks.
    """
    return min(_of_task([p for p in points if p.experience > task and p.n_pairs_seen], task), default=None)


def min_acc(points: Points) -> float | None:
    """min-ACC = 1 / (k - 1) * sum over i < k of the least accuracy on task i; None without an old task.

    k is the number of the last experience. Source: De Lange et al. 2023 (arXiv 2205.13452), section 3.
    """
    last = _last(points)
    least = [least_accuracy(points, task) for task in range(last)]
    found = [value for value in least if value is not None]
    return float(np.mean(found)) if found and len(found) == len(least) else None


def worst_case_accuracy(points: Points) -> float | None:
    """WC-ACC = 1 / k * A(E_k, f_end) + (1 - 1 / k) * min-ACC; None without an old task.

    Source: De Lange et al. 2023 (arXiv 2205.13452), section 3.
    """
    least, last = min_acc(points), _last(points)
    own = [p.accuracies[last] for p in points if p.experience == last]
    if least is None or own[-1] is None:
        return None
    return own[-1] / (last + 1) + (1 - 1 / (last + 1)) * least


def stability_gap(points: Points, task: int) -> float | None:
    """The part of a loss that comes back: accuracy at the end of the last experience, minus the least in it.

    0 where the accuracy is lowest at the end. The name is from De Lange et al. 2023 (arXiv 2205.13452), the number
    ours. None for the task of the last experience, and where nothing was measured.
    """
    last = _last(points)
    course = _of_task([p for p in points if p.experience == last and p.n_pairs_seen], task)
    return course[-1] - min(course) if course and task < last else None


def average_anytime_accuracy(points: Points) -> float | None:
    """AAA = mean over all steps t of 1 / k * sum over i <= k of A(E_i, f_t), k the experience of step t.

    Between two points the accuracies are interpolated linearly, so that the dense first steps do not count more.
    None without a trained step.
    Source: Caccia et al. 2022 (arXiv 2104.05025), section 5, as De Lange et al. 2023 (arXiv 2205.13452) use it.
    """
    over_steps = []
    for experience in sorted({p.experience for p in points}):
        # Later tasks may be measured or not: they do not count yet.
        so_far = [(p.n_steps, p.accuracies[: experience + 1]) for p in points if p.experience == experience]
        whole = [(n, [a for a in each if a is not None]) for n, each in so_far if None not in each]
        if not whole:
            continue
        n, means = zip(*((n, np.mean(each)) for n, each in whole), strict=True)
        over_steps += np.interp(np.arange(1, n[-1] + 1), n, means).tolist()
    return float(np.mean(over_steps)) if over_steps else None


def forgetting_at_target(points: Points, experience: int, task: int, target: float) -> float | None:
    """Accuracy on an old task before the experience, minus that at the first point that reaches the target.

    Where only the present task was measured there, the old one's accuracy is interpolated over steps. None: not reached.
    """
    point = first_reaching(points, experience, target)
    return None if point is None else forgetting_at(points, experience, task, "n_steps", point.n_steps)


def forgetting_at(points: Points, experience: int, task: int, by: Place, at: float) -> float | None:
    """Accuracy on an old task before the experience, minus that where the experience comes to `at` first.

    `by` is what is counted: steps, pairs seen or a distance from the start of the experience. Between two points the
    accuracy is interpolated linearly. None: never so far, or not measured.
    """
    course = [
        (float(place), accuracy)
        for p in points
        if p.experience == experience
        and (place := getattr(p, by)) is not None
        and (accuracy := p.accuracies[task]) is not None
    ]
    accuracy_there = _first_at(course, at)
    return None if accuracy_there is None else course[0][1] - accuracy_there


def distance_at(points: Points, experience: int, n_steps: float) -> float | None:
    """The distance of the weights from the start of the experience after so many steps, interpolated between points.

    None: fewer steps, or not measured.
    """
    course = [
        (float(p.n_steps), p.weights_distance)
        for p in points
        if p.experience == experience and p.weights_distance is not None
    ]
    return _first_at(course, n_steps)


def _first_at(course: Sequence[tuple[float, float]], at: float) -> float | None:
    """y where x comes to `at` first, of points (x, y) that lines join; None: never so far."""
    for (x0, y0), (x1, y1) in pairwise([*course[:1], *course]):
        if x1 >= at:
            share = (at - x0) / (x1 - x0) if at > x0 else 0.0
            return y0 + share * (y1 - y0)
    return None


def _of_task(points: Points, task: int) -> list[float]:
    """The accuracies on a task where it was measured."""
    return [accuracy for p in points if (accuracy := p.accuracies[task]) is not None]


def _last(points: Points) -> int:
    """The last experience that was measured; -1 without points."""
    return max((p.experience for p in points), default=-1)
