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
    """One figure of a convention; `compute` gives None where the convention has no value."""

    name: str
    formula: str
    compute: Callable[[Matrix, Sequence[int] | None], float | None]
    """From R, (T + 1, T), and the number of test pairs of each task, if known."""
    note: str = ""


@dataclass(frozen=True)
class Convention:
    source: str
    figures: tuple[Figure, ...]
    note: str = ""


def mean_forgetting(matrix: Matrix) -> float | None:
    """The mean of `matrix.forgetting` over the tasks but the last; None with a single task."""
    found = [f for f in measures.forgetting(matrix) if f is not None]
    return float(np.mean(found)) if found else None


def stream_accuracy(matrix: Matrix, n_test: Sequence[int] | None) -> float | None:
    """Avalanche's StreamAccuracy after the last experience; None where the numbers of pairs are not known."""
    return None if n_test is None else measures.final_micro(matrix, n_test)


def zero_of_one_task(value: float | None) -> float:
    """Avalanche's Mean of nothing is 0: a single experience has forgetting and transfer 0."""
    return 0.0 if value is None else value


def mammoth_forgetting(matrix: Matrix) -> float | None:
    """The highest accuracy among the rows that Mammoth has, minus the last; None with a single task.

    After experience i it evaluates tasks 1 to i, and task i + 1 just before that one is trained; the
    rest of the row is filled with 0. So for task j the rows from j - 1 on count, the last too, and
    the figure is never negative.
    """
    n_tasks = matrix.shape[1]
    if n_tasks < 2:
        return None
    highest = [matrix[max(j, 1) :, j].max() for j in range(n_tasks - 1)]
    return float(np.mean(np.array(highest) - matrix[-1, :-1]))


def _bwt(matrix: Matrix, _: Sequence[int] | None) -> float | None:
    return measures.backward_transfer(matrix)


def _fwt(matrix: Matrix, _: Sequence[int] | None) -> float | None:
    return measures.forward_transfer(matrix)


def _macro(matrix: Matrix, _: Sequence[int] | None) -> float:
    return measures.final_macro(matrix)


MEAN = "1/T sum_{j=1..T} R[T,j]"
BWT = "1/(T-1) sum_{j=1..T-1} (R[T,j] - R[j,j])"
FWT = "1/(T-1) sum_{j=2..T} (R[j-1,j] - R[0,j])"

CONVENTIONS: dict[ConventionName, Convention] = {
    "chaudhry": Convention(
        "Chaudhry et al. 2018, Riemannian walk (ECCV), section 3",
        (
            Figure("average accuracy", MEAN, _macro),
            Figure(
                "forgetting",
                "1/(T-1) sum_{j=1..T-1} (max_{i=1..T-1} R[i,j] - R[T,j])",
                lambda matrix, _: mean_forgetting(matrix),
            ),
        ),
        "Transfer is not defined there; intransigence needs a model trained on all tasks at once.",
    ),
    "lopez-paz": Convention(
        "Lopez-Paz and Ranzato 2017, Gradient episodic memory (NeurIPS), equations 2 to 4",
        (
            Figure("ACC", MEAN, _macro),
            Figure("BWT", BWT, _bwt),
            Figure("FWT", FWT, _fwt, "R[0,j] is their b_j, the accuracy at the start"),
        ),
        "Forgetting is not defined there; it is often said for -BWT.",
    ),
    "avalanche": Convention(
        "Avalanche 0.6.0, StreamAccuracy, StreamForgetting, StreamBWT, StreamForwardTransfer",
        (
            Figure(
                "stream accuracy",
                "sum_j n_j R[T,j] / sum_j n_j, n_j test pairs of task j",
                stream_accuracy,
            ),
            Figure(
                "forgetting",
                "1/(T-1) sum_{j=1..T-1} (R[j,j] - R[T,j])",
                lambda matrix, _: zero_of_one_task(_negative(measures.backward_transfer(matrix))),
                "-BWT: the accuracy after the task's own training, not the highest",
            ),
            Figure("BWT", BWT, lambda matrix, _: zero_of_one_task(measures.backward_transfer(matrix))),
            Figure("FWT", FWT, lambda matrix, _: zero_of_one_task(measures.forward_transfer(matrix))),
        ),
        "With a single experience Avalanche gives 0 for all but the accuracy.",
    ),
    "mammoth": Convention(
        "Mammoth (aimagelab), utils/metrics.py, rows as utils/training.py fills them",
        (
            Figure("accuracy", MEAN, _macro),
            Figure(
                "forgetting",
                "1/(T-1) sum_{j=1..T-1} (max_{i=max(1,j-1)..T} R[i,j] - R[T,j])",
                lambda matrix, _: mammoth_forgetting(matrix),
                "the last row is among those of the maximum: never negative",
            ),
            Figure("BWT", BWT, _bwt),
            Figure("FWT", FWT, _fwt),
        ),
        "Mammoth prints percent: 100 times these.",
    ),
}


def _negative(value: float | None) -> float | None:
    # 0 - value, since -0.0 would be printed with its sign.
    return None if value is None else 0 - value


def figures(
    name: ConventionName, matrix: Matrix, n_test: Sequence[int] | None = None
) -> dict[str, float | None]:
    """The figures of a convention by name; None where it has none for such a matrix."""
    return {figure.name: figure.compute(matrix, n_test) for figure in CONVENTIONS[name].figures}
