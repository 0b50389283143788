"""The accuracy of a new linear classifier on an encoder's features: its knowledge apart from its head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsym.models.logistic import fit_logistic
from contsym.results.metrics.matrix import accuracy

Features = NDArray[np.floating[Any]]

MAX_TRAIN = 2000
"""The most training pairs of a probe, drawn by the seed, since probes are fitted after each experience."""

PENALTY = 1000.0
"""On the probe's weights; the same for all probes, so that they compare."""

TOLERANCE, MAX_ITERATIONS = 1e-3, 100


def probe_accuracy(
    train_features: Features,
    train_labels: NDArray[np.int64],
    test_features: Features,
    test_labels: NDArray[np.int64],
    seed: int,
) -> float:
    """Accuracy on the test part of a logistic regression fitted on the training part (`probe_answers`).

    A method whose own accuracy falls while the probe's does not has lost its head, not its knowledge.

    Shapes: features (pairs, dim), labels (pairs,) of label indices; no part is empty.
    Source: Alain and Bengio 2016 (arXiv 1610.01644), linear probes; as a measure of forgetting
    Davari et al. 2022 (CVPR), section 3.
    """
    return accuracy(probe_answers(train_features, train_labels, test_features, seed), test_labels)


def probe_answers(
    train_features: Features, train_labels: NDArray[np.int64], test_features: Features, seed: int
) -> NDArray[np.int64]:
    """Label indices that a logistic regression fitted on the training part gives the test part, (test pairs,).

    Features are standardised. The seed draws MAX_TRAIN of more training pairs; nothing else is random. Computed in
    float32.
    """
    assert len(train_features) == len(train_labels) > 0, "a probe needs training pairs"
    if len(train_labels) > MAX_TRAIN:
        rows = np.sort(np.random.default_rng(seed).permutation(len(train_labels))[:MAX_TRAIN])
        train_features, train_labels = train_features[rows], train_labels[rows]
    train, test = standardised(train_features, test_features)
    weight, bias = fit_logistic(
        train,
        train_labels,
        int(train_labels.max()) + 1,
        penalty=PENALTY,
        tolerance=TOLERANCE,
        max_iterations=MAX_ITERATIONS,
    )
    return (test @ weight.T + bias).argmax(axis=1)


def standardised(train: Features, test: Features) -> tuple[Features, Features]:
    """Both parts less the training part's mean and divided by its standard deviation, in float32.

    A feature that does not vary in the training part becomes 0.

    >>> train, test = standardised(np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[4.0, 9.0]]))
    >>> train.tolist(), test.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0]])
    """
    mean = train.mean(axis=0, dtype=np.float64)
    deviation = train.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), np.finfo(np.float32).tiny)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    return ((train - mean) * scale).astype(np.float32), ((test - mean) * scale).astype(np.float32)
