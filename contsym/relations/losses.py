"""Training objectives as functions of distances, embeddings and labels."""

from __future__ import annotations

import torch
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


def cosine_similarity_loss(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Same label: (1 - cos)^2; different label: cos^2; the two means over unordered pairs, averaged.

    Each kind counts half, as in a draw of as many pairs of one as of the other; with one kind alone its
    mean is the loss. A batch of one has no pairs: its loss is 0, with a gradient of 0.

    Shapes: embeddings (batch, dim), labels (batch,) -> scalar.
    Source: Tunstall et al. 2022 (SetFit, arXiv 2209.11055), section 3.1, with the squared error on
    cosines of Reimers and Gurevych 2019 (Sentence-BERT), section 3. They draw pairs from the whole
    training set; here they are all those within a batch, so that an example is encoded once a step.
    """
    n = len(labels)
    if n < 2:
        return embeddings.sum() * 0.0
    cosines = 1 - pairwise_cosine_distance(embeddings, embeddings)
    same = labels[:, None] == labels[None, :]
    kinds = (same & off_diagonal(n, labels.device), ~same)
    errors = (cosines - same.to(cosines.dtype)).square()
    return torch.stack([errors[kind].mean() for kind in kinds if kind.any()]).mean()
