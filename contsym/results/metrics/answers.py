"""What a method answers beyond its accuracy: calibration, macro-F1 and label bias, as functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from contsym.models.scores import ScoreKind

N_BINS = 15
"""Of the calibration error, as in Guo et al. 2017, section 2."""


def probabilities(scores: NDArray[np.floating[Any]], kind: ScoreKind) -> NDArray[np.float64]:
    """The probabilities of labels from their scores, both (pairs, labels); each row sums to 1.

    `logits`, and negative distances: softmax, without a temperature. `votes`: the share of the vote.
    """
    values = scores.astype(np.float64)
    if kind == "logits":
        values = np.exp(values - values.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def calibration_error(confidences: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """ECE = sum over bins of (share of the pairs in the bin) * |accuracy - mean confidence in the bin|.

    N_BINS bins of equal width, each without its lower and with its upper end. 0: of the answers with a confidence of
    0.8, 80% are correct. `confidences` are the probabilities of the given answers, (pairs,).
    Source: Guo et al. 2017 (arXiv 1706.04599), equation 3.
    """
    assert len(confidences) == len(is_correct) > 0, "calibration of nothing"
    # 1e-12: a confidence of 0.2 belongs to the bin that ends there, whatever 0.2 * 15 is in binary.
    bins = np.ceil(confidences * N_BINS - 1e-12).astype(int).clip(1, N_BINS) - 1
    gaps = np.bincount(bins, is_correct - confidences, minlength=N_BINS)
    return float(np.abs(gaps).sum() / len(confidences))


def macro_f1(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """The mean over the labels of the pairs of F1 = 2 TP / (2 TP + FP + FN).

    A label that no pair has counts only as the wrong answer that it is: relational tasks have two of the three labels.
    Source: Opitz and Burst 2019 (arXiv 1911.03347), the averaged F1.
    """
    assert len(predicted) == len(labels) > 0, "F1 of nothing"
    scores = []
    for label in np.unique(labels):
        n_right = np.sum((predicted == label) & (labels == label))
        scores.append(2 * n_right / (np.sum(predicted == label) + np.sum(labels == label)))
    return float(np.mean(scores))


def label_shares(labels: NDArray[np.int64], n_labels: int) -> list[float]:
    """The share of the pairs with each label, (n_labels,)."""
    return (np.bincount(labels, minlength=n_labels) / len(labels)).tolist()
