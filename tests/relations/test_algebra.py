"""Product, guarded division and pair features: numbers by hand, a loop twin, laws and limits."""

import math

import pytest
import torch

from contsym.relations.algebra import DIVISION_GUARD, guarded_division, pair_features, product


def vectors(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_division(h, p, guard):
    rms = math.sqrt(sum(x * x for x in p) / len(p))
    return [
        h_i * p_i / (p_i * p_i + (guard * rms) ** 2) if rms else 0.0 for h_i, p_i in zip(h, p, strict=True)
    ]


# -- product --


def test_product_by_hand():
    found = product(torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([5.0, 0.5]))
    assert found.tolist() == [[5, 1], [15, -2]]


def test_product_of_ones_changes_nothing_and_its_factors_can_be_swapped():
    p, label = vectors(3, 5), vectors(3, 5, seed=1)
    assert torch.equal(product(p, torch.ones(5)), p)
    assert torch.equal(product(p, label), product(label, p))


# -- division --


@pytest.mark.parametrize("guard", [1e-3, DIVISION_GUARD, 2.0])
@pytest.mark.parametrize("dim", [1, 2, 7])
def test_division_equals_its_slow_twin(guard, dim):
    h, p = vectors(6, dim), vectors(6, dim, seed=1)
    found = guarded_division(h, p, guard).tolist()
    for row, h_row, p_row in zip(found, h.tolist(), p.tolist(), strict=True):
        # float32 beside Python's float64: some units in the seventh digit.
        assert row == pytest.approx(slow_division(h_row, p_row, guard), rel=1e-5)


def test_division_reaches_its_bound_where_a_component_equals_the_guard():
    # p = (1, 7): rms = sqrt(50 / 2) = 5; g = 0.2: g rms = 1 = |p_0|.
    # l_0 = 3 * 1 / (1 + 1) = 1.5 = |h_0| / (2 g rms), the most that it can be;
    # l_1 = 4 * 7 / (49 + 1) = 0.56.
    found = guarded_division(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 7.0]), guard=0.2)
    assert found.tolist() == pytest.approx([1.5, 0.56])


def test_what_the_product_gives_back_is_the_guards_share_of_h():
    # p l / h = p^2 / (p^2 + ridge): 1 where p is large, 0 where it is small.
    h, p = vectors(5, 8), vectors(5, 8, seed=1)
    ridge = (0.5**2 * p.square().mean(dim=-1, keepdim=True)).expand_as(p)
    expected = h * p.square() / (p.square() + ridge)
    assert torch.allclose(product(p, guarded_division(h, p, 0.5)), expected, rtol=1e-5)


def test_division_is_odd_in_both_arguments():
    h, p = vectors(4, 6), vectors(4, 6, seed=1)
    found = guarded_division(h, p)
    assert torch.equal(guarded_division(-h, p), -found)
    assert torch.equal(guarded_division(h, -p), -found)
    assert torch.equal(guarded_division(-h, -p), found)


def test_division_is_linear_in_h_and_inverse_in_the_length_of_p():
    h, p = vectors(4, 6), vectors(4, 6, seed=1)
    # Powers of two: scaling is exact in floating point.
    assert torch.equal(guarded_division(8 * h, p), 8 * guarded_division(h, p))
    assert torch.equal(guarded_division(h, 8 * p), guarded_division(h, p) / 8)


def test_division_follows_a_reordering_of_the_dimensions():
    h, p, order = vectors(4, 6), vectors(4, 6, seed=1), torch.tensor([3, 1, 5, 0, 2, 4])
    found = guarded_division(h[:, order], p[:, order])
    # The mean of squares is summed in another order.
    assert torch.allclose(found, guarded_division(h, p)[:, order], rtol=1e-6)


def test_both_directions_together_fall_short_of_one():
    # Without a guard (h/p) (p/h) = 1; each guard can only take away.
    h, p = vectors(20, 6), vectors(20, 6, seed=1)
    both = guarded_division(h, p, 0.5) * guarded_division(p, h, 0.5)
    assert ((both > 0) & (both < 1)).all()
    plain = guarded_division(h, p, 1e-6) * guarded_division(p, h, 1e-6)
    assert torch.allclose(plain, torch.ones(20, 6), atol=1e-3)


def test_equal_premise_and_hypothesis_give_a_label_near_one():
    # p = h = c (1, 1): l = c^2 / (c^2 + g^2 c^2) = 1 / 1.25.
    assert guarded_division(torch.full((2,), 3.0), torch.full((2,), 3.0), 0.5).tolist() == pytest.approx(
        [0.8, 0.8]
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_division_of_halves_is_that_of_the_same_numbers_in_float32(dtype):
    h, p = vectors(4, 6).to(dtype), vectors(4, 6, seed=1).to(dtype)
    found = guarded_division(h, p)
    assert found.dtype == torch.float32
    assert torch.equal(found, guarded_division(h.float(), p.float()))


def test_division_leaves_the_range_of_float16_behind():
    # 65504 / 2^-24 is about 1e12, far above float16's largest number.
    least, most = torch.tensor([[2.0**-24]]).half(), torch.tensor([[65504.0]]).half()
    assert guarded_division(most, least, guard=1e-3).item() == pytest.approx(65504 * 2**24, rel=1e-4)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10, 1.0, 1e9])
def test_gradients_of_division_are_finite(size):
    h, p = (size * vectors(2, 4)).requires_grad_(), (size * vectors(2, 4, seed=1)).requires_grad_()
    guarded_division(h, p).sum().backward()
    assert h.grad.isfinite().all()
    assert p.grad.isfinite().all()


def test_division_takes_any_leading_shape():
    h, p = vectors(2, 3, 4), vectors(2, 3, 4, seed=1)
    assert torch.equal(guarded_division(h, p)[1, 2], guarded_division(h[1, 2], p[1, 2]))
    assert guarded_division(torch.empty(0, 4), torch.empty(0, 4)).shape == (0, 4)


# -- pair features --


def test_pair_features_equal_their_slow_twin():
    p, h = vectors(3, 5), vectors(3, 5, seed=1)
    for row, a, b in zip(pair_features(p, h).tolist(), p.tolist(), h.tolist(), strict=True):
        gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
        products = [x * y for x, y in zip(a, b, strict=True)]
        assert row == pytest.approx(a + b + gaps + products, rel=1e-6)


def test_a_sentence_paired_with_itself_has_no_difference():
    p = vectors(2, 3)
    found = pair_features(p, p)
    assert found[:, 6:9].tolist() == [[0.0] * 3] * 2
    assert torch.equal(found[:, 9:], p.square())
