"""The vote against a loop, its ties and its edges; what a memory keeps.

Over 400 lines: each policy and index against the same loops.
"""

import math
from collections import Counter

import pytest
import torch
from datasets import Dataset

from contsym.models.memory import LabelMemory, VotingMemory, compensated, vote
from contsym.models.reservoir import thinned
from contsym.strategies.protonet import PrototypeMemory


def cosine(a, b):
    lengths = math.hypot(*a) * math.hypot(*b)
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 1.0


DISTANCE = {"cosine": cosine, "euclidean": math.dist}


def slow_nearest(query, stored, k, metric="cosine"):
    """Rows of the k nearest; of equal distances the one stored first."""
    return sorted(range(len(stored)), key=lambda i: (DISTANCE[metric](query, stored[i]), i))[:k]


def slow_vote(query, stored, labels, k, metric="cosine"):
    """Majority of the k nearest; ties to the nearer sum, then to the lower label."""
    nearest = slow_nearest(query, stored, k, metric)
    votes = Counter(labels[i] for i in nearest)
    sums = {c: sum(DISTANCE[metric](query, stored[i]) for i in nearest if labels[i] == c) for c in votes}
    return min(votes, key=lambda c: (-votes[c], sums[c], c))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("metric", DISTANCE)
def test_vote_equals_a_brute_force_loop(seed, k, metric):
    generator = torch.Generator().manual_seed(seed)
    stored = torch.randn(40, 5, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    queries = torch.randn(25, 5, generator=generator)
    memory = LabelMemory(5, 3, k, metric=metric)
    memory.add(stored, labels)
    found = memory.scores(queries).argmax(dim=1).tolist()
    expected = [slow_vote(q, stored.tolist(), labels.tolist(), k, metric) for q in queries.tolist()]
    assert found == expected


# Corners of a cube: few distinct vectors, so that nearly every vote has ties. Their cosines are exact
# (all lengths are equal), and so are their squared distances.
CORNERS = torch.tensor([[x, y, z, 1.0] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


@pytest.mark.parametrize("n_queries", [1, 8, 64])
@pytest.mark.parametrize("k", [1, 3, 4, 7, 30, 150])
@pytest.mark.parametrize("metric", DISTANCE)
def test_ties_are_taken_in_the_order_of_storing(n_queries, k, metric):
    generator = torch.Generator().manual_seed(k)
    stored = CORNERS[torch.randint(8, (200,), generator=generator)]
    queries = CORNERS[torch.randint(8, (n_queries,), generator=generator)]
    memory = LabelMemory(4, 200, k, metric=metric)
    # Each its own label: the labels of the nearest are their rows.
    memory.add(stored, torch.arange(200))
    _, found = memory.nearest(queries)
    assert found.tolist() == [slow_nearest(q, stored.tolist(), k, metric) for q in queries.tolist()]


def test_single_numbers_are_distinct_to_the_last_digits():
    # Cosines near 1 that differ by 2^-22: the expanded square would lose the difference.
    stored = 1 - torch.arange(40)[:, None] * 2.0**-22
    memory = LabelMemory(1, 40, 1, metric="euclidean")
    memory.add(stored, torch.arange(40))
    distances, found = memory.nearest(stored)
    assert found[:, 0].tolist() == list(range(40))
    assert distances.tolist() == [[0.0]] * 40


def test_euclidean_distances_by_hand():
    memory = LabelMemory(2, 3, 2, metric="euclidean")
    memory.add(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([2, 1]))
    distances, labels = memory.nearest(torch.zeros(1, 2))
    assert distances.tolist() == [[1, 5]]
    assert labels.tolist() == [[1, 2]]


@pytest.mark.parametrize("metric", DISTANCE)
def test_lists_find_nearly_all_that_comparing_all_does(metric):
    generator = torch.Generator().manual_seed(0)
    stored, queries = torch.randn(2000, 32, generator=generator), torch.randn(300, 32, generator=generator)
    memories = [LabelMemory(32, 2000, 10, metric=metric, index=kind) for kind in ("flat", "ivf", "ivf")]
    for memory in memories:
        memory.add(stored, torch.arange(2000))
    flat, found, again = (memory.nearest(queries)[1].tolist() for memory in memories)
    shared = [len(set(a) & set(b)) for a, b in zip(flat, found, strict=True)]
    # Random vectors, all about equally far, are the hardest that there are; 32 of 179 lists are searched.
    assert sum(shared) / 3000 >= 0.5
    assert found == again


@pytest.mark.parametrize("index", ["flat", "ivf"])
@pytest.mark.parametrize("k", [1, 3, 12])
def test_every_index_answers_among_equal_vectors(k, index):
    memory = LabelMemory(2, 3, k, index=index)
    memory.add(torch.tensor([[1.0, 0.0]]).repeat(500, 1), torch.full((500,), 2))
    memory.add(torch.tensor([[0.0, 1.0]]).repeat(12, 1), torch.full((12,), 1))
    distances, labels = memory.nearest(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
    assert distances.tolist() == [[0.0] * k] * 2
    assert labels.tolist() == [[2] * k, [1] * k]


@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_zero_vectors_among_others_are_where_they_were_stored(index):
    memory = LabelMemory(3, 9, 4, index=index)
    stored = torch.tensor([[0.0] * 3, [1, 0, 0], [0.0] * 3, [0.0] * 3, [0, 2, 0], [0, 0, -1], [-1, 0, 0]])
    for row, vector in enumerate(stored):
        memory.add(vector[None], torch.tensor([row]))
    distances, labels = memory.nearest(torch.tensor([[5.0, 0, 0], [0, 0, 0], [0, 0, 3]]))
    # Zero vectors and orthogonal ones are at distance 1, in the order of storing; opposite ones at 2.
    assert distances.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert labels.tolist() == [[1, 0, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert memory.embeddings.tolist() == torch.nn.functional.normalize(stored).tolist()


def test_nothing_but_zero_vectors():
    memory = LabelMemory(3, 3, 2)
    memory.add(torch.zeros(3, 3), torch.tensor([2, 1, 0]))
    distances, labels = memory.nearest(torch.tensor([[0.0, 0, 0], [1, 0, 0]]))
    assert (distances.tolist(), labels.tolist()) == ([[1, 1]] * 2, [[2, 1]] * 2)
    assert memory.embeddings.tolist() == [[0.0] * 3] * 3


def test_passing_pairs_vote_until_they_are_dropped():
    memory = LabelMemory(2, 9, 2)
    memory.add(torch.tensor([[0.0, 0], [1, 0]]), torch.tensor([0, 1]))
    before = memory.n_bytes
    memory.add(torch.tensor([[0.0, 1], [0, 0]]), torch.tensor([7, 8]), is_passing=True)
    query = torch.tensor([[0.0, 2]])
    assert memory.nearest(query)[1].tolist() == [[7, 0]]
    assert memory.labels.tolist() == [0, 1, 7, 8]
    assert memory.embeddings.tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
    memory.drop_passing()
    assert memory.nearest(query)[1].tolist() == [[0, 1]]
    assert memory.n_bytes == before
    memory.add(torch.tensor([[0.0, 3]]), torch.tensor([5]))
    assert memory.nearest(query)[1].tolist() == [[5, 0]]


@pytest.mark.parametrize("metric", DISTANCE)
def test_float16_votes_like_float32_where_labels_lie_apart(metric):
    generator = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(3, 16, generator=generator))
    labels, query_labels = torch.arange(3).repeat(100), torch.arange(3).repeat(30)
    stored, queries = (
        centres[rows] + 0.05 * torch.randn(len(rows), 16, generator=generator)
        for rows in (labels, query_labels)
    )
    wide, half = (LabelMemory(16, 3, 5, metric=metric, stored_as=t) for t in ("float32", "float16"))
    for memory in (wide, half):
        memory.add(stored, labels)
    assert wide.scores(queries).argmax(dim=1).tolist() == query_labels.tolist()
    # All votes are for one label; what is left is 5 distances over 2k + 1 = 11, each off by at most 2^-10 of the
    # lengths, which are below 2.
    assert torch.allclose(wide.scores(queries), half.scores(queries), rtol=0, atol=2 * 2.0**-10)
    assert half.n_bytes == 300 * (16 * 2 + 8)


def test_vote_tie_goes_to_the_nearer_sum():
    # One vote each for 2, 0 and 1: label 0's voter is nearest.
    scores = vote(torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[2, 0, 1]]), 3)
    assert scores.argmax().item() == 0


def test_two_far_votes_beat_one_near_vote():
    scores = vote(torch.tensor([[0.0, 2.0, 2.0]]), torch.tensor([[0, 1, 1]]), 3)
    assert scores.argmax().item() == 1


def test_an_equal_tie_goes_to_the_lower_label():
    scores = vote(torch.tensor([[0.5, 0.5]]), torch.tensor([[2, 1]]), 3)
    assert scores.argmax().item() == 1


def test_vote_scores_by_hand():
    # k = 3: label 1: 2 votes - (.1 + .4) / 7; label 0: 1 - .2 / 7; label 2: 0.
    scores = vote(torch.tensor([[0.1, 0.2, 0.4]]), torch.tensor([[1, 0, 1]]), 3)
    assert scores[0].tolist() == pytest.approx([1 - 0.2 / 7, 2 - 0.5 / 7, 0])


def test_far_voters_are_scaled_down_and_never_outweigh_a_vote():
    # The farthest, 800, counts 2; so 400 counts 1 and 100 counts .25. k = 4: ninths.
    scores = vote(torch.tensor([[100.0, 400.0, 800.0, 800.0]]), torch.tensor([[0, 0, 1, 1]]), 3)
    assert scores[0].tolist() == pytest.approx([2 - 1.25 / 9, 2 - 4 / 9, 0])
    three = vote(torch.tensor([[0.0, 1e9, 1e9]]), torch.tensor([[0, 1, 1]]), 3)
    assert three.argmax().item() == 1


def test_fewer_stored_pairs_than_k_all_vote():
    memory = LabelMemory(2, 3, 5)
    memory.add(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([2, 2]))
    assert memory.scores(torch.tensor([[1.0, 1.0]])).argmax().item() == 2


def test_a_zero_embedding_is_at_distance_one_from_everything():
    memory = LabelMemory(2, 3, 3)
    memory.add(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, -3.0]]), torch.tensor([0, 1, 2]))
    distances, labels = memory.nearest(torch.tensor([[0.0, 0.0], [5.0, 0.0]]))
    assert distances.tolist() == [[1, 1, 1], [0, 1, 1]]
    assert labels.tolist() == [[0, 1, 2], [1, 0, 2]]


