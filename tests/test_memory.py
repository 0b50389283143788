"""The vote against a loop, its ties and its edges; what a memory keeps."""

import math
from collections import Counter

import pytest
import torch
from datasets import Dataset

from contsym.memory import LabelMemory, VotingMemory, thinned, vote


def slow_vote(query, stored, labels, k):
    """Majority of the k nearest by cosine; ties to the nearer sum, then to the lower label."""

    def distance(v):
        return 1 - sum(a * b for a, b in zip(query, v, strict=True)) / (math.hypot(*query) * math.hypot(*v))

    nearest = sorted(range(len(stored)), key=lambda i: (distance(stored[i]), i))[:k]
    votes = Counter(labels[i] for i in nearest)
    sums = {c: sum(distance(stored[i]) for i in nearest if labels[i] == c) for c in votes}
    return min(votes, key=lambda c: (-votes[c], sums[c], c))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_vote_equals_a_brute_force_loop(seed, k):
    generator = torch.Generator().manual_seed(seed)
    stored = torch.randn(40, 5, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    queries = torch.randn(25, 5, generator=generator)
    memory = LabelMemory(5, 3, k)
    memory.add(stored, labels)
    found = memory.scores(queries).argmax(dim=1).tolist()
    expected = [slow_vote(q, stored.tolist(), labels.tolist(), k) for q in queries.tolist()]
    assert found == expected


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


def test_fewer_stored_pairs_than_k_all_vote():
    memory = LabelMemory(2, 3, 5)
    memory.add(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([2, 2]))
    assert memory.scores(torch.tensor([[1.0, 1.0]])).argmax().item() == 2


def test_a_zero_embedding_can_be_stored_and_asked():
    memory = LabelMemory(2, 3, 1)
    memory.add(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    assert memory.scores(torch.zeros(1, 2)).isfinite().all()
    assert memory.scores(torch.tensor([[2.0, 0.0]])).argmax().item() == 1


def test_half_precision_queries_vote_like_float32():
    memory = LabelMemory(4, 3, 3)
    memory.add(torch.eye(4), torch.tensor([0, 1, 2, 0]))
    query = torch.tensor([[1.0, 0.5, 0.25, 0.0]])
    assert torch.equal(memory.scores(query.bfloat16()), memory.scores(query))


def pairs(*labels):
    return Dataset.from_dict({"label": list(labels)})


@pytest.mark.parametrize(("mode", "calls"), [("refresh", [2, 2, 1]), ("stale", [2, 1])])
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


@pytest.mark.parametrize(
    ("sizes", "limit", "left"), [((10, 6), 8, [5, 3]), ((3,), 5, [3]), ((7, 7), 3, [1, 1])]
)
def test_a_thinned_past_keeps_within_the_limit(sizes, limit, left):
    past = [pairs(*range(size)) for size in sizes]
    assert [len(part) for part in thinned(past, limit)] == left


def test_a_look_in_passing_does_not_spoil_the_memory():
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
