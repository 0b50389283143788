"""The paper's equations: hand-worked numbers, slow twins, laws and limits."""

import math

import pytest
import torch

from contsym.models.algebra import guarded_division, pair_features, product
from contsym.models.distances import cosine_distance, label_distances, pairwise_cosine_distance
from contsym.models.losses import contrastive_loss, margin_loss
from contsym.strategies.random_labels import RandomLabelVectors


def vectors(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -- division --


def test_division_by_hand():
    # p = (3, 4): rms^2 = 25 / 2; g = 1: ridge 12.5; l = (6*3 / (9 + 12.5), 8*4 / (16 + 12.5)).
    found = guarded_division(torch.tensor([6.0, 8.0]), torch.tensor([3.0, 4.0]), guard=1.0)
    assert found.tolist() == pytest.approx([18 / 21.5, 32 / 28.5])


def test_product_inverts_division_where_the_guard_is_small():
    p = vectors(5, 8).sign() * (1 + vectors(5, 8, seed=1).abs())
    h = vectors(5, 8, seed=2)
    assert torch.allclose(product(p, guarded_division(h, p, guard=1e-4)), h, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_division_does_not_depend_on_the_common_scale(scale):
    # l(c h, c p) = l(h, p): the guard is relative to p.
    p, h = vectors(4, 6), vectors(4, 6, seed=1)
    found = guarded_division(scale * h, scale * p)
    assert torch.allclose(found, guarded_division(h, p), rtol=1e-4)


def test_division_keeps_within_its_bound():
    p, h = vectors(50, 16) ** 5, vectors(50, 16, seed=1)
    rms = p.square().mean(dim=-1, keepdim=True).sqrt()
    assert (guarded_division(h, p, guard=0.5).abs() <= h.abs() / rms * (1 + 1e-5)).all()


@pytest.mark.parametrize("p", [0.0, -0.0, 1e-30, 1e-38, 1e18, -1e18])
@pytest.mark.parametrize("h", [0.0, 1.0, 1e18])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_division_is_finite_at_the_edges(p, h, dtype):
    found = guarded_division(torch.full((2, 3), h, dtype=dtype), torch.full((2, 3), p, dtype=dtype))
    assert found.dtype == torch.float32
    assert found.isfinite().all()


def test_division_by_zero_is_zero_with_a_finite_gradient():
    p = torch.zeros(1, 4, requires_grad=True)
    found = guarded_division(torch.ones(1, 4), p)
    assert found.tolist() == [[0.0] * 4]
    found.sum().backward()
    assert p.grad.isfinite().all()


def test_pair_features_by_hand():
    found = pair_features(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]]))
    assert found.tolist() == [[1, 2, 3, -1, 2, 3, 3, -2]]


def test_swapping_p_and_h_keeps_the_symmetric_half_of_the_features():
    p, h = vectors(3, 5), vectors(3, 5, seed=1)
    assert torch.equal(pair_features(p, h)[:, 10:], pair_features(h, p)[:, 10:])
    assert not torch.equal(pair_features(p, h)[:, :10], pair_features(h, p)[:, :10])


# -- distances --


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ((1, 0), (0, 2), 1.0),
        ((1, 0), (5, 0), 0.0),
        ((1, 0), (-3, 0), 2.0),
        ((3, 4), (4, 3), 1 - 24 / 25),
        ((0, 0), (1, 1), 1.0),
    ],
)
def test_cosine_distance_by_hand(a, b, distance):
    a, b = torch.tensor(a, dtype=torch.float), torch.tensor(b, dtype=torch.float)
    assert cosine_distance(a, b).item() == pytest.approx(distance, abs=1e-6)
    assert pairwise_cosine_distance(a[None], b[None]).item() == pytest.approx(distance, abs=1e-6)


def test_label_distances_equal_the_equation_spelt_out():
    p, h, labels = vectors(7, 6), vectors(7, 6, seed=1), vectors(3, 6, seed=2)
    found = label_distances(p, h, labels)
    for i in range(7):
        for c in range(3):
            assert found[i, c].item() == pytest.approx(
                cosine_distance(h[i], p[i] * labels[c]).item(), abs=1e-5
            )


def test_label_distances_are_one_at_zero():
    found = label_distances(torch.zeros(1, 4), torch.ones(1, 4), vectors(3, 4))
    assert found.tolist() == [[1.0, 1.0, 1.0]]


# -- losses --


def test_margin_loss_by_hand():
    # Row 0, label 0: 0.2^2 + max(0, .5-.1)^2 + max(0, .5-.9)^2 = .04 + .16 + 0 = .20
    # Row 1, label 2: 0.5^2 + max(0, .5-.4)^2 + max(0, .5-.3)^2 = .25 + .01 + .04 = .30
    distances = torch.tensor([[0.2, 0.1, 0.9], [0.4, 0.3, 0.5]])
    assert margin_loss(distances, torch.tensor([0, 2]), 0.5).item() == pytest.approx(0.25)


def test_contrastive_loss_by_hand():
    # Three vectors: a = (1, 0), b = (1, 0), c = (3, 4) / 5; labels 0, 1, 1.
    # d(a,b) = 0, different: (.5 - 0)^2 = .25; d(a,c) = 1 - .6 = .4, different: .1^2 = .01;
    # d(b,c) = .4, same: .16. Mean of the three: .14.
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    assert contrastive_loss(embeddings, torch.tensor([0, 1, 1]), 0.5).item() == pytest.approx(0.14)


def slow_contrastive_loss(embeddings, labels, margin):
    terms = []
    for i in range(len(labels)):
        for j in range(i + 1, len(labels)):
            a, b = embeddings[i].tolist(), embeddings[j].tolist()
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            d = 1 - dot / (math.hypot(*a) * math.hypot(*b))
            terms.append(d * d if labels[i] == labels[j] else max(0.0, margin - d) ** 2)
    return sum(terms) / len(terms)


@pytest.mark.parametrize("seed", range(5))
def test_contrastive_loss_equals_its_slow_twin(seed):
    embeddings = vectors(9, 4, seed=seed)
    labels = torch.randint(3, (9,), generator=torch.Generator().manual_seed(seed))
    found = contrastive_loss(embeddings, labels, 0.5).item()
    assert found == pytest.approx(slow_contrastive_loss(embeddings, labels.tolist(), 0.5), abs=1e-5)


def test_contrastive_loss_does_not_depend_on_the_order_of_the_batch():
    embeddings, labels = vectors(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    order = torch.tensor([3, 5, 0, 4, 2, 1])
    assert contrastive_loss(embeddings[order], labels[order], 0.5).item() == pytest.approx(
        contrastive_loss(embeddings, labels, 0.5).item()
    )


def test_a_batch_of_one_has_no_pairs_and_no_gradient():
    embeddings = vectors(1, 4).requires_grad_()
    loss = contrastive_loss(embeddings, torch.tensor([1]), 0.5)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad.tolist() == [[0.0] * 4]


# -- heads --


def test_random_label_vectors_are_no_parameters():
    head = RandomLabelVectors(8, 3, torch.Generator())
    assert list(head.parameters()) == []
    assert head.state_dict()["label_vectors"].shape == (3, 8)