def test_half_precision_queries_vote_like_float32():
    memory = LabelMemory(4, 3, 3)
    memory.add(torch.eye(4), torch.tensor([0, 1, 2, 0]))
    query = torch.tensor([[1.0, 0.5, 0.25, 0.0]])
    assert torch.equal(memory.scores(query.bfloat16()), memory.scores(query))


def pairs(*labels):
    return Dataset.from_dict({"label": list(labels)})


@pytest.mark.parametrize(("mode", "calls"), [("refresh", [2, 3]), ("stale", [2, 1]), ("compensate", [2, 1])])
def test_refresh_encodes_the_past_again_and_stale_does_not(mode, calls):
    encoded = []

    def embed(data):
        encoded.append(len(data))
        return torch.ones(len(data), 2) * len(encoded)

    memory = VotingMemory(k=1, n_labels=3, mode=mode)
    memory.update([pairs(0, 1)], None, 10, embed)
    memory.update([pairs(0, 1)], None, 10, embed)  # nothing changed: nothing is encoded
    memory.update([pairs(0, 1), pairs(2)], None, 20, embed)
    assert encoded == calls
    assert memory.index.labels.tolist() == [0, 1, 2]


def corner(data):
    """An embedding of two numbers that is another one for each label, and now and then zero."""
    labels = torch.tensor(data["label"][:])
    return torch.stack([labels % 5, labels % 3], dim=1).float()


