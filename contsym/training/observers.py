"""Avalanche plugins that collect predictions, learning curves and costs."""

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
from datasets import Dataset
from numpy.typing import NDArray

from contsym.errors import ContsymError
from contsym.models.scores import as_stored, check_scores
from contsym.results.metrics.matrix import accuracy
from contsym.results.schema import ExperienceCost
from contsym.training.progress import Progress


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


PAST_LIMIT = 512
"""The most pairs of earlier experiences in a memory while the curve is measured: encoding all of them at every point
took a third of a run."""


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


@dataclass(frozen=True)
class CurvePoint:
    """The accuracy of a strategy if its training stopped here."""

    experience: int
    n_steps: int
    n_pairs_seen: int
    n_distinct_pairs: int
    accuracy: float


class SampleEfficiency(SupervisedPlugin):
    """Accuracy on a fixed part of the present task's test set, at doubling counts of pairs seen.

    A strategy that stores pairs votes with those of this experience seen so far, and with at most PAST_LIMIT of
    earlier experiences; at the last point with all. The random state is forked and the seconds are counted
    separately, so training is the same with and without this plugin.
    """

    def __init__(self, evaluation_parts: Sequence[Dataset]) -> None:
        super().__init__()
        self.parts = [(part, torch.tensor(part["label"][:]).numpy()) for part in evaluation_parts]
        self.points: list[CurvePoint] = []
        self.seconds = 0.0
        self.n_forwards = 0
        """Texts encoded for the curve."""
        self._next = 1

    def before_training_exp(self, strategy, **kwargs) -> None:
        self._next = 1

    def after_training_iteration(self, strategy, **kwargs) -> None:
        if strategy.n_pairs_seen >= self._next and strategy.n_steps_left > 0:
            self._next = 2 * strategy.n_pairs_seen
            self._measure(strategy, len(strategy.seen_rows), PAST_LIMIT)

    def after_training_exp(self, strategy, **kwargs) -> None:
        # After an experience a memory has all its pairs, trained on or not.
        method = strategy.strategy
        n_distinct = len(method.past[-1]) if method.memory else len(strategy.seen_rows)
        if strategy.n_pairs_seen:
            self._measure(strategy, n_distinct)

    def _measure(self, strategy, n_distinct: int, past_limit: int | None = None) -> None:
        started, n_before = time.perf_counter(), strategy.model.encoder.n_forwards
        experience = strategy.experience.current_experience
        part, labels = self.parts[experience]
        with torch.random.fork_rng():
            strategy.refresh(past_limit)
            predicted = strategy.strategy.score(part).argmax(dim=1).numpy()
        n_steps = strategy.clock.train_exp_iterations + (strategy.n_steps_left > 0)
        self.points.append(
            CurvePoint(experience, n_steps, strategy.n_pairs_seen, n_distinct, accuracy(predicted, labels))
        )
        self.seconds += time.perf_counter() - started
        self.n_forwards += strategy.model.encoder.n_forwards - n_before


@dataclass
class TrainingLog(SupervisedPlugin):
    """The loss of every step, the cost of every experience, and the progress display.

    Must follow the curve in the list of plugins, to subtract the curve's cost, and the add-ons, to check their part
    of the loss too. Raises NotFinite before a step with a loss or gradient that is not finite, so that the weights
    are those of the step before.
    """

    tasks: Sequence[str]
    progress: Progress
    curve: SampleEfficiency
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
        self._started = time.perf_counter() - self.curve.seconds
        self._n_before = strategy.model.encoder.n_forwards - self.curve.n_forwards

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
        n_forwards = strategy.model.encoder.n_forwards - self.curve.n_forwards
        self.costs.append(
            ExperienceCost(
                training_seconds=round(time.perf_counter() - self.curve.seconds - self._started, 3),
                training_steps=len(self.losses[-1]),
                pairs_seen=n_pairs_seen,
                training_forwards=n_forwards - self._n_before,
                stored_bytes_after=strategy.n_stored_bytes,
            )
        )
