"""Nearest stored vectors by FAISS, exactly, or above a size within near lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from contsym.errors import ContsymError

IndexKind = Literal["auto", "flat", "ivf"]
StoredType = Literal["float32", "float16"]
Vectors = NDArray[np.floating]
Rows = NDArray[np.int64]

FLAT_UP_TO: dict[IndexKind, float] = {"auto": 100_000, "flat": np.inf, "ivf": 0}
"""Vectors up to which a query is compared with all. Lists pay from some ten thousand queries on."""

LISTS_PER_ROOT, N_PROBED, SAMPLED_PER_LIST = 4, 32, 40
"""n vectors go into 4 sqrt(n) lists, as FAISS recommends, with k-means centres from 40 vectors per list; a query is
compared with the vectors of the nearest 32 lists."""

FAISS_CODE = {"float32": "Flat", "float16": "SQfp16"}

BLOCK = 2**16
"""Vectors to decode at a time."""


class Neighbours:
    """An index of vectors that gives the k nearest by Euclidean distance.

    Up to FLAT_UP_TO vectors the search is exact, and equal distances come in the order of storing. Above, the
    vectors are in lists around k-means centres (FAISS's IVF), rebuilt when the vectors have doubled; the search
    misses a near vector in a far list. The lists depend on the sequence of `add` calls alone.

    `expands` allows |q - x|² to be computed as |q|² - 2qx + |x|²: faster for many queries at once, but
    near neighbours of long vectors are lost to rounding.
    """

    def __init__(
        self,
        dim: int,
        k: int,
        *,
        kind: IndexKind = "auto",
        stored_as: StoredType = "float32",
        expands: bool = True,
    ) -> None:
        self.dim, self.k, self.kind, self.stored_as, self.expands = dim, k, kind, stored_as, expands
        self.n_lists, self._n_when_listed = 0, 0
        self._index = self._new()

    def __len__(self) -> int:
        return self._index.ntotal

    @property
    def vectors(self) -> Vectors:
        """A copy of the vectors, (n, dim), in the order of storing."""
        blocks = (block.astype(self.stored_as) for _, block in self._blocks())
        return np.concatenate([np.empty((0, self.dim), self.stored_as), *blocks])

    @property
    def n_bytes(self) -> int:
        """Bytes of the vectors, and of the centres and row numbers of lists."""
        n_bytes = len(self) * self.dim * np.dtype(self.stored_as).itemsize
        return n_bytes + (8 * len(self) + 4 * self.dim * self.n_lists) * bool(self.n_lists)

    @property
    def note(self) -> str | None:
        """What a reader must know where the search is not exact."""
        if not self.n_lists or self._index.nprobe >= self.n_lists:
            return None
        return (
            f"memory index ivf over {len(self):,} pairs: {self._index.nprobe} of {self.n_lists:,} lists are searched, "
            "so near pairs can be missed; --set index=flat compares all"
        )

    def add(self, vectors: Vectors) -> None:
        """Append (n, dim) vectors. Raises ContsymError where they exceed the range of float16."""
        if not len(vectors):
            return
        limit = np.finfo(np.float16).max
        if self.stored_as == "float16" and np.abs(vectors).max() > limit:
            raise ContsymError(
                f"label embeddings of up to {np.abs(vectors).max():g} do not fit into float16; expected at most "
                f"{limit:g}; use --set memory_dtype=float32"
            )
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        if (n := len(self)) > FLAT_UP_TO[self.kind] and n >= 2 * self._n_when_listed:
            self._make_lists()

    def search(self, queries: Vectors) -> tuple[Vectors, Rows]:
        """Squared distances and row numbers of the k nearest, the nearest first.

        (batch, dim) -> both (batch, min(k, n)); of equal distances the first stored vector comes first.
        """
        k = min(self.k, len(self))
        if not self.n_lists:
            return self._compared(queries, k)
        squares, rows = self._index.search(queries, k)
        if (missed := (rows < 0).any(axis=1)).any():  # the near lists hold fewer than k vectors
            squares[missed], rows[missed] = self._compared(queries[missed], k)
        return nearest_first(squares, rows)

    def _new(self, lists: str = "") -> Any:
        import faiss

        return faiss.index_factory(self.dim, lists + FAISS_CODE[self.stored_as])

    def _make_lists(self) -> None:
        vectors = self.vectors.astype(np.float32)
        self.n_lists = min(len(vectors), round(LISTS_PER_ROOT * len(vectors) ** 0.5))
        self._n_when_listed = len(vectors)
        index = self._new(f"IVF{self.n_lists},")
        index.nprobe = min(N_PROBED, self.n_lists)
        index.by_residual = False  # round float16 vectors as a flat index does
        # FAISS samples the vectors with a constant seed.
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, SAMPLED_PER_LIST
        index.train(vectors)
        index.add(vectors)
        self._index = index

    def _blocks(self) -> Iterator[tuple[int, Vectors]]:
        """(first row, float32 vectors) of all blocks; for a flat float32 index one view of everything."""
        import faiss

        if isinstance(self._index, faiss.IndexFlat) and len(self):
            yield 0, faiss.rev_swig_ptr(self._index.get_xb(), len(self) * self.dim).reshape(-1, self.dim)
            return
        for start in range(0, len(self), BLOCK):
            yield start, self._index.reconstruct_n(start, min(BLOCK, len(self) - start))

    def _compared(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """The exact k nearest; blocks are decoded, since FAISS compares float16 vectors one query at a time."""
        import faiss

        squares, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        threshold = faiss.cvar.distance_compute_blas_threshold
        if not self.expands:
            faiss.cvar.distance_compute_blas_threshold = 2**31 - 1
        try:
            for start, block in self._blocks():
                more, places = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_L2)
                squares, rows = nearest_first(
                    np.hstack([squares, more]), np.hstack([rows, places + start]), k
                )
        finally:
            faiss.cvar.distance_compute_blas_threshold = threshold
        return squares, rows


def nearest_first(squares: Vectors, rows: Rows, k: int | None = None) -> tuple[Vectors, Rows]:
    """The first k columns by ascending distance, equal distances by ascending row."""
    order = np.lexsort((rows, squares))[:, :k]
    return np.take_along_axis(squares, order, axis=1), np.take_along_axis(rows, order, axis=1)
