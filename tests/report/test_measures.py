"""The figures of a report, worked out on paper from made-up cells."""

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from contsym.commands.views.sweep import sweep_report
from contsym.report import sentences
from contsym.report.collect import collect
from contsym.report.figures.over_shots import accuracy_over_shots
from contsym.report.measures import Family, Measures, pareto_front
from contsym.report.table_formats import to_csv
from contsym.report.tables.accuracy import accuracy_table
from contsym.report.tables.answers import answer_table
from contsym.report.tables.cost_and_sources import cost_table, setting_table, source_table, version_table
from contsym.report.tables.examples_needed import efficiency_table, paper_table, shots_needed_cell
from contsym.report.tables.forgetting import forgetting_table
from contsym.results.metrics.stats import Comparison, Summary
from contsym.results.schema_training import StoredPoint
from tests.stored_results import plain_result, store_run, store_sweep


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    store_sweep(output, with_view=False)
    return Measures(collect(output, []), 0.99)


@pytest.fixture(scope="module")
def partly(tmp_path_factory):
    """Two strategies that did not learn MNLI, and five cells to come."""
    output = tmp_path_factory.mktemp("partly")
    store_sweep(output, not_learned=["knn_fixed", "fine_tune"], leave_out=5, with_view=False)
    return Measures(collect(output, []), 0.95)


def test_accuracy_is_the_mean_over_seeds(whole):
    # 36, 37 and 35 of 40.
    found = whole.accuracy("random_labels", 16, "wikidata")
    assert found.mean == pytest.approx(0.9) and found.n == 3
    assert (found.low, found.high) == pytest.approx((35 / 40, 37 / 40))
    assert whole.own_accuracy("random_labels", 16, "mnli").mean == pytest.approx(0.8)


def test_forgetting_of_what_was_learned(whole):
    # From 0.80 to 0.72, 0.73 and 0.71.
    found = whole.forgetting("random_labels", 64, "mnli")
    assert (found.summary.mean, found.summary.n, found.marks) == (pytest.approx(0.08), 3, "")
    kept = whole.retention("random_labels", 64, "mnli")
    assert kept.summary.mean == pytest.approx(0.9)


def test_what_was_not_learned_has_its_number_and_a_mark_beside_it(partly):
    # From 0.36 to 0.35 with every seed.
    found = partly.forgetting("knn_fixed", 8, "mnli")
    assert found.summary.mean == pytest.approx(0.01) and found.marks == "not learned"
    assert partly.retention("knn_fixed", 8, "mnli").summary.mean == pytest.approx(35 / 36)
    table = forgetting_table(partly, "mnli")
    row = next(row for row in table.rows if row[0].text == "knn_fixed")
    assert [cell.text for cell in row[1:]] == ["+0.010 [+0.010, +0.010] (not learned)"] * 4
    assert all(cell.values[0] == pytest.approx(0.01) and cell.note == "not learned" for cell in row[1:])
    assert "shots_64_n,shots_64_note\n" in to_csv(table)
    assert "knn_fixed" in {point.variant for point in partly.trade_offs["mnli"]}


def test_the_mean_is_over_the_seeds_that_did_not_learn_it_too(whole, monkeypatch):
    before = whole.forgetting("knn_fixed", 8, "mnli").summary
    group = whole.collected.group("knn_fixed", 8)
    monkeypatch.setitem(group[1].learned, "mnli", False)
    found = whole.forgetting("knn_fixed", 8, "mnli")
    assert found.summary == before and found.marks == "learned in 2 of 3 seeds"


def test_an_accuracy_of_0_leaves_no_share(whole, monkeypatch):
    result = whole.collected.group("knn_fixed", 8)[1]
    monkeypatch.setitem(result.__dict__, "matrix", [[0.0, 0.5], [0.0, 0.5], [0.7, 0.9]])
    assert whole.retention("knn_fixed", 8, "mnli") is None


