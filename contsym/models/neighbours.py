"""Nearest stored vectors by FAISS: compared with all, along a graph, or in lists; tuned to a measured recall."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from contsym.errors import ContsymError

IndexKind = Literal["auto", "flat", "hnsw", "ivf"]
StoredType = Literal["float32", "float16"]
Vectors = NDArray[np.floating]
Rows = NDArray[np.int64]

FLAT_UP_TO = 100_000
"""Vectors up to which `auto` compares with all: to build anything else takes longer than some ten
thousand queries save (docs/performance-memory.md)."""

RECALL = 0.99

HNSW_LINKS, HNSW_BUILD_BREADTH = 32, 40
"""Links of a node of the graph, and candidates kept while it is linked: FAISS's own choices."""

LISTS_PER_ROOT = 4
"""n vectors go into 4 sqrt(n) lists, the least of what FAISS recommends."""

KMEANS_ROUNDS, KMEANS_SAMPLE = 10, 40
"""Rounds of k-means, and at most so many vectors a list to run it on."""

N_SAMPLED = 500
"""Stored vectors beside which neighbours are asked for to measure recall."""

N_PILOT = 10_000
"""Vectors of the small graph that says whether to build a whole one."""

GRAPH_GAIN = 2
"""How many times less a small graph must need than the best of the others, for a whole one to be built."""

WIDEST = {"hnsw": 4096, "ivf": 2**30}
"""The most that is tried of what a search may look at: candidates of a graph, lists (all, at last)."""

LIST_COST, GRAPH_COST = 20, 40
"""What a distance to a vector in a list or in a graph takes, in distances of a comparison with all:
many queries at once are one product of matrices, where the others fetch a vector for each distance."""

BLOCK = 2**16
"""Vectors that are decoded at a time."""

EQUAL = 1e-6
"""Squared distances that differ by less, of their own size or absolutely, are one distance."""


@dataclass(frozen=True)
class Tuning:
    """What was measured of an index when it was built."""

    kind: IndexKind
    n: int
    """Vectors that it held."""
    recall: float
    """Share of the k nearest that were found, asked from beside a sample of stored vectors."""
    breadth: int = 0
    """Of a graph the candidates that a search keeps, of lists the number that it looks into."""
    n_lists: int = 0
    distances: float = 0.0
    """That a query takes, each in distances of a comparison with all."""

    def words(self) -> str:
        """One line: which index, how broad, and what it finds."""
        how = {
            "ivf": f"{self.n_lists} lists, {self.breadth} looked into",
            "hnsw": f"a graph, {self.breadth} candidates kept",
        }.get(self.kind, "all compared, since neither lists nor a graph took less")
        return f"memory index {self.kind} over {self.n:,} pairs ({how}): recall {self.recall:.3f}"


