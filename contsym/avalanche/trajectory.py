"""Accuracy of the tasks seen so far while a strategy trains, measured without an effect on the training."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks import CLExperience
from avalanche.benchmarks.utils.data_loader import ReplayDataLoader
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue

from contsym.avalanche.experiences import answers, name_of, origin_of, task_of
from contsym.errors import ContsymError
from contsym.results.metrics.matrix import accuracy
from contsym.results.metrics.trajectory import GROWTH, part_size


@dataclass(frozen=True)
class Point:
    """What a strategy would score if its training stopped here, as `results.schema_training.StoredPoint` stores it.

    A pair is a sample, whatever the benchmark is of.
    """

    experience: int
    n_steps: int
    """Gradient steps of the experience so far; 0: before its first one."""
    n_pairs_seen: int
    n_distinct_pairs: int
    accuracies: list[float | None]
    """By task; None: not measured here."""
    weights_distance: float | None = None
    features_distance: float | None = None


class Trajectory(PluginMetric[list[Point]]):
    """Measures the tasks seen so far before an experience, after 1, 2, 4, 8, ... of its batches, and at its end.

    `experiences` are those to measure on, in the order of the tasks: a test stream, or a validation stream if anything
    is chosen by the figures. At most `n_samples` of each are measured, the same ones each time (default: 192, fewer
    from six tasks on). With `at_every_batch` the present task is measured after every batch too, which
    SampleEfficiency needs to be exact. The parts that an online stream makes of an experience count as one experience.
    Samples that a replay plugin adds to a batch count as seen, and not as distinct ones.

    The samples go through the strategy's own `forward` in evaluation mode; Avalanche's evaluation is not used, and no
    other plugin is called. The random state of torch, NumPy and Python is forked, because each DataLoader draws from
    it: an evaluation by `eval_every=` changes the training after it, a point does not. `seconds` is the time spent.

    `result()` is the list of points. `contsym.results.metrics.trajectory` has the figures over them: min-ACC and worst-case
    accuracy (De Lange et al. 2023, arXiv 2205.13452, section 3), average anytime accuracy (Caccia et al. 2022, arXiv
    2104.05025, section 5).

    Emits `trajectory/Exp001/accuracy/Exp000`, the accuracy on experience 0 while experience 1 is trained on, at x =
    samples seen in the experience. Raises ContsymError where a task has no experience to be measured on.

    >>> from contsym.avalanche import Trajectory
    >>> trajectory = Trajectory([])            # Trajectory(benchmark.test_stream)
    >>> trajectory.result()
    []
    """

    def __init__(
        self,
        experiences: Sequence[CLExperience],
        *,
        at_every_batch: bool | Sequence[bool] = False,
        n_samples: int | None = None,
    ) -> None:
        super().__init__()
        experiences = list(experiences)
        if (given := [task_of(experience) for experience in experiences]) != list(range(len(experiences))):
            raise ContsymError(f"Trajectory: got the experiences {given}; expected those from 0 on, in order")
        n = part_size(max(1, len(experiences))) if n_samples is None else n_samples
        self.parts: Sequence[Any] = [part_of(experience, n) for experience in experiences]
        is_every = [at_every_batch] * len(experiences) if isinstance(at_every_batch, bool) else at_every_batch
        self.at_every_batch = list(is_every)
        self.reset()

    def reset(self) -> None:
        """Drop the points."""
        self.points: list[Point] = []
        self.seconds = 0.0
        self._experience: int | None = None
        self._n_parts = self._n_batches = self._n_seen = self._n_own = 0
        self._next = 1
        self._is_counting = False

    def result(self) -> list[Point]:
        """The points so far."""
        return self.points

    # -- When: Avalanche calls these. --

    def before_training_exp(self, strategy) -> list[MetricValue] | None:
        task = task_of(strategy.experience)
        self._n_parts += 1
        if task == self._experience:
            return None  # the next part of an online experience
        if task >= len(self.parts):
            raise ContsymError(
                f"Trajectory: experience {task} is trained on, and there are {len(self.parts)} experiences to measure on; "
                "expected one for each"
            )
        self._experience, self._n_parts, self._next = task, 1, 1
        self._n_batches = self._n_seen = self._n_own = 0
        return self._values(self.measure(strategy, task, (0, 0, 0), all_tasks=True))

    def after_training_iteration(self, strategy) -> list[MetricValue] | None:
        self._n_batches += 1
        self._n_seen += len(strategy.mb_y)
        self._n_own += n_own(strategy)
        point = self.after_batch(strategy, self._n_batches)
        return self._values(point) if point else None

    def after_training_exp(self, strategy) -> list[MetricValue] | None:
        # Avalanche's `is_last_subexp` is never true where the parts are of equal size.
        if not self._n_batches or self._n_parts < getattr(strategy.experience, "sub_stream_length", 1):
            return None
        task = task_of(strategy.experience)
        return self._values(self.measure(strategy, task, self.so_far(strategy), all_tasks=True))

    def _values(self, point: Point) -> list[MetricValue]:
        key = f"trajectory/{name_of(point.experience)}/accuracy"
        return [
            MetricValue(self, f"{key}/{name_of(task)}", value, point.n_pairs_seen)
            for task, value in enumerate(point.accuracies)
            if value is not None
        ]

    # -- What: contsym's own runs replace some of these. --

    def after_batch(self, strategy, n_batches: int) -> Point | None:
        """Measure what is due after so many batches of an experience."""
        is_due = self.is_due(n_batches)
        task = task_of(strategy.experience)
        if not (is_due or self.at_every_batch[task]):
            return None
        return self.measure(strategy, task, self.so_far(strategy), all_tasks=is_due)

    def is_due(self, n_batches: int) -> bool:
        """Whether all tasks are measured after so many batches; asked once for each batch."""
        is_due = n_batches >= self._next
        if is_due:
            self._next = GROWTH * n_batches
        return is_due

    def so_far(self, strategy) -> tuple[int, int, int]:
        """Steps, samples seen and distinct samples of the present experience."""
        n_samples = len(origin_of(strategy.experience).dataset)
        # A loader gives each of the experience's samples once before it gives any again.
        return self._n_batches, self._n_seen, min(self._n_own, n_samples)

    def tasks(self, experience: int) -> Sequence[int]:
        """The tasks that are measured during an experience where all are."""
        return range(experience + 1)

    def measure(self, strategy, experience: int, so_far: tuple[int, int, int], *, all_tasks: bool) -> Point:
        """Add a point: all tasks, or the experience's own alone."""
        tasks = self.tasks(experience) if all_tasks else [experience]
        with self.counted(strategy):
            found = dict(zip(tasks, self.accuracies(strategy, tasks), strict=True))
            accuracies = [found.get(task) for task in range(len(self.parts))]
            distances = self.distances(strategy, all_tasks=all_tasks)
        self.points.append(Point(experience, *so_far, accuracies, *distances))
        return self.points[-1]

    def accuracies(self, strategy, tasks: Sequence[int]) -> list[float]:
        """The accuracy on the measured samples of each of these tasks."""
        with evaluating(strategy):
            return [accuracy_on(strategy, self.parts[task]) for task in tasks]

    def distances(self, strategy, *, all_tasks: bool) -> tuple[float | None, float | None]:
        """How far weights and features are from the start of the experience; not measured here."""
        return None, None

    @contextmanager
    def counted(self, strategy) -> Iterator[None]:
        """Inside, the seconds are the trajectory's, and the random state is a fork; one may hold others."""
        if self._is_counting:
            yield
            return
        started, self._is_counting = time.perf_counter(), True
        try:
            with forked_random_state(strategy.device):
                yield
        finally:
            self._is_counting = False
            self.seconds += time.perf_counter() - started

    def __str__(self) -> str:
        return "Trajectory"


