"""The two objectives: numbers by hand, loop twins, laws, and what their gradients do."""

import itertools
import math

import pytest
import torch

from contsym.relations.losses import contrastive_loss, cosine_similarity_loss, margin_loss


def generator(seed):
    return torch.Generator().manual_seed(seed)


def batch(n, dim=4, seed=0):
    return torch.randn(n, dim, generator=generator(seed)), torch.randint(3, (n,), generator=generator(seed))


# -- margin loss --


def slow_margin_loss(distances, labels, margin):
    total = 0.0
    for row, label in zip(distances, labels, strict=True):
        for c, d in enumerate(row):
            total += d * d if c == label else max(0.0, margin - d) ** 2
    return total / len(labels)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0])
def test_margin_loss_equals_its_slow_twin(seed, margin):
    distances = 2 * torch.rand(9, 3, generator=generator(seed))
    labels = torch.randint(3, (9,), generator=generator(seed))
    expected = slow_margin_loss(distances.tolist(), labels.tolist(), margin)
    assert margin_loss(distances, labels, margin).item() == pytest.approx(expected, rel=1e-5)


def test_margin_loss_is_zero_at_the_ideal_and_known_at_the_worst():
    ideal, worst = torch.tensor([[0.0, 0.5, 2.0]]), torch.tensor([[2.0, 0.0, 0.0]])
    assert margin_loss(ideal, torch.tensor([0]), 0.5).item() == 0
    # 2^2 + .5^2 + .5^2
    assert margin_loss(worst, torch.tensor([0]), 0.5).item() == pytest.approx(4.5)


def test_margin_loss_pulls_the_own_label_and_pushes_only_those_within_the_margin():
    # d/d d_pos = 2 d = .8; d/d d_neg = -2 (m - d) = -.6 within the margin, 0 outside.
    distances = torch.tensor([[0.4, 0.2, 0.9]], requires_grad=True)
    margin_loss(distances, torch.tensor([0]), 0.5).backward()
    assert distances.grad[0].tolist() == pytest.approx([0.8, -0.6, 0])


def test_margin_loss_does_not_depend_on_the_order_of_labels_or_pairs():
    distances, labels = torch.rand(4, 3, generator=generator(0)), torch.tensor([0, 1, 2, 1])
    expected = margin_loss(distances, labels, 0.5).item()
    # Column j of the permuted distances is column `order[j]`, so label c is found at place[c].
    order, place = torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0])
    assert margin_loss(distances[:, order], place[labels], 0.5).item() == pytest.approx(expected)
    assert margin_loss(distances.flip(0), labels.flip(0), 0.5).item() == pytest.approx(expected)


# -- contrastive loss --


def slow_contrastive_loss(embeddings, labels, margin):
    terms = []
    for (a, a_label), (b, b_label) in itertools.combinations(zip(embeddings, labels, strict=True), 2):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        d = 1 - dot / (math.hypot(*a) * math.hypot(*b))
        terms.append(d * d if a_label == b_label else max(0.0, margin - d) ** 2)
    return sum(terms) / len(terms)


@pytest.mark.parametrize("n", [2, 3, 16])
@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0])
def test_contrastive_loss_equals_its_slow_twin(n, margin):
    embeddings, labels = batch(n, seed=n)
    expected = slow_contrastive_loss(embeddings.tolist(), labels.tolist(), margin)
    # Cosines of float32 vectors, some of them differences near zero.
    assert contrastive_loss(embeddings, labels, margin).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("other", "labels", "loss"),
    [
        ((2.0, 0.0), (0, 0), 0.0),  # d = 0, same
        ((2.0, 0.0), (0, 1), 0.25),  # d = 0, different: .5^2
        ((0.0, 3.0), (0, 0), 1.0),  # d = 1, same
        ((0.0, 3.0), (0, 1), 0.0),  # d = 1, beyond the margin
        ((-1.0, 0.0), (0, 0), 4.0),  # d = 2, same
        ((0.0, 0.0), (0, 0), 1.0),  # no direction: d = 1
        ((4.0, 3.0), (0, 1), 0.09),  # d = 1 - .8 = .2, different: (.5 - .2)^2
    ],
)
def test_contrastive_loss_of_two_by_hand(other, labels, loss):
    embeddings = torch.tensor([(1.0, 0.0), other])
    assert contrastive_loss(embeddings, torch.tensor(labels), 0.5).item() == pytest.approx(loss, abs=1e-6)


