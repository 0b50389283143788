"""The k-NN memory: stored label embeddings, searched by FAISS, voting for a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from contsym.data.schema import stable_hash
from contsym.relations.distances import Metric, pairwise_euclidean_distance
from contsym.relations.losses import label_means

if TYPE_CHECKING:
    from datasets import Dataset

Search = Literal["exact", "approximate"]

HNSW_LINKS = 32
"""Links of a node of the approximate index, as FAISS recommends for most data."""

HNSW_BREADTH = 128
"""Candidates that a walk through the approximate index keeps, at least; more finds more."""

RESERVOIR = "reservoir:"


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
    """Label embeddings of stored pairs in one index, by cosine or Euclidean distance.

    `add` takes (n, dim) embeddings and (n,) labels; `scores` answers (batch, n_labels) vote
    scores. With fewer stored pairs than k, all of them vote; an empty memory is an error of
    the caller, because no honest prediction can be made from it.

    Of the cosine, vectors are kept at length 1; a zero vector is at distance 1 from everything.
    Euclidean distances are those of the vectors as they come. The exact index compares a query
    with everything stored. The approximate one is a graph (HNSW, Malkov and Yashunin 2018) that
    is walked towards the query: it may miss a neighbour, and of many equal ones any may be found.
    """

    def __init__(
        self,
        dim: int,
        n_labels: int,
        k: int,
        *,
        metric: Metric = "cosine",
        search: Search = "exact",
    ) -> None:
        self.n_labels, self.k, self.metric, self.search = n_labels, k, metric, search
        self.embeddings = np.empty((0, dim), dtype=np.float32)
        self.labels = np.empty(0, dtype=np.int64)
        self._index: Any = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_bytes(self) -> int:
        """Bytes that the stored embeddings and labels take, and of the approximate index its graph."""
        graph = 0
        if self.search == "approximate" and len(self):
            hnsw = self._built().hnsw
            graph = 4 * hnsw.neighbors.size() + 8 * hnsw.offsets.size() + 4 * hnsw.levels.size()
        return self.embeddings.nbytes + self.labels.nbytes + graph

    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        self.embeddings = np.concatenate([self.embeddings, self._scaled(embeddings)])
        self.labels = np.concatenate([self.labels, labels.cpu().numpy()])
        self._index = None

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Distances and labels of the k nearest stored pairs, both (batch, k), the nearest first.

        Equal distances are taken in the order of storing.
        """
        assert len(self) > 0, "a vote needs at least one stored pair"
        k = min(self.k, len(self))
        found = self._placed(self._scaled(queries), "query")
        squares, rows = self._search(self._built(), found, k)
        if (missed := (rows < 0).any(axis=1)).any():
            # The graph has parts that its walk does not reach, as among many equal vectors.
            squares[missed], rows[missed] = self._search(self._flat(), found[missed], k)
        order = np.lexsort((rows, squares))
        squares, rows = (np.take_along_axis(table, order, axis=1) for table in (squares, rows))
        distances = squares / 2 if self.metric == "cosine" else np.sqrt(squares)
        return torch.from_numpy(distances), torch.from_numpy(self.labels[rows])

    def scores(self, queries: Tensor) -> Tensor:
        distances, labels = self.nearest(queries)
        return vote(distances, labels, self.n_labels)

    def _scaled(self, embeddings: Tensor) -> np.ndarray:
        embeddings = embeddings.detach().float()
        return (
            (functional.normalize(embeddings, dim=-1) if self.metric == "cosine" else embeddings)
            .cpu()
            .numpy()
        )

    def _placed(self, vectors: np.ndarray, role: Literal["stored", "query"]) -> np.ndarray:
        """Where half the squared Euclidean distance is the metric's.

        Of unit vectors it is the cosine distance. FAISS's inner product would say the same, but takes
        equal neighbours in no order. Zero vectors get a direction of their own, away from all others.
        """
        if self.metric == "euclidean":
            return vectors
        is_zero = ~vectors.any(axis=1, keepdims=True)
        nothing = np.zeros_like(is_zero)
        own = [is_zero, nothing] if role == "stored" else [nothing, is_zero]
        return np.concatenate([vectors, *own], axis=1, dtype=np.float32)

    def _built(self) -> Any:
        if self._index is None:
            self._index = self._flat() if self.search == "exact" else self._graph()
        return self._index

    def _flat(self) -> Any:
        import faiss

        stored = self._placed(self.embeddings, "stored")
        index = faiss.IndexFlatL2(stored.shape[1])
        index.add(stored)
        return index

    def _graph(self) -> Any:
        import faiss

        stored = self._placed(self.embeddings, "stored")
        index = faiss.IndexHNSWFlat(stored.shape[1], HNSW_LINKS)
        index.hnsw.efConstruction = index.hnsw.efSearch = max(HNSW_BREADTH, 2 * self.k)
        # Threads would link the graph in the order in which they happen to come.
        n_threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            index.add(stored)
        finally:
            faiss.omp_set_num_threads(n_threads)
        return index

    def _search(self, index: Any, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        if self.metric == "cosine":
            return index.search(queries, k)
        # From some 20 queries on FAISS expands the square, in which near neighbours drown.
        usual = faiss.cvar.distance_compute_blas_threshold
        faiss.cvar.distance_compute_blas_threshold = 2**31 - 1
        try:
            return index.search(queries, k)
        finally:
            faiss.cvar.distance_compute_blas_threshold = usual


class Prototypes:
    """The mean embedding of each label; a score is minus the squared Euclidean distance to it.

    Filled once, by (n, dim) embeddings and (n,) labels; `scores` is (batch, n_labels). A label of
    which nothing is stored scores lower than any other.
    """

    def __init__(self, n_labels: int) -> None:
        self.n_labels = n_labels
        self.embeddings, self.labels = torch.empty(0, 0), torch.empty(0, dtype=torch.long)

    @property
    def n_bytes(self) -> int:
        """Bytes that the prototypes and their labels take."""
        return self.embeddings.nbytes + self.labels.nbytes

    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        embeddings, labels = embeddings.detach().float().cpu(), labels.cpu()
        self.embeddings, self.labels = label_means(embeddings, labels, self.n_labels)

    def scores(self, queries: Tensor) -> Tensor:
        queries = queries.detach().float().cpu()
        found = torch.full((len(queries), self.n_labels), torch.finfo(torch.float32).min)
        found[:, self.labels] = -pairwise_euclidean_distance(queries, self.embeddings).square()
        return found


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
        search: Search = "exact",
        seed: int = 0,
    ) -> None:
        self.k, self.n_labels, self.mode, self.metric, self.search = k, n_labels, mode, metric, search
        self.reservoir = Reservoir(n_stored(mode), seed) if mode.startswith(RESERVOIR) else None
        self._past: list[tuple[Tensor, Tensor]] = []
        self._version: tuple[int, ...] | None = None
        self.index: LabelMemory | Prototypes | None = None

    def make_index(self, dim: int) -> LabelMemory | Prototypes:
        """The empty index of the label embeddings' dimension."""
        return LabelMemory(dim, self.n_labels, self.k, metric=self.metric, search=self.search)

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
        if self.mode != "stale":
            self._past.clear()
            past = past if past_limit is None else thinned(past, past_limit)
        self._past.extend(_embedded(pairs, embed) for pairs in past[len(self._past) :])
        parts = [*self._past, *([] if current is None else [_embedded(current, embed)])]
        self.index = self.make_index(parts[0][0].shape[1])
        self.index.add(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def scores(self, queries: Tensor) -> Tensor:
        assert self.index is not None, "update() comes before the first vote"
        return self.index.scores(queries)

    @property
    def n_bytes(self) -> int:
        return 0 if self.index is None else self.index.n_bytes

    def state(self) -> dict[str, Tensor]:
        """What `stale` keeps of finished experiences; the others make all of it anew."""
        if self.mode != "stale":
            return {}
        columns = enumerate(self._past)
        return {f"past.{i}.{name}": t for i, pair in columns for name, t in zip(_PAST, pair, strict=True)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put in what `state` gave; the index is made at the next update."""
        n = len(state) // len(_PAST)
        self._past = [(state[f"past.{i}.{_PAST[0]}"], state[f"past.{i}.{_PAST[1]}"]) for i in range(n)]
        self._version = None
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


class PrototypeMemory(VotingMemory):
    """Stored pairs of which only the mean of each label is asked."""

    def __init__(self, *, n_labels: int, mode: str, seed: int = 0) -> None:
        super().__init__(k=1, n_labels=n_labels, mode=mode, seed=seed)

    def make_index(self, dim: int) -> Prototypes:
        return Prototypes(self.n_labels)


class Reservoir:
    """A uniform sample of N pairs of a stream of experiences, which never holds more.

    Each pair draws a number, a hash of its texts and the seed; the N least stay. Like Vitter's
    algorithm R it gives every pair of the stream the same chance and needs no pair twice, but
    which ones stay does not depend on the order in which they come.
    Source: Vitter 1985; the least of random keys: Efraimidis and Spirakis 2006, with equal weights.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        self._kept: list[tuple[Dataset, list[int]]] = []
        """Of each finished experience what is left, with the pairs' numbers."""

    def forget(self) -> None:
        self._kept = []

    def sample(
        self, past: Sequence[Dataset], current: Dataset | None
    ) -> tuple[list[Dataset], Dataset | None]:
        """The sample of finished experiences, and of the pairs seen of the one under way.

        Of earlier calls it remembers the samples alone, and looks at what has come since.
        """
        new = [(pairs, self._numbers(pairs)) for pairs in past[len(self._kept) :]]
        self._kept = _least([*self._kept, *new], self.n)
        if current is None:
            return [pairs for pairs, _ in self._kept], None
        parts = _least([*self._kept, (current, self._numbers(current))], self.n)
        *before, now = (pairs for pairs, _ in parts)
        return before, now

    def _numbers(self, pairs: Dataset) -> list[int]:
        texts = zip(pairs["premise"][:], pairs["hypothesis"][:], strict=True)
        return [stable_hash(self.seed, "reservoir", *pair) for pair in texts]


def n_stored(mode: str) -> int:
    """The N of `reservoir:N`."""
    return int(mode.removeprefix(RESERVOIR))


def _least(parts: Sequence[tuple[Dataset, list[int]]], n: int) -> list[tuple[Dataset, list[int]]]:
    """The pairs with the n least numbers of all parts together; of equal ones the earlier."""
    where = (
        (number, part, row) for part, (_, numbers) in enumerate(parts) for row, number in enumerate(numbers)
    )
    rows: list[list[int]] = [[] for _ in parts]
    for _, part, row in sorted(where)[:n]:
        rows[part].append(row)
    return [
        (pairs.select(sorted(kept)), [numbers[row] for row in sorted(kept)])
        for (pairs, numbers), kept in zip(parts, rows, strict=True)
    ]


def thinned(past: Sequence[Dataset], limit: int) -> list[Dataset]:
    """Every n-th pair of each data set, with the least n that leaves at most `limit` pairs."""
    n_pairs = sum(len(pairs) for pairs in past)
    every = max(1, -(-n_pairs // limit))
    while sum(-(-len(pairs) // every) for pairs in past) > limit and every < n_pairs:
        every += 1
    return [pairs.select(range(0, len(pairs), every)) for pairs in past]


def _embedded(pairs: Dataset, embed: Callable[[Dataset], Tensor]) -> tuple[Tensor, Tensor]:
    return embed(pairs), torch.tensor(pairs["label"][:])
