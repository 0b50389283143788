"""Heads: what each computes, spelt out; where its weights come from; what training may move."""

import math

import pytest
import torch
from torch.nn import functional

from contsym.models.algebra import RELATIONS
from contsym.models.distances import cosine_distance
from contsym.models.heads import PairClassifier, Relation, TextClassifier
from contsym.strategies.knn_cosine import Similarity
from contsym.strategies.knn_learned import LearnedRelation
from contsym.strategies.random_labels import RandomLabelVectors
from contsym.strategies.setfit import ReadEmbedding
from tests.models.twins import vectors


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


P, H = vectors(5, 8), vectors(5, 8, seed=1)


def test_scores_of_random_labels_are_negative_distances_of_the_carried_premise():
    head = RandomLabelVectors(8, 3, seeded())
    found = head(P, H)
    for c in range(3):
        expected = -cosine_distance(H, P * head.label_vectors[c])
        assert torch.allclose(found[:, c], expected, atol=1e-6)


def test_a_hypothesis_made_with_a_label_scores_best_for_it():
    head = RandomLabelVectors(8, 3, seeded())
    for c in range(3):
        scores = head(P, P * head.label_vectors[c])
        assert scores.argmax(dim=1).tolist() == [c] * 5
        # Near zero: the distance of a vector to itself, up to rounding.
        assert scores[:, c].abs().max() < 1e-6


def test_label_vectors_stay_where_they_are_in_training():
    head = RandomLabelVectors(8, 3, seeded())
    before = head.label_vectors.clone()
    p = P.clone().requires_grad_()
    head(p, H).sum().backward()
    assert p.grad.abs().sum() > 0
    assert not head.label_vectors.requires_grad
    assert list(head.parameters()) == []
    assert torch.equal(head.label_vectors, before)


def test_label_vectors_come_back_with_the_saved_state():
    saved, other = RandomLabelVectors(8, 3, seeded(1)), RandomLabelVectors(8, 3, seeded(2))
    assert not torch.equal(saved.label_vectors, other.label_vectors)
    other.load_state_dict(saved.state_dict())
    assert torch.equal(other(P, H), saved(P, H))


def test_division_head_has_nothing_to_learn_and_uses_its_guard():
    head = Relation(guard=1.0)
    assert list(head.parameters()) == []
    # p = (3, 4): ridge 12.5; (6*3 / 21.5, 8*4 / 28.5); p and h are not mixed up.
    found = head(torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]]))
    assert found[0].tolist() == pytest.approx([18 / 21.5, 32 / 28.5])


@pytest.mark.parametrize("name", RELATIONS)
def test_a_relation_is_its_function_of_h_and_p(name):
    assert torch.equal(Relation(name)(P, H), RELATIONS[name](H, P))


@pytest.mark.parametrize("name", RELATIONS)
def test_at_unit_length_a_relation_keeps_its_direction_alone(name):
    found, expected = Relation(name, unit_length=True)(P, H), RELATIONS[name](H, P)
    assert torch.allclose(found.norm(dim=-1), torch.ones(5))
    assert cosine_distance(found, expected).abs().max() < 1e-6


def test_similarity_is_one_cosine_a_pair_and_the_same_in_both_directions():
    # (3, 4) and (4, 3): 24 / 25.
    assert Similarity()(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])).tolist() == [
        [pytest.approx(0.96)]
    ]
    assert torch.equal(Similarity()(P, H), Similarity()(H, P))


def test_learned_relation_is_norm_linear_gelu_linear_over_the_pair_features():
    head = LearnedRelation(8, seeded())
    state = head.state_dict()
    x = torch.cat([P, H, (P - H).abs(), P * H], dim=-1)
    x = (x - x.mean(dim=-1, keepdim=True)) / (x.var(dim=-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    x = x * state["network.0.weight"] + state["network.0.bias"]
    x = x @ state["network.1.weight"].T + state["network.1.bias"]
    x = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    x = x @ state["network.3.weight"].T + state["network.3.bias"]
    assert torch.allclose(head(P, H), x, atol=1e-5)


def test_pair_classifier_is_one_linear_map_of_the_pair_features():
    head = PairClassifier(2, 3, seeded())
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(3, 8) + torch.eye(3, 8).roll(4, dims=1))
    # Features of p = (1, 2), h = (3, -1): [1, 2, 3, -1, 2, 3, 3, -2].
    # Row i sums features i and i + 4: 1 + 2, 2 + 3, 3 + 3.
    found = head(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]]))
    assert found[0].tolist() == pytest.approx([3, 5, 6])


def test_joint_classifier_is_one_linear_map_of_the_pairs_vector():
    head = TextClassifier(8, 3, seeded())
    expected = functional.linear(P, head.linear.weight, head.linear.bias)
    assert torch.equal(head(P), expected)
    assert head(torch.zeros(1, 8)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("head", "n_in", "n_out"),
    [
        (lambda g: PairClassifier(16, 3, g).linear, 64, 3),
        (lambda g: TextClassifier(16, 3, g).linear, 16, 3),
        (lambda g: LearnedRelation(16, g).network[1], 64, 16),
        (lambda g: LearnedRelation(16, g).network[3], 16, 16),
    ],
)
def test_weights_are_glorot_uniform_and_biases_zero(head, n_in, n_out):
    layer = head(seeded())
    limit = math.sqrt(6 / (n_in + n_out))
    assert layer.weight.shape == (n_out, n_in)
    # 48 to 1,024 draws come near the limit and never pass it.
    assert 0.8 * limit < layer.weight.abs().max() <= limit
    assert layer.bias.tolist() == [0.0] * n_out


@pytest.mark.parametrize(
    "make",
    [
        lambda g: RandomLabelVectors(8, 3, g),
        lambda g: LearnedRelation(8, g),
        lambda g: PairClassifier(8, 3, g),
    ],
)
def test_weights_depend_on_the_generator_and_not_on_the_global_seed(make):
    torch.manual_seed(1)
    one = make(seeded())(P, H)
    torch.manual_seed(2)
    assert torch.equal(make(seeded())(P, H), one)
    assert not torch.equal(make(seeded(4))(P, H), one)


@pytest.mark.parametrize(
    "head",
    [
        RandomLabelVectors(8, 3, seeded()),
        LearnedRelation(8, seeded()),
        PairClassifier(8, 3, seeded()),
        *(Relation(name, unit_length=True) for name in RELATIONS),
        Similarity(),
    ],
    ids=lambda head: type(head).__name__,
)
def test_zero_vectors_give_finite_outputs_and_gradients(head):
    p, h = torch.zeros(2, 8, requires_grad=True), torch.zeros(2, 8, requires_grad=True)
    found = head(p, h)
    found.sum().backward()
    assert found.isfinite().all()
    assert p.grad.isfinite().all()
    assert h.grad.isfinite().all()


def test_read_embedding_reads_its_own_embedding_with_what_was_set():
    features, division = ReadEmbedding(32, 3, "features"), ReadEmbedding(8, 3, "division")
    assert torch.equal(features(P, H), torch.cat([P, H, (P - H).abs(), P * H], dim=-1))
    assert torch.equal(division(P, H), Relation("division")(P, H))
    assert division.read(division(P, H)).tolist() == [[0.0] * 3] * 5
    division.weight.copy_(torch.eye(3, 8))
    division.bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
    expected = division(P, H)[:, :3] + torch.tensor([1.0, 0.0, -1.0])
    assert torch.allclose(division.read(division(P, H)), expected)
    assert list(division.parameters()) == []
