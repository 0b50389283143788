"""What the table says, word by word."""

import io
import re

import pytest
from rich.console import Console

from contsym.commands.views.answer import answer_lines, warning_lines
from contsym.commands.views.run import cost_words, efficiency_words, forgetting_words, result_tables
from contsym.results.summary import as_json
from tests.stored_results import make_result, plain_result, stream


def shown(found, width=80, verbose=True):
    console = Console(width=width, file=io.StringIO())
    console.print(result_tables(found, {0: "abc"}, verbose=verbose))
    return console.file.getvalue()


def unlearned(seed):
    return make_result(seed, learned={"mnli": False, "wikidata": True})


def below_a_shortcut(seed):
    return make_result(seed, above_shortcuts={"mnli": False, "wikidata": False})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([make_result(0)], "+0.200"),
        # Seeds 0 and 1 forget .20 and .19: mean .195, standard deviation .0071.
        ([make_result(0), make_result(1)], "+0.195±0.007"),
        ([unlearned(0)], "+0.200 (not learned)"),
        ([unlearned(0), unlearned(1)], "+0.195±0.007 (not learned)"),
        ([make_result(0), unlearned(1)], "+0.195±0.007 (learned in 1 of 2 seeds)"),
        ([below_a_shortcut(0)], "+0.200 (not above the best shortcut)"),
        (
            [below_a_shortcut(0), unlearned(1)],
            "+0.195±0.007 (learned in 1 of 2 seeds, above the best shortcut in 1 of 2 seeds)",
        ),
    ],
)
def test_forgetting_is_a_number_with_its_marks(found, words):
    assert forgetting_words("mnli", found) == words


def test_the_last_task_has_nothing_after_it():
    found = [make_result(0)]
    assert forgetting_words("wikidata", found) == "- (last task, not above the best shortcut)"


def test_pairs_to_the_target_are_said_seed_by_seed():
    found = [make_result(0), make_result(1)]
    assert efficiency_words("wikidata", found) == "64, 64 distinct; 128, 128 seen"
    assert efficiency_words("mnli", found) == "not reached, not reached"


def test_the_table_fits_80_columns():
    text = shown([make_result(0), make_result(1)])
    assert max(map(len, text.splitlines())) <= 80
    assert "majority class" in text
    assert re.search(r"hypothesis only +0.400 +0.900", text)
    assert re.search(r"relation phrase +1.000", text)
    # 0.605 over both seeds less 0.4; 0.95 less what reading the phrase alone gives.
    assert "above the best shortcut, mnli      +0.205 (hypothesis only 0.400)" in text
    assert "above the best shortcut, wikidata  -0.050 (relation phrase 1.000)" in text
    assert "0.605±0.007" in text
    assert "MLflow run of seed 0: abc" in text


def test_the_answer_comes_first_and_has_at_most_30_lines():
    text = shown([make_result(0)], verbose=False)
    lines = text.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 80
    answer = " ".join(line.strip() for line in lines[:12])
    # 0.80 - 0.34; 0.95 - 0.50; 0.80 - 0.60 lost, and 0.60 - 0.34 left.
    assert "Learned mnli from 300 pairs: 0.340 before, 0.800 after, 0.460 above guessing (0.340)." in answer
    assert (
        "Learned wikidata from 64 pairs, 8 steps: 0.500 before, 0.950 after, 0.450 above guessing (0.500)."
        in answer
    )
    assert "0.9 on validation pairs after 128 pairs seen." in answer
    assert "Forgot 0.200 of mnli: 0.800 before, 0.600 at the end, 0.260 above guessing (0.340)" in answer
    phrase = "! wikidata: the shortcut relation phrase alone has 1.000; for a real test"
    said = " ".join(line.strip() for line in lines)
    assert f"{phrase} add relations, two of each kind at least, and use --split relation" in said
    four = {f"r{i}": {"accuracy": 0.95, "n": 10} for i in range(4)}
    assert f"{phrase} use --split relation" in warning_lines([make_result(0, by_relation={"wikidata": four})])
    assert re.search(r"best shortcut +0.400 +1.000", text) and "hypothesis only" not in text


def test_the_answer_names_the_file_of_ones_own_pairs():
    asked = {**make_result(0).asked.model_dump(), "sources": {"wikidata": "pairs/desk.csv"}}
    assert "Learned wikidata (desk.csv) from 64 pairs" in answer_lines([make_result(0, asked=asked)])[1]


