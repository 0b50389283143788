"""No training: a checkpoint's own NLI head, or k-NN over untrained label embeddings.

A checkpoint with a head over entailment, neutral and contradiction (by the names in its id2label), or with one
from `contsym pretrain`, predicts by that head. Any other encoder stores the label embeddings l = h ⊘ p of the
training pairs, and the k nearest vote. This baseline shows the problem.
Source: the untrained models of Yuan and Vlachos 2025 (arXiv 2504.16312).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from contsym.errors import SettingError
from contsym.models.encoders.pooled import NliClassifier, PooledEncoder
from contsym.models.heads import PairClassifier, Relation
from contsym.models.memory import VotingMemory
from contsym.models.settings import RelationSettings
from contsym.strategies.base import Strategy, TrainingSettings
from contsym.tasks.schema import NLI_LABELS

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), untrained models",
    "trains": "nothing",
    "stores": "nothing with an NLI head; else every training pair and its label embedding",
    "grows": "pairs",
    "family": "paper",
}


class ZeroShot(Strategy):
    trains = False
    wants_head = "nli"

    class Settings(RelationSettings, TrainingSettings):
        k: int = Field(3, ge=1, description="stored neighbours that vote, without an NLI head")

    settings: Settings
    has_head = False
    """Whether a head of the checkpoint predicts, not stored pairs."""

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        self.is_joint = isinstance(encoder, NliClassifier)
        if self.is_joint and self.labels != NLI_LABELS:
            raise SettingError(
                f"strategy zero_shot: the encoder's own head answers {', '.join(NLI_LABELS)}, and the labels are "
                f"{', '.join(self.labels)}; expected an encoder without a head, as minilm"
            )
        # An NLI head answers its three labels; any others are voted for.
        self.has_head = self.is_joint or (encoder.nli_head is not None and self.labels == NLI_LABELS)
        if self.is_joint:
            return nn.Identity()
        if self.has_head and encoder.nli_head is not None:
            return PairClassifier(encoder.dim, n_labels, generator, encoder.nli_head)
        return Relation(self.settings.relation, guard=self.settings.guard)

    def make_memory(self) -> VotingMemory | None:
        if self.has_head:
            return None
        # The encoder never changes, so stored vectors stay valid.
        return VotingMemory(k=self.settings.k, n_labels=self.n_labels, mode="stale")
