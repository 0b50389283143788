"""Order and size of the paper's figures in several readings, on numbers that a hand can check."""

import itertools

import numpy as np
import pytest
from scipy.stats import kendalltau

from contsym.results.paper_readings import (
    Outcome,
    are_of_paper,
    mean,
    nearest,
    readings_of,
    targets,
    tau,
    upper_median,
    verdict,
)
from tests.stored_results import make_result, plain_result

METHODS = ("random_labels", "knn_fixed", "knn_learned", "fine_tune")
PAPER = dict(zip(METHODS, (48, 64, 400, 336), strict=True))


def outcome(name, samples):
    per_seed = {m: [n, n, n] for m, n in zip(METHODS, samples, strict=True)}
    losses = {m: [f / 100] * 3 for m, f in zip(METHODS, (5.8, 7.7, 21.5, 11.2), strict=True)}
    return Outcome(name, 0.99, per_seed, losses)


def test_tau_is_one_in_the_papers_order_and_counts_each_swap():
    assert tau({m: [n] for m, n in PAPER.items()}, PAPER, mean).value == 1
    # One of six pairs of methods is swapped: (5 - 1) / 6.
    swapped = dict(zip(METHODS, ([64], [48], [400], [336]), strict=True))
    assert tau(swapped, PAPER, mean).value == pytest.approx(4 / 6)
    assert tau({m: [64] for m in METHODS}, PAPER, mean).value == 0


def test_tau_is_scipys_with_ties_and_with_targets_that_were_not_reached():
    # Every fourth of the 81 has all of it, also where all are equal or none was reached.
    for numbers in list(itertools.product((16, 48, None), repeat=4))[::4]:
        ours = [10**6 if n is None else n for n in numbers]
        found = outcome("", numbers).tau_samples.value
        theirs = kendalltau(ours, list(PAPER.values())).statistic
        assert found == pytest.approx(0.0 if len(set(ours)) == 1 else theirs)


def test_the_interval_of_tau_is_over_seeds_that_all_methods_share():
    # The orders of the two seeds are opposite, so the interval holds both.
    both = {"a": [16, 400], "b": [64, 64], "c": [400, 16]}
    found = tau(both, {"a": 1, "b": 2, "c": 3}, mean)
    assert (found.low, found.high, found.n_seeds) == (-1, 1, 2)


def test_tau_is_of_the_figures_that_the_table_shows():
    # Of two seeds the table has the larger median, 64, and the mean of what was forgotten.
    both = Outcome(
        "x",
        0.99,
        {"random_labels": [48, 64], "knn_fixed": [64, 64]},
        {"random_labels": [0.0, 0.0, 0.3], "knn_fixed": [0.05, 0.05, 0.05]},
    )
    assert upper_median(np.array([48.0, 64.0])) == 64
    assert both.tau_samples.value == 0
    assert both.tau_forgetting.value == -1  # 0.10 is more than 0.05, by the medians it would be less


def test_the_nearest_reading_has_the_papers_order_and_then_its_numbers():
    same = outcome("same", (48, 64, 400, 336))
    eighth = outcome("an eighth", (6, 8, 50, 42))
    other = outcome("other", (400, 336, 64, 48))
    assert same.distance == (-1, 0)
    assert eighth.distance == (-1, 3)
    assert [nearest(each).name for each in ((other, eighth), (eighth, same))] == ["an eighth", "same"]


def test_two_methods_in_the_papers_order_are_not_nearer_than_four():
    other = outcome("other", (400, 336, 64, 48))
    samples, losses = ({m: each[m] for m in METHODS[:2]} for each in (PAPER, dict.fromkeys(METHODS, 0.1)))
    two = Outcome("two", 0.99, *({m: [v] for m, v in each.items()} for each in (samples, losses)))
    assert two.distance < other.distance
    assert nearest([two, other]) is other
    assert "comes out under none of 1 reading with all 4 methods." in verdict([two, other])


def test_a_method_without_the_target_counts_as_sixteen_times_too_many():
    assert outcome("x", (48, 64, 400, None)).distance[1] == 1


