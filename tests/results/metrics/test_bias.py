"""The constant-bias twin: shifts by hand, against trying all of a grid, and planted ones; kappa against scikit-learn."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from contsym.results.metrics.bias import kappa, label_shift, shifted


def agreement(scores, answers, shift):
    return int((shifted(scores, shift) == answers).sum())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n_labels", [2, 3])
def test_no_shift_of_a_grid_gives_more_of_the_answers(seed, n_labels):
    draw = np.random.default_rng(seed)
    scores, answers = draw.normal(size=(15, n_labels)), draw.integers(n_labels, size=15)
    grid = np.arange(-4, 4.01, 0.25)
    best = max(
        agreement(scores, answers, (0.0, *each)) for each in itertools.product(grid, repeat=n_labels - 1)
    )
    assert agreement(scores, answers, label_shift(scores, answers)) >= best


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.0, -0.5, 1.5), (0.0, 4.0, 0.3)])
def test_a_planted_shift_is_found(shift):
    scores = np.random.default_rng(0).normal(size=(400, 3))
    answers = shifted(scores, shift)
    found = label_shift(scores, answers)
    assert found[0] == 0.0
    assert agreement(scores, answers, found) == 400
    if not any(shift):
        assert not found.any()


def test_one_answer_to_all_pairs_and_no_pairs():
    scores = np.random.default_rng(1).normal(size=(30, 3))
    assert (shifted(scores, label_shift(scores, np.full(30, 2))) == 2).all()
    assert label_shift(np.empty((0, 3)), np.empty(0, dtype=int)).tolist() == [0, 0, 0]
    # Equal scores: no number lies between equal thresholds, so all pairs go together.
    equal = np.zeros((4, 2))
    assert agreement(equal, np.array([1, 1, 1, 0]), label_shift(equal, np.array([1, 1, 1, 0]))) == 3


def test_kappa():
    draw = np.random.default_rng(2)
    a, b = draw.integers(3, size=50), draw.integers(3, size=50)
    assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    assert kappa(np.zeros(5), np.zeros(5)) == 1.0
    assert kappa(np.zeros(4), np.array([0, 0, 1, 1])) == 0.0
