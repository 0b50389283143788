"""k-NN over the plain cosine of the two sentences, one number a pair; the encoder is trained.

c = cos(p, h). Contrastive loss over the pairs of a batch, as in knn_fixed with the distance
d = |c_i - c_j|; predicts by majority vote of the k stored pairs whose c is nearest.

What it shows: a cosine is the same in both directions, so whatever this method says of (p, h)
it says of (h, p). Of "A borders B" and "B borders A" nothing is lost by that, both directions
have one label; but where p entails h and h leaves p open, as in NLI, one of the two answers
must be wrong. And one number can tell near from far, but not in what two sentences differ.
Source: the similarity that Yuan and Vlachos 2025 (arXiv 2504.16312) argue from; trained and
voted on here as an ablation of ours.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import Similarity
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


class KnnCosine(Strategy):
    """A pair is the cosine of its sentences."""

    class Settings(VoteSettings, TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="gap between the cosines of unlike labels")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return Similarity()

    def make_memory(self) -> VotingMemory:
        return self.settings.voting_memory(self.n_labels, self.seed, "euclidean")

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return contrastive_loss(output, labels, self.settings.margin, "euclidean")
