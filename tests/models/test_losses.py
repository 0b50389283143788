"""The objectives: numbers by hand, loop twins, laws, and what their gradients do."""

import itertools
import math

import pytest
import torch

from contsym.models.losses import (
    asymmetric_labels,
    contrastive_loss,
    cosine_similarity_loss,
    label_means,
    margin_loss,
    prototype_loss,
)
from tests.models.twins import slow_cosine_distance


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


def test_margin_loss_by_hand():
    # Row 0, label 0: 0.2^2 + max(0, .5-.1)^2 + max(0, .5-.9)^2 = .04 + .16 + 0 = .20
    # Row 1, label 2: 0.5^2 + max(0, .5-.4)^2 + max(0, .5-.3)^2 = .25 + .01 + .04 = .30
    distances = torch.tensor([[0.2, 0.1, 0.9], [0.4, 0.3, 0.5]])
    assert margin_loss(distances, torch.tensor([0, 2]), 0.5).item() == pytest.approx(0.25)


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


def slow_contrastive_loss(embeddings, labels, margin, distance=slow_cosine_distance):
    terms = []
    for (a, a_label), (b, b_label) in itertools.combinations(zip(embeddings, labels, strict=True), 2):
        d = distance(a, b)
        terms.append(d * d if a_label == b_label else max(0.0, margin - d) ** 2)
    return sum(terms) / len(terms)


@pytest.mark.parametrize("n", [2, 3, 16])
@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0])
def test_contrastive_loss_equals_its_slow_twin(n, margin):
    embeddings, labels = batch(n, seed=n)
    expected = slow_contrastive_loss(embeddings.tolist(), labels.tolist(), margin)
    # Cosines of float32 vectors, some of them differences near zero.
    assert contrastive_loss(embeddings, labels, margin).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 16])
@pytest.mark.parametrize("dim", [1, 4])
def test_euclidean_contrastive_loss_equals_its_slow_twin(n, dim):
    embeddings, labels = batch(n, dim, seed=n)
    expected = slow_contrastive_loss(embeddings.tolist(), labels.tolist(), 0.5, math.dist)
    found = contrastive_loss(embeddings, labels, 0.5, "euclidean").item()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_euclidean_contrastive_loss_of_three_numbers_by_hand():
    # 0 and 1 are alike: .1^2 = .01; 0 and 2: .8 apart, beyond the margin; 1 and 2: .9 apart.
    # With the third at .7: .2 and .3 apart: (.5 - .2)^2 + (.5 - .3)^2 = .09 + .04.
    numbers = torch.tensor([[0.9], [1.0], [0.1]])
    labels = torch.tensor([0, 0, 1])
    assert contrastive_loss(numbers, labels, 0.5, "euclidean").item() == pytest.approx(0.01 / 3)
    numbers[2] = 0.7
    assert contrastive_loss(numbers, labels, 0.5, "euclidean").item() == pytest.approx(0.14 / 3)


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


def test_contrastive_loss_of_three_by_hand():
    # a = (1, 0), b = (1, 0), c = (3, 4) / 5; labels 0, 1, 1.
    # d(a,b) = 0, different: (.5 - 0)^2 = .25; d(a,c) = 1 - .6 = .4, different: .1^2 = .01;
    # d(b,c) = .4, same: .16. Mean of the three: .14.
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    assert contrastive_loss(embeddings, torch.tensor([0, 1, 1]), 0.5).item() == pytest.approx(0.14)


def test_contrastive_loss_does_not_depend_on_the_order_of_the_batch():
    embeddings, labels = batch(6)
    order = torch.tensor([3, 5, 0, 4, 2, 1])
    found = contrastive_loss(embeddings[order], labels[order], 0.5).item()
    assert found == pytest.approx(contrastive_loss(embeddings, labels, 0.5).item())


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


@pytest.mark.parametrize("n", [0, 1])
def test_a_batch_without_pairs_costs_nothing_and_has_no_gradient(n):
    embeddings, labels = batch(n)
    loss = contrastive_loss(embeddings.requires_grad_(), labels, 0.5)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad.tolist() == [[0.0] * 4] * n


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


# -- prototypes --


def slow_prototype_loss(embeddings, labels):
    terms = []
    for i, (query, own) in enumerate(zip(embeddings, labels, strict=True)):
        squares = {}
        for label in set(labels):
            rows = [e for j, e in enumerate(embeddings) if j != i and labels[j] == label]
            if rows:
                mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
                squares[label] = math.dist(query, mean) ** 2
        if own in squares:
            total = sum(math.exp(-d) for d in squares.values())
            terms.append(squares[own] + math.log(total))
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("n", [1, 2, 4, 16])
@pytest.mark.parametrize("seed", range(3))
def test_prototype_loss_equals_its_slow_twin(n, seed):
    embeddings, labels = batch(n, seed=seed)
    expected = slow_prototype_loss(embeddings.tolist(), labels.tolist())
    assert prototype_loss(embeddings, labels, 3).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_prototype_loss_by_hand():
    # Numbers 0 and 2 of label 0, 1 and 5 of label 2.
    # 0: d^2 to the other of its own 4, to (1 + 5) / 2 = 3 it is 9;  2: 4 and 1;
    # 1: 16 and, to (0 + 2) / 2 = 1, 0;                               5: 16 and 16.
    own, other = [4, 4, 16, 16], [9, 1, 0, 16]
    expected = sum(math.log(1 + math.exp(a - b)) for a, b in zip(own, other, strict=True)) / 4
    numbers, labels = torch.tensor([[0.0], [2.0], [1.0], [5.0]]), torch.tensor([0, 0, 2, 2])
    assert prototype_loss(numbers, labels, 3).item() == pytest.approx(expected, rel=1e-6)


def test_a_pair_alone_with_its_label_is_no_query_but_a_candidate():
    # 0 and 1 of label 0 each see 1 of themselves at distance 1, and the lone 3 of label 1.
    numbers, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    expected = (math.log(1 + math.exp(1 - 9)) + math.log(1 + math.exp(1 - 4))) / 2
    assert prototype_loss(numbers, labels, 3).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [1, 1, 1]])
def test_a_batch_without_contrast_costs_nothing_and_has_a_gradient(labels):
    embeddings = batch(len(labels))[0].requires_grad_()
    loss = prototype_loss(embeddings, torch.tensor(labels), 3)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad.abs().max() == 0


def test_prototype_loss_does_not_depend_on_the_order_of_the_batch_or_where_zero_is():
    embeddings, labels = batch(9)
    expected = prototype_loss(embeddings, labels, 3).item()
    assert prototype_loss(embeddings.flip(0), labels.flip(0), 3).item() == pytest.approx(expected, rel=1e-5)
    assert prototype_loss(embeddings + 2, labels, 3).item() == pytest.approx(expected, rel=1e-4)


def test_label_means_by_hand():
    means, labels = label_means(
        torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]]), torch.tensor([2, 2, 0]), 3
    )
    assert labels.tolist() == [0, 2]
    assert means.tolist() == [[5, 5], [2, 1]]


# -- the labels of ER-ACE --


def test_present_pairs_have_the_labels_of_their_batch_and_replayed_ones_all_seen():
    labels, is_present = torch.tensor([3, 1, 0]), torch.tensor([True, True, False])
    allowed = asymmetric_labels(labels, is_present, torch.tensor([True, False, True, False, False]))
    assert allowed.int().tolist() == [[0, 1, 0, 1, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 0]]
    none_present = asymmetric_labels(labels[2:], is_present[2:], torch.tensor([True, False]))
    assert none_present.tolist() == [[True, False]]
