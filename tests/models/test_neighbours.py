"""Every index against brute force, what `auto` takes, and what appending and float16 may change."""

import numpy as np
import pytest

from contsym.errors import ContsymError
from contsym.models.neighbours import Neighbours, nearest_first

KINDS = ("flat", "hnsw", "ivf")


def clustered(n, dim=24, n_clusters=20, seed=0):
    """Points around far centres, as label embeddings are."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((n_clusters, dim), dtype=np.float32)
    spread = 0.3 * generator.standard_normal((n, dim), dtype=np.float32)
    return centres[generator.integers(n_clusters, size=n)] + spread


def noise(n, dim=48, seed=0):
    """Points all about equally far from one another: no index can leave any out."""
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


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
    # Queries that are not stored are a little harder than the stored ones that recall was measured on; 1,000
    # neighbours tell it to some 0.005.
    assert recall(index, queries, index.vectors) >= (1.0 if kind == "flat" else 0.975)
    squares, rows = index.search(queries)
    exact = ((queries[:, None] - index.vectors[rows].astype(np.float32)) ** 2).sum(axis=2)
    assert np.allclose(squares, exact, atol=1e-4)  # of |x|² about 24: the expanded square
    assert (np.diff(squares, axis=1) >= 0).all()


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_a_hard_case_makes_the_search_as_broad_as_it_must_be(kind):
    index, easy = filled(noise(2000), kind=kind), filled(clustered(2000), kind=kind)
    assert index.tuning.recall >= 0.99
    assert index.tuning.breadth > easy.tuning.breadth
    assert recall(index, noise(100, seed=1), noise(2000)) >= 0.96
    lower = filled(noise(2000), kind=kind, recall=0.5)
    assert 0.5 <= lower.tuning.recall < 0.99
    assert lower.tuning.breadth < index.tuning.breadth


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_the_reported_recall_is_that_of_the_queries_counted_by_hand(kind):
    stored = noise(400)
    index = filled(stored, kind=kind, recall=0.3, k=3)
    # Fewer than are sampled: one query beside each, off by the difference of its two nearest.
    first, second = stored[brute(stored, stored, 3)[:, 1:]].swapaxes(0, 1)
    queries = stored + (first - second) / np.float32(np.sqrt(2))
    # FAISS's own search, in which lists that hold too few leave a -1, where ours would compare all.
    found, expected = index._index.search(queries, 3)[1], brute(queries, stored, 3)
    share = np.mean([len(set(a) & set(b)) / 3 for a, b in zip(found, expected, strict=True)])
    assert index.tuning.recall == pytest.approx(share)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_the_reported_recall_holds_for_new_queries(kind):
    index = filled(clustered(2000), kind=kind)
    assert index.tuning.recall >= 0.99
    # 2,500 neighbours on both sides: a standard error of 0.003. New queries are nobody's own neighbour, and a little harder.
    assert recall(index, clustered(500, seed=1), clustered(2000)) >= 0.975


def test_auto_compares_all_up_to_the_size_and_takes_the_cheapest_above():
    stored = clustered(4000, n_clusters=100)
    below = filled(stored, flat_up_to=4000)
    assert (below.tuning.kind, below.tuning.n) == ("flat", 0)
    above = filled(stored, flat_up_to=3999)
    assert above.tuning.kind in ("ivf", "hnsw")
    assert above.tuning.n == 4000
    assert above.tuning.recall >= 0.99
    assert above.tuning.distances < below.tuning.distances == 4000
    assert recall(above, clustered(200, n_clusters=100, seed=1), stored) >= 0.97


def test_auto_stays_flat_where_nothing_else_is_cheaper():
    index = filled(noise(3000), flat_up_to=2000)
    assert (index.tuning.kind, index.tuning.n, index.tuning.recall) == ("flat", 3000, 1.0)
    assert recall(index, noise(100, seed=1), noise(3000)) == 1.0
    assert index.tuning.words() == (
        "memory index flat over 3,000 pairs (all compared, since neither lists nor a graph took less): recall 1.000"
    )


def test_auto_takes_a_graph_where_it_needs_less_than_lists(monkeypatch):
    import contsym.models.neighbours as module

    monkeypatch.setattr(module, "LIST_COST", 10_000)
    monkeypatch.setattr(module, "GRAPH_COST", 1)
    index = filled(clustered(3000), flat_up_to=1000)
    assert index.tuning.kind == "hnsw"
    assert recall(index, clustered(100, seed=1), clustered(3000)) >= 0.97


def test_auto_takes_lists_where_they_need_less_than_a_graph(monkeypatch):
    import contsym.models.neighbours as module

    monkeypatch.setattr(module, "LIST_COST", 1)
    index = filled(clustered(3000), flat_up_to=1000)
    assert index.tuning.kind == "ivf"


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("kind", [*KINDS, "auto"])
def test_appending_in_parts_keeps_all_and_the_same_parts_make_the_same_index(kind, stored_as):
    stored, queries = clustered(2600), clustered(80, seed=1)
    parts = np.split(stored, [0, 1, 5, 700, 1500])
    options = {"kind": kind, "stored_as": stored_as, "flat_up_to": 1000, "k": 3}
    index = filled(*parts, **options)
    assert len(index) == 2600
    assert np.array_equal(index.vectors, filled(stored, kind="flat", stored_as=stored_as).vectors)
    assert recall(index, queries, index.vectors) >= 0.96
    again = filled(*parts, **options)
    assert index.tuning == again.tuning
    for one, other in zip(index.search(queries), again.search(queries), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_measuring_is_done_anew_only_when_the_vectors_have_doubled(kind):
    parts = [clustered(100, seed=seed) for seed in range(9)]
    index, measured_at = Neighbours(24, 3, kind=kind), []
    for part in parts:
        index.add(part)
        measured_at.append(index.tuning.n)
    assert measured_at == [100, 200, 200, 400, 400, 400, 400, 800, 800]


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
    assert index.tuning.recall == 1.0


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
    # Headers, the sizes of levels or lists: not counted.
    assert 0 <= written - index.n_bytes < 1024 + 8 * index.tuning.n_lists


def test_more_vectors_than_a_block_are_compared_like_one(monkeypatch):
    import contsym.models.neighbours as module

    stored, queries = clustered(1000), clustered(60, seed=1)
    stored[700:] = stored[:300]  # ties across blocks
    whole = filled(stored, kind="flat", stored_as="float16").search(queries)
    monkeypatch.setattr(module, "BLOCK", 64)
    parts = filled(stored, kind="flat", stored_as="float16").search(queries)
    assert np.array_equal(whole[1], parts[1])
    assert np.allclose(whole[0], parts[0], atol=1e-5)


def test_nearest_first_by_hand():
    squares, rows = nearest_first(np.array([[2.0, 1, 1, 0]]), np.array([[0, 9, 3, 5]]), 3)
    assert (squares.tolist(), rows.tolist()) == ([[0, 1, 1]], [[5, 3, 9]])
