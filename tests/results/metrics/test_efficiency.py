"""Shots to a target, areas and what is kept: by hand, and beside every possible resample."""

import itertools

import numpy as np
import pytest

from contsym.results.metrics.efficiency import ShotsNeeded, area_under_curve, retention, shots_to_reach

SHOTS = [8, 16, 32, 64]


def reaching(*at):
    """Accuracies of seeds that reach 1.0 at these shots, None never."""
    return np.array([[1.0 if n is not None and shots >= n else 0.5 for shots in SHOTS] for n in at])


def test_the_least_shots_by_seed_and_their_median():
    found = shots_to_reach(SHOTS, reaching(16, 8, 64))
    assert found == ShotsNeeded((16, 8, 64), 16, 8, 64)


def test_not_reached_is_kept_and_never_averaged():
    assert shots_to_reach(SHOTS, reaching(16, None, 8)) == ShotsNeeded((16, None, 8), 16, 8, None)
    assert shots_to_reach(SHOTS, reaching(16, None, None)) == ShotsNeeded((16, None, None), None, 16, None)
    assert shots_to_reach(SHOTS, reaching(None, None)) == ShotsNeeded((None, None), None, None, None)


def test_of_an_even_number_of_seeds_the_larger_middle_counts():
    assert shots_to_reach(SHOTS, reaching(8, 32)).median == 32
    assert shots_to_reach(SHOTS, reaching(8, None)).median is None


def test_one_seed_is_its_own_interval():
    assert shots_to_reach(SHOTS, reaching(32)) == ShotsNeeded((32,), 32, 32, 32)


def test_at_the_target_is_reached_and_the_order_of_shots_does_not_count():
    accuracies = np.array([[0.98, 0.99, 0.5]])
    assert shots_to_reach([8, 16, 32], accuracies).per_seed == (16,)
    assert shots_to_reach([32, 16, 8], accuracies[:, ::-1]).per_seed == (16,)
    assert shots_to_reach([8, 16, 32], accuracies, target=0.98).per_seed == (8,)


@pytest.mark.parametrize(
    "at", [(8, 16), (8, 8, 16), (8, 16, 32, 64), (8, 16, 16, 32, None), (8, 8, 16, 32, None, None, 8)]
)
def test_the_interval_agrees_with_every_possible_resample(at):
    def number(n):
        return 1000 if n is None else n

    medians = np.sort(
        [sorted(drawn)[len(at) // 2] for drawn in itertools.product(map(number, at), repeat=len(at))]
    )
    low, high = (medians[int(np.ceil(level * len(medians))) - 1] for level in (0.025, 0.975))
    found = shots_to_reach(SHOTS, reaching(*at))
    assert (number(found.low), number(found.high)) == (low, high)
    assert shots_to_reach(SHOTS, reaching(*at[::-1])).median == found.median


def test_the_area_by_hand():
    # log2: 3, 4, 6. Trapezoids (0.5 + 0.7) / 2 * 1 + (0.7 + 1.0) / 2 * 2 = 2.3, over the width 3.
    assert area_under_curve([8, 16, 64], np.array([[0.5, 0.7, 1.0]])) == pytest.approx([2.3 / 3])


def test_always_right_is_1_and_one_number_of_shots_is_its_accuracy():
    assert area_under_curve(SHOTS, np.ones((2, 4))).tolist() == [1.0, 1.0]
    assert area_under_curve([16], np.array([[0.4], [0.6]])).tolist() == [0.4, 0.6]


def test_the_area_does_not_depend_on_the_order_of_shots():
    accuracies = np.array([[0.5, 0.7, 0.8, 1.0], [0.2, 0.9, 0.1, 0.4]])
    assert area_under_curve(SHOTS[::-1], accuracies[:, ::-1]) == pytest.approx(
        area_under_curve(SHOTS, accuracies)
    )


def test_of_an_accuracy_of_0_no_share_is_kept():
    assert [retention(*pair) for pair in ((0.8, 0.4), (0.5, 0.75), (0.0, 0.3))] == [0.5, 1.5, None]


def test_a_missing_cell_is_the_callers_error():
    with pytest.raises(AssertionError, match="a cell without accuracy"):
        area_under_curve([8, 16], np.array([[0.5, np.nan]]))
