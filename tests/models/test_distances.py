"""Distances: hand-worked numbers, loop twins, laws under swapping and scaling, and limits."""

import math

import pytest
import torch

from contsym.models.distances import (
    cosine_distance,
    label_distances,
    off_diagonal,
    pairwise_cosine_distance,
    pairwise_euclidean_distance,
)
from tests.models.twins import slow_cosine_distance, vectors

P, H, LABELS = vectors(7, 6), vectors(7, 6, seed=1), vectors(3, 6, seed=2)


# -- twins --


def test_pairwise_distance_equals_a_loop():
    found = pairwise_cosine_distance(P, LABELS)
    assert found.shape == (7, 3)
    for i, a in enumerate(P.tolist()):
        for j, b in enumerate(LABELS.tolist()):
            assert found[i, j].item() == pytest.approx(slow_cosine_distance(a, b), abs=1e-6)


def test_label_distance_equals_the_carried_premise_in_a_loop():
    found = label_distances(P, H, LABELS)
    for i, (p, h) in enumerate(zip(P.tolist(), H.tolist(), strict=True)):
        for c, label in enumerate(LABELS.tolist()):
            carried = [x * y for x, y in zip(p, label, strict=True)]
            assert found[i, c].item() == pytest.approx(slow_cosine_distance(h, carried), abs=1e-6)


def test_label_distances_by_hand():
    # p = (1, 2), h = (3, 4), |h| = 5.
    # l_0 = (1, 1):    p l = (1, 2),    cos = (3 + 8) / (5 sqrt 5)     = 11 / 11.18034 = .98387
    # l_1 = (4, -1.5): p l = (4, -3),   cos = (12 - 12) / (5 * 5)      = 0
    # l_2 = (-3, -2):  p l = (-3, -4),  cos = -25 / 25                 = -1
    labels = torch.tensor([[1.0, 1.0], [4.0, -1.5], [-3.0, -2.0]])
    found = label_distances(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), labels)
    assert found[0].tolist() == pytest.approx([1 - 11 / (5 * math.sqrt(5)), 1, 2], abs=1e-6)


def test_euclidean_distance_equals_a_loop():
    found = pairwise_euclidean_distance(P, LABELS)
    for i, a in enumerate(P.tolist()):
        for j, b in enumerate(LABELS.tolist()):
            assert found[i, j].item() == pytest.approx(math.dist(a, b), rel=1e-6)


def test_euclidean_distance_by_hand():
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0]])
    assert pairwise_euclidean_distance(a, b).tolist() == [[5], [0]]


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


# -- laws --


def test_of_vectors_of_length_one_the_euclidean_distance_is_the_chord():
    p, h = (torch.nn.functional.normalize(x, dim=-1) for x in (P, H))
    chord = (2 * pairwise_cosine_distance(p, h)).sqrt()
    assert torch.allclose(pairwise_euclidean_distance(p, h), chord, atol=1e-6)


def test_euclidean_distance_keeps_small_gaps_between_large_numbers():
    # 1000.0001 in float32 is 1000.000122; the expanded square would lose it.
    a, b = torch.tensor([[1000.0, 1000.0]]), torch.tensor([[1000.0, 1000.0001220703125]])
    assert pairwise_euclidean_distance(a, b).item() == pytest.approx(1.220703125e-4, rel=1e-6)


def test_a_euclidean_distance_of_zero_has_a_gradient_of_zero():
    p = P.clone().requires_grad_()
    pairwise_euclidean_distance(p, p)[0, 0].backward()
    assert p.grad.abs().max() == 0


def test_cosine_distance_is_symmetric_and_pairwise_transposes():
    assert torch.equal(cosine_distance(P, H), cosine_distance(H, P))
    assert torch.allclose(pairwise_cosine_distance(P, H), pairwise_cosine_distance(H, P).T, atol=1e-6)


def test_a_vector_is_at_no_distance_from_itself_and_at_two_from_its_opposite():
    assert cosine_distance(P, P).abs().max() < 1e-6
    assert (cosine_distance(P, -P) - 2).abs().max() < 1e-6
    assert pairwise_cosine_distance(P, P).diagonal().abs().max() < 1e-6


@pytest.mark.parametrize("scale", [2.0**-10, 2.0**10])
def test_no_length_changes_a_distance(scale):
    expected = label_distances(P, H, LABELS)
    for found in (
        label_distances(scale * P, H, LABELS),
        label_distances(P, scale * H, LABELS),
        label_distances(P, H, scale * LABELS),
    ):
        assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(cosine_distance(scale * P, H), cosine_distance(P, H), atol=1e-6)


def test_the_opposite_hypothesis_or_label_turns_the_distance_round():
    expected = 2 - label_distances(P, H, LABELS)
    assert torch.allclose(label_distances(P, -H, LABELS), expected, atol=1e-6)
    assert torch.allclose(label_distances(P, H, -LABELS), expected, atol=1e-6)


def test_swapping_premise_and_hypothesis_keeps_the_distance_only_for_labels_of_plus_and_minus_one():
    # |p l| = |p| needs |l_i| = 1; then both directions are (h p)·l over the same lengths.
    signs = LABELS.sign()
    assert torch.allclose(label_distances(P, H, signs), label_distances(H, P, signs), atol=1e-6)
    gap = label_distances(P, H, LABELS) - label_distances(H, P, LABELS)
    assert gap.abs().max() > 0.01


# -- limits --


@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-30, 1e-12, 1e-8, 1.0, 1e18])
def test_distances_and_their_gradients_are_finite_and_in_range(size):
    p, h = (size * P).requires_grad_(), (size * H).requires_grad_()
    for found in (cosine_distance(p, h), pairwise_cosine_distance(p, h), label_distances(p, h, LABELS)):
        assert found.isfinite().all()
        assert found.min() >= -1e-6
        assert found.max() <= 2 + 1e-6
        gradients = torch.autograd.grad(found.sum(), (p, h))
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_vector_too_short_to_have_a_direction_is_at_one():
    tiny, one = torch.tensor([[1e-30, 0.0]]), torch.tensor([[1.0, 0.0]])
    for found in (
        cosine_distance(tiny, one),
        pairwise_cosine_distance(tiny, one),
        label_distances(tiny, one, one),
        label_distances(one, tiny, one),
        label_distances(one, one, tiny),
    ):
        assert found.item() == pytest.approx(1, abs=1e-6)


def test_bfloat16_is_near_float32():
    expected = label_distances(P, H, LABELS)
    found = label_distances(P.bfloat16(), H.bfloat16(), LABELS.bfloat16())
    # 8 bits of mantissa in the vectors, the products and the result.
    assert torch.allclose(found.float(), expected, atol=0.05)


@pytest.mark.parametrize(("n", "n_true"), [(0, 0), (1, 0), (2, 2), (5, 20)])
def test_off_diagonal_leaves_out_n_of_n_squared(n, n_true):
    mask = off_diagonal(n)
    assert mask.shape == (n, n)
    assert int(mask.sum()) == n_true
    assert not mask.diagonal().any()


def test_no_pairs_have_no_distances():
    nothing = torch.empty(0, 6)
    assert label_distances(nothing, nothing, LABELS).shape == (0, 3)
    assert pairwise_cosine_distance(nothing, H).shape == (0, 7)
