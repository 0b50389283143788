"""A memory that scores by the mean embedding of each label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contsym.models.distances import pairwise_euclidean_distance
from contsym.models.losses import label_means
from contsym.models.memory import VotingMemory, embedded, named, parts_of

if TYPE_CHECKING:
    from datasets import Dataset


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

    def scores(self, queries: Tensor) -> Tensor:
        queries = queries.detach().float().cpu()
        scores = torch.full((len(queries), self.n_labels), torch.finfo(torch.float32).min)
        scores[:, self.labels] = -pairwise_euclidean_distance(queries, self.embeddings).square()
        return scores


class PrototypeMemory(VotingMemory):
    """Stored pairs that score by the mean of each label."""

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

    def state(self) -> dict[str, Tensor]:
        return named(self._past)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore({})
        self._past = parts_of(state)
