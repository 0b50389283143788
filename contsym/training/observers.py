"""Avalanche plugins that collect predictions, losses and costs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metric_results import MetricValue
from numpy.typing import NDArray

from contsym.avalanche.matrix import AccuracyMatrix
from contsym.errors import ContsymError
from contsym.models.scores import as_stored, check_scores
from contsym.results.metrics.matrix import Matrix
from contsym.results.schema_training import ExperienceCost
from contsym.training.progress import Progress
from contsym.training.trajectory import EncoderTrajectory


class NotFinite(ContsymError):
    """A training step whose loss or gradient is not finite; the step was not taken."""

    def __init__(
        self, what: str, value: float, task: str, step: int, rows: Sequence[int], is_finite: Sequence[bool]
    ) -> None:
        """`rows` number the batch's pairs through all experiences; `is_finite` is for the head's output per pair.
        Steps count from 1."""
        super().__init__(f"the {what} is {value} at step {step} on {task}")
        self.what, self.value, self.task, self.step = what, value, task, step
        self.rows, self.is_finite = list(rows), list(is_finite)


class AnswerMatrix(AccuracyMatrix):
    """The accuracy matrix, and what it is of: `predictions[row][task]`, label indices, and `scores[row][task]`, (pairs,
    labels), float16.

    Each `eval` must have all test experiences in order: one call is one row of R.
    """

    def reset(self) -> None:
        super().reset()
        self.predictions: list[list[NDArray[np.int64]]] = []
        self.scores: list[list[torch.Tensor]] = []
        self._outputs: list[torch.Tensor] = []
        self._n_only_tested = 0

    def learned(self) -> Matrix:
        n_learned = self.n_trained - self._n_only_tested
        return self.result()[: n_learned + 1, :n_learned]

    def before_eval(self, strategy) -> None:
        # Also where nothing was trained in this process: a state of the first experience is measured on other pairs.
        self.n_trained = len(self.predictions)
        self.predictions.append([])
        self.scores.append([])

    def before_eval_exp(self, strategy) -> None:
        super().before_eval_exp(strategy)
        self._outputs = []

    def after_eval_iteration(self, strategy) -> None:
        super().after_eval_iteration(strategy)
        self._outputs.append(strategy.mb_output.cpu())

    def after_eval_exp(self, strategy) -> list[MetricValue] | None:
        self.predictions[-1].append(torch.cat(self._answers).numpy())
        kind = strategy.score_kind(strategy.experience)
        scores = as_stored(torch.cat(self._outputs), kind)
        # Not before any training: the first step says more of an output that is no number, and stores it.
        if len(self.scores) > 1:
            check_scores(scores, kind)
        self.scores[-1].append(scores)
        return super().after_eval_exp(strategy)

    def repeat_row(self, *, is_learned: bool) -> None:
        """Add the last row again: nothing was trained since. The experience was learned before, or is only tested."""
        self._n_only_tested += not is_learned
        self.n_trained = len(self.predictions)
        for task, value in enumerate(self.result()[-2]):
            self.fill(self.n_trained, task, float(value))
        self.predictions.append(list(self.predictions[-1]))
        self.scores.append(list(self.scores[-1]))

    def restore(
        self,
        matrix: Sequence[Sequence[float]],
        predictions: list[list[NDArray[np.int64]]],
        scores: list[list[torch.Tensor]],
    ) -> None:
        """Put in the rows of another run of the same first experiences, measured on the same pairs."""
        self.reset()
        self.n_trained, self.predictions, self.scores = len(matrix) - 1, predictions, scores
        for row, values in enumerate(matrix):
            for task, value in enumerate(values):
                self.fill(row, task, value)


@dataclass
class TrainingLog(SupervisedPlugin):
    """The loss of every step, the cost of every experience, and the progress display.

    Must follow the add-ons in the list of plugins, to check their part of the loss too. Does not count what the trajectory
    costs. Raises NotFinite before a step with a loss or gradient that is not finite, so that the weights
    are those of the step before.
    """

    tasks: Sequence[str]
    progress: Progress
    trajectory: EncoderTrajectory
    losses: list[list[float]] = field(default_factory=list)
    costs: list[ExperienceCost] = field(default_factory=list)
    """One record per finished experience."""
    is_in_step: bool = False
    """True between a batch and its update, when a smaller batch would need less memory."""
    _started: float = 0.0
    _n_before: int = 0
    _loss: float = 0.0

    def before_training_exp(self, strategy, **kwargs) -> None:
        task = self.tasks[strategy.experience.current_experience]
        self.progress.phase(f"training on {task}", strategy.n_steps_left)
        self.begin(strategy)

    def begin(self, strategy) -> None:
        """Start to count the cost of the next experience."""
        self.losses.append([])
        self._started = time.perf_counter() - self.trajectory.seconds
        self._n_before = strategy.model.encoder.n_forwards - self.trajectory.n_forwards

    def before_training_iteration(self, strategy, **kwargs) -> None:
        self.is_in_step = True

    def before_backward(self, strategy, **kwargs) -> None:
        self._loss = float(strategy.loss.detach())
        if not math.isfinite(self._loss):
            raise self._not_finite(strategy, "loss", self._loss)

    def before_update(self, strategy, **kwargs) -> None:
        norm = float(strategy.gradient_norm)
        if not math.isfinite(norm):
            raise self._not_finite(strategy, "norm of the gradient", norm)

    def after_update(self, strategy, **kwargs) -> None:
        self.is_in_step = False

    def after_training_iteration(self, strategy, **kwargs) -> None:
        self.losses[-1].append(self._loss)
        self.progress.advance(self._loss)

    def _not_finite(self, strategy, what: str, value: float) -> NotFinite:
        rows = strategy.mb_x["row"].tolist()
        is_finite = strategy.mb_output.detach().reshape(len(rows), -1).isfinite().all(dim=1).tolist()
        task = self.tasks[strategy.experience.current_experience]
        return NotFinite(what, value, task, len(self.losses[-1]) + 1, rows, is_finite)

    def after_training_exp(self, strategy, **kwargs) -> None:
        self.end(strategy, strategy.n_pairs_seen)

    def end(self, strategy, n_pairs_seen: int) -> None:
        """Record the cost of the experience since `begin`."""
        n_forwards = strategy.model.encoder.n_forwards - self.trajectory.n_forwards
        self.costs.append(
            ExperienceCost(
                training_seconds=round(time.perf_counter() - self.trajectory.seconds - self._started, 3),
                training_steps=len(self.losses[-1]),
                pairs_seen=n_pairs_seen,
                training_forwards=n_forwards - self._n_before,
                stored_bytes_after=strategy.n_stored_bytes,
            )
        )
