"""Nearest stored vectors by FAISS: every query compared with all of them, or above a size with those in near lists."""

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
"""Vectors up to which a query is compared with all. Lists pay once some ten thousand queries are asked."""

LISTS_PER_ROOT, N_PROBED, SAMPLED_PER_LIST = 4, 32, 40
"""n vectors go into 4 sqrt(n) lists, as FAISS recommends, whose centres k-means finds on 40 vectors per list; a
query is compared with the vectors in the nearest 32."""

FAISS_CODE = {"float32": "Flat", "float16": "SQfp16"}

BLOCK = 2**16
"""Vectors that are decoded at a time."""


class Neighbours:
    """Vectors in one index, asked for the k nearest by Euclidean distance.

    Up to FLAT_UP_TO vectors nothing is missed, and equal distances are taken in the order of storing. Above,
    the vectors are in lists around k-means centres (FAISS's IVF), made anew when the vectors have doubled; a near
    vector in a far list is missed. All depends on the sequence of `add` calls alone. The vectors are held once.

    `expands` says whether |q - x|² may be computed as |q|² - 2qx + |x|²: faster for many queries at once, but
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
        """A copy of all, (n, dim), in the order of storing."""
        blocks = (block.astype(self.stored_as) for _, block in self._blocks())
        return np.concatenate([np.empty((0, self.dim), self.stored_as), *blocks])

    @property
    def n_bytes(self) -> int:
        """Bytes of the vectors, and of lists their centres and row numbers."""
        n_bytes = len(self) * self.dim * np.dtype(self.stored_as).itemsize
        return n_bytes + (8 * len(self) + 4 * self.dim * self.n_lists) * bool(self.n_lists)

    @property
    def note(self) -> str | None:
        """What a reader must know of the search where it is not exact."""
        if not self.n_lists:
            return None
        return (
            f"memory index ivf over {len(self):,} pairs: {self._index.nprobe} of {self.n_lists:,} lists are searched, "
            "so near pairs can be missed; --set index=flat compares all"
        )

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
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        if (n := len(self)) > FLAT_UP_TO[self.kind] and n >= 2 * self._n_when_listed:
            self._make_lists()

    def search(self, queries: Vectors) -> tuple[Vectors, Rows]:
        """Squared distances and row numbers of the k nearest, the nearest first.

        (batch, dim) -> both (batch, min(k, n)); of equal distances the vector stored first comes first.
        """
        k = min(self.k, len(self))
        if not self.n_lists:
            return self._compared(queries, k)
        squares, rows = self._index.search(queries, k)
        if (missed := (rows < 0).any(axis=1)).any():  # the lists searched hold fewer than k vectors
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
        index.by_residual = False  # float16 vectors are rounded as in a flat index
        # FAISS samples the vectors itself, always with the same seed.
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, SAMPLED_PER_LIST
        index.train(vectors)
        index.add(vectors)
        self._index = index

    def _blocks(self) -> Iterator[tuple[int, Vectors]]:
        """(first row, vectors as float32) of all that is stored, block by block; of flat float32 a view of all."""
        import faiss

        if isinstance(self._index, faiss.IndexFlat) and len(self):
            yield 0, faiss.rev_swig_ptr(self._index.get_xb(), len(self) * self.dim).reshape(-1, self.dim)
            return
        for start in range(0, len(self), BLOCK):
            yield start, self._index.reconstruct_n(start, min(BLOCK, len(self) - start))

    def _compared(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """The k nearest by comparison with all; decoded, since FAISS takes float16 vectors one query at a time."""
        import faiss

        squares, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        usual = faiss.cvar.distance_compute_blas_threshold
        if not self.expands:
            faiss.cvar.distance_compute_blas_threshold = 2**31 - 1
        try:
            for start, block in self._blocks():
                found = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_L2)
                squares, rows = nearest_first(
                    np.hstack([squares, found[0]]), np.hstack([rows, found[1] + start]), k
                )
        finally:
            faiss.cvar.distance_compute_blas_threshold = usual
        return squares, rows


def nearest_first(squares: Vectors, rows: Rows, k: int | None = None) -> tuple[Vectors, Rows]:
    """Both by ascending distance, equal ones by ascending row; the first k columns."""
    order = np.lexsort((rows, squares))[:, :k]
    return np.take_along_axis(squares, order, axis=1), np.take_along_axis(rows, order, axis=1)
