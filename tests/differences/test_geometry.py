"""Distances of states and weights against slow twins, and laws that they keep."""

import numpy as np
import pytest

from contsym.differences.geometry import cka_distance, cosine_drift, neighbours_lost, relative_distance


@pytest.fixture
def states():
    generator = np.random.default_rng(0)
    old = generator.normal(size=(40, 8)).astype(np.float32)
    return old, (old + generator.normal(size=(40, 8))).astype(np.float32)


def slow_cka(x, y):
    """By Gram matrices of texts, HSIC(K, L) = tr(K H L H), as Kornblith et al. write equation 3."""
    n = len(x)
    centring = np.eye(n) - np.ones((n, n)) / n
    grams = [part.astype(np.float64) @ part.T.astype(np.float64) for part in (x, y)]

    def hsic(a, b):
        return np.trace(a @ centring @ b @ centring)

    return hsic(*grams) / np.sqrt(hsic(grams[0], grams[0]) * hsic(grams[1], grams[1]))


def slow_overlap(x, y, k):
    total = 0
    for i in range(len(x)):
        near = []
        for part in (x, y):
            cosine = [
                part[i] @ part[j] / np.linalg.norm(part[i]) / np.linalg.norm(part[j]) for j in range(len(x))
            ]
            others = sorted((j for j in range(len(x)) if j != i), key=lambda j: -cosine[j])
            near.append(set(others[:k]))
        total += len(near[0] & near[1])
    return total / (len(x) * k)


def test_cka_equals_its_form_by_gram_matrices(states):
    # float32 states, sums of 40 terms in float64.
    assert cka_distance(*states) == pytest.approx(1 - slow_cka(*states), abs=1e-8)


def test_cka_knows_no_rotation_shift_or_scale_and_other_widths(states):
    old, new = states
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    assert cka_distance(old, 3 * new @ rotation + 5) == pytest.approx(cka_distance(old, new), abs=1e-6)
    assert cka_distance(old, np.hstack([new, np.zeros((40, 3))])) == cka_distance(old, new)
    assert cka_distance(old, old * 0 + 1) is None


def test_neighbours_equal_a_search_by_loops(states):
    for k in (1, 5, 10):
        assert neighbours_lost(*states, k=k) == pytest.approx(1 - slow_overlap(*states, k), abs=1e-9)


def test_few_texts_have_fewer_neighbours(states):
    old, new = states
    assert neighbours_lost(old[:2], new[:2]) is None
    # Two others each, of which one is asked for: kept or lost.
    assert neighbours_lost(old[:3], new[:3], k=10) in (0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1)


def test_drift_leaves_texts_without_a_direction_out():
    zero, right, up = [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]
    assert cosine_drift(np.array([zero, right]), np.array([right, up])) == 1
    assert cosine_drift(np.array([zero]), np.array([right])) is None
    assert cosine_drift(np.array([right]), np.array([[-2.0, 0.0]])) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_is_equal_is_at_distance_zero_to_the_bit(dtype):
    states = np.random.default_rng(2).normal(size=(300, 17)).astype(dtype)
    assert (cka_distance(states, states), cosine_drift(states, states), neighbours_lost(states, states)) == (
        0,
        0,
        0,
    )
    assert relative_distance([(states, states)]) == 0


def test_weights_of_zero_have_no_relative_distance():
    zero, one = np.zeros(3), np.ones(3)
    assert relative_distance([(zero, one)]) is None
    assert relative_distance([(zero, zero)]) == 0
    assert relative_distance([(zero, one), (2 * one, 2 * one)]) == 0.5
