"""k-NN over label embeddings l = h ⊘ p with a fixed distance; the encoder is trained.

Contrastive loss over the pairs of a batch: same label d^2, different label
max(0, margin - d)^2, d = 1 - cos(l_i, l_j). Predicts by majority vote of the k nearest stored
label embeddings.

For ablations l may be another fixed function of the two sentences (`--set relation=product`,
rotation, difference or concat), and d the Euclidean distance of label embeddings at length 1
(`--set metric=euclidean`), the chord sqrt(2 (1 - cos)). Both distances lie in [0, 2], so the margin and the
vote suit both. They order neighbours alike but train differently: the chord pulls nearly equal pairs as
hard as others, the squared cosine distance does not.
Source: Yuan and Vlachos 2025 (arXiv 2504.16312), k-NN with a fixed distance; the ablations are ours
(docs/label-embeddings.md).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from contsym.models.distances import Metric
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import Relation
from contsym.models.losses import contrastive_loss
from contsym.models.memory import VotingMemory
from contsym.models.settings import RelationSettings, VoteSettings
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), k-NN with a fixed distance",
    "trains": "encoder",
    "stores": "every training pair and its label embedding",
    "grows": "pairs",
    "family": "paper",
}


class KnnFixed(Strategy):
    class Settings(VoteSettings, RelationSettings, TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="distance that other labels must keep")
        metric: Metric = Field("cosine", description="distance of label embeddings; euclidean: at length 1")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        settings = self.settings
        return Relation(settings.relation, guard=settings.guard, unit_length=settings.metric == "euclidean")

    def make_memory(self) -> VotingMemory:
        return self.settings.voting_memory(self.n_labels, self.seed, self.settings.metric)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return contrastive_loss(output, labels, self.settings.margin, self.settings.metric)
