"""Training objectives, as functions of distances, embeddings and labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from contsym.models.distances import PAIRWISE, Metric, off_diagonal, pairwise_cosine_distance


def margin_loss(distances: Tensor, labels: Tensor, margin: float) -> Tensor:
    """mean over pairs of d_pos^2 + sum over other labels of max(0, margin - d_neg)^2.

    Shapes: distances (batch, labels), labels (batch,) of label indices -> scalar.
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), d+^2 + max(0, margin - d-)^2.
    """
    positive = functional.one_hot(labels, distances.shape[1]).bool()
    pull = distances.square()
    push = (margin - distances).clamp_min(0).square()
    return pull.where(positive, push).sum(dim=1).mean()


def asymmetric_labels(labels: Tensor, is_present: Tensor, seen: Tensor) -> Tensor:
    """The labels that the loss of each example is over: of a present one those of the present ones, of a replayed one
    all that were seen.

    Shapes: labels (batch,) of label indices, is_present (batch,) bool, seen (n_labels,) bool -> (batch, n_labels) bool.
    Source: Caccia et al. 2022 (ER-ACE, arXiv 2104.05025), section 4.
    """
    current = torch.zeros_like(seen)
    current[labels[is_present]] = True
    return torch.where(is_present[:, None], current, seen | current)


def contrastive_loss(embeddings: Tensor, labels: Tensor, margin: float, metric: Metric = "cosine") -> Tensor:
    """Same label: d^2; different label: max(0, margin - d)^2; mean over unordered pairs.

    d is the distance of two label embeddings. The Euclidean distance depends on their lengths: give it
    vectors of length 1, or numbers of a fixed range, so that the margin fits. A batch of one has no pairs
    and a loss of 0, with a gradient of 0, so that training continues.

    Shapes: embeddings (batch, dim), labels (batch,) -> scalar.
    Source: Yuan and Vlachos 2025 (arXiv 2504.16312), after Hadsell et al. 2006, equation 4.
    """
    n = len(labels)
    if n < 2:
        return embeddings.sum() * 0.0
    distances = PAIRWISE[metric](embeddings, embeddings)
    same = labels[:, None] == labels[None, :]
    loss = distances.square().where(same, (margin - distances).clamp_min(0).square())
    return loss[off_diagonal(n, loss.device)].mean()


def cosine_similarity_loss(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Same label: (1 - cos)^2; different label: cos^2; the two means over unordered pairs, averaged.

    Each kind counts half, as if equally many pairs of each were drawn; the mean of a single kind is the
    whole loss. A batch of one has no pairs and a loss of 0, with a gradient of 0.

    Shapes: embeddings (batch, dim), labels (batch,) -> scalar.
    Source: Tunstall et al. 2022 (SetFit, arXiv 2209.11055), section 3.1, with the squared error on
    cosines of Reimers and Gurevych 2019 (Sentence-BERT), section 3. They draw pairs from the whole
    training set; we take all pairs within a batch, so that a step encodes an example once.
    """
    n = len(labels)
    if n < 2:
        return embeddings.sum() * 0.0
    cosines = 1 - pairwise_cosine_distance(embeddings, embeddings)
    same = labels[:, None] == labels[None, :]
    kinds = (same & off_diagonal(n, labels.device), ~same)
    errors = (cosines - same.to(cosines.dtype)).square()
    return torch.stack([errors[kind].mean() for kind in kinds if kind.any()]).mean()


def prototype_loss(embeddings: Tensor, labels: Tensor, n_labels: int) -> Tensor:
    """Cross-entropy of each pair's label against the mean embeddings of the other pairs of the batch.

    The scores are minus the squared Euclidean distances to the prototypes. Every pair is a query once, and
    the mean of its label then leaves it out. A pair that is alone with its label is no query; a batch
    without queries has a loss of 0, with a gradient of 0. Labels outside the batch are no candidates.

    Shapes: embeddings (batch, dim), labels (batch,) of label indices -> scalar.
    Source: Snell et al. 2017 (Prototypical Networks), equations 1 and 2. They split an
    episode into support and query; leaving one out uses all of a small batch as both.
    """
    one_hot = functional.one_hot(labels, n_labels).to(embeddings.dtype)
    sums, counts = one_hot.T @ embeddings, one_hot.sum(dim=0)
    # (batch, labels, dim) and (batch, labels): sums and counts without the query itself.
    others = sums[None] - one_hot[:, :, None] * embeddings[:, None]
    n_others = counts[None] - one_hot
    prototypes = others / n_others.clamp_min(1)[:, :, None]
    squares = (embeddings[:, None] - prototypes).square().sum(dim=-1)
    scores = (-squares).masked_fill(n_others == 0, -torch.inf)
    is_query = n_others.gather(1, labels[:, None])[:, 0] > 0
    if not is_query.any():
        return embeddings.sum() * 0.0
    return functional.cross_entropy(scores[is_query], labels[is_query])


def class_sums(features: Tensor, labels: Tensor, n_labels: int) -> tuple[Tensor, Tensor]:
    """(counts, sums) of the rows of each label: (n_labels,) and (n_labels, features)."""
    # A product with the one-hot labels adds in a fixed order, on a GPU too.
    one_hot = functional.one_hot(labels, n_labels).to(features.dtype)
    return one_hot.sum(dim=0), one_hot.T @ features


def label_means(embeddings: Tensor, labels: Tensor, n_labels: int) -> tuple[Tensor, Tensor]:
    """The mean embedding of each label that occurs, and these labels in ascending order.

    Source: Snell et al. 2017, equation 1.
    """
    counts, sums = class_sums(embeddings, labels, n_labels)
    means = sums / counts.clamp_min(1)[:, None]
    return means[counts > 0], counts.nonzero()[:, 0]
