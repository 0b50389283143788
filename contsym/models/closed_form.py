"""Heads that are computed from sums over pairs, without gradient steps.

`add` takes in the vectors of examples (p and h, or one of a single text) and their labels, in parts of any size; `forward`
then scores with all so far. The state is buffers of fixed shape in float64, because sums of many float32 squares lose the
digits of a covariance. A label without pairs scores below all others; before any pair all labels score alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsym.models.algebra import features_of
from contsym.models.distances import pairwise_cosine_distance
from contsym.models.losses import class_sums

PART = 4096
"""Pairs whose features are in memory at a time."""

CONSTANT = 1e-10
"""A feature whose variance is a smaller share of its mean square varies only by rounding."""


def unseen_last(scores: Tensor, counts: Tensor) -> Tensor:
    """The scores (batch, labels), where labels of count 0 are one below the least of their row."""
    return scores.where(counts > 0, scores.amin(dim=1, keepdim=True) - 1)


def discriminant(means: Tensor, covariance: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """(weight, bias) of linear discriminants with equal priors: scores are x·weight_c + bias_c.

    weight_c = Λ μ_c and bias_c = -μ_c·Λ μ_c / 2 with Λ = [(1 - s) Σ + s v I]^-1 and v the mean of the
    diagonal of Σ (1 where Σ is 0, so that the nearest mean wins).

    Shapes: means (labels, features), covariance (features, features) -> means', (labels,).
    Source: Hayes and Kanan 2020 (arXiv 1909.01520), section 3, where v = 1, so that s depends on the
    scale of the features.
    """
    scale = covariance.diagonal().mean()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    shrunk = (1 - shrinkage) * covariance + shrinkage * scale * torch.eye(len(covariance)).to(covariance)
    weight = torch.cholesky_solve(means.T, torch.linalg.cholesky(shrunk)).T
    return weight, -(means * weight).sum(dim=1) / 2


def ridge_solution(
    gram: Tensor, sums: Tensor, label_sums: Tensor, label_weights: Tensor, strength: float
) -> tuple[Tensor, Tensor]:
    """(weight, bias) of least squares on one-hot labels with a ridge, from weighted sums over pairs.

    Minimises the weighted mean of |y - W x - b|^2 plus strength * sum over features of var_i |W_i|^2:
    a ridge on standardised features, as scikit-learn's StandardScaler and Ridge(alpha = strength * pairs).
    b is not penalised; a feature that does not vary has weight 0. Raises torch.linalg.LinAlgError where the strength is so
    small that rounding leaves no single solution.

    Shapes: gram (features, features) of w x x^T, sums (features,) of w x, label_sums
    (labels, features), label_weights (labels,) of w -> (labels, features), (labels,).
    """
    total = label_weights.sum()
    mean, label_mean = sums / total, label_weights / total
    second_moments = gram.diagonal() / total
    covariance = gram / total - torch.outer(mean, mean)
    towards = label_sums / total - torch.outer(label_mean, mean)
    variance = covariance.diagonal()
    varies = variance > CONSTANT * second_moments
    covariance = covariance * torch.outer(varies, varies)
    # A feature that does not vary has the row of the identity, and the solution 0.
    penalty = torch.where(varies, strength * variance, torch.ones_like(variance))
    penalised = covariance + torch.diag(penalty)
    weight = torch.cholesky_solve((towards * varies).T, torch.linalg.cholesky(penalised)).T
    return weight, label_mean - weight @ mean


class LabelSums(nn.Module):
    """A head whose buffers in `BY_LABEL` have a row for each label."""

    BY_LABEL: ClassVar[tuple[str, ...]]

    def add_labels(self, n_labels: int) -> None:
        """Have further labels, n_labels in all; the new ones have no pairs yet."""
        for name in self.BY_LABEL:
            buffer = getattr(self, name)
            more = buffer.new_zeros(n_labels - len(buffer), *buffer.shape[1:])
            setattr(self, name, nn.Buffer(torch.cat([buffer, more])))


class ClassMeans(LabelSums):
    """(p, h) -> -distance of [p, h, |p - h|, p ∘ h] to the mean of each label's pairs.

    Shapes: (batch, dim) twice -> (batch, labels), float32.
    Source: nearest class mean, as in Mensink et al. 2013 (TPAMI), section 3, without a learned metric.
    """

    BY_LABEL = ("counts", "means")

    def __init__(self, n_features: int, n_labels: int, metric: Literal["cosine", "euclidean"]) -> None:
        super().__init__()
        self.metric = metric
        self.counts = _zeros(n_labels)
        self.means = _zeros(n_labels, n_features)

    def add(self, *columns: Tensor) -> None:
        for features, part in _parts(columns, self.means):
            counts, sums = class_sums(features, part, len(self.counts))
            self.counts += counts
            # mean + (sum - n * mean) / n_so_far, which is the old mean where n = 0
            self.means += (sums - counts[:, None] * self.means) / self.counts[:, None].clamp_min(1)

    def forward(self, *vectors: Tensor) -> Tensor:
        features, means = features_of(*vectors).double(), self.means
        if self.metric == "cosine":
            distances = pairwise_cosine_distance(features, means)
        else:
            # Rounding in |a|^2 - 2ab + |b|^2 would hide the difference of near means.
            distances = torch.cdist(features, means, compute_mode="donot_use_mm_for_euclid_dist")
        return unseen_last(-distances, self.counts).float()


class StreamingDiscriminant(LabelSums):
    """(p, h) -> linear discriminants on [p, h, |p - h|, p ∘ h]: class means, one shared covariance.

    Shapes: (batch, dim) twice -> (batch, labels), float32. `scatter` is the sum over labels of
    (x - μ)(x - μ)^T about the mean of the label's pairs so far; it does not depend on their order.
    Source: Hayes and Kanan 2020 (arXiv 1909.01520), section 3. Their equation 2 weighs the deviation of a new
    sample by the count t of all samples, t / (t + 1), which depends on the order; we take the count of its
    label, which gives the pooled covariance exactly (Chan et al. 1979, equation 2.1).
    """

    BY_LABEL = ("counts", "means", "weight", "bias")

    def __init__(self, n_features: int, n_labels: int, shrinkage: float) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        self.counts = _zeros(n_labels)
        self.means = _zeros(n_labels, n_features)
        self.scatter = _zeros(n_features, n_features)
        self.weight, self.bias = _zeros(n_labels, n_features), _zeros(n_labels)

    def add(self, *columns: Tensor) -> None:
        for features, part in _parts(columns, self.means):
            counts, sums = class_sums(features, part, len(self.counts))
            part_means = sums / counts[:, None].clamp_min(1)
            within = features - part_means[part]
            apart = part_means - self.means
            both = (self.counts + counts).clamp_min(1)
            # Two groups about their common mean: the scatter of each, and of their means.
            self.scatter += within.T @ within
            self.scatter += (apart * (self.counts * counts / both)[:, None]).T @ apart
            self.means += apart * (counts / both)[:, None]
            self.counts += counts
        covariance = self.scatter / self.counts.sum().clamp_min(1)
        self.weight[:], self.bias[:] = discriminant(self.means, covariance, self.shrinkage)

    def forward(self, *vectors: Tensor) -> Tensor:
        scores = functional.linear(features_of(*vectors).double(), self.weight, self.bias)
        return unseen_last(scores, self.counts).float()


class RidgeClassifier(LabelSums):
    """(p, h) -> ridge regression of one-hot labels on x = [p, h, |p - h|, p ∘ h].

    With n_random > 0, max(0, x R) replaces x, where R (4 * dim, n_random) is standard normal.
    Shapes: (batch, dim) twice -> (batch, labels), float32.
    Source: McDonnell et al. 2023 (RanPAC, arXiv 2307.02251), equations 3 to 5. They neither centre nor
    standardise, and choose the ridge by cross-validation; see `ridge_solution`.
    """

    BY_LABEL = ("label_weights", "label_sums", "weight", "bias")

    def __init__(
        self, n_features: int, n_labels: int, strength: float, n_random: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.strength = strength
        width = n_random or n_features
        draws = torch.randn(n_features, n_random, generator=generator) if n_random else None
        self.projection = None if draws is None else nn.Buffer(draws)
        self.label_weights = _zeros(n_labels)
        self.sums, self.label_sums = _zeros(width), _zeros(n_labels, width)
        self.gram = _zeros(width, width)
        self.weight, self.bias = _zeros(n_labels, width), _zeros(n_labels)

    def add(self, *columns: Tensor, pair_weight: float = 1.0) -> None:
        """Take in pairs, each counting as `pair_weight` pairs."""
        for features, part in _parts(columns, self.gram):
            x = self._projected(features)
            counts, sums = class_sums(x, part, len(self.label_weights))
            self.label_weights += pair_weight * counts
            self.label_sums += pair_weight * sums
            self.sums += pair_weight * x.sum(dim=0)
            self.gram += pair_weight * (x.T @ x)
        self.weight[:], self.bias[:] = ridge_solution(
            self.gram, self.sums, self.label_sums, self.label_weights, self.strength
        )

    def forward(self, *vectors: Tensor) -> Tensor:
        x = self._projected(features_of(*vectors).double())
        return unseen_last(functional.linear(x, self.weight, self.bias), self.label_weights).float()

    def _projected(self, features: Tensor) -> Tensor:
        if self.projection is None:
            return features
        return (features.to(self.projection.dtype) @ self.projection).clamp_min(0).to(features.dtype)


def _zeros(*shape: int) -> Tensor:
    return nn.Buffer(torch.zeros(shape, dtype=torch.float64))


def _parts(columns: Sequence[Tensor], like: Tensor):
    """(features, labels) of at most PART examples at a time, on the device and of the type of `like`.

    The columns are the vectors of the examples, p and h or one alone, and their labels.
    """
    for rows in zip(*(column.split(PART) for column in columns), strict=True):
        *parts, part = (row.to(like.device) for row in rows)
        yield features_of(*parts).to(like.dtype), part
