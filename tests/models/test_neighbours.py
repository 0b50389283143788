"""Both indexes against brute force, where lists begin, and what appending and float16 may change."""

import numpy as np
import pytest

from contsym.errors import ContsymError
from contsym.models import neighbours
from contsym.models.neighbours import Neighbours, nearest_first

KINDS = ("flat", "ivf")


def clustered(n, dim=24, n_clusters=20, seed=0):
    """Points around far centres, as label embeddings are."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((n_clusters, dim), dtype=np.float32)
    spread = 0.3 * generator.standard_normal((n, dim), dtype=np.float32)
    return centres[generator.integers(n_clusters, size=n)] + spread


def brute(queries, stored, k):
    """Rows of the k nearest, of equal ones the first, in double precision."""
    squares = ((queries[:, None].astype(float) - stored[None].astype(float)) ** 2).sum(axis=2)
    return np.argsort(squares, axis=1, kind="stable")[:, :k]


def filled(*parts, k=5, **options):
    index = Neighbours(parts[0].shape[1], k, **options)
    for part in parts:
        index.add(part)
    return index


def recall(index, queries, stored):
    expected, found = brute(queries, stored, index.k), index.search(queries)[1]
    return np.mean([len(set(a) & set(b)) / index.k for a, b in zip(expected, found, strict=True)])


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_index_finds_what_brute_force_finds(kind, stored_as):
    stored, queries = clustered(2000), clustered(200, seed=1)
    index = filled(stored, kind=kind, stored_as=stored_as)
    assert recall(index, queries, index.vectors) >= (1.0 if kind == "flat" else 0.99)
    squares, rows = index.search(queries)
    exact = ((queries[:, None] - index.vectors[rows].astype(np.float32)) ** 2).sum(axis=2)
    assert np.allclose(squares, exact, atol=1e-4)  # of |x|² about 24: the expanded square
    assert (np.diff(squares, axis=1) >= 0).all()


def test_auto_compares_all_up_to_the_size_and_says_so_above(monkeypatch):
    monkeypatch.setitem(neighbours.FLAT_UP_TO, "auto", 2500)
    stored, queries = clustered(2501), clustered(200, seed=1)
    index = filled(stored[:2500])
    assert index.note is None
    assert recall(index, queries, stored[:2500]) == 1.0
    index.add(stored[2500:])
    assert index.note == (
        "memory index ivf over 2,501 pairs: 32 of 200 lists are searched, so near pairs can be missed; "
        "--set index=flat compares all"
    )
    assert recall(index, queries, stored) >= 0.99
    assert filled(stored, kind="flat").note is None
    few = filled(stored[:40], kind="ivf")
    assert few.n_lists and few.note is None, "all lists are searched"


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_appending_in_parts_keeps_all_and_the_same_parts_make_the_same_index(kind, stored_as):
    stored, queries = clustered(2600), clustered(80, seed=1)
    parts = np.split(stored, [0, 1, 5, 700, 1500])
    options = {"kind": kind, "stored_as": stored_as, "k": 3}
    index = filled(*parts, **options)
    assert len(index) == 2600
    assert np.array_equal(index.vectors, filled(stored, kind="flat", stored_as=stored_as).vectors)
    assert recall(index, queries, index.vectors) >= 0.96
    again = filled(*parts, **options)
    for one, other in zip(index.search(queries), again.search(queries), strict=True):
        assert np.array_equal(one, other)


def test_lists_are_rebuilt_only_when_the_vectors_have_doubled():
    index, n_lists = Neighbours(24, 3, kind="ivf"), []
    for seed in range(9):
        index.add(clustered(100, seed=seed))
        n_lists.append(index.n_lists)
    # 4 times the root of 100, 200, 400 and 800.
    assert n_lists == [40, 57, 57, 80, 80, 80, 80, 113, 113]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_fewer_stored_than_k_are_all_found(kind, n):
    stored = clustered(n)
    index = filled(stored, k=9, kind=kind)
    squares, rows = index.search(stored)
    assert squares.shape == (n, n)
    assert rows.tolist() == brute(stored, stored, n).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_vectors_are_all_at_distance_zero(kind):
    stored = np.repeat(np.eye(3, dtype=np.float32), [500, 12, 300], axis=0)
    index = filled(stored, k=10, kind=kind)
    squares, rows = index.search(np.eye(3, dtype=np.float32))
    assert squares.tolist() == [[0.0] * 10] * 3
    assert [set(np.searchsorted([500, 512], row, side="right").tolist()) for row in rows] == [{0}, {1}, {2}]


def test_lists_that_hold_too_few_are_made_up_for_by_comparing_all(monkeypatch):
    monkeypatch.setattr(neighbours, "N_PROBED", 1)
    stored, queries = clustered(400), clustered(30, seed=1)
    index = filled(stored, kind="ivf", k=200)
    assert index.search(queries)[1].tolist() == brute(queries, stored, 200).tolist()


def test_float16_moves_a_distance_by_no_more_than_rounding():
    stored, queries = clustered(500), clustered(50, seed=1)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    wide, half = (filled(stored, kind="flat", stored_as=t, k=500) for t in ("float32", "float16"))
    (squares, rows), (half_squares, half_rows) = wide.search(queries), half.search(queries)
    # By row, not by rank. A component is off by at most 2^-11 of itself, so a unit vector by 2^-11.
    found, half_found = (
        np.sqrt(np.take_along_axis(s, np.argsort(r), axis=1))
        for s, r in ((squares, rows), (half_squares, half_rows))
    )
    assert 0 < np.abs(found - half_found).max() <= 2.0**-11
    assert half.vectors.dtype == np.float16
    assert half.n_bytes == wide.n_bytes // 2 == 500 * 24 * 2


def test_what_float16_cannot_hold_is_refused():
    with pytest.raises(ContsymError) as error:
        filled(np.full((2, 3), 7e4, dtype=np.float32), kind="flat", stored_as="float16")
    assert str(error.value) == (
        "label embeddings of up to 70000 do not fit into float16; expected at most 65504; "
        "use --set memory_dtype=float32"
    )


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_what_faiss_would_write(kind, stored_as):
    import faiss

    index = filled(clustered(1000), kind=kind, stored_as=stored_as)
    written = len(faiss.serialize_index(index._index))
    # Headers and the sizes of lists are not counted.
    assert 0 <= written - index.n_bytes < 1024 + 8 * index.n_lists


def test_more_vectors_than_a_block_are_compared_like_one(monkeypatch):
    stored, queries = clustered(1000), clustered(60, seed=1)
    stored[700:] = stored[:300]  # ties across blocks
    whole = filled(stored, kind="flat", stored_as="float16").search(queries)
    monkeypatch.setattr(neighbours, "BLOCK", 64)
    parts = filled(stored, kind="flat", stored_as="float16").search(queries)
    assert np.array_equal(whole[1], parts[1])
    assert np.allclose(whole[0], parts[0], atol=1e-5)


def test_nearest_first_by_hand():
    squares, rows = nearest_first(np.array([[2.0, 1, 1, 0]]), np.array([[0, 9, 3, 5]]), 3)
    assert (squares.tolist(), rows.tolist()) == ([[0, 1, 1]], [[5, 3, 9]])
