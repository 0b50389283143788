"""Prototypical network: the nearest mean label embedding wins; the encoder is trained.

A label's prototype is the mean of its label embeddings l = h ⊘ p; the probability of a label is the softmax
over minus the squared Euclidean distances to the prototypes. A training batch is an episode in which every
pair is a query against the prototypes of the others. Prediction uses prototypes of all stored pairs, encoded
by the present encoder (with `--set memory=stale` by the encoder of their experience). Embeddings are not
scaled, so the relation's scale is the temperature of the softmax.
Source: Snell et al. 2017 (Prototypical Networks for Few-shot Learning), equations 1 and 2;
label embeddings after Yuan and Vlachos 2025 (arXiv 2504.16312).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor, nn

from contsym.models.distances import pairwise_euclidean_distance
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import Relation
from contsym.models.losses import label_means, prototype_loss
from contsym.models.memory import VotingMemory, embedded, named, parts_of
from contsym.models.settings import MemorySettings, RelationSettings
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Snell et al. 2017 (Prototypical Networks)",
    "trains": "encoder",
    "stores": "one prototype per label, and every training pair to compute them again",
    "family": "few-shot",
    "inputs": "pair, single",
}


class Prototypes:
    """The mean embedding of each label; a score is minus the squared Euclidean distance to it.

    `add` is called once, with (n, dim) embeddings and (n,) labels; `scores` gives (batch, n_labels). A label
    without stored pairs scores lower than any other.
    """

    def __init__(self, n_labels: int) -> None:
        self.n_labels = n_labels
        self.embeddings, self.labels = torch.empty(0, 0), torch.empty(0, dtype=torch.long)

    @property
    def n_bytes(self) -> int:
        return self.embeddings.nbytes + self.labels.nbytes

    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        embeddings, labels = embeddings.detach().float().cpu(), labels.cpu()
        self.embeddings, self.labels = label_means(embeddings, labels, self.n_labels)

    def add_vectors(self, means: np.ndarray, labels: np.ndarray) -> None:
        """Take in the `embeddings` and `labels` of other prototypes, unchanged."""
        self.embeddings, self.labels = torch.from_numpy(means), torch.from_numpy(labels)

    def scores(self, queries: Tensor) -> Tensor:
        queries = queries.detach().float().cpu()
        scores = torch.full((len(queries), self.n_labels), torch.finfo(torch.float32).min)
        scores[:, self.labels] = -pairwise_euclidean_distance(queries, self.embeddings).square()
        return scores


class PrototypeMemory(VotingMemory):
    """Stored pairs that score by the mean of each label."""

    score_kind = "logits"

    def __init__(self, *, n_labels: int, mode: str, seed: int = 0) -> None:
        super().__init__(k=1, n_labels=n_labels, mode=mode, seed=seed)
        self._past: list[tuple[Tensor, Tensor]] = []
        """With `stale`, the embeddings and labels of each finished experience."""

    def make_index(self, dim: int) -> Prototypes:
        return Prototypes(self.n_labels)

    @property
    def note(self) -> None:
        return None

    def _append(
        self, past: Sequence[Dataset], current: Dataset | None, embed: Callable[[Dataset], Tensor]
    ) -> None:
        self._past += [embedded(pairs, embed) for pairs in past[len(self._past) :]]
        self._fill([*self._past, *([] if current is None else [embedded(current, embed)])])

    def append(
        self, past: Sequence[Dataset], n_steps: int, embed: Callable[[Dataset], Tensor], n_new: int
    ) -> None:
        # The mean of a label is one of all its pairs.
        self.update(past, None, n_steps, embed)

    def state(self) -> dict[str, Tensor]:
        return named(self._past)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore({})
        self._past = parts_of(state)


class Protonet(Strategy):
    class Settings(MemorySettings, RelationSettings, TrainingSettings):
        pass

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        # The embedding of a single text is its vector.
        return nn.Identity() if self.is_joint else Relation(self.settings.relation, guard=self.settings.guard)

    def make_memory(self) -> PrototypeMemory:
        return PrototypeMemory(n_labels=self.n_labels, mode=self.settings.memory, seed=self.seed)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return prototype_loss(output, labels, self.n_labels)