def n_own(strategy: Any) -> int:
    """The samples of the present batch that are of the present experience: what is replayed comes on top of these.

    In the last batch of an epoch they may be fewer.
    """
    loader = strategy.dataloader
    n = loader.batch_sizes[0] if isinstance(loader, ReplayDataLoader) else strategy.train_mb_size
    return min(len(strategy.mb_y), n)


def part_of(experience: CLExperience, n: int) -> CLExperience:
    """The experience with at most n of its samples, drawn by a fixed seed, or as it is where it has no more.

    Raises ContsymError where that is none.
    """
    dataset = experience.dataset
    if min(n, len(dataset)) < 1:
        raise ContsymError(
            f"Trajectory: {n} of the {len(dataset)} samples of experience {task_of(experience)} are to be measured; "
            "expected at least 1"
        )
    if len(dataset) <= n:
        return experience
    drawn = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:n]
    part = copy.copy(experience)
    part._dataset = dataset.subset(sorted(drawn.tolist()))
    return part


@contextmanager
def evaluating(strategy: Any) -> Iterator[None]:
    """Inside, the strategy and its model are in evaluation mode; all that a batch leaves is put back afterwards."""
    state = strategy._save_train_state()
    batch, output = strategy.mbatch, strategy.mb_output
    strategy.is_training = False
    strategy.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        strategy._load_train_state(state)
        strategy.mbatch, strategy.mb_output = batch, output


def accuracy_on(strategy: Any, experience: CLExperience) -> float:
    """The accuracy on an experience's samples by the strategy's own forward pass; inside `evaluating`.

    The model is not adapted to the experience, which would let it grow: it was when the experience was trained on.
    """
    strategy.experience = experience
    strategy.eval_dataset_adaptation()
    strategy.make_eval_dataloader()
    predicted, labels = [], []
    for batch in strategy.dataloader:
        strategy.mbatch = batch
        strategy._unpack_minibatch()
        strategy.mb_output = strategy.forward()
        predicted.append(answers(strategy.mb_output).cpu())
        labels.append(strategy.mb_y.cpu())
    return accuracy(torch.cat(predicted).numpy(), torch.cat(labels).numpy())


@contextmanager
def forked_random_state(device: torch.device) -> Iterator[None]:
    """Afterwards the random state of torch, NumPy and Python is as before."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
