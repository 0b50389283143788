"""Average accuracy, forgetting and transfer as four published conventions compute them from one matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from contsym.results.metrics import matrix as measures
from contsym.results.metrics.matrix import Matrix

ConventionName = Literal["chaudhry", "lopez-paz", "avalanche", "mammoth"]
NOTATION = "R[i,j]: accuracy after experience i on the test part of task j; i = 0: before any training"


@dataclass(frozen=True)
class Figure:
    name: str
    formula: str
    compute: Callable[[Matrix, Sequence[int] | None], float | None]
    """From R, (T + 1, T), and the test pairs per task, if known; None where the convention has no value."""
    note: str = ""


@dataclass(frozen=True)
class Convention:
    source: str
    figures: tuple[Figure, ...]
    note: str = ""


def mean_forgetting(matrix: Matrix) -> float | None:
    """The mean of `matrix.forgetting` over the tasks but the last; None with a single task."""
    values = [f for f in measures.forgetting(matrix) if f is not None]
    return float(np.mean(values)) if values else None


def stream_accuracy(matrix: Matrix, n_test: Sequence[int] | None) -> float | None:
    """Avalanche's StreamAccuracy after the last experience; None where the numbers of pairs are unknown."""
    return None if n_test is None else measures.final_micro(matrix, n_test)


def minus_backward_transfer(matrix: Matrix) -> float | None:
    value = measures.backward_transfer(matrix)
    # 0 - value, since the sign of -0.0 would be printed.
    return None if value is None else 0 - value


def mammoth_forgetting(matrix: Matrix) -> float | None:
    """The highest accuracy among Mammoth's rows minus the last; None with a single task.

    After experience i Mammoth evaluates tasks 1 to i, and task i + 1 just before its training; the rest of
    the row is 0. So for task j the rows from j - 1 to the last count, and the figure is never negative.
    """
    n_tasks = matrix.shape[1]
    if n_tasks < 2:
        return None
    highest = [matrix[max(j, 1) :, j].max() for j in range(n_tasks - 1)]
    return float(np.mean(np.array(highest) - matrix[-1, :-1]))


def of_matrix(
    compute: Callable[[Matrix], float | None], of_one_task: float | None = None
) -> Callable[[Matrix, Sequence[int] | None], float | None]:
    """A figure that does not depend on the numbers of pairs; `of_one_task` where it has no other value."""

    def figure(matrix: Matrix, _: Sequence[int] | None) -> float | None:
        value = compute(matrix)
        return of_one_task if value is None else value

    return figure


MEAN = "1/T sum_{j=1..T} R[T,j]"
BWT = "1/(T-1) sum_{j=1..T-1} (R[T,j] - R[j,j])"
FWT = "1/(T-1) sum_{j=2..T} (R[j-1,j] - R[0,j])"
BACKWARD, FORWARD = of_matrix(measures.backward_transfer), of_matrix(measures.forward_transfer)

CONVENTIONS: dict[ConventionName, Convention] = {
    "chaudhry": Convention(
        "Chaudhry et al. 2018, Riemannian walk (ECCV), section 3",
        (
            Figure("average accuracy", MEAN, of_matrix(measures.final_macro)),
            Figure(
                "forgetting",
                "1/(T-1) sum_{j=1..T-1} (max_{i=1..T-1} R[i,j] - R[T,j])",
                of_matrix(mean_forgetting),
            ),
        ),
        "Transfer is not defined there; intransigence needs a model trained on all tasks at once.",
    ),
    "lopez-paz": Convention(
        "Lopez-Paz and Ranzato 2017, Gradient episodic memory (NeurIPS), equations 2 to 4",
        (
            Figure("ACC", MEAN, of_matrix(measures.final_macro)),
            Figure("BWT", BWT, BACKWARD),
            Figure("FWT", FWT, FORWARD, "R[0,j] is their b_j, the accuracy at the start"),
        ),
        "Forgetting is not defined there; the word often stands for -BWT.",
    ),
    "avalanche": Convention(
        "Avalanche 0.6.0, StreamAccuracy, StreamForgetting, StreamBWT, StreamForwardTransfer",
        (
            Figure(
                "stream accuracy", "sum_j n_j R[T,j] / sum_j n_j, n_j test pairs of task j", stream_accuracy
            ),
            Figure(
                "forgetting",
                "1/(T-1) sum_{j=1..T-1} (R[j,j] - R[T,j])",
                of_matrix(minus_backward_transfer, of_one_task=0.0),
                "-BWT: the accuracy after the task's own training, not the highest",
            ),
            Figure("BWT", BWT, of_matrix(measures.backward_transfer, of_one_task=0.0)),
            Figure("FWT", FWT, of_matrix(measures.forward_transfer, of_one_task=0.0)),
        ),
        "With a single experience Avalanche gives 0 for all but the accuracy.",
    ),
    "mammoth": Convention(
        "Mammoth (aimagelab), utils/metrics.py, rows as utils/training.py fills them",
        (
            Figure("accuracy", MEAN, of_matrix(measures.final_macro)),
            Figure(
                "forgetting",
                "1/(T-1) sum_{j=1..T-1} (max_{i=max(1,j-1)..T} R[i,j] - R[T,j])",
                of_matrix(mammoth_forgetting),
                "the last row is among those of the maximum: never negative",
            ),
            Figure("BWT", BWT, BACKWARD),
            Figure("FWT", FWT, FORWARD),
        ),
        "Mammoth prints percent: 100 times these.",
    ),
}


def figures(
    name: ConventionName, matrix: Matrix, n_test: Sequence[int] | None = None
) -> dict[str, float | None]:
    """The figures of a convention by name; None where it has no value for the matrix."""
    return {figure.name: figure.compute(matrix, n_test) for figure in CONVENTIONS[name].figures}
