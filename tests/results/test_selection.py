"""The best setting of a strategy is chosen by validation pairs, whatever the test pairs say."""

import pytest

from contsym.results.selection import select
from tests.stored_results import make_result, plain_result


def cell(k, validation, final, seed=0, shots=64, strategy="knn_fixed"):
    plain = plain_result(seed)
    settings, options = {**plain["settings"], "k": k}, {**plain["options"], "shots": shots}
    return make_result(
        seed,
        strategy=strategy,
        settings=settings,
        options=options,
        validation={"mnli": validation, "wikidata": validation},
        final={"mnli": final, "wikidata": final},
    )


def test_validation_decides_against_the_test_pairs():
    worse_on_test, better_on_test = cell(1, 0.9, 0.5), cell(3, 0.8, 0.99)
    (selection,) = select([better_on_test, worse_on_test], ["k"])
    assert selection.results == (worse_on_test,)
    assert selection.words == "knn_fixed k=1 (validation 0.900; 2 settings tried)"


def test_one_setting_of_a_strategy_over_all_its_seeds_and_shots():
    # k=1 is best at 8 shots, k=3 by the mean of both numbers of shots.
    cells = [
        cell(1, 0.9, 0, shots=8),
        cell(1, 0.5, 0, shots=64),
        cell(3, 0.8, 0, shots=8),
        cell(3, 0.8, 0, shots=64),
    ]
    (selection,) = select(cells, ["k"])
    assert selection.variant == "knn_fixed k=3" and len(selection.results) == 2
    assert selection.validation == pytest.approx(0.8)


def test_only_seeds_that_all_settings_have_are_compared():
    # Seed 1 of k=3 would win, but k=1 has no such seed yet.
    cells = [cell(1, 0.6, 0, seed=0), cell(3, 0.5, 0, seed=0), cell(3, 1.0, 0, seed=1)]
    assert select(cells, ["k"])[0].variant == "knn_fixed k=1"


def test_strategies_are_chosen_apart():
    cells = [
        cell(1, 0.6, 0),
        cell(3, 0.7, 0),
        cell(1, 0.9, 0, strategy="zero_shot"),
        cell(3, 0.8, 0, strategy="zero_shot"),
    ]
    assert [each.variant for each in select(cells, ["k"])] == ["knn_fixed k=3", "zero_shot k=1"]
