"""Avalanche plugins that collect predictions, losses and costs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from numpy.typing import NDArray

from contsym.errors import ContsymError
from contsym.models.scores import as_stored, check_scores
from contsym.results.metrics.matrix import accuracy
from contsym.results.schema_training import ExperienceCost
from contsym.training.progress import Progress
from contsym.training.trajectory import Trajectory


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


class AccuracyMatrix(PluginMetric[float]):
    """Collects what every evaluation answers: `predictions[row][task]`, label indices, and `scores[row][task]`, (pairs,
    labels), float16.

    Each `eval` must have all test experiences in order: one call is one row of R. Emits each experience's accuracy
    under `Accuracy_Exp/ExpNNN` for Avalanche's loggers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.predictions: list[list[NDArray[np.int64]]] = []
        self.scores: list[list[torch.Tensor]] = []
        self._batches: list[torch.Tensor] = []
        self._scores: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def before_eval(self, strategy) -> None:
        self.predictions.append([])
        self.scores.append([])

    def before_eval_exp(self, strategy) -> None:
        self.reset()

    def after_eval_iteration(self, strategy) -> None:
        self._batches.append(strategy.mb_output.argmax(dim=1).cpu())
        self._scores.append(strategy.mb_output.cpu())
        self._targets.append(strategy.mb_y.cpu())

    def after_eval_exp(self, strategy) -> list[MetricValue]:
        self.predictions[-1].append(torch.cat(self._batches).numpy())
        kind = strategy.score_kind(strategy.experience)
        scores = as_stored(torch.cat(self._scores), kind)
        # Not before any training: the first step says more of an output that is no number, and stores it.
        if len(self.scores) > 1:
            check_scores(scores, kind)
        self.scores[-1].append(scores)
        name = f"Accuracy_Exp/Exp{strategy.experience.current_experience:03d}"
        return [MetricValue(self, name, self.result(), strategy.clock.train_iterations)]

    def result(self) -> float:
        predicted, targets = torch.cat(self._batches), torch.cat(self._targets)
        return accuracy(predicted.numpy(), targets.numpy())

    def reset(self) -> None:
        self._batches, self._scores, self._targets = [], [], []

    def repeat_row(self) -> None:
        """Add the last row again: nothing was trained since."""
        self.predictions.append(list(self.predictions[-1]))
        self.scores.append(list(self.scores[-1]))

    def __str__(self) -> str:
        return "AccuracyMatrix"


@dataclass
class TrainingLog(SupervisedPlugin):
    """The loss of every step, the cost of every experience, and the progress display.

    Must follow the trajectory in the list of plugins, to subtract its cost, and the add-ons, to check their part of
    the loss too. Raises NotFinite before a step with a loss or gradient that is not finite, so that the weights
    are those of the step before.
    """

    tasks: Sequence[str]
    progress: Progress
    trajectory: Trajectory
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
