"""Random label embeddings: one fixed random vector a label; the encoder learns h ≈ p ∘ l.

d_c(p, h) = 1 - cos(h, p ∘ l_c); minimises d_pos^2 + sum over other labels of
max(0, margin - d_neg)^2; predicts the label of least distance. The vectors are drawn from the
run's seed and saved with it.
Source: Yuan and Vlachos 2025 (arXiv 2504.16312), random label embeddings.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import RandomLabelVectors
from contsym.models.losses import margin_loss
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), random label embeddings",
    "trains": "encoder",
    "stores": "one vector a label",
    "grows": "labels",
    "family": "paper",
}


class RandomLabels(Strategy):
    """Label vectors at random, the encoder trained to meet them."""

    class Settings(TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="distance that other labels must keep")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return RandomLabelVectors(encoder.dim, n_labels, generator)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return margin_loss(-output, labels, self.settings.margin)
