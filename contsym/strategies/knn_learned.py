"""k-NN over label embeddings that a small network makes from (p, h), trained with the encoder.

The contrastive loss and the vote are those of knn_fixed; a two-layer network over [p, h, |p - h|, p ∘ h]
replaces l = h ⊘ p.
Source: Yuan and Vlachos 2025 (arXiv 2504.16312), k-NN with a learned distance; the shape is ours.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.models.algebra import pair_features
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import seeded_init
from contsym.models.losses import contrastive_loss
from contsym.models.memory import VotingMemory
from contsym.models.settings import VoteSettings
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), k-NN with a learned distance",
    "trains": "encoder and relation network",
    "stores": "every training pair and its label embedding; the network",
    "grows": "pairs",
    "family": "paper",
}


class LearnedRelation(nn.Module):
    """(p, h) -> l by a small network over [p, h, |p - h|, p ∘ h], its hidden layer as wide as the encoder.

    Shapes: (batch, dim) twice -> (batch, dim).
    """

    def __init__(self, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.LayerNorm(4 * dim), nn.Linear(4 * dim, dim), nn.GELU(), nn.Linear(dim, dim)
        )
        seeded_init(self, generator)

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return self.network(pair_features(p, h))


class KnnLearned(Strategy):
    class Settings(VoteSettings, TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="distance that other labels must keep")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return LearnedRelation(encoder.dim, generator)

    def make_memory(self) -> VotingMemory:
        return self.settings.voting_memory(self.n_labels, self.seed)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return contrastive_loss(output, labels, self.settings.margin)