def test_a_stale_memory_appends_and_never_copies_what_it_has(monkeypatch):
    import contsym.models.memory as module

    added = []
    add_vectors = module.LabelMemory.add_vectors

    def noted(self, vectors, labels, **options):
        added.append((len(labels), options["is_passing"]))
        add_vectors(self, vectors, labels, **options)

    monkeypatch.setattr(module.LabelMemory, "add_vectors", noted)
    memory = VotingMemory(k=1, n_labels=20, mode="stale")
    memory.update([], pairs(1, 2), 1, corner)
    first = memory.index
    memory.update([pairs(1, 2, 3)], None, 2, corner)
    memory.update([pairs(1, 2, 3)], pairs(4), 3, corner)
    memory.update([pairs(1, 2, 3), pairs(4, 5)], None, 4, corner)
    assert added == [(2, True), (3, False), (1, True), (2, False)]
    assert memory.index is first
    assert memory.index.labels.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_a_restored_stale_memory_is_the_same_to_the_bit(index, stored_as):
    def embed(data):
        generator = torch.Generator().manual_seed(data["label"][0])
        return torch.randn(len(data), 6, generator=generator) * (torch.arange(len(data)) % 7 > 0)[:, None]

    past = [pairs(*range(start, start + n)) for start, n in ((0, 40), (40, 90), (130, 200))]
    one, other = (
        VotingMemory(k=3, n_labels=400, mode="stale", index=index, stored_as=stored_as) for _ in range(2)
    )
    for n in (1, 2):
        one.update(past[:n], None, n, embed)
    state = one.state()
    other.restore(state)
    for memory in (one, other):
        memory.update(past, None, 3, embed)
    assert {name: len(t) for name, t in state.items()} == {
        f"past.{i}.{name}": n for i, n in ((0, 40), (1, 90)) for name in ("embeddings", "labels")
    }
    queries = torch.randn(50, 6, generator=torch.Generator().manual_seed(5))
    assert torch.equal(one.scores(queries), other.scores(queries))
    assert torch.equal(*(m.artifacts()["memory.embeddings"] for m in (one, other)))
    assert one.note == other.note


