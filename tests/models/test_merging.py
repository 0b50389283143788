"""Arithmetic of weights, on vectors of three weights."""

import pytest
import torch

from contsym.models.merging import disjoint_mean, interpolation, threshold, trimmed


def test_an_interpolation_is_exact_at_its_ends():
    before, after = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([4.0, 1.0, 2.0])
    assert interpolation(before, after, 0.25).tolist() == [1.0, 1.0, -1.0]
    third, tenth = torch.tensor([1 / 3]), torch.tensor([0.1])
    assert torch.equal(interpolation(third, tenth, 0.0), third)
    assert torch.equal(interpolation(third, tenth, 1.0), tenth)
    assert torch.equal(interpolation(third, third, 0.3), third)


@pytest.mark.parametrize(
    ("density", "kept"),
    [(0.01, [0, 0, -3.0]), (1 / 3, [0, 0, -3.0]), (2 / 3, [0, 2.0, -3.0]), (1.0, [1.0, 2.0, -3.0])],
)
def test_a_vector_keeps_its_largest_entries_over_all_weights_together(density, kept):
    parts = [torch.tensor([1.0, 2.0]), torch.tensor([[-3.0]])]
    least = threshold(parts, density)
    assert torch.cat([trimmed(part, least).flatten() for part in parts]).tolist() == kept


def test_equal_sizes_are_kept_together():
    vector = torch.tensor([1.0, -1.0, 0.5])
    assert trimmed(vector, threshold([vector], 1 / 3)).tolist() == [1.0, -1.0, 0.0]


def test_the_mean_is_over_those_with_the_elected_sign():
    #                          all agree   2 > 1: plus   -1 + 1: no sign
    vectors = torch.tensor([[3.0, 2.0, 1.0], [1.0, -1.0, -1.0], [0.0, 4.0, 0.0]])
    assert disjoint_mean(vectors).tolist() == [2.0, 3.0, 0.0]
    assert torch.equal(disjoint_mean(vectors[:1]), vectors[0])
    assert torch.equal(disjoint_mean(-vectors), -disjoint_mean(vectors))
