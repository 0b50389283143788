"""Fine-tuning: a linear classifier on [p, h, |p - h|, p ∘ h], cross-entropy, all weights trained.

With `--set head=cross` the pair is encoded as one text, and the classifier reads its vector.
Source: the fine-tuning baseline of Yuan and Vlachos 2025 (arXiv 2504.16312); features of Conneau et al. 2017
(InferSent), section 3.1.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import PairClassifier, seeded_init
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), fine-tuning; Conneau et al. 2017",
    "trains": "encoder and linear head",
    "stores": "the linear head",
    "grows": "labels",
    "family": "paper",
}


class JointClassifier(nn.Module):
    """The vector of a jointly encoded pair -> logits. Shapes: (batch, dim) -> (batch, labels)."""

    def __init__(self, dim: int, n_labels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, n_labels)
        seeded_init(self, generator)

    def forward(self, pair: Tensor) -> Tensor:
        return self.linear(pair)


class FineTune(Strategy):
    class Settings(TrainingSettings):
        head: Literal["pair", "cross"] = Field(
            "pair", description="encode the sentences separately, or as one text"
        )

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        self.is_joint = self.settings.head == "cross"
        return (JointClassifier if self.is_joint else PairClassifier)(encoder.dim, n_labels, generator)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(output, labels)
