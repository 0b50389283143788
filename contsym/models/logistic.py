"""Logistic regression by scikit-learn, as a weight matrix and a bias."""

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

    Minimises the sum over pairs of the cross-entropy + penalty |W|^2 / 2 by L-BFGS, without randomness; with two
    labels + penalty |W|^2, which is |w|^2 / 2 of scikit-learn's one vector w of log-odds. It
    stops silently at max_iterations, since further steps move few predictions. Weights and biases sum to
    zero over the labels that occur; any other label has weight 0 and bias -1, below the best score.

    Shapes: features (pairs, dim), labels (pairs,); at least one pair.
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
    fitted_weight, fitted_bias = model.coef_, model.intercept_
    if len(seen) == 2:
        # scikit-learn gives the log-odds of the second label; plus and minus one half are the same model.
        fitted_weight = np.concatenate([-fitted_weight, fitted_weight]) / 2
        fitted_bias = np.concatenate([-fitted_bias, fitted_bias]) / 2
    weight[seen] = fitted_weight - fitted_weight.mean(axis=0)
    bias[seen] = fitted_bias - fitted_bias.mean()
    return weight, bias
