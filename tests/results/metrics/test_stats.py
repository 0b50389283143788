"""Wilson's interval by its defining equation: contsym calls SciPy's, so SciPy is no witness."""

import math

import pytest

from contsym.results.metrics.stats import wilson_interval

Z = 1.959963984540054
"""The 97.5% point of the normal distribution, from a table."""

CASES = [(0, 1), (1, 1), (0, 40), (1, 40), (20, 40), (39, 40), (40, 40), (594, 600)]


@pytest.mark.parametrize(("n_right", "n"), CASES)
def test_the_ends_are_where_the_share_is_z_standard_errors_away(n_right, n):
    # |share - q| = z sqrt(q (1 - q) / n) at both ends q.
    for end in wilson_interval(n_right, n):
        assert abs(n_right / n - end) == pytest.approx(Z * math.sqrt(end * (1 - end) / n), abs=1e-7)


def test_one_try_by_hand():
    # Missed: the upper end q has q^2 = z^2 q (1 - q), so q = z^2 / (1 + z^2) = 3.8415 / 4.8415.
    assert wilson_interval(0, 1) == pytest.approx((0, 0.79345), abs=1e-5)
    assert wilson_interval(1, 1) == pytest.approx((0.20655, 1), abs=1e-5)


@pytest.mark.parametrize(("n_right", "n"), CASES)
def test_right_and_wrong_mirror_each_other(n_right, n):
    low, high = wilson_interval(n_right, n)
    assert wilson_interval(n - n_right, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("n_right", "n"), CASES)
def test_the_interval_holds_the_share_within_0_and_1(n_right, n):
    low, high = wilson_interval(n_right, n)
    # Rounding at the ends: 40 of 40 has the upper end 1 up to 1e-16.
    assert -1e-12 <= low <= n_right / n + 1e-12
    assert n_right / n - 1e-12 <= high <= 1 + 1e-12
    assert low < high


def test_more_tries_narrow_it_and_more_confidence_widens_it():
    def width(*arguments):
        low, high = wilson_interval(*arguments)
        return high - low

    assert width(10, 20) > width(100, 200) > width(1000, 2000)
    assert width(10, 20, 0.8) < width(10, 20, 0.95) < width(10, 20, 0.999)


def test_all_wrong_starts_at_zero_and_all_right_ends_at_one():
    assert wilson_interval(0, 600)[0] == pytest.approx(0, abs=1e-12)
    assert wilson_interval(600, 600)[1] == pytest.approx(1, abs=1e-12)