def test_label_bias_stands_beside_the_truth(partly):
    table = answer_table(partly)
    rows = [tuple(cell.text for cell in row) for row in table.rows]
    assert rows[0] == ("MNLI", "the truth", "–", "–", "–", "–", "0.340", "0.330", "0.330", "")
    of = [row for row in rows if row[:3] == ("MNLI", "knn_fixed", "8")]
    assert [row[3:4] + row[6:] for row in of] == [
        ("after its training", "0.340", "0.330", "0.330", "not learned"),
        ("at the end", "0.740", "0.130", "0.130", "not learned"),
    ]
    assert of[1][4:6] == ("0.250 [0.250, 0.250]", "0.600 [0.600, 0.600]")
    # Nothing comes after the last task.
    assert [row[3] for row in rows if row[:3] == ("Wikidata", "knn_fixed", "8")] == ["at the end"]


def test_cells_that_are_not_there_yet_are_dashes(partly):
    table = accuracy_table(partly, "wikidata")
    last = next(row for row in table.rows if row[0].text == "fine_tune")
    assert last[1].values[3] == 2  # of three seeds, the last is missing
    assert len(cost_table(partly).rows) == 16  # four strategies at four numbers of shots, each with a seed


def test_shots_needed_keep_not_reached(whole):
    found = whole.efficiency("random_labels")
    # 39, 40 and 38 of 40 at 32 shots, all of them at 64.
    assert found.shots_needed.per_seed == (64, 32, 64) and found.shots_needed.median == 64
    cell = shots_needed_cell(whole, "fine_tune")
    assert cell.text == "not reached" and cell.values == (None, None, None)


def test_paper_table_has_the_paper_s_figures_beside_ours(whole):
    table = paper_table(whole)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["random labels (random_labels)", "48", "64 [32, 64]", "5.8", "+8.0 [+7.0, +9.0]"],
        ["k-NN, fixed labels (knn_fixed)", "64", "64", "7.7", "+10.0 [+9.0, +11.0]"],
        ["k-NN, learned labels (knn_learned)", "400", "not reached", "21.5", "+22.0 [+21.0, +23.0]"],
        ["fine-tuning (fine_tune)", "336", "not reached", "11.2", "+44.0 [+43.0, +45.0]"],
    ]
    assert table.notes[0] == "Paper: RoBERTa-Large, full MNLI, then Wikidata pairs."
    assert table.notes[2] == (
        "Not the paper's protocol: minilm in place of roberta-large; 300 MNLI training pairs in place of 392,702. "
        "Compare the order of methods, not figures."
    )


def test_a_method_of_the_paper_that_was_not_run_says_so(tmp_path):
    store_sweep(tmp_path, strategies=["fine_tune"], with_view=False)
    table = paper_table(Measures(collect(tmp_path, []), 0.99))
    assert [row[2].text for row in table.rows] == ["not reached", "not run", "not run", "not run"]


def test_headline_says_what_the_numbers_say(whole):
    said = sentences.answer(whole)
    assert said[0] == (
        "For an accuracy of 0.99 on the test pairs of Wikidata, random_labels needed 64 [32, 64] and knn_fixed 64 examples "
        "(median over 3 seeds); knn_learned and fine_tune did not reach it with up to 64."
    )
    assert said[2] == (
        "Accuracy on the test pairs of Wikidata: random_labels 1.000, knn_fixed 1.000, fine_tune 0.950 and knn_learned "
        "0.925; the majority class 0.500 and the best shortcut (relation phrase) 1.000. Not above the best shortcut: "
        "random_labels, knn_fixed, fine_tune and knn_learned."
    )
    assert said[3] == (
        "Of MNLI, random_labels forgot least (+0.080 [+0.070, +0.090]) and fine_tune most "
        "(+0.440 [+0.430, +0.450]) after 64 examples, by the means."
    )
    assert sentences.question(whole.collected) == (
        "How many Wikidata examples does each method need, and how much of MNLI does it forget?"
    )


