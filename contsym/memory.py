"""The k-NN memory: stored label embeddings, searched by FAISS, voting for a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from datasets import Dataset


def vote(distances: Tensor, labels: Tensor, n_labels: int) -> Tensor:
    """Scores whose argmax is the majority label; of tied labels the nearer sum wins.

    score_c = votes_c - (sum of the distances of c's voters) / (2k + 1). Cosine distances are
    at most 2, so the subtracted part stays below 1 and never outweighs a vote. Labels
    without a vote score 0; two labels equal in votes and in sum go to the lower index.

    Shapes: distances and labels (batch, k) -> (batch, n_labels), float32.
    """
    k = distances.shape[1]
    share = 1 - distances.float().clamp(0, 2) / (2 * k + 1)
    scores = torch.zeros(len(distances), n_labels, device=distances.device)
    return scores.scatter_add_(1, labels, share)


class LabelMemory:
    """Label embeddings of stored pairs, in one exact cosine index.

    `add` takes (n, dim) embeddings and (n,) labels; `scores` answers (batch, n_labels) vote
    scores. With fewer stored pairs than k, all of them vote; an empty memory is an error of
    the caller, because no honest prediction can be made from it.
    """

    def __init__(self, dim: int, n_labels: int, k: int) -> None:
        self.n_labels, self.k = n_labels, k
        self.embeddings = np.empty((0, dim), dtype=np.float32)
        self.labels = np.empty(0, dtype=np.int64)
        self._index: Any = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_bytes(self) -> int:
        """Bytes that the stored embeddings and labels take."""
        return self.embeddings.nbytes + self.labels.nbytes

    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        unit = functional.normalize(embeddings.detach().float(), dim=-1).cpu().numpy()
        self.embeddings = np.concatenate([self.embeddings, unit])
        self.labels = np.concatenate([self.labels, labels.cpu().numpy()])
        self._index = None

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine distances and labels of the k nearest stored pairs, both (batch, k).

        Equal distances are taken in the order of storing.
        """
        assert len(self) > 0, "a vote needs at least one stored pair"
        if self._index is None:
            import faiss

            self._index = faiss.IndexFlatIP(self.embeddings.shape[1])
            self._index.add(self.embeddings)
        unit = functional.normalize(queries.detach().float(), dim=-1).cpu().numpy()
        similarity, rows = self._index.search(unit, min(self.k, len(self)))
        return torch.from_numpy(1 - similarity), torch.from_numpy(self.labels[rows])

    def scores(self, queries: Tensor) -> Tensor:
        distances, labels = self.nearest(queries)
        return vote(distances, labels, self.n_labels)


_PAST = ("embeddings", "labels")


class VotingMemory:
    """The pairs that a k-NN strategy stores, as label embeddings of the present encoder.

    With `refresh` every stored pair is encoded again whenever the encoder may have changed;
    with `stale` a finished experience keeps the vectors it had at its end, which is cheap and
    drifts out of date.
    """

    def __init__(self, *, k: int, n_labels: int, mode: Literal["refresh", "stale"]) -> None:
        self.k, self.n_labels, self.mode = k, n_labels, mode
        self._past: list[tuple[Tensor, Tensor]] = []
        self._version: tuple[int, ...] | None = None
        self.index: LabelMemory | None = None

    def update(
        self,
        past: Sequence[Dataset],
        current: Dataset | None,
        n_steps: int,
        embed: Callable[[Dataset], Tensor],
        past_limit: int | None = None,
    ) -> None:
        """Make the index hold `past` and `current`, as the encoder of step n_steps sees them.

        `embed` gives the (len(pairs), dim) label embeddings of a data set of pairs. With a
        past_limit, `refresh` takes an evenly spaced part of the past, at most so many pairs:
        enough for a look in passing, where encoding all of it again would cost more than the
        training in between.
        """
        version = (n_steps, len(past), 0 if current is None else len(current), past_limit or 0)
        if version == self._version:
            return
        self._version = version
        if self.mode == "refresh":
            self._past.clear()
            past = past if past_limit is None else thinned(past, past_limit)
        self._past.extend(_embedded(pairs, embed) for pairs in past[len(self._past) :])
        parts = [*self._past, *([] if current is None else [_embedded(current, embed)])]
        self.index = LabelMemory(parts[0][0].shape[1], self.n_labels, self.k)
        self.index.add(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def scores(self, queries: Tensor) -> Tensor:
        assert self.index is not None, "update() comes before the first vote"
        return self.index.scores(queries)

    @property
    def n_bytes(self) -> int:
        return 0 if self.index is None else self.index.n_bytes

    def state(self) -> dict[str, Tensor]:
        """What `stale` keeps of finished experiences; `refresh` makes all of it anew."""
        if self.mode == "refresh":
            return {}
        columns = enumerate(self._past)
        return {f"past.{i}.{name}": t for i, pair in columns for name, t in zip(_PAST, pair, strict=True)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put in what `state` gave; the index is made at the next update."""
        n = len(state) // len(_PAST)
        self._past = [(state[f"past.{i}.{_PAST[0]}"], state[f"past.{i}.{_PAST[1]}"]) for i in range(n)]
        self._version = None

    def artifacts(self) -> dict[str, Tensor]:
        """The stored embeddings and labels."""
        if self.index is None:
            return {}
        return {
            "memory.embeddings": torch.from_numpy(self.index.embeddings),
            "memory.labels": torch.from_numpy(self.index.labels),
        }


def thinned(past: Sequence[Dataset], limit: int) -> list[Dataset]:
    """Every n-th pair of each data set, with the least n that leaves at most `limit` pairs."""
    n_pairs = sum(len(pairs) for pairs in past)
    every = max(1, -(-n_pairs // limit))
    while sum(-(-len(pairs) // every) for pairs in past) > limit and every < n_pairs:
        every += 1
    return [pairs.select(range(0, len(pairs), every)) for pairs in past]


def _embedded(pairs: Dataset, embed: Callable[[Dataset], Tensor]) -> tuple[Tensor, Tensor]:
    return embed(pairs), torch.tensor(pairs["label"][:])
