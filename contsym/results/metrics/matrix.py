"""The accuracy matrix and all figures that follow from it, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsym.results.metrics.stats import wilson_interval

Matrix = NDArray[np.float64]
"""R, (experiences + 1, tasks): accuracy after experience i on the test part of task j; row 0: before any training.
Experience i, counted from 1, teaches task i - 1."""


def accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Share of equal entries."""
    assert len(predicted) == len(labels) > 0, "accuracy of nothing"
    return float(np.mean(predicted == labels))


def final_macro(matrix: Matrix) -> float:
    """Mean over tasks of the last row: a small task counts as much as a large one."""
    return float(matrix[-1].mean())


def final_micro(matrix: Matrix, n_test: Sequence[int]) -> float:
    """The last row pooled over all test pairs: a large task dominates."""
    return float(np.average(matrix[-1], weights=n_test))


def forgetting(matrix: Matrix) -> list[float]:
    """f_j = max of R[1..T-1, j] - R[T, j], the best accuracy before the last minus the last, (T - 1,).

    The task of the last experience, which no training follows, has no figure. Negative where later training helped.
    Row 0 does not count, since an untrained model has nothing to forget, nor does an entry that is NaN: not evaluated.
    Without any other entry, or without the last one, the figure is NaN.
    Source: Chaudhry et al. 2018 (Riemannian walk), section 3, equation 3.
    """
    return [float(np.fmax.reduce(matrix[1:-1, j]) - matrix[-1, j]) for j in range(matrix.shape[1] - 1)]


def backward_transfer(matrix: Matrix) -> float | None:
    """BWT = mean over tasks but the last of R[T, j] - R[own, j]; None with a single task.

    Source: Lopez-Paz and Ranzato 2017 (GEM), equation 3.
    """
    n_tasks = matrix.shape[1]
    if n_tasks < 2:
        return None
    return float(np.mean([matrix[-1, j] - matrix[j + 1, j] for j in range(n_tasks - 1)]))


def forward_transfer(matrix: Matrix) -> float | None:
    """FWT = mean over tasks but the first of R[just before own, j] - R[0, j]; None with one task.

    Source: Lopez-Paz and Ranzato 2017 (GEM), equation 4, with row 0 as the baseline.
    """
    n_tasks = matrix.shape[1]
    if n_tasks < 2:
        return None
    return float(np.mean([matrix[j, j] - matrix[0, j] for j in range(1, n_tasks)]))


@dataclass(frozen=True)
class MatrixFigure:
    """A figure that follows from the whole matrix; results store it under its name, people read its title."""

    name: str
    title: str
    compute: Callable[[Matrix], float | None]
    is_change: bool
    """Shown with its sign."""


MATRIX_FIGURES = (
    MatrixFigure("bwt", "backward transfer", backward_transfer, is_change=True),
    MatrixFigure("fwt", "forward transfer", forward_transfer, is_change=True),
)
"""Results, `--json`, MLflow and the terminal have each of them."""


def is_above(own_accuracy: float, bar: float, n_test: int) -> bool:
    """Whether the lower end of the accuracy's 95% Wilson interval is above the bar: a guess's accuracy."""
    return wilson_interval(round(own_accuracy * n_test), n_test)[0] > bar


def majority_share(labels: NDArray[np.int64]) -> float:
    """The accuracy of always answering the most frequent label."""
    return float(np.bincount(labels).max() / len(labels))


def confusion(predicted: NDArray[np.int64], labels: NDArray[np.int64], n_labels: int) -> list[list[int]]:
    """counts[true][predicted]."""
    flat = np.bincount(labels * n_labels + predicted, minlength=n_labels**2)
    return flat.reshape(n_labels, n_labels).tolist()


def accuracy_by(
    groups: Sequence[str], predicted: NDArray[np.int64], labels: NDArray[np.int64]
) -> Mapping[str, dict[str, float | int]]:
    """Accuracy and count per group, the largest first; pairs whose group is '' are left out."""
    names = np.asarray(groups)
    distinct, counts = np.unique(names[names != ""], return_counts=True)
    parts = {}
    for i in np.argsort(-counts, kind="stable"):
        part = names == distinct[i]
        parts[str(distinct[i])] = {"accuracy": accuracy(predicted[part], labels[part]), "n": int(counts[i])}
    return parts


def accuracy_by_several(
    groups: Sequence[Sequence[str]], predicted: NDArray[np.int64], labels: NDArray[np.int64]
) -> Mapping[str, dict[str, float | int]]:
    """`accuracy_by` where a pair is in several groups, or in none; it counts in each."""
    rows = [i for i, names in enumerate(groups) for _ in names]
    return accuracy_by([name for names in groups for name in names], predicted[rows], labels[rows])


def least_to_reach(amounts: Sequence[int], accuracies: Sequence[float], target: float) -> int | None:
    """The least amount whose accuracy is at or above the target; None if there is none."""
    return min((n for n, a in zip(amounts, accuracies, strict=True) if a >= target), default=None)