def test_headline_of_nothing_reached_and_nothing_learned(tmp_path):
    store_sweep(
        tmp_path, strategies=["knn_learned", "fine_tune"], not_learned=["knn_learned", "fine_tune"],
        with_view=False,
    )  # fmt: skip
    said = sentences.answer(Measures(collect(tmp_path, []), 0.99))
    assert said[0] == (
        "With up to 64 examples no method reached an accuracy of 0.99 on the test pairs of Wikidata (median over 3 seeds)."
    )
    assert said[1] == "With 64 examples these 3 seeds show no difference in accuracy."
    assert said[3] == (
        "Of MNLI, knn_learned forgot least (+0.010 [+0.010, +0.010]) and fine_tune most (+0.010 [+0.010, +0.010]) "
        "after 64 examples, by the means, which these 3 seeds do not tell apart; by knn_learned and fine_tune: not learned."
    )


@pytest.mark.parametrize(
    ("p_values", "best", "expected"),
    [
        ((0.01, 0.01, 0.5), "a",
         "With 64 examples a is the most accurate, and better than every other by the tests (3 seeds)."),
        ((0.5, 0.01, 0.5), None,
         "With 64 examples no method is better than every other; of 3 pairs of methods these 3 seeds tell 1 apart: "
         "a above c."),
        ((0.5, 0.5, 0.5), None, "With 64 examples these 3 seeds show no difference in accuracy."),
    ],
)  # fmt: skip
def test_headline_of_differences_follows_the_tests(whole, monkeypatch, p_values, best, expected):
    pairs = itertools.combinations("abc", 2)
    comparisons = tuple(
        Comparison(a, b, 0.1, 0.0, 0.2, p, p, p, p, 0.1, 3, 40)
        for (a, b), p in zip(pairs, p_values, strict=True)
    )
    family = Family("wikidata", 64, (0, 1, 2), comparisons, best)
    monkeypatch.setattr(whole, "family", lambda task, shots: family if shots == 64 else None)
    assert sentences.differences(whole) == expected


def test_warnings_name_shortcuts_and_missing_cells(partly):
    assert sentences.warnings(partly) == [
        "On Wikidata a shortcut (relation phrase) has an accuracy of 1.000 by itself: an accuracy as high does not show "
        "that the relation was understood.",
        "43 of 48 cells are finished, 5 are missing: figures will change.",
    ]


def test_notes_of_results_are_warnings_once_for_each_variant(tmp_path):
    store_run(tmp_path, "a", (0, 1), strategy="cloze", notes=["a tied head"])
    store_run(tmp_path, "b", (0,))
    found = sentences.warnings(Measures(collect(tmp_path, ["a", "b"]), 0.95))
    assert [line for line in found if "tied" in line] == ["cloze: a tied head."]
    store_run(tmp_path, "c", (0,), strategy="ridge", notes=["a tied head"])
    found = sentences.warnings(Measures(collect(tmp_path, ["a", "c"]), 0.95))
    assert [line for line in found if "tied" in line] == ["a tied head."]


def until(output, name, seen, accuracies, strategy):
    """A run that stopped at 0.99 after a number of pairs per seed, of 64; `accuracies` before and after."""
    plain = plain_result()
    rows = [
        {"task": task, "id": str(i), "label": "neutral", "row_2": "neutral"}
        for task in plain["tasks"]
        for i in range(4)
    ]
    options = {**plain["options"], "shots": None, "one_pass": True, "until": 0.99, "target": 0.99}
    for seed, n in enumerate(seen):
        points = [
            dict(
                zip(
                    StoredPoint.model_fields, (1, i + 1, m, m, [None, float(m == n)], None, None), strict=True
                )
            )
            for i, m in enumerate(range(8, n + 1, 8))
        ]
        first, last = plain["cost"]["experiences"]
        cost = {**plain["cost"], "experiences": [first, {**last, "pairs_seen": n}]}
        before, after = accuracies
        store_run(
            output, name, [seed], strategy=strategy, options=options, trajectory=points, cost=cost,
            matrix=[[0.34, before], [0.8, before], [0.6, after]], rows_of=lambda seed: rows,
        )  # fmt: skip