def test_contrastive_loss_knows_neither_the_names_of_labels_nor_the_lengths_of_vectors():
    embeddings, labels = batch(8)
    expected = contrastive_loss(embeddings, labels, 0.5).item()
    assert contrastive_loss(embeddings, torch.tensor([7, 3, 5])[labels], 0.5).item() == expected
    lengths = 2.0 ** torch.arange(-4, 4)[:, None]
    assert contrastive_loss(lengths * embeddings, labels, 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_a_step_against_the_gradient_draws_equal_labels_together_and_others_apart():
    embeddings = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.9, -0.1]], requires_grad=True)
    labels = torch.tensor([0, 0, 1])
    loss = contrastive_loss(embeddings, labels, 0.5)
    loss.backward()
    after = (embeddings - 0.1 * embeddings.grad).detach()
    assert contrastive_loss(after, labels, 0.5) < loss

    def cosine(rows, i, j):
        return torch.cosine_similarity(rows[i], rows[j], dim=0).item()

    assert cosine(after, 0, 1) > cosine(embeddings, 0, 1)
    assert cosine(after, 0, 2) < cosine(embeddings, 0, 2)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-8, 1.0, 1e18])
def test_contrastive_loss_and_its_gradient_are_finite(size):
    embeddings, labels = batch(6)
    embeddings = (size * embeddings).requires_grad_()
    loss = contrastive_loss(embeddings, labels, 0.5)
    loss.backward()
    assert loss.isfinite()
    assert embeddings.grad.isfinite().all()


def test_zero_vectors_of_one_label_cost_one_and_do_not_move():
    embeddings = torch.zeros(3, 4, requires_grad=True)
    loss = contrastive_loss(embeddings, torch.tensor([1, 1, 1]), 0.5)
    loss.backward()
    assert loss.item() == 1
    assert embeddings.grad.tolist() == [[0.0] * 4] * 3


def test_no_pairs_cost_nothing():
    assert contrastive_loss(torch.empty(0, 4), torch.empty(0, dtype=torch.long), 0.5).item() == 0


def test_bfloat16_embeddings_cost_nearly_the_same():
    embeddings, labels = batch(8)
    expected = contrastive_loss(embeddings, labels, 0.5).item()
    # 8 bits of mantissa, in vectors, cosines and squares.
    assert contrastive_loss(embeddings.bfloat16(), labels, 0.5).item() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_cosine_similarity_loss_is_the_mean_of_two_loops(n):
    embeddings, labels = batch(n)
    errors = {True: [], False: []}
    for i, j in itertools.combinations(range(n), 2):
        same = bool(labels[i] == labels[j])
        cosine = torch.nn.functional.cosine_similarity(embeddings[i], embeddings[j], dim=0).item()
        errors[same].append((cosine - same) ** 2)
    means = [sum(kind) / len(kind) for kind in errors.values() if kind]
    expected = sum(means) / len(means)
    assert cosine_similarity_loss(embeddings, labels).item() == pytest.approx(expected, abs=1e-6)


def test_each_kind_counts_half_however_many_pairs_it_has():
    # Two of label 0 at a right angle: 1. Against label 1, cosines 1 and 0, squared and averaged: 1/2.
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    assert cosine_similarity_loss(embeddings, torch.tensor([0, 0, 1])).item() == pytest.approx(0.75)


@pytest.mark.parametrize("labels", [[0], [0, 0, 0], [0, 1, 2]])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e18])
def test_cosine_similarity_loss_is_finite_with_one_kind_of_pair_or_none(labels, size):
    embeddings = (size * batch(len(labels))[0]).requires_grad_()
    loss = cosine_similarity_loss(embeddings, torch.tensor(labels))
    loss.backward()
    assert loss.isfinite()
    assert embeddings.grad.isfinite().all()