def test_the_verdict_says_what_is_confirmed_and_what_is_not():
    same, other = outcome("same", (48, 64, 400, 336)), outcome("other", (400, 336, 64, 48))
    assert "comes out under 1 of 2 readings" in verdict([same, other])
    alone = verdict([other])
    assert "comes out under none of 1 reading." in alone
    assert "Its order by samples is not confirmed by any." in alone
    assert "Its order by forgetting alone comes out under 1 of them." in alone


def test_one_training_answers_for_its_target_and_for_where_it_stopped():
    # Wikidata has 0.60 after 16 pairs and 0.95 after 128; MNLI had 0.80 before, 0.70 after 16 and 0.60 after 128.
    options = {**plain_result()["options"], "one_pass": True, "until": 0.95, "target": 0.6}
    results = [make_result(seed, strategy=m, options=options) for m in METHODS for seed in (0, 1)]
    first, second = readings_of({"one pass": results})
    assert (first.target, second.target) == (0.6, 0.95)
    assert first.samples["knn_fixed"] == [16, 16] and second.samples["knn_fixed"] == [128, 128]
    assert first.forgetting["knn_fixed"] == pytest.approx([0.1, 0.1])
    # Where training stopped, on the test pairs: 0.80 - 0.60 and 0.80 - 0.61.
    assert second.forgetting["knn_fixed"] == pytest.approx([0.2, 0.19])


@pytest.mark.parametrize("until", [None, 1.0])
def test_forgetting_is_that_of_the_moment_when_the_target_was_reached(until):
    # As above, and training went on: to 128 pairs, where 0.2 of MNLI are lost.
    options = {**plain_result()["options"], "until": until, "target": 0.6}
    plain = make_result(0, options=options)
    alone = [p.model_copy(update={"accuracies": [None, *p.accuracies[1:]]}) for p in plain.trajectory]
    (measured, *_), (not_measured, *_) = (
        readings_of({"x": [each]}) for each in (plain, plain.model_copy(update={"trajectory": alone}))
    )
    assert measured.samples == not_measured.samples == {"knn_fixed": [16]}
    assert measured.forgetting["knn_fixed"] == pytest.approx([0.1])
    assert not_measured.forgetting == {"knn_fixed": [None]} and not_measured.losses == {}


def test_nothing_measured_is_not_called_not_reached_and_two_results_of_a_seed_are_not_one():
    silent = make_result(0).model_copy(update={"trajectory": []})
    assert readings_of({"x": [silent]}) == []
    assert readings_of({"x": [make_result(0), make_result(0)]}) == []


def test_no_training_answers_for_a_target_above_the_one_that_ended_it():
    options = make_result().options
    ended = {
        until: make_result(options={**options.model_dump(), "until": until}) for until in (0.5, 0.9, 1.0)
    }
    assert options.target == 0.9
    assert {until: targets(result) for until, result in ended.items()} == {
        0.5: (0.5,),
        0.9: (0.9,),
        1.0: (0.9, 1.0),
    }


def test_a_search_answers_with_the_size_that_it_found():
    search = {"tried": [{"n": 16, "accuracy": 0.9}], "found": None, "target": 0.99, "step": 16, "most": 16}
    missed = make_result(0, search=search)
    found = make_result(1, search={**search, "found": 16})
    (reading,) = readings_of({"least": [missed, found]})
    assert reading.samples == {"knn_fixed": [None, 16]}


def test_seeds_that_a_method_lacks_are_left_out_and_a_group_without_the_papers_methods_too():
    results = [make_result(0), make_result(1), make_result(1, strategy="fine_tune")]
    (reading,) = readings_of({"fixed": results, "others": [make_result(strategy="ridge")]})
    assert {m: len(each) for m, each in reading.samples.items()} == {"knn_fixed": 1, "fine_tune": 1}


def test_a_reading_of_other_tasks_says_nothing_of_the_papers_table():
    one_task = {"tasks": ["wikidata"], "forgetting": {}}
    result = make_result().model_copy(update=one_task)
    assert readings_of({"": [make_result()]}) and not readings_of({"": [result]})
    others = {"by_relation": {"wikidata": {"is a colleague of": {"accuracy": 1.0, "n": 40}}}}
    assert are_of_paper([make_result()]) and not are_of_paper([make_result(**others)])