def test_a_stored_vector_moves_by_the_weighted_mean_of_the_drifts():
    # Squared distances 1 and 4 and 2 sigma^2 = 1: the weights are e^-1 and e^-4, the drifts (1, 0) and (0, 1).
    before = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    after = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    one, four = math.exp(-1), math.exp(-4)
    moved = compensated(torch.zeros(1, 2), before, after, sigma=math.sqrt(0.5))
    assert moved[0].tolist() == pytest.approx([one / (one + four), four / (one + four)])
    # So far away that both weights would be 0 as floats, the nearer one has all of it.
    far = compensated(torch.tensor([[1000.0, 0.0]]), before, after)
    assert far.tolist() == [[1001.0, 0.0]]
    # What moves as one takes all along.
    stored = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(compensated(stored, before, before + 0.5), stored + 0.5)


def test_a_part_by_part_compensation_is_a_loop(monkeypatch):
    import contsym.models.memory as module

    generator = torch.Generator().manual_seed(1)
    stored, before, after = (torch.randn(n, 3, generator=generator) for n in (7, 4, 4))
    monkeypatch.setattr(module, "MOST_WEIGHTS", 10)
    expected = []
    for v in stored.tolist():
        weights = [math.exp(-(math.dist(v, b) ** 2) / (2 * 0.3**2)) for b in before.tolist()]
        drift = (after - before).tolist()
        expected.append(
            [
                x + sum(w * d[i] for w, d in zip(weights, drift, strict=True)) / sum(weights)
                for i, x in enumerate(v)
            ]
        )
    assert torch.allclose(compensated(stored, before, after), torch.tensor(expected), atol=1e-5)


