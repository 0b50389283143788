"""Relations of two sentences and pair features: numbers by hand, loop twins, laws and limits."""

import math

import pytest
import torch

from contsym.models.algebra import (
    DIVISION_GUARD,
    RELATIONS,
    concatenation,
    difference,
    guarded_division,
    pair_features,
    product,
    rotation,
)
from tests.models.twins import vectors


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


# -- rotation --


def slow_rotation(h, p):
    n = len(h) // 2
    turned = [complex(h[i], h[n + i]) * complex(p[i], p[n + i]).conjugate() for i in range(n)]
    unit = [z / abs(z) for z in turned]
    return [z.real for z in unit] + [z.imag for z in unit]


@pytest.mark.parametrize("dim", [2, 4, 10])
def test_rotation_equals_pythons_complex_numbers(dim):
    h, p = vectors(6, dim), vectors(6, dim, seed=1)
    for row, h_row, p_row in zip(rotation(h, p).tolist(), h.tolist(), p.tolist(), strict=True):
        assert row == pytest.approx(slow_rotation(h_row, p_row), abs=1e-6)


def test_rotation_by_hand():
    # h = (1 + i, -2), p = (1 - i, 5i): (1 + i)(1 + i) = 2i -> i; -2 (-5i) = 10i -> i.
    h, p = torch.tensor([1.0, -2.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, -1.0, 5.0])
    assert rotation(h, p).tolist() == pytest.approx([0, 0, 1, 1], abs=1e-7)


def test_rotation_turns_the_premises_angles_into_the_hypothesis():
    # p with its own moduli, turned by l, points where h does.
    h, p = vectors(5, 8), vectors(5, 8, seed=1)
    re, im = rotation(h, p).chunk(2, dim=-1)
    turned = torch.complex(*p.chunk(2, dim=-1)) * torch.complex(re, im)
    assert torch.allclose(turned.angle(), torch.complex(*h.chunk(2, dim=-1)).angle(), atol=1e-5)
    assert torch.allclose(re.square() + im.square(), torch.ones(5, 4), atol=1e-6)


def test_swapping_the_sentences_conjugates_the_rotation():
    h, p = vectors(5, 8), vectors(5, 8, seed=1)
    (re, im), (re_back, im_back) = (rotation(*pair).chunk(2, dim=-1) for pair in ((h, p), (p, h)))
    assert torch.equal(re_back, re)
    assert torch.equal(im_back, -im)


def test_equal_sentences_are_turned_by_no_angle():
    h = vectors(3, 8)
    assert torch.allclose(rotation(h, h), torch.tensor([1.0] * 4 + [0.0] * 4).expand(3, 8), atol=1e-6)


def test_rotation_knows_angles_and_no_lengths():
    h, p = vectors(4, 6), vectors(4, 6, seed=1)
    assert torch.allclose(rotation(1e3 * h, 1e-3 * p), rotation(h, p), atol=1e-6)


def test_an_odd_last_dimension_is_real():
    # 3 dimensions: (h_0 + i h_2, h_1); of a real number only its sign is left.
    h, p = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.0, 4.0, 1.0])
    assert rotation(h, p).tolist() == pytest.approx([0, -1, -1, 0], abs=1e-7)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10, 1.0, 1e9, 1e18])
def test_rotation_and_its_gradient_are_finite(size):
    h, p = (size * vectors(2, 4)).requires_grad_(), (size * vectors(2, 4, seed=1)).requires_grad_()
    found = rotation(h, p)
    found.sum().backward()
    assert found.isfinite().all()
    assert found.abs().max() <= 1 + 1e-6
    assert h.grad.isfinite().all()
    assert p.grad.isfinite().all()


# -- laws of all relations --


def test_difference_and_concatenation_by_hand():
    h, p = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 2.0])
    assert difference(h, p).tolist() == [2, -3]
    assert concatenation(h, p).tolist() == [1, 2, 3, -1]


def test_swapping_the_sentences_keeps_the_product_negates_the_difference_and_exchanges_the_halves():
    h, p = vectors(5, 8), vectors(5, 8, seed=1)
    assert torch.equal(product(h, p), product(p, h))
    assert torch.equal(difference(h, p), -difference(p, h))
    assert torch.equal(concatenation(h, p), concatenation(p, h).roll(8, dims=-1))


def test_swapping_the_sentences_about_inverts_the_division():
    # Components of modulus 1 or more, where a small guard does little.
    h, p = (vectors(5, 8, seed=s).sign() * (1 + vectors(5, 8, seed=s + 2).abs()) for s in (0, 1))
    assert torch.allclose(
        guarded_division(h, p, 0.01) * guarded_division(p, h, 0.01), torch.ones(5, 8), atol=1e-2
    )


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("zero", ["h", "p", "both"])
def test_every_relation_and_its_gradient_are_finite_at_zero(name, zero):
    h, p = vectors(2, 6), vectors(2, 6, seed=1)
    h, p = (h * (zero == "p")).requires_grad_(), (p * (zero == "h")).requires_grad_()
    found = RELATIONS[name](h, p)
    found.sum().backward()
    assert found.shape == (2, 12 if name == "concat" else 6)
    assert found.isfinite().all()
    assert h.grad.isfinite().all()
    assert p.grad.isfinite().all()


@pytest.mark.parametrize("name", RELATIONS)
def test_every_relation_is_made_row_by_row(name):
    h, p = vectors(2, 3, 4), vectors(2, 3, 4, seed=1)
    assert torch.equal(RELATIONS[name](h, p)[1, 2], RELATIONS[name](h[1, 2], p[1, 2]))
    assert len(RELATIONS[name](torch.empty(0, 4), torch.empty(0, 4))) == 0


# -- pair features --


def test_pair_features_equal_their_slow_twin():
    p, h = vectors(3, 5), vectors(3, 5, seed=1)
    for row, a, b in zip(pair_features(p, h).tolist(), p.tolist(), h.tolist(), strict=True):
        gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
        products = [x * y for x, y in zip(a, b, strict=True)]
        assert row == pytest.approx(a + b + gaps + products, rel=1e-6)


def test_pair_features_by_hand():
    found = pair_features(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]]))
    assert found.tolist() == [[1, 2, 3, -1, 2, 3, 3, -2]]


def test_swapping_p_and_h_keeps_the_symmetric_half_of_the_features():
    p, h = vectors(3, 5), vectors(3, 5, seed=1)
    assert torch.equal(pair_features(p, h)[:, 10:], pair_features(h, p)[:, 10:])
    assert not torch.equal(pair_features(p, h)[:, :10], pair_features(h, p)[:, :10])


def test_a_sentence_paired_with_itself_has_no_difference():
    p = vectors(2, 3)
    found = pair_features(p, p)
    assert found[:, 6:9].tolist() == [[0.0] * 3] * 2
    assert torch.equal(found[:, 9:], p.square())
