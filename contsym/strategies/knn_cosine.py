"""k-NN over the plain cosine of the two sentences, one number per pair; the encoder is trained.

c = cos(p, h). Contrastive loss over the pairs of a batch, as in knn_fixed with the distance
d = |c_i - c_j|; predicts by majority vote of the k stored pairs with the nearest c.

The ablation shows what a symmetric similarity loses: the method gives (p, h) and (h, p) one answer.
That suits "A borders B", which has one label in both directions; where p entails h and h leaves p open,
one of the two answers must be wrong. Nor can one number say how two sentences differ.
Source: our ablation of the similarity in Yuan and Vlachos 2025 (arXiv 2504.16312).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.models.distances import cosine_distance
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.losses import contrastive_loss
from contsym.models.memory import VotingMemory
from contsym.models.settings import VoteSettings
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "ablation of Yuan and Vlachos 2025 (arXiv 2504.16312): a symmetric similarity",
    "trains": "encoder",
    "stores": "every training pair and its cosine",
    "grows": "pairs",
    "family": "ablation",
}


class Similarity(nn.Module):
    """(p, h) -> cos(p, h), one number per pair. Shapes: (batch, dim) twice -> (batch, 1)."""

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return 1 - cosine_distance(p, h)[:, None]


class KnnCosine(Strategy):
    class Settings(VoteSettings, TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="gap between the cosines of unlike labels")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return Similarity()

    def make_memory(self) -> VotingMemory:
        return self.settings.voting_memory(self.n_labels, self.seed, "euclidean")

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return contrastive_loss(output, labels, self.settings.margin, "euclidean")
