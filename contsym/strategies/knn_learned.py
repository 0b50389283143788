"""k-NN over label embeddings that a small network makes of (p, h), trained with the encoder.

The same contrastive loss and the same vote as knn_fixed; only l = h ⊘ p is replaced by a
two-layer network over [p, h, |p - h|, p ∘ h].
Source: Yuan and Vlachos 2025 (arXiv 2504.16312), k-NN with a learned distance; the paper does
not give the network's shape, ours is stated in relations/heads.py.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import LearnedRelation
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


class KnnLearned(Strategy):
    """Label embeddings by a learned map, compared by cosine."""

    class Settings(VoteSettings, TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="distance that other labels must keep")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return LearnedRelation(encoder.dim, generator)

    def make_memory(self) -> VotingMemory:
        return self.settings.voting_memory(self.n_labels, self.seed)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return contrastive_loss(output, labels, self.settings.margin)