def test_a_compensating_memory_moves_from_where_it_was_before_the_experience():
    def rows(*numbers):
        return Dataset.from_dict({"label": list(numbers), "row": list(numbers)})

    first, second, third = rows(0, 1), rows(2, 3), rows(4)
    at = {0: (1.0, 0.0), 1: (3.0, 0.0)}
    asked = []

    def embed(data):
        asked.append(data["row"][:])
        return torch.tensor([at[row] for row in data["row"][:]])

    def train_on(pairs, *moves):
        """Embeddings before, halfway and at the end; the vectors of earlier pairs after each."""
        memory.begin(pairs, embed)
        for step, (place, current) in enumerate(moves, 1):
            at.update(place)
            past.extend([] if current else [pairs])
            memory.update(past, current, 10 * len(past) + step, embed)
            found.append(memory.index.embeddings.tolist())

    found: list = []
    past = []
    memory = VotingMemory(k=1, n_labels=5, mode="compensate", metric="euclidean")
    train_on(first, ({}, None))
    at = {2: (1.0, 1.0), 3: (9.0, 9.0)}
    # Halfway only pair 2 was seen; at the end both have moved, and pair 3 is too far away to have a say.
    train_on(second, ({2: (1.0, 3.0)}, rows(2)), ({2: (2.0, 1.0), 3: (0.0, 0.0)}, None))
    at = {4: (5.0, 5.0)}
    train_on(third, ({4: (5.0, 4.0)}, None))
    assert found == [
        [[1, 0], [3, 0]],
        [[1, 2], [3, 2], [1, 3]],
        [[2, 0], [4, 0], [2, 1], [0, 0]],
        [[2, -1], [4, -1], [2, 0], [0, -1], [5, 4]],
    ]
    # No pair of a finished experience was encoded again.
    assert asked == [[0, 1], [2, 3], [2], [2, 3], [4], [4]]
    assert memory.index.labels.tolist() == [0, 1, 2, 3, 4]
    assert memory.note.startswith("memory=compensate: vectors of earlier experiences are estimates")
    other = VotingMemory(k=1, n_labels=5, mode="compensate", metric="euclidean")
    other.restore(memory.state())
    assert other.index.embeddings.tolist() == found[-1]
    assert other.note == memory.note


@pytest.mark.parametrize(
    ("sizes", "limit", "left"), [((10, 6), 8, [5, 3]), ((3,), 5, [3]), ((7, 7), 3, [1, 1])]
)
def test_a_thinned_past_keeps_within_the_limit(sizes, limit, left):
    past = [pairs(*range(size)) for size in sizes]
    assert [len(part) for part in thinned(past, limit)] == left


def test_a_point_of_the_curve_does_not_spoil_the_memory():
    def embed(data):
        return torch.tensor(data["label"][:])[:, None].float() + torch.ones(len(data), 2)

    memory = VotingMemory(k=1, n_labels=9, mode="refresh")
    memory.update([pairs(0, 1, 2, 3)], pairs(8), 5, embed, past_limit=2)
    assert memory.index.labels.tolist() == [0, 2, 8]
    memory.update([pairs(0, 1, 2, 3)], pairs(8), 5, embed)
    assert memory.index.labels.tolist() == [0, 1, 2, 3, 8]


def test_bytes_are_those_of_vectors_and_labels():
    memory = VotingMemory(k=1, n_labels=3, mode="refresh")
    assert memory.n_bytes == 0
    memory.update([pairs(0, 1)], pairs(2), 1, lambda data: torch.ones(len(data), 6))
    assert memory.n_bytes == 3 * 6 * 4 + 3 * 8


# -- reservoir --


def texts(n, start=0, label=0):
    names = [f"pair {i}" for i in range(start, start + n)]
    return Dataset.from_dict({"premise": names, "hypothesis": names, "label": [label] * n})


