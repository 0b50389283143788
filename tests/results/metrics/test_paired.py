"""Two strategies on the same seeds and items: numbers by hand, loops beside the fast code, laws."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from contsym.results.metrics.stats import (
    Comparison,
    best,
    compare_all,
    holm,
    least_difference,
    least_paired_change,
    mcnemar,
    paired_bootstrap,
    paired_t,
    stretch,
)


def right(*rows):
    return np.array([[mark == "1" for mark in row] for row in rows])


def simulated(generator, n_seeds, n_items, accuracy, seed_deviation=0.0):
    shares = accuracy + seed_deviation * generator.standard_normal((n_seeds, 1))
    return generator.random((n_seeds, n_items)) < shares


def every_resample(a, b):
    """The mean of every possible draw of seeds and items, sorted."""
    n_seeds, n_items = a.shape
    d = a.astype(float) - b.astype(float)
    factor = stretch(n_seeds) if n_seeds > 1 else 1.0
    rows = []
    for s in range(n_seeds):
        away = d[s].mean() - d.mean()
        rows.append([d[s, i] - away + factor * away for i in range(n_items)])
    found = []
    for seeds in itertools.product(range(n_seeds), repeat=n_seeds):
        for items in itertools.product(range(n_items), repeat=n_items):
            total = sum(rows[s][i] for s in seeds for i in items)
            found.append(max(-1.0, min(1.0, total / (n_seeds * n_items))))
    return np.round(np.sort(found), 12)


# The bootstrap.


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (right("11010"), right("01100")),
        (right("1101", "1111"), right("0101", "1000")),
        (right("1101", "1110", "0111"), right("0101", "0010", "0011")),
        (right("110", "101", "011", "111"), right("010", "001", "010", "011")),
    ],
)
def test_the_bootstrap_agrees_with_every_possible_resample(a, b):
    every = every_resample(a, b)
    found = paired_bootstrap(a, b)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    # 10,000 draws: a share of 0.025 has a standard error of 0.0016, so the ends lie between the quantiles
    # four of these away.
    for end, level in ((found.low, 0.025), (found.high, 0.975)):
        nearby = np.quantile(every, [level - 0.0063, level + 0.0063])
        assert nearby[0] - 1e-9 <= end <= nearby[1] + 1e-9
    share = min(np.mean(every <= 0), np.mean(every >= 0))
    assert found.p == pytest.approx(min(1, 2 * share), abs=0.04)


def test_the_bootstrap_of_one_item_that_always_differs():
    found = paired_bootstrap(right("1"), right("0"), n_resamples=99)
    # No resample is at 0 or below: p = 2 (0 + 1) / (99 + 1).
    assert (found.difference, found.low, found.high, found.p) == (1.0, 1.0, 1.0, 0.02)


def test_no_difference_at_all_has_p_1():
    a = right("1101", "1110")
    found = paired_bootstrap(a, a)
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_an_end_at_0_has_no_sign():
    a, b = np.ones((3, 30), bool), np.ones((3, 30), bool)
    b[:, 0] = False
    found, swapped = paired_bootstrap(a, b), paired_bootstrap(b, a)
    assert f"{found.low:+.3f} {swapped.high:+.3f}" == "+0.000 +0.000"


def test_the_interval_of_one_seed_is_that_of_its_items():
    # 150 of 500 items for a, 100 for b: d has mean 0.1 and variance 0.5 - 0.01; z sqrt(0.49 / 500) = 0.0614.
    a = np.array([[True] * 150 + [False] * 100 + [True] * 250])
    b = np.array([[False] * 150 + [True] * 100 + [True] * 250])
    found = paired_bootstrap(a, b)
    assert (found.low, found.high) == pytest.approx((0.1 - 0.0614, 0.1 + 0.0614), abs=0.003)


def test_seeds_that_disagree_widen_the_interval():
    steady = np.array([[True] * 60 + [False] * 40] * 5)
    varied = np.array([[True] * n + [False] * (100 - n) for n in (20, 40, 60, 80, 100)])
    nothing = np.zeros((5, 100), bool)
    narrow, wide = paired_bootstrap(steady, nothing), paired_bootstrap(varied, nothing)
    assert narrow.difference == wide.difference == 0.6
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


tables = st.integers(1, 4).flatmap(
    lambda seeds: st.integers(1, 6).flatmap(
        lambda items: st.tuples(
            *[
                st.lists(
                    st.lists(st.booleans(), min_size=items, max_size=items), min_size=seeds, max_size=seeds
                )
            ]
            * 2
        )
    )
)


@given(tables, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_swapping_turns_the_sign_and_the_order_of_seeds_does_not_count(table, random):
    a, b = np.array(table[0]), np.array(table[1])
    found, swapped = (paired_bootstrap(*both, n_resamples=200) for both in ((a, b), (b, a)))
    assert swapped.difference == -found.difference
    # Where d and -d are the same table (half the seeds one way, half the other), swapping changes nothing
    # that could be drawn, so the ends stay instead of turning.
    ends = [(found.low, found.high), (-found.high, -found.low)]
    assert any((swapped.low, swapped.high) == pytest.approx(pair, abs=1e-12) for pair in ends)
    assert swapped.p == found.p
    order = random.sample(range(len(a)), len(a))
    assert paired_bootstrap(a[order], b[order], n_resamples=200) == found
    assert mcnemar(a, b) == mcnemar(b, a) == mcnemar(a[order], b[order])


# McNemar.


def test_mcnemar_by_hand():
    # Ten discordant items, eight of them for a: 2 (45 + 10 + 1) / 1024.
    a = right("11111111" + "00" + "1100")
    b = right("00000000" + "11" + "1100")
    assert mcnemar(a, b) == pytest.approx(2 * 56 / 1024)


def test_an_item_has_one_voice_however_many_seeds_there_are():
    a, b = right("111111000"), right("000000001")
    # 6 against 1: 2 (7 + 1) / 128. Copies of a seed tell nothing new.
    assert mcnemar(a, b) == pytest.approx(16 / 128)
    assert mcnemar(np.repeat(a, 5, axis=0), np.repeat(b, 5, axis=0)) == mcnemar(a, b)


def test_an_item_that_splits_the_seeds_evenly_has_no_voice():
    a = right("110", "011", "011")
    b = right("101", "010", "001")
    # Seeds right: a 1, 3, 2; b 1, 1, 2: only the second item is for a, so one voice: p = 1.
    assert mcnemar(a, b) == 1.0
    assert mcnemar(right("10"), right("10")) == 1.0


# Student's test over seeds.


def test_the_test_over_seeds_by_hand():
    # Mean 0.2, deviation 0.1, t = 0.2 sqrt(3) / 0.1 = 3.4641; with 2 degrees of freedom
    # p = 1 - t / sqrt(t^2 + 2) = 1 - 3.4641 / sqrt(14).
    assert paired_t([0.1, 0.2, 0.3], 10) == pytest.approx(1 - 3.464102 / 14**0.5, abs=1e-6)


def test_equal_differences_leave_nothing_to_chance():
    # One item of 100 is the deviation: t = 0.1 / (0.01 / sqrt(3)).
    assert paired_t([0.1, 0.1, 0.1], 100) == pytest.approx(2 * t.sf(10 * 3**0.5, 2))
    assert paired_t([0.0, 0.0], 100) == 1.0
    assert paired_t([0.3], 100) is None


# Holm.


def test_holm_by_hand():
    # Ascending 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, and 0.04 raised to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def loop_holm(p_values):
    """As Holm puts it: reject in order while p <= alpha / (m - i); the corrected p is the least such alpha."""
    grid = np.linspace(0, 1, 10001)
    found = []
    for own in range(len(p_values)):
        for alpha in grid:
            rejected = set()
            for i, place in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
                if p_values[place] > alpha / (len(p_values) - i) + 1e-12:
                    break
                rejected.add(place)
            if own in rejected or alpha == 1:
                found.append(alpha)
                break
    return found


def test_holm_agrees_with_its_rule_of_rejection():
    p_values = [0.02, 0.001, 0.3, 0.02, 0.0125]
    assert holm(p_values) == pytest.approx(loop_holm(p_values), abs=1e-4)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_the_value_and_bonferronis(p_values):
    corrected = holm(p_values)
    for p, c in zip(p_values, corrected, strict=True):
        assert p <= c <= min(1, len(p_values) * p) + 1e-12
    assert sorted(corrected) == sorted(holm(p_values[::-1]))


# What the seeds could show.


def test_the_least_difference_against_the_tables_of_power():
    # Cohen's tables: 34 pairs for an effect of half a deviation at power 0.8, two-sided 5%; 33 are too few.
    def effect(n):
        values = np.array([1.0, -1.0] * (n // 2) + [0.0] * (n % 2))
        return least_difference(values) / values.std(ddof=1)

    assert effect(34) < 0.5 < effect(33)


def test_the_least_difference_is_found_as_often_as_the_power_says():
    least = least_difference([-1.0, 0.0, 1.0])
    draws = np.random.default_rng(3).normal(least, 1.0, (40_000, 3))
    t = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * 3**0.5
    # 4.30265 is the 97.5% point of t with 2 degrees of freedom.
    assert np.mean(np.abs(t) > 4.30265) == pytest.approx(0.8, abs=0.01)


def test_the_least_difference_with_two_seeds_one_seed_and_none():
    # 2 seeds: the critical value is 12.706, |T| = |Z + nc| / |Z'| is above it 8 times in 10 at nc = 16.33.
    assert least_difference([0.1, 0.3]) == pytest.approx(16.33 * 0.141421 / 2**0.5, abs=1e-3)
    assert least_difference([0.1]) is None
    assert least_difference([]) is None
    assert least_difference([0.1, 0.1, 0.1]) == 0.0


# All pairs.


def test_all_pairs_are_corrected_together():
    generator = np.random.default_rng(5)
    correct = {name: simulated(generator, 4, 300, p) for name, p in (("x", 0.9), ("y", 0.6), ("z", 0.88))}
    found = compare_all(correct)
    assert [(c.a, c.b) for c in found] == [("x", "y"), ("x", "z"), ("y", "z")]
    assert [c.p for c in found] == holm([max(c.p_bootstrap, c.p_mcnemar, c.p_seeds) for c in found])
    for c in found:
        per_seed = (correct[c.a].mean(axis=1) - correct[c.b].mean(axis=1)).tolist()
        assert c.difference == pytest.approx(np.mean(per_seed))
        assert c.p_seeds == pytest.approx(paired_t(per_seed, 300))
        assert c.least_difference == pytest.approx(least_difference(per_seed))
        assert (c.n_seeds, c.n_items) == (4, 300)
        assert c.low <= c.difference <= c.high
    means = {name: float(table.mean()) for name, table in correct.items()}
    assert found[0].p < 0.05 and found[2].p < 0.05
    # x is above z, but these seeds and items do not show it.
    assert found[1].p > 0.05
    assert best(found, means) is None
    assert best([found[0]], {"x": 0.9, "y": 0.6}) == "x"


def comparison(a, b, difference, p, n_seeds=3):
    return Comparison(a, b, difference, 0, 0, 0, 0, 0, p, None, n_seeds, 100)


def test_the_best_is_named_only_where_it_beats_every_other():
    means = {"x": 0.9, "y": 0.8, "z": 0.7}
    y_from_z = comparison("y", "z", 0.1, 0.5)
    assert best([comparison("x", "y", 0.1, 0.01), comparison("z", "x", -0.2, 0.04), y_from_z], means) == "x"
    assert best([comparison("x", "y", 0.1, 0.06), comparison("z", "x", -0.2, 0.01), y_from_z], means) is None
    assert best([comparison("x", "y", 0.1, 0.01), y_from_z], means) is None


def test_one_seed_one_strategy_and_a_tie_have_no_best():
    assert best([comparison("x", "y", 0.1, 0.0001, n_seeds=1)], {"x": 0.9, "y": 0.8}) is None
    assert best([], {"x": 0.9}) is None
    assert best([comparison("x", "y", 0.0, 1.0)], {"x": 0.9, "y": 0.9}) is None


@pytest.mark.parametrize(("n_seeds", "deviation"), [(3, 0.05), (3, 0.0), (4, 0.05)])
def test_methods_that_do_not_differ_are_rarely_called_different(n_seeds, deviation):
    generator = np.random.default_rng(11)
    called = []
    for _ in range(150):
        a, b = (simulated(generator, n_seeds, 50, 0.8, deviation) for _ in range(2))
        (found,) = compare_all({"a": a, "b": b})
        called.append(found.p < 0.05)
    # 5% of 150 and two standard errors of it.
    assert np.mean(called) < 0.09


def test_a_clear_difference_is_shown_by_three_seeds():
    generator = np.random.default_rng(2)
    a, b = simulated(generator, 3, 500, 0.95, 0.01), simulated(generator, 3, 500, 0.6, 0.01)
    (found,) = compare_all({"a": a, "b": b})
    assert found.p < 0.01 and found.low > 0.2


@pytest.mark.parametrize(("n", "psi"), [(1000, 0.1), (600, 0.3)])
def test_the_least_paired_change_is_found_in_four_of_five_samples(n, psi):
    delta = least_paired_change(round(psi * n), n)
    generator = np.random.default_rng(0)
    # Items that one side alone answers correctly, for either side: their difference is delta.
    shares = [(psi + delta) / 2, (psi - delta) / 2, 1 - psi]
    ours, theirs, _ = generator.multinomial(n, shares, size=20_000).T
    found = np.abs(ours - theirs) / np.sqrt(np.maximum(ours + theirs, 1)) > 1.96
    # Three standard errors of 20,000 samples are 0.008; the formula itself is of normal errors.
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_more_pairs_and_fewer_differing_ones_show_smaller_changes():
    by_n = [least_paired_change(n // 5, n) for n in (50, 200, 1000)]
    by_share = [least_paired_change(n, 200) for n in (100, 20, 0)]
    assert by_n == sorted(by_n, reverse=True) and by_share == sorted(by_share, reverse=True)
    # Nothing differs: about (1.960 + 0.842)^2 / n, since every differing pair would point one way.
    assert by_share[-1] == pytest.approx(7.85 / 200, rel=0.06)
