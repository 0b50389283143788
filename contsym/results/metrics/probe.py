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
    """Accuracy on the test part of a logistic regression fitted on the training part.

    Features are standardised by the training part's mean and standard deviation, without those that do not
    vary there. The seed draws MAX_TRAIN of more training pairs; nothing else is random. Computed in float32.

    A method whose own accuracy falls while the probe's does not has lost its head, not its knowledge.

    Shapes: features (pairs, dim), labels (pairs,) of label indices; no part is empty.
    Source: Alain and Bengio 2016 (arXiv 1610.01644), linear probes; as a measure of forgetting
    Davari et al. 2022 (CVPR), section 3.
    """
    assert len(train_features) == len(train_labels) > 0, "a probe needs training pairs"
    if len(train_labels) > MAX_TRAIN:
        rows = np.sort(np.random.default_rng(seed).permutation(len(train_labels))[:MAX_TRAIN])
        train_features, train_labels = train_features[rows], train_labels[rows]
    mean = train_features.mean(axis=0, dtype=np.float64)
    deviation = train_features.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), np.finfo(np.float32).tiny)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)

    def standardised(features: Features) -> Features:
        return ((features - mean) * scale).astype(np.float32)

    n_labels = int(max(train_labels.max(), test_labels.max())) + 1
    weight, bias = fit_logistic(
        standardised(train_features),
        train_labels,
        n_labels,
        penalty=PENALTY,
        tolerance=TOLERANCE,
        max_iterations=MAX_ITERATIONS,
    )
    predicted = (standardised(test_features) @ weight.T + bias).argmax(axis=1)
    return accuracy(predicted, test_labels)
