"""The two training objectives of the paper, as functions of distances and labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from contsym.relations.distances import off_diagonal, pairwise_cosine_distance


def margin_loss(distances: Tensor, labels: Tensor, margin: float) -> Tensor:
    """mean over pairs of d_pos^2 + sum over other labels of max(0, margin - d_neg)^2.

    Shapes: distances (batch, labels), labels (batch,) of label indices -> scalar.
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), d+^2 + max(0, margin - d-)^2.
    """
    positive = functional.one_hot(labels, distances.shape[1]).bool()
    pull = distances.square()
    push = (margin - distances).clamp_min(0).square()
    return pull.where(positive, push).sum(dim=1).mean()


def contrastive_loss(embeddings: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Same label: d^2; different label: max(0, margin - d)^2; mean over unordered pairs.

    d is the cosine distance of two label embeddings. A batch of one has no pairs: its loss
    is 0 (and has a gradient of 0, so that training goes on).

    Shapes: embeddings (batch, dim), labels (batch,) -> scalar.
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), after Hadsell et al. 2006, equation 4.
    """
    n = len(labels)
    if n < 2:
        return embeddings.sum() * 0.0
    distances = pairwise_cosine_distance(embeddings, embeddings)
    same = labels[:, None] == labels[None, :]
    loss = distances.square().where(same, (margin - distances).clamp_min(0).square())
    return loss[off_diagonal(n, loss.device)].mean()
