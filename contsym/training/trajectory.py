"""Accuracy of every task while a strategy trains, and how far its encoder has moved since the experience began."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from contsym.avalanche.trajectory import Point, Trajectory
from contsym.data.joining import texts_of
from contsym.models.encoders.pooled import gives_vectors
from contsym.models.pair_model import evaluating, trained_weights
from contsym.results.metrics.matrix import accuracy
from contsym.results.metrics.trajectory import first_reaching, linear_cka
from contsym.training.parts import FIRST_SCORED

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.strategies.base import Strategy


PAST_LIMIT = 512
"""The most pairs of earlier experiences in a memory at a point: encoding all of them at every point took a third of
a run."""


class EncoderTrajectory(Trajectory):
    """The trajectory of a Strategy: a fixed part of each task's validation pairs, all tasks at each point.

    With `is_whole`, all tasks are measured before an experience, at growing steps, and at its end. With
    `at_every_batch` the present task is measured after every batch too. With `until`, training on an experience stops
    at the first batch whose accuracy on the present task reaches it. Then most batches have no point: pairs are scored,
    those that were wrong last time first, until too many are wrong for `until` and for `target`, where that is lower.
    The answer is that of scoring all pairs after every batch.

    A strategy that stores pairs votes with those of this experience seen so far, and with at most PAST_LIMIT of
    earlier experiences. At a point each text is encoded once, and such texts are counted separately.
    """

    def __init__(
        self,
        parts: Sequence[Dataset],
        *,
        is_whole: bool,
        at_every_batch: Sequence[bool],
        until: float | None = None,
        target: float | None = None,
    ) -> None:
        super().__init__([], at_every_batch=at_every_batch)
        self.parts = [(texts_of(part), np.asarray(part["label"][:])) for part in parts]
        self.is_whole, self.until, self.target = is_whole, until, target
        self.n_forwards = 0
        """Texts encoded for the trajectory."""
        self._order: list[int] = []
        """The measured pairs of the present task, those that were wrong last time first."""
        self._weights: dict[str, Tensor] = {}
        self._features: list[Tensor] | None = None

    def start(self, strategy, experience: int) -> None:
        """Measure before an experience, and remember from where the encoder starts."""
        self._next = 1
        if not self.is_whole:
            return
        with self.counted(strategy):
            self._weights = {
                n: p.detach().clone() for n, p in trained_weights(strategy.model.encoder).items()
            }
            self._features = None
            self.measure(strategy, experience, (0, 0, 0), all_tasks=True)

    def before_training_exp(self, strategy) -> None:
        self._order = list(range(len(self.parts[strategy.experience.current_experience][1])))
        # `start` has measured. A method may have added weights since, such as an adapter.
        if self.is_whole:
            for name, weight in trained_weights(strategy.model.encoder).items():
                self._weights.setdefault(name, weight.detach().clone())

    def after_training_iteration(self, strategy) -> None:
        if strategy.n_steps_left > 0 and self.has_reached(strategy):
            strategy.stop_here()

    def has_reached(self, strategy) -> bool:
        """Measure what is due after a batch; whether the present task has reached `until`."""
        point = self.after_batch(strategy, strategy.n_batches)
        if point is None or self.until is None:
            return False
        reached = point.accuracies[point.experience]
        return reached is not None and reached >= self.until

    def after_training_exp(self, strategy) -> None:
        experience, method = strategy.experience.current_experience, strategy.strategy
        is_on = self.is_whole or self.until is not None or any(self.at_every_batch)
        if not strategy.n_batches or not is_on:
            return
        # After an experience a memory has all its pairs, trained on or not.
        n_distinct = len(method.past[-1]) if method.memory else len(strategy.seen_rows)
        so_far = strategy.n_steps, strategy.n_pairs_seen, n_distinct
        # Around both: what the first has encoded the second has not to.
        with self.counted(strategy):
            with present_apart(method) as past_limit:
                self.measure(strategy, experience, so_far, all_tasks=self.is_whole, past_limit=past_limit)
            if past_limit is not None:
                # The point's memory may have fewer earlier pairs than the one that predicts. That one is encoded here, so
                # that the evaluation does not count it.
                strategy.refresh()

    def measures(self, experience: int, n_batches: int) -> bool:
        """Whether something is measured after so many batches of an experience."""
        is_whole = self.is_whole and n_batches >= self._next
        return self.until is not None or is_whole or self.at_every_batch[experience]

    def after_batch(self, strategy, n_batches: int) -> Point | None:
        experience = strategy.experience.current_experience
        is_measured, is_due = self.measures(experience, n_batches), self.is_due(n_batches)
        all_tasks = is_due and self.is_whole
        if not is_measured:
            return None
        # Around both: what the first has encoded the second has not to.
        with self.counted(strategy), strategy.as_if_ended():
            if self.until is not None and not (is_due or self.may_reach(strategy, experience)):
                return None
            return self.measure(strategy, experience, self.so_far(strategy), all_tasks=all_tasks)

    def may_reach(self, strategy, experience: int) -> bool:
        """False once too many pairs are wrong for the lowest accuracy that has not been reached."""
        bar = min(
            each
            for each in (self.until, self.target)
            if each is not None and first_reaching(self.points, experience, each) is None
        )
        pairs, labels = self.parts[experience]
        strategy.refresh(PAST_LIMIT)
        n, first, wrong = len(labels), 0, list[int]()
        while first < n:
            # Each part is as large as all before it.
            rows = self._order[first : max(FIRST_SCORED, 2 * first)]
            answers = self._scores(strategy, experience, pairs.select(rows)).argmax(dim=1).numpy()
            wrong += np.asarray(rows)[answers != labels[rows]].tolist()
            if (n - len(wrong)) / n < bar:
                self._order = list(dict.fromkeys([*wrong, *self._order]))
                return False
            first += len(rows)
        return True

    def so_far(self, strategy) -> tuple[int, int, int]:
        return strategy.n_steps, strategy.n_pairs_seen, len(strategy.seen_rows)

    def tasks(self, experience: int) -> Sequence[int]:
        return range(len(self.parts))

    def measure(
        self,
        strategy,
        experience: int,
        so_far: tuple[int, int, int],
        *,
        all_tasks: bool,
        past_limit: int | None = PAST_LIMIT,
    ) -> Point:
        with self.counted(strategy):
            strategy.refresh(past_limit)
            return super().measure(strategy, experience, so_far, all_tasks=all_tasks)

    def accuracies(self, strategy, tasks: Sequence[int]) -> list[float]:
        return [self._accuracy(strategy, task) for task in tasks]

    def distances(self, strategy, *, all_tasks: bool) -> tuple[float | None, float | None]:
        """The distance of weights and of features from the start of the experience."""
        return self._moved(strategy) if all_tasks else (None, None)

    def at_end(self, strategy) -> list[float]:
        """Accuracy on the measured part of each task's validation pairs, by the strategy as it is."""
        # An experience whose pairs are only stored has no point of its own.
        is_measured = self.is_whole and self.points and strategy.n_batches
        if strategy.strategy.thins and sum(map(len, strategy.strategy.past[:-1])) > PAST_LIMIT:
            is_measured = False
        last = self.points[-1].accuracies if is_measured else []
        accuracies = [each for each in last if each is not None]
        if len(accuracies) == len(self.parts):
            return accuracies
        with self.counted(strategy):
            strategy.refresh()
            return [self._accuracy(strategy, task) for task in range(len(self.parts))]

    def limited_accuracy(self, strategy, task: int) -> float:
        """Accuracy on the measured part of a task, with at most PAST_LIMIT pairs of earlier experiences in a memory."""
        with self.counted(strategy):
            strategy.refresh(PAST_LIMIT)
            return self._accuracy(strategy, task)

    @contextmanager
    def counted(self, strategy) -> Iterator[None]:
        """Inside, seconds and texts are the trajectory's, the random state is a fork, and the model is in evaluation mode,
        whatever a method scores by; one may hold others."""
        if self._is_counting:
            yield
            return
        encoder = strategy.model.encoder
        n_before = encoder.n_forwards
        with super().counted(strategy), encoder.remembering(), evaluating(strategy.model):
            yield
        self.n_forwards += encoder.n_forwards - n_before

    def _accuracy(self, strategy, task: int) -> float:
        part, labels = self.parts[task]
        return accuracy(self._scores(strategy, task, part).argmax(dim=1).numpy(), labels)

    def _scores(self, strategy, task: int, part: Dataset) -> Tensor:
        is_known = task == 0 and strategy.model.known_head is not None
        scores = (strategy.strategy.known_scores if is_known else strategy.strategy.score)(part)
        return strategy.masked(scores, task)

    def _moved(self, strategy) -> tuple[float, float | None]:
        """The distance of weights and of features from the start of the experience."""
        encoder = strategy.model.encoder
        weights = trained_weights(encoder)
        if not weights:
            # A frozen encoder gives the same features.
            return 0.0, 0.0 if gives_vectors(encoder) else None
        distance = relative_distance(weights, self._weights)
        if not gives_vectors(encoder):
            return distance, None
        features = [strategy.strategy.features(part) for part, _ in self.parts]
        if self._features is None:
            self._features = features
            return distance, 0.0
        similar = [linear_cka(x.numpy(), y.numpy()) for x, y in zip(self._features, features, strict=True)]
        return distance, 1 - float(np.mean(similar))


@contextmanager
def present_apart(method: Strategy) -> Iterator[int | None]:
    """Inside, after an experience, its pairs are the present ones, as they were while it was trained.

    Gives the limit of earlier pairs: a point at the end has those that the points before it have, so that they can be
    subtracted.
    """
    if not method.thins or len(method.past) < 2:
        yield None
        return
    method.current = method.past.pop()
    try:
        yield PAST_LIMIT
    finally:
        method.past.append(method.current)
        method.current = None


def relative_distance(weights: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> float:
    """||w - w0|| / ||w0|| over all weights together; 0 where w0 is missing or zero."""
    both = [(weight.detach(), start[name]) for name, weight in weights.items() if name in start]
    moved = math.hypot(*(float(torch.linalg.vector_norm(w - w0)) for w, w0 in both))
    length = math.hypot(*(float(torch.linalg.vector_norm(w0)) for _, w0 in both))
    return moved / length if length else 0.0
