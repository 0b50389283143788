"""Figures from matrices that were worked out by hand."""

import numpy as np
import pytest

from contsym.results.metrics import matrix as m

# Three tasks. Rows: untrained, after task 0, after task 1, after task 2.
R3 = np.array([[0.3, 0.4, 0.5], [0.7, 0.5, 0.5], [0.8, 0.9, 0.6], [0.6, 0.7, 0.9]])
R2 = np.array([[0.33, 0.50], [0.60, 0.52], [0.45, 0.98]])
R1 = np.array([[0.5], [0.9]])


def test_forgetting_is_the_best_earlier_minus_the_last():
    # Task 0: max(.7, .8) - .6; task 1: max(.5, .9) - .7; task 2 is the last.
    # The last task has none: nothing comes after it.
    assert m.forgetting(R3) == pytest.approx([0.2, 0.2])
    assert m.forgetting(R2) == pytest.approx([0.15])
    assert m.forgetting(R1) == []


def test_backward_transfer_compares_with_the_tasks_own_row():
    # ((.6 - .7) + (.7 - .9)) / 2: not minus the mean forgetting, which starts from the best.
    assert m.backward_transfer(R3) == pytest.approx(-0.15)
    assert m.backward_transfer(R2) == pytest.approx(-0.15)
    assert m.backward_transfer(R1) is None


def test_forward_transfer_compares_with_the_untrained_row():
    # ((.5 - .4) + (.6 - .5)) / 2
    assert m.forward_transfer(R3) == pytest.approx(0.1)
    assert m.forward_transfer(R2) == pytest.approx(0.02)
    assert m.forward_transfer(R1) is None


def test_later_training_that_helps_is_negative_forgetting():
    assert m.forgetting(np.array([[0.3, 0.3], [0.5, 0.3], [0.6, 0.9]]))[0] == pytest.approx(-0.1)


def test_macro_counts_tasks_and_micro_counts_pairs():
    assert m.final_macro(R2) == pytest.approx((0.45 + 0.98) / 2)
    assert m.final_micro(R2, [900, 100]) == pytest.approx(0.45 * 0.9 + 0.98 * 0.1)


def test_above_means_above_the_bar_by_more_than_the_interval():
    # 100 pairs, bar .35: 44 right has a lower Wilson end of .3467, 45 right of .3556.
    assert not m.is_above(0.44, 0.35, 100)
    assert m.is_above(0.45, 0.35, 100)


def test_majority_share():
    assert m.majority_share(np.array([0, 2, 2, 1])) == 0.5


def test_confusion_counts_true_by_predicted():
    labels, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 2, 1, 1, 1])
    assert m.confusion(predicted, labels, 3) == [[1, 0, 1], [0, 1, 0], [0, 2, 0]]


def test_accuracy_by_group_leaves_out_the_nameless():
    found = m.accuracy_by(["a", "b", "", "b"], np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]))
    assert found == {"b": {"accuracy": 0.5, "n": 2}, "a": {"accuracy": 1.0, "n": 1}}


def test_least_to_reach():
    assert m.least_to_reach([16, 32, 64], [0.7, 0.99, 1.0], 0.99) == 32
    assert m.least_to_reach([16, 32], [0.7, 0.98], 0.99) is None
    assert m.least_to_reach([], [], 0.99) is None