def test_a_training_that_stopped_at_a_target_never_claims_all_its_pairs(tmp_path):
    until(tmp_path, "a", (8, 8, 8), (1.0, 1.0), "knn_fixed")
    until(tmp_path, "b", (16, 16, 32), (0.5, 0.95), "fine_tune")
    measures = Measures(collect(tmp_path, ["a", "b"]), 0.99)
    assert sentences.needed(measures) == (
        "For an accuracy of 0.99 on the validation pairs of Wikidata, knn_fixed needed at most 8 (the smallest tried) and "
        "fine_tune 16 [16, 32] examples (median over 3 seeds)."
    )
    assert (
        "after training until 0.99 on validation pairs (8 to 32 of 64 examples seen)"
        in sentences.forgotten(measures, "mnli")
    )
    assert sentences.warnings(measures)[:2] == [
        "50 validation pairs of Wikidata cannot tell 0.99 from 0.98: one error is 0.020; expected 100 or more.",
        "knn_fixed: training did not raise the accuracy on wikidata (1.000 before, 1.000 after); fewer pairs or steps may "
        "do, or none.",
    ]
    assert [row[1].text for row in cost_table(measures).rows] == ["8 of 64", "16 to 32 of 64"]
    assert accuracy_table(measures, "wikidata").columns[1].title == "until 0.99, of 64 shots"
    table = efficiency_table(measures)
    assert [row[1].text for row in table.rows] == ["at most 8", "16 [16, 32]"]
    assert table.notes[0].startswith(
        "The pairs seen, each once, until an accuracy of at least 0.99 on the validation"
    )
    # One number of shots: a place for each strategy, with its range.
    first = accuracy_over_shots(measures).views[0]
    assert first.layout["xaxis"]["ticktext"] == ["knn_fixed", "fine_tune"]
    assert [trace["x"] for trace in first.traces[:2]] == [[0], [1]] and "error_y" in first.traces[1]
    shown = io.StringIO()
    Console(file=shown, width=80).print(sweep_report({"": measures.collected.results}, ()))
    lines = shown.getvalue().splitlines()
    assert any(
        line.split() == ["until", "0.99", "of", "64", "at", "most", "8", "16", "(16", "to", "32)"]
        for line in lines
    )
    assert "reading: knn_fixed: 8 pairs seen once, until 0.99; fine_tune: 16 and 32 pairs" in lines


def test_versions_name_plugins_and_notes_where_there_are_any(tmp_path):
    mine, edited, stream = (
        {"kind": kind, "name": name, "origin": origin, "sha256": digit * 64}
        for kind, name, origin, digit in (
            ("strategy", "mine", "mine.py", "a"),
            ("strategy", "mine", "mine.py", "b"),
            ("scenario", "stream", "demo-methods 1.2", "c"),
        )
    )
    store_run(tmp_path, "a", (0,), strategy="mine", plugins=[mine, stream], notes=["a tied head"])
    store_run(tmp_path, "a", (1,), strategy="mine", plugins=[edited, stream], notes=["a tied head"])
    store_run(tmp_path, "b", (0,), plugins=[], notes=[])
    said = ("plug-in", "note on")

    def rows(*names):
        table = version_table(Measures(collect(tmp_path, names), 0.95))
        return [(what.text, value.text) for what, value in table.rows if what.text.startswith(said)]

    assert rows("a", "b") == [
        # Edited between two seeds: both sources.
        ("plug-in strategy mine", f"mine.py (SHA-256 {'a' * 64}), mine.py (SHA-256 {'b' * 64})"),
        ("plug-in scenario stream", f"demo-methods 1.2 (SHA-256 {'c' * 64})"),
        ("note on mine", "a tied head"),
    ]
    assert rows("b") == []


def test_bold_only_where_the_test_says_best(whole, monkeypatch):
    family = Family("wikidata", 64, (0, 1, 2), (), "knn_fixed")
    monkeypatch.setattr(whole, "family", lambda task, shots: family if shots == 64 else None)
    table = accuracy_table(whole, "wikidata")
    bold = [(row[0].text, i) for row in table.rows for i, cell in enumerate(row) if cell.strong]
    assert bold == [("knn_fixed", 4)]


def test_every_pair_is_compared_on_every_task_and_number_of_shots(whole):
    assert len(whole.families) == 2 * 4
    assert all(len(family.comparisons) == 6 for family in whole.families)
    found = whole.family("wikidata", 8).comparisons[0]
    # 30 of 40 against 26 of 40, one more or less in both.
    assert (found.a, found.b, found.difference) == ("random_labels", "knn_fixed", pytest.approx(0.1))