class Neighbours:
    """Vectors in one index, asked for the k nearest by Euclidean distance.

    - `flat`: a query is compared with all; nothing is missed, and equal distances are taken in the order of
      storing.
    - `hnsw`: a graph that is walked towards the query (Malkov and Yashunin 2018); dear to build.
    - `ivf`: lists of vectors around k-means centres, of which the nearest are looked into.
    - `auto`: flat up to `flat_up_to` vectors; above, whichever of the three takes least for a query
      among those that find the `recall`, by a count of distances and not by a clock.

    A graph and lists are made as broad as finds the recall on a sample of what is stored, anew whenever
    the vectors have doubled; in between, vectors are added to what is there. All of it depends on the
    sequence of `add` calls and the seed alone. The vectors are held once, in the index, as float32 or
    rounded to float16.
    """

    def __init__(
        self,
        dim: int,
        k: int,
        *,
        kind: IndexKind = "auto",
        stored_as: StoredType = "float32",
        recall: float = RECALL,
        flat_up_to: int = FLAT_UP_TO,
        expands: bool = True,
        seed: int = 0,
    ) -> None:
        self.dim, self.k, self.kind, self.stored_as = dim, k, kind, stored_as
        self.recall, self.flat_up_to, self.seed = recall, flat_up_to, seed
        self.expands = expands
        """Whether |q - x|² may be computed as |q|² - 2qx + |x|², which many queries at once are faster with,
        and in which near neighbours of long vectors drown."""
        self.tuning = Tuning("flat", 0, 1.0)
        """`n` is 0 where nothing was measured, since all are compared."""
        self._index = self._graph() if kind == "hnsw" else self._flat()

    def __len__(self) -> int:
        return self._index.ntotal

    @property
    def vectors(self) -> Vectors:
        """A copy of all, (n, dim), in the order of storing."""
        if not len(self):
            return np.empty((0, self.dim), dtype=self.stored_as)
        return np.concatenate([block.astype(self.stored_as) for _, block in self._blocks()])

    @property
    def n_bytes(self) -> int:
        """Bytes of the vectors, and of a graph its links, of lists their centres and row numbers."""
        index = self._index
        n_bytes = len(self) * self.dim * np.dtype(self.stored_as).itemsize
        if hasattr(index, "hnsw"):
            hnsw = index.hnsw
            n_bytes += 4 * hnsw.neighbors.size() + 8 * hnsw.offsets.size() + 4 * hnsw.levels.size()
        if hasattr(index, "nlist"):
            n_bytes += 8 * len(self) + 4 * self.dim * index.nlist
        return n_bytes

    def add(self, vectors: Vectors) -> None:
        """Store (n, dim) vectors behind those that are there. Raises ContsymError where float16 is too small."""
        if not len(vectors):
            return
        limit = np.finfo(np.float16).max
        if self.stored_as == "float16" and np.abs(vectors).max() > limit:
            raise ContsymError(
                f"label embeddings of up to {np.abs(vectors).max():g} do not fit into float16; expected at most "
                f"{limit:g}; use --set memory_dtype=float32"
            )
        self._insert(self._index, np.ascontiguousarray(vectors, dtype=np.float32))
        n = len(self)
        wants_flat = self.kind == "flat" or (self.kind == "auto" and n <= self.flat_up_to)
        if not wants_flat and n >= 2 * self.tuning.n:
            self._tune()
        elif wants_flat:
            self.tuning = Tuning("flat", 0, 1.0, distances=n)

    def search(self, queries: Vectors, k: int | None = None) -> tuple[Vectors, Rows]:
        """Squared distances and row numbers of the k nearest (by default the index's k), the nearest first.

        (batch, dim) -> both (batch, min(k, n)); of equal distances the vector stored first comes first.
        """
        k = min(k or self.k, len(self))
        if _is_flat(self._index):
            return self._compared(queries, k)
        squares, rows = self._index.search(queries, k)
        if (missed := (rows < 0).any(axis=1)).any():
            # A graph has parts that no walk reaches, as among many equal vectors; a list may hold too few.
            squares[missed], rows[missed] = self._compared(queries[missed], k)
        return nearest_first(squares, rows)

    # -- The three indexes --

    def _flat(self) -> Any:
        import faiss

        if self.stored_as == "float32":
            return faiss.IndexFlatL2(self.dim)
        return faiss.IndexScalarQuantizer(self.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)

    def _graph(self) -> Any:
        import faiss

        index: Any
        if self.stored_as == "float32":
            index = faiss.IndexHNSWFlat(self.dim, HNSW_LINKS)
        else:
            # The library's own type stubs take the type for something else.
            half: Any = faiss.ScalarQuantizer.QT_fp16
            index = faiss.IndexHNSWSQ(self.dim, half, HNSW_LINKS)
        index.hnsw.efConstruction = HNSW_BUILD_BREADTH
        return index

    def _lists(self, sample: Vectors, n_lists: int) -> Any:
        import faiss

        index: Any
        centres = faiss.IndexFlatL2(self.dim)
        if self.stored_as == "float32":
            index = faiss.IndexIVFFlat(centres, self.dim, n_lists)
        else:
            half = faiss.ScalarQuantizer.QT_fp16
            # Not as differences from the centres: stored vectors are to be what flat stores.
            index = faiss.IndexIVFScalarQuantizer(centres, self.dim, n_lists, half, faiss.METRIC_L2, False)
        index.cp.niter, index.cp.seed = KMEANS_ROUNDS, self.seed % 2**31
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, KMEANS_SAMPLE
        index.train(sample)
        return index

    def _insert(self, index: Any, vectors: Vectors) -> None:
        import faiss

        if not hasattr(index, "hnsw"):
            index.add(vectors)
            return
        # Threads would link the graph in the order in which they happen to come.
        n_threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            index.add(vectors)
        finally:
            faiss.omp_set_num_threads(n_threads)

    def _blocks(self) -> Iterator[tuple[int, Vectors]]:
        """(first row, vectors as float32) of all that is stored, block by block; of flat float32 a view of all."""
        import faiss

        if isinstance(self._index, faiss.IndexFlat):
            yield 0, faiss.rev_swig_ptr(self._index.get_xb(), len(self) * self.dim).reshape(-1, self.dim)
            return
        for start in range(0, len(self), BLOCK):
            yield start, self._index.reconstruct_n(start, min(BLOCK, len(self) - start))

    def _compared(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """The k nearest by comparison with all.

        Block by block, since FAISS's own search among float16 vectors takes one query at a time.
        """
        import faiss

        squares = np.empty((len(queries), 0), dtype=np.float32)
        rows = np.empty((len(queries), 0), dtype=np.int64)
        usual = faiss.cvar.distance_compute_blas_threshold
        if not self.expands:
            faiss.cvar.distance_compute_blas_threshold = 2**31 - 1
        try:
            for start, block in self._blocks():
                found = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_L2)
                squares, rows = nearest_first(
                    np.concatenate([squares, found[0]], axis=1),
                    np.concatenate([rows, found[1] + start], axis=1),
                    k,
                )
        finally:
            faiss.cvar.distance_compute_blas_threshold = usual
        return squares, rows

    # -- Which one, and how broad --

    def _tune(self) -> None:
        sample = self._sample()
        if self.kind == "hnsw":
            self.tuning = self._measured(self._index, "hnsw", sample)
        elif self.kind == "ivf":
            self._index, self.tuning = self._rebuilt("ivf", sample)
        else:
            self._choose(sample)

    def _choose(self, sample: _Sample) -> None:
        """Take whichever index needs least for a query among those that find the recall."""
        best, best_index = Tuning("flat", len(self), 1.0, distances=len(self)), None
        index, tuning = self._rebuilt("ivf", sample, best.distances)
        if self._is_better(tuning, best):
            best, best_index = tuning, index
        # A graph takes many times as long to build. What a small one of these vectors needs is less than
        # a walk through all of them would, so it must promise more than a little.
        pilot = Neighbours(
            self.dim, self.k, kind="hnsw", stored_as=self.stored_as, recall=self.recall, expands=self.expands
        )
        pilot.add(self._at(np.linspace(0, len(self) - 1, min(N_PILOT, len(self)), dtype=np.int64)))
        promised = replace(pilot.tuning, distances=GRAPH_GAIN * pilot.tuning.distances)
        if self._is_better(promised, best):
            index, tuning = self._rebuilt("hnsw", sample, best.distances)
            if self._is_better(tuning, best):
                best, best_index = tuning, index
        if best_index is None:
            best_index = self._index
            if not _is_flat(best_index):
                best_index = self._flat()
                self._fill(best_index)
        self._index, self.tuning = best_index, best

    def _is_better(self, tuning: Tuning, best: Tuning) -> bool:
        return tuning.recall >= self.recall and tuning.distances < best.distances

    def _rebuilt(self, kind: IndexKind, sample: _Sample, most: float = np.inf) -> tuple[Any, Tuning]:
        """Another index of all the vectors, and what was measured of it."""
        if kind == "ivf":
            n_lists = min(len(self), max(1, round(LISTS_PER_ROOT * len(self) ** 0.5)))
            generator = np.random.default_rng(self.seed)
            n_trained = min(len(self), KMEANS_SAMPLE * n_lists)
            index = self._lists(self._at(generator.choice(len(self), n_trained, replace=False)), n_lists)
        else:
            index = self._graph()
        self._fill(index)
        return index, self._measured(index, kind, sample, most)

    def _fill(self, index: Any) -> None:
        for _, block in self._blocks():
            self._insert(index, block)

    def _at(self, rows: Rows) -> Vectors:
        """Stored vectors, decoded, in the order of storing."""
        rows = np.sort(rows)
        parts = [
            block[rows[(rows >= start) & (rows < start + len(block))] - start]
            for start, block in self._blocks()
        ]
        return np.concatenate(parts)

    def _sample(self) -> _Sample:
        """Queries as new ones would be: a stored vector, moved by the difference of its two nearest.

        Over sqrt(2) that is about as long as the way to them, and lies as the data lie. A stored vector
        itself would be too easy for a graph, in which it is linked to its neighbours: where 0.993 of those
        were found, it was 0.965 of the neighbours of new queries (benchmarks/memory_index.py).
        """
        generator = np.random.default_rng(self.seed)
        stored = self._at(generator.choice(len(self), min(N_SAMPLED, len(self)), replace=False))
        queries, k = stored, min(self.k, len(self))
        if len(self) > 2:
            rows, where = np.unique(self._compared(stored, 3)[1][:, 1:], return_inverse=True)
            first, second = self._at(rows)[where.reshape(-1, 2)].swapaxes(0, 1)
            queries = stored + (first - second) / np.float32(np.sqrt(2))
        return _Sample(queries, k, *self._compared(queries, k))

    def _measured(self, index: Any, kind: IndexKind, sample: _Sample, most: float = np.inf) -> Tuning:
        """Broaden a search until it finds the recall, or takes `most` distances, or cannot be broader."""
        import faiss

        counters: Any = faiss.cvar
        n_lists = index.nlist if kind == "ivf" else 0
        widest = min(WIDEST[kind], n_lists or WIDEST[kind])
        breadth = 1 if kind == "ivf" else 16
        while True:
            if kind == "ivf":
                index.nprobe, counter = breadth, counters.indexIVF_stats
            else:
                index.hnsw.efSearch, counter = breadth, counters.hnsw_stats
            counter.reset()
            squares, found = index.search(sample.queries, sample.k)
            each = counter.ndis / len(sample.queries)
            distances = n_lists + (LIST_COST if kind == "ivf" else GRAPH_COST) * each
            recall = sample.recall(squares, found)
            if recall >= self.recall or distances >= most or breadth >= widest:
                return Tuning(kind, len(self), recall, breadth, n_lists, distances)
            breadth = min(2 * breadth, widest)


@dataclass(frozen=True)
class _Sample:
    """Queries and their true k nearest."""

    queries: Vectors
    k: int
    squares: Vectors
    neighbours: Rows

    def recall(self, squares: Vectors, found: Rows) -> float:
        """Share of the k found that are true neighbours, or as near as the farthest of them."""
        farthest = self.squares[:, -1:]
        is_as_near = squares <= farthest + EQUAL * np.maximum(1, farthest)
        is_true = (found[:, :, None] == self.neighbours[:, None, :]).any(axis=2)
        return float(((is_as_near | is_true) & (found >= 0)).mean())


def nearest_first(squares: Vectors, rows: Rows, k: int | None = None) -> tuple[Vectors, Rows]:
    """Both by ascending distance, equal ones by ascending row; the first k columns."""
    order = np.lexsort((rows, squares))[:, :k]
    return np.take_along_axis(squares, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _is_flat(index: Any) -> bool:
    return not hasattr(index, "hnsw") and not hasattr(index, "nlist")
