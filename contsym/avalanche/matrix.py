"""The accuracy matrix R of a strategy, filled by its evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue

from contsym.avalanche.experiences import answers, name_of, task_of
from contsym.errors import ContsymError
from contsym.results.metrics.matrix import MATRIX_FIGURES, Matrix, accuracy, final_macro


class AccuracyMatrix(PluginMetric[Matrix]):
    """R[i, j], the accuracy after training on i experiences on the test part of experience j; row 0: before any training.

    The matrix of Lopez-Paz and Ranzato 2017 (GEM), section 3, with a row 0. `result()` gives it with shape
    (experiences trained on + 1, experiences), NaN where nothing was evaluated. Each `strategy.eval` fills entries of the row
    of the last finished experience. Evaluations of other streams than `stream`, and those in the middle of an
    experience (`eval_every=`), fill none.

    Emits for Avalanche's loggers, at x = row of R:

    - `accuracy/Exp000`, ...: the entries of the row.
    - `accuracy_macro`: their mean over the tasks learned so far, so a small task counts as much as a large one.
    - `bwt` and `fwt`: backward and forward transfer over the tasks learned so far (results/metrics/matrix.py has the
      equations). `fwt` needs an evaluation before training.

    Experiences must be trained on in the order of their stream, none left out, else ContsymError is raised before the
    training.

    >>> from contsym.avalanche import AccuracyMatrix
    >>> matrix = AccuracyMatrix()              # EvaluationPlugin(matrix, loggers=[...]) fills it; here by hand
    >>> matrix.fill(0, 0, 0.5)
    >>> matrix.result()
    array([[0.5]])
    """

    def __init__(self, stream: str = "test") -> None:
        super().__init__()
        self.stream = stream
        self.reset()

    def reset(self) -> None:
        """Drop the matrix."""
        self.n_trained = 0
        """Experiences that were trained on: the row that an evaluation fills."""
        self._is_in_experience = False
        self._accuracies: list[dict[int, float]] = []
        self._answers: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []

    def result(self) -> Matrix:
        """R as far as it is known."""
        tasks = {task for row in self._accuracies for task in row}
        matrix = np.full((self.n_trained + 1, max([self.n_trained - 1, *tasks]) + 1), np.nan)
        for i, row in enumerate(self._accuracies[: self.n_trained + 1]):
            for task, value in row.items():
                matrix[i, task] = value
        return matrix

    def learned(self) -> Matrix:
        """R of the experiences trained on alone, (experiences + 1, experiences)."""
        return self.result()[:, : self.n_trained]

    def is_row(self, strategy: Any) -> bool:
        """Whether the strategy's present evaluation fills entries of R."""
        experience = strategy.experience
        is_of_stream = experience is None or experience.origin_stream.name == self.stream
        return is_of_stream and not self._is_in_experience

    def fill(self, row: int, task: int, value: float) -> None:
        """Enter an accuracy."""
        while len(self._accuracies) <= row:
            self._accuracies.append({})
        self._accuracies[row][task] = value

    def before_training_exp(self, strategy) -> None:
        task = task_of(strategy.experience)
        if not self.n_trained - 1 <= task <= self.n_trained:
            place = f"after experience {self.n_trained - 1}" if self.n_trained else "first"
            raise ContsymError(
                f"AccuracyMatrix: experience {task} comes {place}; expected the order of the stream from experience 0 on, "
                "since row i is the state after the first i. Use another AccuracyMatrix for another order"
            )
        self._is_in_experience = True

    def after_training_exp(self, strategy) -> None:
        # Counted here: Avalanche's clock counts after its evaluation at the end of an experience (eval_every=0).
        self.n_trained, self._is_in_experience = task_of(strategy.experience) + 1, False

    def before_eval_exp(self, strategy) -> None:
        self._answers, self._labels = [], []

    def after_eval_iteration(self, strategy) -> None:
        if self.is_row(strategy):
            self._answers.append(answers(strategy.mb_output).cpu())
            self._labels.append(strategy.mb_y.cpu())

    def after_eval_exp(self, strategy) -> list[MetricValue] | None:
        if not self._answers:
            return None
        task = task_of(strategy.experience)
        value = accuracy(torch.cat(self._answers).numpy(), torch.cat(self._labels).numpy())
        self.fill(self.n_trained, task, value)
        return [MetricValue(self, f"accuracy/{name_of(task)}", value, self.n_trained)]

    def after_eval(self, strategy) -> list[MetricValue] | None:
        if not self.n_trained or not self.is_row(strategy):
            return None
        matrix = self.learned()
        figures = {figure.name: figure.compute(matrix) for figure in MATRIX_FIGURES}
        found = {"accuracy_macro": final_macro(matrix), **figures}
        return [
            MetricValue(self, name, value, self.n_trained)
            for name, value in found.items()
            if value is not None and np.isfinite(value)
        ]

    def __str__(self) -> str:
        return "AccuracyMatrix"