def test_kinds_and_relations_add_up_to_the_accuracy(whole):
    for parts_of, n in ((whole.by_kind, 20), (whole.by_relation, 10)):
        parts = parts_of("knn_learned", 32, "wikidata")
        assert len(parts) == 40 // n
        mean = sum(accuracy.mean * n for accuracy in parts.values()) / 40
        assert mean == pytest.approx(whole.accuracy("knn_learned", 32, "wikidata").mean)


def slow_front(points):
    """Those that no other beats, by looking at all pairs."""

    def beats(a, b):
        return a[0] >= b[0] and a[1] <= b[1] and a != b

    return {i for i, p in enumerate(points) if not any(beats(q, p) for q in points)}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8))
def test_pareto_front_is_that_of_the_slow_twin(points):
    assert set(pareto_front(points)) == slow_front(points)


def test_a_lone_seed_has_wilson_intervals_and_no_verdict(tmp_path):
    store_sweep(tmp_path, seeds=[0], with_view=False)
    measures = Measures(collect(tmp_path, []), 0.99)
    assert isinstance(found := measures.accuracy("knn_fixed", 8, "wikidata"), Summary)
    assert found.method == "wilson"
    assert sentences.differences(measures) == (
        "With 64 examples there is one seed, which cannot tell methods apart."
    )
    assert sentences.warnings(measures)[-1] == (
        "There is one seed: intervals are over test pairs only, and no difference between methods is proven."
    )


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        # The same code under two commits, as after a change of the documents.
        ({"code_sha256": "a" * 64, "git_commit": "c" * 40}, {"code_sha256": "a" * 64, "git_commit": "d" * 40}, []),
        # Two strategies of one commit: each has the hash of what it imports.
        ({"code_sha256": "a" * 64, "git_commit": "c" * 40}, {"code_sha256": "b" * 64, "git_commit": "c" * 40}, []),
        (
            {"code_sha256": "a" * 64, "git_commit": "c" * 40},
            {"code_sha256": "b" * 64, "git_commit": None},
            ["The results were made by 2 versions of contsym (0.1.0 commit cccccccc code aaaaaaaa; 0.1.0 code bbbbbbbb): "
             "its code may explain differences."],
        ),
    ],
)  # fmt: skip
def test_results_of_several_versions_of_the_code_are_told_apart(tmp_path, first, second, said):
    store_run(tmp_path, "a", [0], **first)
    store_run(tmp_path, "b", [0], strategy="fine_tune", **second)
    found = sentences.warnings(Measures(collect(tmp_path, ["a", "b"]), 0.95))
    assert [line for line in found if "versions of contsym" in line] == said


def test_training_pairs_and_settings_are_those_of_every_result(tmp_path):
    """Not of the first one: a stream has as many pairs of each Wikidata experience as there are shots."""
    for i, (shots, k) in enumerate(((8, 1), (16, 3))):
        result = plain_result()
        wikidata = {**result["sources"]["wikidata"], "rows": {"train": shots, "validation": 8, "test": 40}}
        changes = {
            "sources": {
                **result["sources"],
                "wikidata": wikidata,
                "wikidata-2": {**wikidata, "task": "wikidata"},
            }
        }
        changes |= {"options": {**result["options"], "shots": shots}, "settings": {"k": k}}
        store_run(tmp_path, f"r{i}", [0], **changes)
    measures = Measures(collect(tmp_path, ["r0", "r1"]), 0.95)
    assert [row[2].text for row in source_table(measures).rows] == ["300", "8, 16", "8, 16"]
    assert [row[1].text for row in setting_table(measures).rows] == ["k=1", "k=3"]


def test_one_strategy_with_two_hashes_was_made_by_two_versions(tmp_path):
    for seed, code in enumerate("ab"):
        store_run(tmp_path, f"run-{code}", [seed], code_sha256=code * 64, git_commit="c" * 40)
    assert len(collect(tmp_path, ["run-a", "run-b"]).made_by) == 2
