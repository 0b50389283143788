"""Whether answers differ by more than a preference for some labels: the constant-bias twin of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_ROUNDS = 20


def label_shift(scores: NDArray[Any], answers: NDArray[Any]) -> NDArray[Any]:
    """The number to add to each label's score, the same for all pairs, with which most of the answers come out.

    Coordinate ascent: one label's number at a time is set to the best of all values, exactly, since agreement changes
    only where that label overtakes another on some pair. It begins at no shift and, so as not to end in a poor
    maximum, with each label preferred on all pairs; of equal agreements the smaller shift is kept. The first label's
    number is 0.

    Shapes: (pairs, labels), (pairs,) -> (labels,).

    >>> import numpy as np
    >>> scores = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> shifted(scores, label_shift(scores, np.array([0, 1, 1]))).tolist()    # the second label gains between 1 and 2
    [0, 1, 1]
    """
    import numpy as np

    scores, answers = np.asarray(scores, dtype=float), np.asarray(answers)
    n_labels = scores.shape[1]
    if not len(scores):
        return np.zeros(n_labels)
    span = float(np.ptp(scores)) + 1.0
    starts = [np.zeros(n_labels), *(span * row for row in np.eye(n_labels))]
    found = [_ascent(scores, answers, start) for start in starts]
    best = max(found, key=lambda each: (each[0], -float(np.abs(each[1] - each[1][0]).sum())))[1]
    return best - best[0]


def _ascent(scores: NDArray[Any], answers: NDArray[Any], shift: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """(pairs that agree, shift) where no single label's number can be made better."""
    import numpy as np

    agreeing = int((shifted(scores, shift) == answers).sum())
    for _ in range(MAX_ROUNDS):
        before = agreeing
        for label in range(scores.shape[1]):
            others = scores + shift
            others[:, label] = -np.inf
            # The label is answered where its number is above the pair's threshold, else the best of the others.
            thresholds = others.max(axis=1) - scores[:, label]
            gains = (answers == label).astype(int) - (answers == others.argmax(axis=1)).astype(int)
            order = np.argsort(thresholds, kind="stable")
            edges, sums = thresholds[order], np.concatenate([[0], np.cumsum(gains[order])])
            # Between two thresholds that are equal lies no number.
            usable = np.concatenate([[True], edges[1:] > edges[:-1], [True]])
            base = int((answers == others.argmax(axis=1)).sum())
            most = int(sums[usable].max())
            if base + most > agreeing:
                places = np.flatnonzero(usable & (sums == most))
                options = [_between(edges, int(place)) for place in places]
                shift = shift.copy()
                shift[label] = min(options, key=abs)
                agreeing = base + most
        if agreeing == before:
            break
    return agreeing, shift


def _between(edges: NDArray[Any], place: int) -> float:
    """A number above the first `place` thresholds and below the others, near 0 where possible."""
    if place == 0:
        return float(min(edges[0] - 1.0, 0.0))
    if place == len(edges):
        return float(max(edges[-1] + 1.0, 0.0))
    low, high = float(edges[place - 1]), float(edges[place])
    return 0.0 if low < 0.0 < high else (low + high) / 2


def shifted(scores: NDArray[Any], shift: NDArray[Any] | Sequence[float]) -> NDArray[Any]:
    """The answers after the shift, (pairs,); of equal scores the first label."""
    import numpy as np

    return (np.asarray(scores, dtype=float) + np.asarray(shift)).argmax(axis=1)


def kappa(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Cohen's kappa of two raters' answers: agreement beyond that of two raters who answer at random with these shares.

    1 where both give the same answers, also if it is the same one to all pairs.

    Source: Cohen 1960, A coefficient of agreement for nominal scales.

    >>> import numpy as np
    >>> kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))      # 3/4 agree, 1/2 by chance
    0.5
    """
    import numpy as np

    agreement = float(np.mean(a == b))
    by_chance = sum(float(np.mean(a == label) * np.mean(b == label)) for label in np.union1d(a, b))
    return 1.0 if agreement == 1.0 else (agreement - by_chance) / (1 - by_chance)