def test_the_answer_says_what_was_not_learned_and_what_was_gained():
    unlearned_first = make_result(
        0, matrix=[[0.3, 0.5], [0.3, 0.5], [0.4, 0.5]], learned={"mnli": False, "wikidata": False},
        final={"mnli": 0.4, "wikidata": 0.5}, forgetting={"mnli": -0.1},
    )  # fmt: skip
    lines = answer_lines([unlearned_first])
    assert (
        lines[0]
        == "Did not learn mnli from 300 pairs: 0.300 before, 0.300 after, 0.040 below guessing (0.340)."
    )
    assert lines[2].startswith(
        "Lost nothing of mnli (-0.100): 0.300 before, 0.400 at the end, 0.060 above guessing"
    )
    assert lines[2].endswith("it was not above guessing before.")


def test_what_was_as_accurate_before_training_is_warned_of():
    matrix = [[0.34, 0.5], [0.8, 1.0], [0.6, 0.95]]
    assert (
        "! wikidata: training did not raise its accuracy (1.000 before, 0.950 after); fewer pairs or steps may do, or none"
    ) in warning_lines([make_result(0, matrix=matrix)])
    assert not [line for line in warning_lines([make_result(0)]) if "did not raise" in line]


def test_a_label_space_that_keeps_a_scenario_from_retrain_is_warned_of():
    (line,) = (
        each for each in warning_lines([make_result(0, label_space="disjoint")]) if "label_space" in each
    )
    assert line.startswith("! label_space disjoint: mnli is learned here, by the method itself; ")


def test_under_retrain_the_first_task_was_not_learned_here():
    options = {**plain_result()["options"], "protocol": "retrain"}
    lines = answer_lines([make_result(seed, options=options) for seed in (0, 1)])
    assert [line.split(" from ")[0].split(":")[0] for line in lines] == [
        "Learned wikidata",
        "Forgot 0.195±0.007 of mnli",
    ]


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        ((96,), "; its accuracy was back after 96 pairs of mnli."),
        ((96, None), "; its accuracy was back after 96, more than 1,024 pairs of mnli."),
        ((None, None), "; its accuracy was not back after 1,024 pairs of mnli."),
        ((0, 0), "; on validation pairs there was nothing to learn again."),
    ],
)
def test_the_answer_says_how_many_pairs_brought_the_accuracy_back(needed, words):
    found = [
        make_result(seed, relearning={"n_pairs": n, "n_pairs_tried": 1024 if n is None else n, "target": 0.8})
        for seed, n in enumerate(needed)
    ]
    assert answer_lines(found)[-1].endswith(words)
    assert as_json(found, {})["seeds"][0]["relearning"]["n_pairs"] == needed[0]


def test_a_long_scenario_is_answered_in_two_sentences():
    names = ["mnli", "wikidata", "third", "fourth", "fifth"]
    matrix = [[0.4] * 5, *([0.9] * 5 for _ in range(4)), [0.8, 0.6, 0.9, 0.9, 0.9]]
    result = make_result(0, **stream(names, matrix, forgetting=(0.1, 0.3, 0.0, 0.0)))
    assert answer_lines([result]) == [
        "Learned 5 of 5 experiences from 300 pairs each: 0.900 right after each, on average.",
        "Forgot +0.100 of the 4 earlier ones on average; most of wikidata (+0.300).",
    ]


def test_a_line_names_the_tasks_that_the_encoder_was_trained_on_before():
    said = "! minilm was trained on MNLI before: no figure here is of an encoder new to MNLI"
    assert shown([make_result(0), make_result(1)]).count(said) == 1
    assert "trained on" not in shown([make_result(0, seen=[])])
    # SNLI is not among the tasks.
    assert "trained on" not in shown([make_result(0, seen=["snli"])])
    assert as_json([make_result(0)], {})["seen"] == ["mnli", "snli"]


def test_a_result_without_an_audit_still_has_its_table():
    unaudited = {"shortcuts": {}, "leaks": {}, "above_shortcuts": {"mnli": None, "wikidata": None}}
    assert "shortcut" not in shown([make_result(0, **unaudited)])


def test_the_cost_of_several_seeds_says_what_each_figure_is():
    costs = {"encoder_forwards": 1300, "stored_bytes": 100_000, "peak_memory_bytes": 3 * 2**30}
    one, two = make_result(0), make_result(1, seconds=8.0, cost={**plain_result()["cost"], **costs})
    assert cost_words([one]) == (
        "6 s; 1,200 texts encoded, 22,713,216 parameters trained, 98,816 bytes stored, peak memory 0.9 GiB"
    )
    assert cost_words([one, two]) == (
        "14 s and 2,500 texts encoded in 2 seeds; per seed at most 22,713,216 parameters trained, "
        "100,000 bytes stored, peak memory 3.0 GiB"
    )


def test_a_task_that_is_known_from_the_start_needed_no_pairs():
    assert "pairs to 0.9, mnli" in shown([make_result()])
    text = shown([make_result(options={**plain_result()["options"], "protocol": "retrain"})])
    assert "pairs to 0.9, wikidata" in text and "pairs to 0.9, mnli" not in text
