"""How far two checkpoints lie apart: states of the same texts, and weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsym.results.metrics.trajectory import linear_cka

Rows = NDArray[np.floating[Any]]
"""A row per text, the same texts in the same order for both checkpoints: (texts, dim)."""

K_NEIGHBOURS = 10
"""Nearest other texts that `neighbours_lost` compares."""

DIGITS = 9
"""Figures are rounded to so many digits: sums in another order must not look like a change."""


def cka_distance(old: Rows, new: Rows) -> float | None:
    """1 - linear CKA: 0 where one set of states is a rotation, a shift or a scaling of the other, at most 1.

    CKA is that of `linear_cka`. The dimensions may differ. States of few texts in many dimensions look more alike than they
    are, so compare values of equal numbers of texts. None where all texts have one state.

    >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> cka_distance(square, 3 * square @ [[0, -1], [1, 0]]), cka_distance(square[:, :1], square[:, 1:])
    (0.0, 1.0)
    """
    if not (np.ptp(old, axis=0).any() and np.ptp(new, axis=0).any()):
        return None
    return _rounded(1 - linear_cka(old, new))


def cosine_drift(old: Rows, new: Rows) -> float | None:
    """The mean over texts of 1 - cos(old state, new state): 0 where all directions are kept, at most 2.

    Only between checkpoints of which one was made from the other: directions of unrelated training mean nothing to each
    other. Texts with a state of zeros are left out; None where no text is left.

    >>> cosine_drift(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    x, y = old.astype(np.float64), new.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    has_direction = lengths > 0
    if not has_direction.any():
        return None
    cosines = (x * y).sum(axis=1)[has_direction] / lengths[has_direction]
    return _rounded(float(np.mean(1 - cosines)))


def neighbours_lost(old: Rows, new: Rows, k: int = K_NEIGHBOURS) -> float | None:
    """The share of a text's k nearest other texts by cosine, k = 10, that are no longer among them; mean over texts.

    0: every neighbourhood is kept; unrelated states lose 1 - k / (texts - 1). With fewer than k + 2 texts k is one less
    than the number of other texts. None for fewer than 3 texts.

    Source: the intersection of neighbours in Wendlandt et al. 2018 (arXiv 1804.09692), section 3.

    >>> line = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> neighbours_lost(line, line[:, ::-1], k=1), neighbours_lost(line, line[[0, 2, 1, 3]], k=1)
    (0.0, 1.0)
    """
    n = len(old)
    if n < 3:
        return None
    k = min(k, n - 2)
    before, after = _nearest(old, k), _nearest(new, k)
    n_kept = sum(len(np.intersect1d(a, b, assume_unique=True)) for a, b in zip(before, after, strict=True))
    return _rounded(1 - n_kept / (n * k))


def _nearest(vectors: Rows, k: int) -> NDArray[np.int64]:
    """The rows of the k nearest other texts by cosine, (texts, k); of equal ones the first."""
    x = vectors.astype(np.float64)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    cosines = np.round(x @ x.T, DIGITS)
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :k]


def relative_distance(pairs: Iterable[tuple[Rows, Rows]]) -> float | None:
    """|new - old| / |old| over all weights of a part, given as (old, new) arrays: 0.1 is a tenth of the part's length.

    0 where all weights are equal, and only there.

    Source: Nagarajan and Kolter 2019 (arXiv 1901.01672), distance from initialisation, here relative. None where OLD's
    weights are all 0 and NEW's are not.

    >>> relative_distance([(np.array([3.0, 0.0]), np.array([3.0, 1.0])), (np.array([4.0]), np.array([4.0]))])
    0.2
    """
    moved, length = 0.0, 0.0
    for old, new in pairs:
        moved += float(np.square(new.astype(np.float64) - old).sum())
        length += float(np.square(old.astype(np.float64)).sum())
    if length == 0:
        return 0.0 if moved == 0 else None
    # Not to decimals, which would call small changes 0.
    return float(f"{(moved / length) ** 0.5:.{DIGITS}g}")


def _rounded(value: float) -> float:
    # The largest of 0 and it turns -0.0 and a rounding error below 0 into 0.
    return max(0.0, round(value, DIGITS))
