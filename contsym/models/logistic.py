"""Logistic regression by scikit-learn, as plain weights and a bias."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    Floats = NDArray[np.floating[Any]]


def fit_logistic(
    features: Floats,
    labels: NDArray[np.int64],
    n_labels: int,
    *,
    penalty: float = 1.0,
    tolerance: float = 1e-4,
    max_iterations: int = 300,
) -> tuple[Floats, Floats]:
    """(weight, bias) of multinomial logistic regression: (n_labels, dim) and (n_labels,).

    Minimises the sum over pairs of the cross-entropy + penalty |W|^2 / 2 by L-BFGS; no randomness. It
    stops at max_iterations without a word: what is left to gain moves few predictions. The weights are
    those whose seen labels sum to zero; a label without a pair has weight 0 and bias -1, so that its
    score is below the best seen one, and a single seen label has weight 0 and bias 0.

    Shapes: features (pairs, dim), labels (pairs,) of indices below n_labels; at least one pair.
    """
    seen = np.unique(labels)
    assert len(seen) > 0, "a regression on no pairs"
    weight = np.zeros((n_labels, features.shape[1]), dtype=features.dtype)
    bias = np.full(n_labels, -1, dtype=features.dtype)
    bias[seen] = 0
    if len(seen) == 1:
        return weight, bias
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / penalty, tol=tolerance, max_iter=max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    own_weight, own_bias = model.coef_, model.intercept_
    if len(seen) == 2:
        # scikit-learn gives the log-odds of the second label; halves of it are the same model.
        own_weight = np.concatenate([-own_weight, own_weight]) / 2
        own_bias = np.concatenate([-own_bias, own_bias]) / 2
    weight[seen], bias[seen] = own_weight - own_weight.mean(axis=0), own_bias - own_bias.mean()
    return weight, bias
