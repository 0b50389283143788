"""The k-NN memory: stored label embeddings that vote for a label.

Over 400 lines: the stored pairs and the index of their vectors change together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from contsym.data.joining import Joined
from contsym.models.distances import Metric
from contsym.models.neighbours import IndexKind, Neighbours, StoredType, nearest_first
from contsym.models.reservoir import RESERVOIR, Reservoir, thinned
from contsym.models.scores import ScoreKind

if TYPE_CHECKING:
    from datasets import Dataset


def vote(distances: Tensor, labels: Tensor, n_labels: int) -> Tensor:
    """Scores whose argmax is the majority label; of tied labels the one with the nearer voters wins.

    score_c = votes_c - (sum of the distances of c's voters) / (2k + 1). Cosine distances are at most 2, so
    the second term stays below 1 and never outweighs a vote; larger distances of a query are scaled to a
    maximum of 2. A label without votes scores 0; of equal scores the lower index wins.

    Shapes: distances and labels (batch, k) -> (batch, n_labels), float32.
    """
    k = distances.shape[1]
    distances = distances.float().clamp_min(0)
    scale = 2 / distances.amax(dim=1, keepdim=True).clamp_min(2)
    share = 1 - scale * distances / (2 * k + 1)
    scores = torch.zeros(len(distances), n_labels, device=distances.device)
    return scores.scatter_add_(1, labels, share)


COMPENSATE = "compensate"
"""The mode that moves stored vectors by an estimate of their drift."""

SIGMA = 0.3
"""Width of the Gaussian between vectors of length 1, as in the demonstration of Yu et al."""

MOST_WEIGHTS = 2**24
"""Weights of a part of the stored vectors, which are moved part by part."""


def compensated(stored: Tensor, before: Tensor, after: Tensor, sigma: float = SIGMA) -> Tensor:
    """Stored vectors moved by the drift that other vectors show: v + sum_i w_i (after_i - before_i) / sum_i w_i.

    The weight w_i = exp(-|before_i - v|^2 / (2 sigma^2)) is large for those that were near v. Shapes: stored
    (n, dim), before and after (m, dim) with m from 1 -> (n, dim).
    Source: Yu et al. 2020 (semantic drift compensation, arXiv 2004.00440), equations 4 to 6, where v is a mean of a class.
    """
    drift = after - before
    moved = []
    for part in stored.split(max(1, MOST_WEIGHTS // len(before))):
        squares = torch.cdist(part, before, compute_mode="donot_use_mm_for_euclid_dist").square()
        # The softmax is the same quotient, also where all weights would be 0 in float32.
        moved.append(part + (-squares / (2 * sigma**2)).softmax(dim=1) @ drift)
    return torch.cat(moved)


class Before(NamedTuple):
    """What a memory knows before its encoder is trained on an experience."""

    place_of: Mapping[int, int]
    """The place of a row of the experience among `vectors`."""
    vectors: Tensor
    stored: Tensor
    labels: Tensor
    """Of the stored vectors."""


class LabelMemory:
    """Label embeddings of stored pairs, and a vote of the nearest by cosine or Euclidean distance.

    With fewer stored pairs than k, all of them vote; an empty memory cannot be asked.

    For the cosine, vectors have length 1, and a zero vector is at distance 1 from everything. As float16, a
    vector of length 1 moves by at most 2^-11, and so does every Euclidean distance from it; a cosine distance
    changes by at most 2^-10.
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
        # Half the squared Euclidean distance of unit vectors is the cosine distance. FAISS's inner product
        # would give the same, but in no fixed order of equal neighbours.
        new = partial(Neighbours, dim, k, stored_as=stored_as, expands=metric == "cosine")
        self.neighbours = new(kind=index)
        self._new_passing = partial(new, kind="flat")
        self._passing = self._new_passing()
        """Vectors of passing pairs, whose rows come last."""
        self.labels = self._zero_rows = np.empty(0, dtype=np.int64)
        self._n_lasting = self._n_lasting_zeros = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def embeddings(self) -> np.ndarray:
        """A copy of the stored vectors, (n, dim)."""
        vectors = np.concatenate([self.neighbours.vectors, self._passing.vectors])
        embeddings = np.zeros((len(self), vectors.shape[1]), dtype=vectors.dtype)
        embeddings[self._rows_of(np.arange(len(vectors)))] = vectors
        return embeddings

    @property
    def n_bytes(self) -> int:
        """Bytes of the labels and the indexes; a zero vector takes a row number."""
        return 8 * (len(self) + len(self._zero_rows)) + self.neighbours.n_bytes + self._passing.n_bytes

    def add(self, embeddings: Tensor, labels: Tensor, *, is_passing: bool = False) -> None:
        """Store (n, dim) embeddings and (n,) labels; passing pairs only until `drop_passing`."""
        self.add_vectors(self.scaled(embeddings), labels.cpu().numpy(), is_passing=is_passing)

    def add_vectors(self, vectors: np.ndarray, labels: np.ndarray, *, is_passing: bool = False) -> None:
        """Store rows of the `embeddings` of a memory, unchanged."""
        assert is_passing or not len(self._passing), "lasting pairs come before passing ones"
        if self.metric == "cosine":
            is_zero = ~vectors.any(axis=1)
            self._zero_rows = np.append(self._zero_rows, len(self) + np.flatnonzero(is_zero))
            vectors = vectors[~is_zero] if is_zero.any() else vectors
        (self._passing if is_passing else self.neighbours).add(vectors)
        self.labels = np.append(self.labels, labels)
        if not is_passing:
            self._n_lasting, self._n_lasting_zeros = len(self), len(self._zero_rows)

    def drop_passing(self) -> None:
        self._passing = self._new_passing()
        self.labels = self.labels[: self._n_lasting]
        self._zero_rows = self._zero_rows[: self._n_lasting_zeros]

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Distances and labels of the k nearest stored pairs, both (batch, k), the nearest first."""
        distances, rows = self.nearest_rows(queries)
        return distances, torch.from_numpy(self.labels)[rows]

    def nearest_rows(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Distances and row numbers of the k nearest stored pairs, both (batch, k), the nearest first.

        With a flat index, equal distances come in the order of storing.
        """
        assert len(self) > 0, "a vote needs at least one stored pair"
        k = min(self.k, len(self))
        vectors = self.scaled(queries)
        squares, rows = self._search(self.neighbours, vectors, 0)
        for more_squares, more_rows in (
            self._search(self._passing, vectors, len(self.neighbours)),
            self._zeros(len(vectors)),
        ):
            if more_squares.shape[1]:
                squares, rows = nearest_first(
                    np.hstack([squares, more_squares]), np.hstack([rows, more_rows]), k
                )
        if self.metric == "cosine" and not (has_length := vectors.any(axis=1)).all():
            squares[~has_length], rows[~has_length] = 2, np.arange(k)
        distances = squares / 2 if self.metric == "cosine" else np.sqrt(squares)
        return torch.from_numpy(distances), torch.from_numpy(rows)

    def scores(self, queries: Tensor) -> Tensor:
        """The scores of the vote, (batch, n_labels)."""
        distances, labels = self.nearest(queries)
        return vote(distances, labels, self.n_labels)

    def _search(self, index: Neighbours, queries: np.ndarray, n_before: int) -> tuple[np.ndarray, np.ndarray]:
        if not len(index):
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        squares, places = index.search(queries)
        return squares, self._rows_of(places + n_before)

    def _zeros(self, n_queries: int) -> tuple[np.ndarray, np.ndarray]:
        """The first k zero vectors, whose cosine distance of 1 is half of a square of 2."""
        rows = self._zero_rows[: self.k]
        shape = n_queries, len(rows)
        return np.full(shape, 2, dtype=np.float32), np.broadcast_to(rows, shape)

    def _rows_of(self, places: np.ndarray) -> np.ndarray:
        """The memory's rows of places in the indexes, which hold no zero vectors."""
        n_before_zeros = self._zero_rows - np.arange(len(self._zero_rows))
        return places + np.searchsorted(n_before_zeros, places, side="right")

    def scaled(self, embeddings: Tensor) -> np.ndarray:
        """Embeddings as they are compared, float32: for the cosine at length 1."""
        embeddings = embeddings.detach().float()
        scaled = functional.normalize(embeddings, dim=-1) if self.metric == "cosine" else embeddings
        return scaled.cpu().numpy()


class VotingMemory:
    """The pairs that a k-NN strategy stores, as label embeddings.

    With `refresh`, every stored pair is encoded again whenever the encoder may have changed; with `stale`, a
    finished experience keeps its vectors, which is cheap but drifts out of date; `compensate` is stale with vectors
    that are moved by the drift of the present pairs; `reservoir:N` is refresh with a uniform sample of N pairs, so that
    the memory stops growing (and hardly holds a small experience after a large one).
    """

    score_kind: ClassVar[ScoreKind] = "votes"
    """What `scores` gives; a memory that gives negative distances has "logits"."""

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
        n_sampled = mode.removeprefix(RESERVOIR)
        self.reservoir = Reservoir(int(n_sampled), seed) if n_sampled != mode else None
        self._options: dict[str, Any] = {"k": k, "metric": metric, "index": index, "stored_as": stored_as}
        self._n_of_past: list[int] = []
        """With `stale` and `compensate`, the number of pairs of each finished experience in the index."""
        self._before: Before | None = None
        self._version: tuple[int, ...] | None = None
        self._finished = Joined()
        self.index: Any = None

    @property
    def thins(self) -> bool:
        """Whether a past_limit leaves pairs out: where all of them are encoded again."""
        return self.mode not in ("stale", COMPENSATE) and self.reservoir is None

    def make_index(self, dim: int) -> Any:
        """An empty index for label embeddings of `dim` dimensions."""
        return LabelMemory(dim, self.n_labels, **self._options)

    def begin(self, pairs: Dataset, embed: Callable[[Dataset], Tensor]) -> None:
        """Receive the pairs of an experience before the encoder is trained on them; with `compensate` their drift counts
        from here."""
        if self.mode != COMPENSATE or not self._n_of_past:
            return
        self.index.drop_passing()
        self._before = Before(
            {row: place for place, row in enumerate(pairs["row"][:])},
            torch.from_numpy(self.index.scaled(embed(pairs))),
            torch.from_numpy(self.index.embeddings).float(),
            torch.from_numpy(self.index.labels),
        )

    def update(
        self,
        past: Sequence[Dataset],
        current: Dataset | None,
        n_steps: int,
        embed: Callable[[Dataset], Tensor],
        past_limit: int | None = None,
    ) -> None:
        """Fill the index with `past` and `current`, encoded after step n_steps.

        `embed` gives the (len(pairs), dim) label embeddings of pairs. With a past_limit, and no reservoir, only so many
        evenly spaced pairs of the past are encoded again: enough for a point of the trajectory, where all of
        them would cost more than the training in between.
        """
        if past_limit is not None and (not self.thins or sum(map(len, past)) <= past_limit):
            past_limit = None
        version = (n_steps, len(past), 0 if current is None else len(current), past_limit or 0)
        if version == self._version:
            return
        self._version = version
        if self.reservoir:
            past, current = self.reservoir.sample(past, current)
        if self.mode in ("stale", COMPENSATE):
            self._append(past, current, embed)
            return
        past = past if past_limit is None else thinned(past, past_limit)
        # Joined, because one by one a stream of n experiences would need n^2 / 2 small encodings.
        # A thinned or sampled past differs each time.
        finished = self._finished if past_limit is None and not self.reservoir else Joined()
        parts = [finished.of(past)] if past else []
        parts += [] if current is None else [current]
        self._fill([embedded(Joined().of(parts), embed)])

    def _fill(self, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Fill a new index with parts of (embeddings, labels)."""
        self.index = self.make_index(parts[0][0].shape[1])
        self.index.add(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _append(
        self, past: Sequence[Dataset], current: Dataset | None, embed: Callable[[Dataset], Tensor]
    ) -> None:
        """Store newly finished experiences for good, and `current` as passing pairs."""
        if self.index is not None:
            self.index.drop_passing()
        finished = [(pairs, *embedded(pairs, embed)) for pairs in past[len(self._n_of_past) :]]
        passing = [] if current is None else [(current, *embedded(current, embed))]
        if self._before and (present := [*finished, *passing]):
            pairs, embeddings, _ = present[-1]
            self._compensate(self._before, pairs, embeddings)
        for pairs, embeddings, labels in finished:
            self._index_for(embeddings).add(embeddings, labels)
            self._n_of_past.append(len(pairs))
            self._before = None
        for _, embeddings, labels in passing:
            self._index_for(embeddings).add(embeddings, labels, is_passing=True)

    def _compensate(self, before: Before, pairs: Dataset, embeddings: Tensor) -> None:
        """Move the vectors of finished experiences, as they were before, by the drift of these pairs up to now."""
        places = [before.place_of[row] for row in pairs["row"][:]]
        after = torch.from_numpy(self.index.scaled(embeddings))
        moved = compensated(before.stored, before.vectors[places], after)
        self.index = None
        # One by one as they came, because the lists of the index depend on the order.
        parts = (each.split(self._n_of_past) for each in (moved, before.labels))
        for vectors, labels in zip(*parts, strict=True):
            self._index_for(vectors).add(vectors, labels)

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
        """What a reader must know where the search is not exact, or the vectors are estimates."""
        notes = [] if self.index is None else [self.index.neighbours.note]
        if self.mode == COMPENSATE and len(self._n_of_past) > 1:
            notes.append(
                "memory=compensate: vectors of earlier experiences are estimates, moved by the mean drift of later pairs "
                "and not encoded again"
            )
        return "; ".join(note for note in notes if note) or None

    def state(self) -> dict[str, Tensor]:
        """With `stale` and `compensate`, the vectors of finished experiences; the other modes encode again."""
        if not self._n_of_past:
            return {}
        n_past = sum(self._n_of_past)
        columns = [
            [part.clone() for part in torch.from_numpy(column[:n_past]).split(self._n_of_past)]
            for column in (self.index.embeddings, self.index.labels)
        ]
        return named(zip(*columns, strict=True))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._version, self.index, self._n_of_past, self._before = None, None, [], None
        for vectors, labels in parts_of(state):
            # One by one as before, because the lists of the index depend on the order.
            self._index_for(vectors).add_vectors(vectors.numpy(), labels.numpy())
            self._n_of_past.append(len(labels))
        if self.reservoir:
            self.reservoir.forget()

    def artifacts(self) -> dict[str, Tensor]:
        return {f"memory.{name}": tensor for name, tensor in self.vectors().items()}

    # -- What a saved model holds, so that nothing is encoded again when it is loaded. --

    def vectors(self) -> dict[str, Tensor]:
        """The embeddings and the labels in the index, (n, dim) and (n,); nothing before the first `update`."""
        if self.index is None:
            return {}
        columns = {"embeddings": self.index.embeddings, "labels": self.index.labels}
        return {name: torch.as_tensor(column) for name, column in columns.items()}

    def stored(self, past: Sequence[Dataset]) -> Sequence[Dataset]:
        """The pairs of `past` that the memory needs, by experience; of a reservoir, its sample.

        Their order is that of the index's rows.
        """
        return self.reservoir.sample(past, None)[0] if self.reservoir else past

    def put_back(self, vectors: Mapping[str, Tensor], past: Sequence[Dataset], n_steps: int) -> None:
        """Fill the index with saved `vectors`, which are those of `past` after step n_steps; after `restore`."""
        if vectors and not self._n_of_past:
            self._index_for(vectors["embeddings"]).add_vectors(
                vectors["embeddings"].numpy(), vectors["labels"].numpy()
            )
        self._version = (n_steps, len(past), 0, 0)

    def add_labels(self, n_labels: int) -> None:
        """Let further labels be voted for: n_labels in all."""
        self.n_labels = n_labels
        if self.index is not None:
            self.index.n_labels = n_labels

    def append(
        self, past: Sequence[Dataset], n_steps: int, embed: Callable[[Dataset], Tensor], n_new: int
    ) -> None:
        """Store the last `n_new` experiences of `past`, which an unchanged encoder encodes; the others stay as they are."""
        if self.index is None or self.mode != "refresh":
            # Stale appends by itself, and a reservoir draws its sample anew.
            self.update(past, None, n_steps, embed)
            return
        for pairs in past[len(past) - n_new :]:
            self.index.add(*embedded(pairs, embed))
        self._version = (n_steps, len(past), 0, 0)


def named(parts: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
    """The (embeddings, labels) of finished experiences, by name."""
    columns = ("embeddings", "labels")
    return {
        f"past.{i}.{name}": t for i, part in enumerate(parts) for name, t in zip(columns, part, strict=True)
    }


def parts_of(state: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The inverse of `named`."""
    n_parts = len(state) // 2
    return [(state[f"past.{i}.embeddings"], state[f"past.{i}.labels"]) for i in range(n_parts)]


def embedded(pairs: Dataset, embed: Callable[[Dataset], Tensor]) -> tuple[Tensor, Tensor]:
    return embed(pairs), torch.tensor(pairs["label"][:])
