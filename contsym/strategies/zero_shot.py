"""No training: a checkpoint's own NLI head, or k-NN over untrained label embeddings.

An encoder whose checkpoint has a head over entailment, neutral and contradiction (by the
names in its id2label), or one made by `contsym pretrain`, is asked as it is. Any other encoder stores the label embeddings
l = h ⊘ p of the training pairs, untrained, and lets the k nearest vote. This is the baseline
that shows the problem.
Source: the untrained models of Yuan and Vlachos 2025 (arXiv 2504.16312).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.memory import VotingMemory
from contsym.method_settings import RelationSettings
from contsym.pooling import NliClassifier, PooledEncoder
from contsym.relations.heads import PairClassifier, Relation
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), untrained models",
    "trains": "nothing",
    "stores": "nothing with an NLI head; else every training pair and its label embedding",
    "grows": "pairs",
    "family": "paper",
}


class ZeroShot(Strategy):
    """The encoder as it comes."""

    trains = False
    wants_head = "nli"

    class Settings(RelationSettings, TrainingSettings):
        k: int = Field(3, ge=1, description="stored neighbours that vote, without an NLI head")

    settings: Settings

    def __init__(self, *, encoder: PooledEncoder, **kwargs) -> None:
        self.asks_head = isinstance(encoder, NliClassifier)
        self.pair_head = encoder.nli_head
        super().__init__(encoder=encoder, **kwargs)

    @property
    def is_joint(self) -> bool:
        return self.asks_head

    def make_head(self, dim: int, n_labels: int, generator: torch.Generator) -> nn.Module:
        if self.asks_head:
            return nn.Identity()
        if self.pair_head is not None:
            return PairClassifier(dim, n_labels, generator, self.pair_head)
        return Relation(self.settings.relation, guard=self.settings.guard)

    def make_memory(self) -> VotingMemory | None:
        if self.asks_head or self.pair_head is not None:
            return None
        # Nothing changes the encoder, so vectors cannot go stale.
        return VotingMemory(k=self.settings.k, n_labels=self.n_labels, mode="stale")

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        raise AssertionError("zero_shot takes no training step")
