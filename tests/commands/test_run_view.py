"""What the table says, word by word."""

import io
import re

import pytest
from rich.console import Console

from contsym.commands.views.run import cost_words, efficiency_words, forgetting_words, result_tables
from tests.stored_results import make_result, plain_result


def shown(found, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(result_tables(found, {0: "abc"}))
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
