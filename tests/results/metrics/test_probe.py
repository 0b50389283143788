"""The linear probe: separable, random and repeated data, and what its seed decides."""

import numpy as np
import pytest

from contsym.results import scoring
from contsym.results.metrics import probe
from contsym.results.metrics.probe import probe_accuracy


def drawn(n, dim, seed, shift=0.0):
    """Features around a place of their label, and balanced labels."""
    labels = np.arange(n) % 3
    places = shift * np.eye(3, dim)
    noise = np.random.default_rng(seed).normal(size=(n, dim))
    return (places[labels] + noise).astype(np.float32), labels


def test_separable_features_are_read_without_a_mistake():
    assert probe_accuracy(*drawn(300, 20, 0, 20.0), *drawn(90, 20, 1, 20.0), seed=0) == 1.0


def test_random_labels_give_chance():
    found = probe_accuracy(*drawn(600, 40, 0), *drawn(3000, 40, 1), seed=0)
    # Three balanced labels; five standard errors of 3,000 answers are 0.043.
    assert found == pytest.approx(1 / 3, abs=0.043)


def test_the_scale_and_the_origin_of_features_do_not_matter():
    train, test = drawn(120, 10, 0, 3.0), drawn(300, 10, 1, 3.0)
    scale = np.logspace(-3, 3, 10).astype(np.float32)
    moved = [(features * scale + scale, labels) for features, labels in (train, test)]
    # float32 rounding may turn an answer at the border.
    plain = probe_accuracy(*train, *test, seed=0)
    assert probe_accuracy(*moved[0], *moved[1], seed=0) == pytest.approx(plain, abs=0.01)


def test_a_feature_that_did_not_vary_in_training_has_no_say():
    train, test = drawn(120, 10, 0, 20.0), drawn(90, 10, 1, 20.0)
    train[0][:, 5], test[0][:, 5] = 7.0, 1e6
    assert probe_accuracy(*train, *test, seed=0) == 1.0


def test_a_single_training_label_is_always_answered():
    features, _ = drawn(12, 4, 0)
    assert probe_accuracy(features, np.full(12, 1), *drawn(90, 4, 1), seed=0) == pytest.approx(1 / 3)


def test_the_seed_draws_the_training_pairs_and_nothing_else(monkeypatch):
    train, test = drawn(300, 20, 0, 1.0), drawn(900, 20, 1, 1.0)
    assert probe_accuracy(*train, *test, seed=0) == probe_accuracy(*train, *test, seed=1)
    monkeypatch.setattr(probe, "MAX_TRAIN", 60)
    found = {seed: probe_accuracy(*train, *test, seed=seed) for seed in range(4)}
    assert found == {seed: probe_accuracy(*train, *test, seed=seed) for seed in range(4)}
    assert len(set(found.values())) > 1


def test_arguments_are_left_alone():
    train, test = drawn(60, 5, 0, 1.0), drawn(60, 5, 1, 1.0)
    copies = [part.copy() for part in (*train, *test)]
    probe_accuracy(*train, *test, seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(copies, (*train, *test), strict=True))


def test_forgetting_is_what_was_lost():
    assert scoring.probe([0.75, 0.5]).forgetting == 0.25
    assert scoring.probe([0.5, 0.75]).forgetting == -0.25
    assert scoring.probe([0.75, None]) is None
