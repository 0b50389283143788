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
class Formula:
    """One figure of a convention."""

    name: str
    formula: str
    compute: Callable[[Matrix, Sequence[int] | None], float | None]
    """From R, (T + 1, T), and the test pairs per task, if known; None where the convention has no value."""
    note: str = ""


@dataclass(frozen=True)
class Convention:
    source: str
    figures: tuple[Formula, ...]
    note: str = ""


def mean_forgetting(matrix: Matrix) -> float | None:
    """The mean of `matrix.forgetting` over the tasks but the last; None with a single task."""
    values = measures.forgetting(matrix)
    return float(np.mean(values)) if values else None


def stream_accuracy(matrix: Matrix, n_test: Sequence[int] | None) -> float | None:
    """Avalanche's StreamAccuracy after the last experience; None where the numbers of pairs are unknown."""
    return None if n_test is None else measures.final_micro(matrix, n_test)


def minus_backward_transfer(matrix: Matrix) -> float | None:
    """Avalanche's StreamForgetting."""
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
POOLED = "sum_j n_j R[T,j] / sum_j n_j, n_j test pairs of task j"
BWT = "1/(T-1) sum_{j=1..T-1} (R[T,j] - R[j,j])"
MINUS_BWT = "1/(T-1) sum_{j=1..T-1} (R[j,j] - R[T,j])"
FWT = "1/(T-1) sum_{j=2..T} (R[j-1,j] - R[0,j])"
FORGETTING = "1/(T-1) sum_{j=1..T-1} (max_{i=1..T-1} R[i,j] - R[T,j])"
FORGETTING_WITH_LAST = "1/(T-1) sum_{j=1..T-1} (max_{i=max(1,j-1)..T} R[i,j] - R[T,j])"

macro = of_matrix(measures.final_macro)
backward, forward = of_matrix(measures.backward_transfer), of_matrix(measures.forward_transfer)
backward_or_0 = of_matrix(measures.backward_transfer, of_one_task=0.0)
forward_or_0 = of_matrix(measures.forward_transfer, of_one_task=0.0)
minus_backward_or_0 = of_matrix(minus_backward_transfer, of_one_task=0.0)

FROM_OWN_ACCURACY = "-BWT: the accuracy after the task's own training, not the highest"
NEVER_NEGATIVE = "the last row is among those of the maximum: never negative"

CONVENTIONS: dict[ConventionName, Convention] = {
    "chaudhry": Convention(
        "Chaudhry et al. 2018, Riemannian walk (ECCV), section 3",
        (
            Formula("average accuracy", MEAN, macro),
            Formula("forgetting", FORGETTING, of_matrix(mean_forgetting)),
        ),
        "Transfer is not defined there; intransigence needs a model trained on all tasks at once.",
    ),
    "lopez-paz": Convention(
        "Lopez-Paz and Ranzato 2017, Gradient episodic memory (NeurIPS), equations 2 to 4",
        (
            Formula("ACC", MEAN, macro),
            Formula("BWT", BWT, backward),
            Formula("FWT", FWT, forward, "R[0,j] is their b_j, the accuracy at the start"),
        ),
        "Forgetting is not defined there; the word often stands for -BWT.",
    ),
    "avalanche": Convention(
        "Avalanche 0.6.0, StreamAccuracy, StreamForgetting, StreamBWT, StreamForwardTransfer",
        (
            Formula("stream accuracy", POOLED, stream_accuracy),
            Formula("forgetting", MINUS_BWT, minus_backward_or_0, FROM_OWN_ACCURACY),
            Formula("BWT", BWT, backward_or_0),
            Formula("FWT", FWT, forward_or_0),
        ),
        "With a single experience Avalanche gives 0 for all but the accuracy.",
    ),
    "mammoth": Convention(
        "Mammoth (aimagelab), utils/metrics.py, rows as utils/training.py fills them",
        (
            Formula("accuracy", MEAN, macro),
            Formula("forgetting", FORGETTING_WITH_LAST, of_matrix(mammoth_forgetting), NEVER_NEGATIVE),
            Formula("BWT", BWT, backward),
            Formula("FWT", FWT, forward),
        ),
        "Mammoth prints percent: 100 times these.",
    ),
}


def figures(
    name: ConventionName, matrix: Matrix, n_test: Sequence[int] | None = None
) -> dict[str, float | None]:
    """The figures of a convention by name; None where it has no value for the matrix."""
    return {figure.name: figure.compute(matrix, n_test) for figure in CONVENTIONS[name].figures}