def number(data):
    """An embedding that says which pair it is."""
    return torch.tensor([[float(premise.split()[1])] for premise in data["premise"][:]])


def sampled(past, current=None, n=10, seed=0):
    memory = VotingMemory(k=1, n_labels=3, mode=f"reservoir:{n}", metric="euclidean", seed=seed)
    memory.update(past, current, 1, number)
    return sorted(memory.index.embeddings[:, 0].tolist())


def test_a_reservoir_never_holds_more_than_n():
    memory = VotingMemory(k=1, n_labels=3, mode="reservoir:10", metric="euclidean")
    past = []
    for step, (start, n) in enumerate([(0, 4), (4, 5), (9, 40), (49, 3)]):
        for n_seen in range(1, n + 1):
            memory.update(past, texts(n_seen, start), 100 * step + n_seen, number)
            assert len(memory.index) == min(10, start + n_seen)
        past.append(texts(n, start))
        memory.update(past, None, 100 * step + 99, number)
        assert len(memory.index) == min(10, start + n)
    assert memory.n_bytes == 10 * (4 + 8)
    # What it holds does not depend on the way there: a look at all of it at once says the same.
    assert sorted(memory.index.embeddings[:, 0].tolist()) == sampled(past)


def test_a_reservoir_depends_on_the_seed_and_not_on_the_order():
    parts = [texts(30), texts(30, 30)]
    assert (
        sampled(parts) == sampled(parts[::-1]) == sampled([texts(60)]) == sampled([texts(30)], texts(30, 30))
    )
    assert sampled(parts) != sampled(parts, seed=1)
    assert set(sampled(parts)) < set(sampled(parts, n=20))


def test_every_pair_has_the_same_chance_to_stay():
    # 50 of 200 for 100 seeds: each experience's share is binomial-like about 25 of 100, and each
    # pair stays 25 times, with a standard deviation of 4.3.
    counts = Counter(
        p for seed in range(100) for p in sampled([texts(100), texts(100, 100)], n=50, seed=seed)
    )
    assert sum(counts.values()) == 100 * 50
    early = sum(n for pair, n in counts.items() if pair < 100)
    assert early == pytest.approx(2500, abs=4 * 31)
    assert all(5 <= counts[float(pair)] <= 48 for pair in range(200))


def test_a_reservoirs_pairs_are_encoded_again():
    memory = VotingMemory(k=1, n_labels=3, mode="reservoir:2", metric="euclidean")
    memory.update([texts(2)], None, 1, number)
    memory.update([texts(2)], None, 2, lambda data: number(data) + 7)
    assert sorted(memory.index.embeddings[:, 0].tolist()) == [7, 8]


def test_a_restored_reservoir_continues_alike():
    past = [texts(30), texts(30, 30)]
    one, other = (VotingMemory(k=1, n_labels=3, mode="reservoir:9", metric="euclidean") for _ in range(2))
    one.update(past, None, 1, number)
    other.update([texts(5, 500)], None, 1, number)
    other.restore(one.state())
    for memory in (one, other):
        memory.update([*past, texts(30, 60)], None, 2, number)
    assert one.index.embeddings.tolist() == other.index.embeddings.tolist()


# -- prototypes --


def test_prototypes_by_hand():
    memory = PrototypeMemory(n_labels=3, mode="refresh")
    memory.update([texts(2, 0, label=2)], texts(2, 10, label=0), 1, number)
    # Means 10.5 of label 0 and .5 of label 2; 4 is 6.5 and 3.5 away. Nothing is stored of label 1.
    scores = memory.scores(torch.tensor([[4.0]]))
    assert scores[0, [0, 2]].tolist() == [-42.25, -12.25]
    assert scores.isfinite().all()
    assert scores.argmin().item() == 1
    assert memory.n_bytes == 2 * (4 + 8)
    assert {name: t.tolist() for name, t in memory.artifacts().items()} == {
        "memory.embeddings": [[10.5], [0.5]],
        "memory.labels": [0, 2],
    }
