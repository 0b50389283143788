"""Logistic regression as plain weights: scikit-learn's answers, and labels that are not there."""

import math

import numpy as np
import pytest

from contsym.models.logistic import fit_logistic


def data(n=60, n_seen=3, seed=0):
    labels = np.arange(n) % n_seen
    return np.random.default_rng(seed).normal(size=(n, 4)) + labels[:, None], labels


@pytest.mark.parametrize("n_seen", [2, 3])
def test_probabilities_are_scikit_learns(n_seen):
    from sklearn.linear_model import LogisticRegression

    x, y = data(n_seen=n_seen)
    weight, bias = fit_logistic(x, y, n_seen, penalty=2.0)
    scores = np.exp(x @ weight.T + bias)
    theirs = LogisticRegression(C=0.5, max_iter=300).fit(x, y)
    assert np.allclose(scores / scores.sum(axis=1, keepdims=True), theirs.predict_proba(x), atol=1e-9)


def test_two_points_on_paper():
    # x = -1 and 1, log-odds w x: 2 log(1 + exp(-w)) + w^2 / 2 is least where 2 / (1 + exp(w)) = w.
    weight, bias = fit_logistic(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, tolerance=1e-8)
    w = 2 * weight[1, 0]
    assert 2 / (1 + math.exp(w)) == pytest.approx(w, abs=1e-6)
    assert weight[0, 0] == -weight[1, 0]
    assert bias == pytest.approx(0, abs=1e-6)


def test_a_label_without_pairs_is_never_answered():
    x, y = data(n_seen=2)
    weight, bias = fit_logistic(x, 2 * y, 3)
    far = 1e3 * np.random.default_rng(1).normal(size=(500, 4))
    assert set((far @ weight.T + bias).argmax(axis=1).tolist()) == {0, 2}


def test_a_single_label_is_always_answered():
    weight, bias = fit_logistic(np.ones((1, 4)), np.array([1]), 3)
    assert not weight.any()
    assert bias.tolist() == [-1, 0, -1]


def test_half_finished_is_no_warning():
    x, y = data()
    weight, _ = fit_logistic(1e3 * x, y, 3, tolerance=1e-12, max_iterations=2)
    assert np.isfinite(weight).all()
