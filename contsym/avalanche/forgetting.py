"""Forgetting of the tasks learned so far, from the accuracy matrix."""

from __future__ import annotations

import math

import numpy as np
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue

from contsym.avalanche.experiences import check_before, name_of
from contsym.avalanche.matrix import AccuracyMatrix
from contsym.results.metrics.matrix import forgetting


class Forgetting(PluginMetric[dict[int, float]]):
    """f_j = max of R[1..k-1, j] - R[k, j] after k experiences, for every task j before the k-th one.

    The best accuracy that the model has had, minus the present one; negative where later training helped. The mean over j
    is F_k of Chaudhry et al. 2018 (Riemannian walk, ECCV), section 3, equation 3. Avalanche's own forgetting, and the -BWT of
    Lopez-Paz and Ranzato 2017, subtract from the accuracy right after the task's own training in place of the best.

    `matrix` must stand before it in the same EvaluationPlugin, else ContsymError is raised. Emits at x = row of R:

    - `forgetting/Exp000`, ...: f_j.
    - `forgetting_mean`: F_k, where each f_j is known.

    >>> from contsym.avalanche import AccuracyMatrix, Forgetting
    >>> matrix = AccuracyMatrix()
    >>> forgetting = Forgetting(matrix)        # EvaluationPlugin(matrix, forgetting, loggers=[...])
    >>> forgetting.result()
    {}
    """

    def __init__(self, matrix: AccuracyMatrix) -> None:
        super().__init__()
        self.matrix = matrix

    def reset(self) -> None:
        """Nothing: what it reads is the matrix's."""

    def result(self) -> dict[int, float]:
        """f_j by task, where it is known."""
        values = forgetting(self.matrix.learned())
        return {task: value for task, value in enumerate(values) if not math.isnan(value)}

    def before_training(self, strategy) -> None:
        check_before(strategy, self.matrix, self)

    def before_eval(self, strategy) -> None:
        check_before(strategy, self.matrix, self)

    def after_eval(self, strategy) -> list[MetricValue] | None:
        if not self.matrix.is_row(strategy):
            return None
        row, found = self.matrix.n_trained, self.result()
        values = [
            MetricValue(self, f"forgetting/{name_of(task)}", value, row) for task, value in found.items()
        ]
        if values and len(values) == row - 1:
            values.append(MetricValue(self, "forgetting_mean", float(np.mean(list(found.values()))), row))
        return values

    def __str__(self) -> str:
        return "Forgetting"
