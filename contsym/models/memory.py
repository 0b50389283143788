"""The k-NN memory: stored label embeddings, searched by FAISS, voting for a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from contsym.data.joining import Joined
from contsym.models.distances import Metric
from contsym.models.neighbours import IndexKind, Neighbours, StoredType, nearest_first
from contsym.models.reservoir import RESERVOIR, Reservoir, n_stored, thinned

if TYPE_CHECKING:
    from datasets import Dataset


def vote(distances: Tensor, labels: Tensor, n_labels: int) -> Tensor:
    """Scores whose argmax is the majority label; of tied labels the nearer sum wins.

    score_c = votes_c - (sum of the distances of c's voters) / (2k + 1). Cosine distances are
    at most 2, so the subtracted part stays below 1 and never outweighs a vote; where a query has
    a voter farther away than 2, its distances are scaled down to that. Labels without a vote
    score 0; two labels equal in votes and in sum go to the lower index.

    Shapes: distances and labels (batch, k) -> (batch, n_labels), float32.
    """
    k = distances.shape[1]
    distances = distances.float().clamp_min(0)
    scale = 2 / distances.amax(dim=1, keepdim=True).clamp_min(2)
    share = 1 - scale * distances / (2 * k + 1)
    scores = torch.zeros(len(distances), n_labels, device=distances.device)
    return scores.scatter_add_(1, labels, share)


class LabelMemory:
    """Label embeddings of stored pairs, asked for the nearest by cosine or Euclidean distance.

    `add` takes (n, dim) embeddings and (n,) labels; `scores` answers (batch, n_labels) vote
    scores. With fewer stored pairs than k, all of them vote; an empty memory is an error of
    the caller, because no honest prediction can be made from it.

    Of the cosine, vectors are kept at length 1; a zero vector is at distance 1 from everything.
    Euclidean distances are those of the vectors as they come. Stored as float16, a vector of length 1 is
    moved by at most 2^-11, and so is every Euclidean distance from it; a cosine distance changes by at most 2^-10.
    """

    def __init__(
        self,
        dim: int,
        n_labels: int,
        k: int,
        *,
        metric: Metric = "cosine",
        index: IndexKind = "auto",
        stored_as: StoredType = "float32",
    ) -> None:
        self.n_labels, self.k, self.metric = n_labels, k, metric
        # Half the squared Euclidean distance of unit vectors is the cosine distance. FAISS's inner product would
        # say the same, but takes equal neighbours in no order.
        new = partial(Neighbours, dim, k, stored_as=stored_as, expands=metric == "cosine")
        self.kept = new(kind=index)
        self._new_passing = partial(new, kind="flat")
        self._passing = self._new_passing()
        self.labels = self._zero_rows = np.empty(0, dtype=np.int64)
        self._n_kept = self._n_kept_zeros = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def embeddings(self) -> np.ndarray:
        """A copy of what is stored, (n, dim), of the cosine at length 1."""
        vectors = np.concatenate([self.kept.vectors, self._passing.vectors])
        found = np.zeros((len(self), vectors.shape[1]), dtype=vectors.dtype)
        found[self._rows_of(np.arange(len(vectors)))] = vectors
        return found

    @property
    def n_bytes(self) -> int:
        """Bytes that the labels and the index of the embeddings take; zero vectors are stored as their row."""
        return 8 * (len(self) + len(self._zero_rows)) + self.kept.n_bytes + self._passing.n_bytes

    def add(self, embeddings: Tensor, labels: Tensor, *, is_passing: bool = False) -> None:
        """Store pairs; those that are passing only until `let_go`."""
        self.put(self._scaled(embeddings), labels.cpu().numpy(), is_passing=is_passing)

    def put(self, vectors: np.ndarray, labels: np.ndarray, *, is_passing: bool = False) -> None:
        """Store rows of `embeddings`, of this memory or another, as they are."""
        assert is_passing or not len(self._passing), "what is kept comes before what is passing"
        if self.metric == "cosine":
            is_zero = ~vectors.any(axis=1)
            self._zero_rows = np.append(self._zero_rows, len(self) + np.flatnonzero(is_zero))
            vectors = vectors[~is_zero] if is_zero.any() else vectors
        (self._passing if is_passing else self.kept).add(vectors)
        self.labels = np.append(self.labels, labels)
        if not is_passing:
            self._n_kept, self._n_kept_zeros = len(self), len(self._zero_rows)

    def let_go(self) -> None:
        """Forget the passing pairs."""
        self._passing = self._new_passing()
        self.labels, self._zero_rows = self.labels[: self._n_kept], self._zero_rows[: self._n_kept_zeros]

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Distances and labels of the k nearest stored pairs, both (batch, k), the nearest first.

        Equal distances are taken in the order of storing, where the index is flat.
        """
        assert len(self) > 0, "a vote needs at least one stored pair"
        k = min(self.k, len(self))
        vectors = self._scaled(queries)
        squares, rows = self._among(vectors, self.kept, 0)
        for more in (
            self._among(vectors, self._passing, len(self.kept)),
            self._zeros(len(vectors)),
        ):
            if more[0].shape[1]:
                squares, rows = nearest_first(
                    np.concatenate([squares, more[0]], axis=1), np.concatenate([rows, more[1]], axis=1), k
                )
        if self.metric == "cosine" and not (is_some := vectors.any(axis=1)).all():
            squares[~is_some], rows[~is_some] = 2, np.arange(k)
        distances = squares / 2 if self.metric == "cosine" else np.sqrt(squares)
        return torch.from_numpy(distances), torch.from_numpy(self.labels[rows])

    def scores(self, queries: Tensor) -> Tensor:
        distances, labels = self.nearest(queries)
        return vote(distances, labels, self.n_labels)

    def _among(self, queries: np.ndarray, part: Neighbours, n_before: int) -> tuple[np.ndarray, np.ndarray]:
        if not len(part):
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        squares, found = part.search(queries)
        return squares, self._rows_of(found + n_before)

    def _zeros(self, n_queries: int) -> tuple[np.ndarray, np.ndarray]:
        """The first k zero vectors, at the square of twice distance 1."""
        rows = self._zero_rows[: self.k]
        shape = n_queries, len(rows)
        return np.full(shape, 2, dtype=np.float32), np.broadcast_to(rows, shape)

    def _rows_of(self, found: np.ndarray) -> np.ndarray:
        """Rows of the memory where the n-th of what is in an index lies: zero vectors are in none."""
        zeros = self._zero_rows
        # How many others are stored before each zero vector.
        return found + np.searchsorted(zeros - np.arange(len(zeros)), found, side="right")

    def _scaled(self, embeddings: Tensor) -> np.ndarray:
        embeddings = embeddings.detach().float()
        return (
            (functional.normalize(embeddings, dim=-1) if self.metric == "cosine" else embeddings)
            .cpu()
            .numpy()
        )


_PAST = ("embeddings", "labels")


class VotingMemory:
    """The pairs that a k-NN strategy stores, as label embeddings of the present encoder.

    With `refresh` every stored pair is encoded again whenever the encoder may have changed;
    with `stale` a finished experience keeps the vectors it had at its end, which is cheap and
    drifts out of date; `reservoir:N` is refresh with a uniform sample of N pairs of all that
    came by, so that the memory stops growing (and a small experience after a large one is
    hardly in it).
    """

    def __init__(
        self,
        *,
        k: int,
        n_labels: int,
        mode: str,
        metric: Metric = "cosine",
        index: IndexKind = "auto",
        stored_as: StoredType = "float32",
        seed: int = 0,
    ) -> None:
        self.n_labels, self.mode = n_labels, mode
        self.reservoir = Reservoir(n_stored(mode), seed) if mode.startswith(RESERVOIR) else None
        self._options: dict[str, Any] = {"k": k, "metric": metric, "index": index, "stored_as": stored_as}
        self._n_of_past: list[int] = []
        """With `stale`, the pairs of each finished experience that the index holds."""
        self._version: tuple[int, ...] | None = None
        self._finished = Joined()
        self.index: Any = None

    def make_index(self, dim: int) -> Any:
        """The empty index of the label embeddings' dimension."""
        return LabelMemory(dim, self.n_labels, **self._options)

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
        past_limit, only an evenly spaced part of the past is encoded again, at most so many
        pairs: enough for a look in passing, where encoding all of it would cost more than the
        training in between.
        """
        version = (n_steps, len(past), 0 if current is None else len(current), past_limit or 0)
        if version == self._version:
            return
        self._version = version
        if self.reservoir:
            past, current = self.reservoir.sample(past, current)
        if self.mode == "stale":
            self._append(past, current, embed)
            return
        past = past if past_limit is None else thinned(past, past_limit)
        # Together: each by itself, a stream of n experiences would come to n^2 / 2 small encodings.
        # A thinned or drawn past is another one each time.
        finished = self._finished if past_limit is None and not self.reservoir else Joined()
        parts = [finished.of(past)] if past else []
        parts += [] if current is None else [current]
        self._fill([embedded(Joined().of(parts), embed)])

    def _fill(self, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Put the parts, (embeddings, labels) each, into a new index."""
        self.index = self.make_index(parts[0][0].shape[1])
        self.index.add(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _append(
        self, past: Sequence[Dataset], current: Dataset | None, embed: Callable[[Dataset], Tensor]
    ) -> None:
        """Put what has finished since the last time behind what is there, and `current` in passing."""
        if self.index is not None:
            self.index.let_go()
        for pairs in past[len(self._n_of_past) :]:
            self._index_for(embeddings := embed(pairs)).add(embeddings, _labels_of(pairs))
            self._n_of_past.append(len(pairs))
        if current is not None:
            self._index_for(embeddings := embed(current)).add(
                embeddings, _labels_of(current), is_passing=True
            )

    def _index_for(self, embeddings: Tensor) -> Any:
        if self.index is None:
            self.index = self.make_index(embeddings.shape[1])
        return self.index

    def scores(self, queries: Tensor) -> Tensor:
        assert self.index is not None, "update() comes before the first vote"
        return self.index.scores(queries)

    @property
    def n_bytes(self) -> int:
        return 0 if self.index is None else self.index.n_bytes

    @property
    def note(self) -> str | None:
        """What a reader must know of the search where it does not compare a query with all."""
        return None if self.index is None else self.index.kept.note

    def state(self) -> dict[str, Tensor]:
        """What `stale` keeps of finished experiences; the others make all of it anew."""
        if not self._n_of_past:
            return {}
        n_kept = sum(self._n_of_past)
        columns = [
            [part.clone() for part in torch.from_numpy(column[:n_kept]).split(self._n_of_past)]
            for column in (self.index.embeddings, self.index.labels)
        ]
        return named(zip(*columns, strict=True))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put in what `state` gave."""
        self._version, self.index, self._n_of_past = None, None, []
        for vectors, labels in parts_of(state):
            # One by one, as they came: which lists they make depends on it.
            self._index_for(vectors).put(vectors.numpy(), labels.numpy())
            self._n_of_past.append(len(labels))
        if self.reservoir:
            self.reservoir.forget()

    def artifacts(self) -> dict[str, Tensor]:
        """The stored embeddings and labels."""
        if self.index is None:
            return {}
        return {
            "memory.embeddings": torch.as_tensor(self.index.embeddings),
            "memory.labels": torch.as_tensor(self.index.labels),
        }


def named(parts: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
    """The (embeddings, labels) of finished experiences as tensors with names."""
    return {
        f"past.{i}.{name}": t for i, part in enumerate(parts) for name, t in zip(_PAST, part, strict=True)
    }


def parts_of(state: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The (embeddings, labels) that `named` gave names."""
    n = len(state) // len(_PAST)
    return [(state[f"past.{i}.{_PAST[0]}"], state[f"past.{i}.{_PAST[1]}"]) for i in range(n)]


def embedded(pairs: Dataset, embed: Callable[[Dataset], Tensor]) -> tuple[Tensor, Tensor]:
    return embed(pairs), _labels_of(pairs)


def _labels_of(pairs: Dataset) -> Tensor:
    return torch.tensor(pairs["label"][:])
