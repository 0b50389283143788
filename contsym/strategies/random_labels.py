"""Random label embeddings: one fixed random vector per label; the encoder learns h ≈ p ∘ l.

d_c(p, h) = 1 - cos(h, p ∘ l_c); minimises d_pos^2 + sum over other labels of
max(0, margin - d_neg)^2; predicts the nearest label. The vectors are drawn from the
seed and saved with the result.
Source: Yuan and Vlachos 2025 (arXiv 2504.16312), random label embeddings.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.models.distances import label_distances
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.losses import margin_loss
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), random label embeddings",
    "trains": "encoder",
    "stores": "one vector per label",
    "grows": "labels",
    "family": "paper",
}


class RandomLabelVectors(nn.Module):
    """(p, h) -> scores -d_c(p, h), with one fixed random vector l_c per label.

    The vectors are a buffer: saved with the model and moved with it, never optimised.
    Shapes: (batch, dim) twice -> (batch, labels).
    """

    def __init__(self, dim: int, n_labels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.label_vectors = nn.Buffer(torch.randn(n_labels, dim, generator=generator))

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return -label_distances(p, h, self.label_vectors)


class RandomLabels(Strategy):
    class Settings(TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="distance that other labels must keep")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return RandomLabelVectors(encoder.dim, n_labels, generator)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return margin_loss(-output, labels, self.settings.margin)
