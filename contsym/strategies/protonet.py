"""Prototypical network: the nearest mean label embedding wins; the encoder is trained.

A label's prototype is the mean of its label embeddings l = h ⊘ p; a pair's label has the
softmax over minus the squared Euclidean distances to the prototypes. A training batch is an
episode in which every pair is a query against the prototypes of the others. Prediction uses
prototypes of all stored pairs, of earlier experiences as well, encoded by the present encoder
(`--set memory=stale`: by the encoder of their time). Distances are those of label embeddings
as they come, so the relation's scale is the temperature of the softmax.
Source: Snell et al. 2017 (Prototypical Networks for Few-shot Learning), equations 1 and 2;
label embeddings after Yuan and Vlachos 2025 (arXiv 2504.16312).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import Relation
from contsym.models.losses import prototype_loss
from contsym.models.prototypes import PrototypeMemory
from contsym.models.settings import MemorySettings, RelationSettings
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Snell et al. 2017 (Prototypical Networks)",
    "trains": "encoder",
    "stores": "one prototype a label, and every training pair to make them anew",
    "family": "few-shot",
}


class Protonet(Strategy):
    class Settings(MemorySettings, RelationSettings, TrainingSettings):
        pass

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return Relation(self.settings.relation, guard=self.settings.guard)

    def make_memory(self) -> PrototypeMemory:
        return PrototypeMemory(n_labels=self.n_labels, mode=self.settings.memory, seed=self.seed)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return prototype_loss(output, labels, self.n_labels)
