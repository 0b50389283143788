"""Figures of a trajectory, with numbers to check on paper."""

from types import SimpleNamespace

import numpy as np
import pytest

from contsym.results.metrics import trajectory as t


def point(experience, n_steps, accuracies, weights=None, features=None):
    return SimpleNamespace(
        experience=experience,
        n_steps=n_steps,
        n_pairs_seen=16 * n_steps,
        n_distinct_pairs=min(48, 16 * n_steps),
        accuracies=accuracies,
        weights_distance=weights,
        features_distance=features,
    )


OLD, NEW = 0, 1
POINTS = [
    point(0, 0, [0.3, 0.5]),
    point(0, 1, [0.7, 0.5]),
    point(0, 4, [0.8, 0.5]),
    point(1, 0, [0.8, 0.5], 0.0, 0.0),
    point(1, 1, [0.5, 0.6], 0.1, 0.2),
    point(1, 2, [None, 0.9]),
    point(1, 3, [0.6, 1.0], 0.2, 0.4),
    point(1, 5, [0.7, 0.9], 0.4, 0.5),
]


def test_the_first_batch_at_the_target_answers_for_every_target():
    assert t.pairs_to_reach(POINTS, NEW, 0.9) == (32, 32)
    assert t.pairs_to_reach(POINTS, NEW, 1.0) == (48, 48)
    assert t.pairs_to_reach(POINTS, OLD, 0.9) == (None, None)
    # What holds before the first pair was not learned with no pairs.
    assert t.pairs_to_reach(POINTS, NEW, 0.5) == (16, 16)


def test_worst_case_is_the_mean_of_the_new_accuracy_and_the_least_old_one():
    assert t.least_accuracy(POINTS, OLD) == 0.5
    assert t.least_accuracy(POINTS, NEW) is None
    assert t.min_acc(POINTS) == 0.5
    assert t.worst_case_accuracy(POINTS) == pytest.approx(0.9 / 2 + 0.5 / 2)
    assert t.min_acc(POINTS[:3]) is t.worst_case_accuracy(POINTS[:3]) is t.min_acc([]) is None


def test_of_three_tasks_each_old_one_counts_alike():
    points = [
        point(1, 1, [0.4, 0.9, 0.1]),
        point(2, 1, [0.6, 0.5, 0.8]),
        point(2, 2, [0.5, 0.7, 1.0]),
    ]
    assert t.min_acc(points) == pytest.approx((0.4 + 0.5) / 2)
    assert t.worst_case_accuracy(points) == pytest.approx(1.0 / 3 + 2 / 3 * 0.45)


def test_the_stability_gap_is_what_comes_back():
    assert t.stability_gap(POINTS, OLD) == pytest.approx(0.7 - 0.5)
    assert t.stability_gap(POINTS, NEW) is None
    falling = [point(1, 0, [0.8, 0.5]), point(1, 1, [0.6, 0.5]), point(1, 2, [0.5, 0.5])]
    assert t.stability_gap(falling, OLD) == 0


def test_anytime_accuracy_is_over_steps_and_not_over_points():
    # Task 0 alone: 0.7, then on the way to 0.8; then both tasks: 0.55, between, 0.8, between, 0.8.
    first = [0.7, 0.7 + 0.1 / 3, 0.7 + 0.2 / 3, 0.8]
    second = [0.55, (0.55 + 0.8) / 2, 0.8, 0.8, 0.8]
    assert t.average_anytime_accuracy(POINTS) == pytest.approx(np.mean(first + second))
    assert t.average_anytime_accuracy([]) is None


def test_anytime_accuracy_needs_no_task_that_comes_later():
    unmeasured = [
        point(p.experience, p.n_steps, [*p.accuracies[: p.experience + 1], None][:2]) for p in POINTS
    ]
    assert unmeasured[0].accuracies == [0.3, None]
    assert t.average_anytime_accuracy(unmeasured) == t.average_anytime_accuracy(POINTS)


def test_forgetting_at_equal_places():
    def lost(by, at):
        return t.forgetting_at(POINTS, NEW, OLD, by, at)

    assert lost("n_steps", 0) == 0
    assert lost("n_steps", 1) == pytest.approx(0.3)
    assert lost("n_steps", 2) == pytest.approx(0.8 - 0.55)
    assert lost("n_pairs_seen", 64) == pytest.approx(0.8 - 0.65)
    assert lost("weights_distance", 0.05) == pytest.approx(0.15)
    assert lost("features_distance", 0.45) == pytest.approx(0.8 - 0.65)
    assert lost("n_steps", 6) is lost("weights_distance", 0.41) is None


def test_an_encoder_that_comes_back_is_asked_on_its_way_out():
    course = [(0.0, 0.8), (0.2, 0.6), (0.1, 0.3), (0.3, 0.2)]
    points = [point(1, n, [a, 0.5], distance) for n, (distance, a) in enumerate(course)]
    assert t.forgetting_at(points, NEW, OLD, "weights_distance", 0.15) == pytest.approx(0.15)


def test_forgetting_at_the_target_where_the_old_task_was_not_measured():
    assert t.forgetting_at_target(POINTS, NEW, OLD, 0.9) == pytest.approx(0.8 - 0.55)
    assert t.forgetting_at_target(POINTS, NEW, OLD, 1.0) == pytest.approx(0.2)
    assert t.forgetting_at_target(POINTS[:-2], NEW, OLD, 1.0) is None


def test_linear_cka_by_hand_and_its_laws():
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    # X^T X = diag(2, 8), y^T y = 2, X^T y = (2, 0): 4 / (sqrt(68) * 2).
    assert t.linear_cka(x, x[:, :1]) == pytest.approx(4 / (np.sqrt(68) * 2))
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert t.linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(9, 20)), generator.normal(size=(9, 3))
    assert t.linear_cka(x, y) == pytest.approx(slow_cka(x, y)) == pytest.approx(t.linear_cka(y, x))
    still = np.ones((9, 2))
    assert (t.linear_cka(still, still), t.linear_cka(still, y)) == (1, 0)


def slow_cka(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    cross, own, other = (np.linalg.norm(a.T @ b) for a, b in ((y, x), (x, x), (y, y)))
    return cross**2 / (own * other)


def test_the_distance_after_a_number_of_steps_is_interpolated():
    assert t.distance_at(POINTS, NEW, 0) == 0.0
    # Step 2 was not measured: halfway from 0.1 at step 1 to 0.2 at step 3.
    assert t.distance_at(POINTS, NEW, 2) == pytest.approx(0.15)
    assert t.distance_at(POINTS, NEW, 5) == 0.4
    assert t.distance_at(POINTS, NEW, 6) is t.distance_at(POINTS, OLD, 1) is None
