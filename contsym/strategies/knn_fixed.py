"""k-NN over label embeddings l = h ⊘ p with a fixed distance; the encoder is trained.

Contrastive loss over the pairs of a batch: same label d^2, different label
max(0, margin - d)^2, d = 1 - cos(l_i, l_j). Predicts by majority vote of the k nearest stored
label embeddings.
Source: Yuan and Vlachos 2025 (arXiv 2504.16312), k-NN with a fixed distance.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.memory import VotingMemory
from contsym.relations.algebra import DIVISION_GUARD
from contsym.relations.heads import Division
from contsym.relations.losses import contrastive_loss
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), k-NN with a fixed distance",
    "trains": "encoder",
    "stores": "every training pair and its label embedding",
    "grows": "pairs",
    "family": "paper",
}


class KnnFixed(Strategy):
    """Label embeddings by division, compared by cosine."""

    class Settings(TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="distance that other labels must keep")
        k: int = Field(3, ge=1, description="stored neighbours that vote")
        memory: Literal["refresh", "stale"] = Field(
            "refresh", description="encode stored pairs again after an experience, or not"
        )
        guard: float = Field(DIVISION_GUARD, gt=0, description="strength of the guard in h ⊘ p")

    settings: Settings

    def make_head(self, dim: int, n_labels: int, generator: torch.Generator) -> nn.Module:
        return Division(self.settings.guard)

    def make_memory(self) -> VotingMemory:
        return VotingMemory(k=self.settings.k, n_labels=self.n_labels, mode=self.settings.memory)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return contrastive_loss(output, labels, self.settings.margin)
