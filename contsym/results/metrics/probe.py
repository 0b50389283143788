"""What a fresh linear classifier reads off an encoder's features: knowledge, apart from the head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsym.models.logistic import fit_logistic
from contsym.results.metrics.matrix import accuracy

Features = NDArray[np.floating[Any]]

MAX_TRAIN = 2000
"""Training pairs of a probe at most, drawn by the seed: it is fitted at every row of a matrix."""

PENALTY = 1000.0
"""Of the probe's weights, fixed, so that probes compare: features outnumber pairs."""

TOLERANCE, MAX_ITERATIONS = 1e-3, 100


def probe_accuracy(
    train_features: Features,
    train_labels: NDArray[np.int64],
    test_features: Features,
    test_labels: NDArray[np.int64],
    seed: int,
) -> float:
    """Accuracy on the test part of a logistic regression fitted on the training part, in [0, 1].

    Features are standardised by the training part's mean and standard deviation; one that does not vary
    there is left out. Of more than MAX_TRAIN training pairs the seed draws that many; nothing else is
    random. Computed in float32.

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


def probe_forgetting(before: float, after: float) -> float:
    """Accuracy that later training took from the first task's probe: before - after.

    Both are `probe_accuracy` on the same pairs, of the encoder right after it learned the task and of
    the encoder at the end. Negative where later training helped. A method whose own accuracy falls while
    this stays near zero has kept the knowledge and lost the head that read it.
    """
    return before - after
