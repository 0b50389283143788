"""What the scores of labels are, and how results keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from contsym.errors import ContsymError

if TYPE_CHECKING:
    from torch import Tensor


class NoProbabilities(ContsymError):
    """Scores of test pairs that are not finite, or votes that are not shares."""


ScoreKind = Literal["logits", "votes"]
"""How scores become probabilities. `logits`, and negative distances: by softmax, so only differences count. `votes`: as
shares of their sum; none is negative, and not all are 0."""

LEAST = -65504.0
"""Of float16; its softmax beside a score of 0 is 0."""


def as_stored(scores: Tensor, kind: ScoreKind) -> Tensor:
    """Scores in float16, (pairs, labels); logits less the largest of their pair, which changes no probability."""
    scores = scores.float()
    if kind == "logits":
        scores = scores - scores.amax(dim=1, keepdim=True)
    return scores.clamp_min(LEAST).half()


def check_scores(stored: Tensor, kind: ScoreKind) -> None:
    """Raise NoProbabilities for stored scores that give no probabilities."""
    if kind == "logits":
        is_wrong, expected = stored.isnan(), "finite scores"
    else:
        is_wrong = ~((stored >= 0) & (stored.sum(dim=1, keepdim=True) > 0) & stored.isfinite())
        expected = "votes of 0 and more, not all 0, or score_kind = 'logits'"
    if n_wrong := int(is_wrong.any(dim=1).sum()):
        raise NoProbabilities(
            f"the {kind} of {n_wrong} of {len(stored)} pairs give no probabilities; expected {expected}"
        )
