"""Forgetting during training, at the target and at equal places, by trajectories that are made up."""

import pytest

from contsym.report import sentences
from contsym.report.collect import collect
from contsym.report.figures.learning import learning
from contsym.report.measures import Measures
from contsym.report.render import make_report
from contsym.report.tables.during import during_table
from contsym.results.schema_training import StoredPoint
from tests.stored_results import store_run

# (steps, accuracy on MNLI, accuracy on Wikidata, distance of the weights, 1 - CKA) in the training on Wikidata.
COURSES = {
    "fast": [(0, 0.8, 0.5, 0.0, 0.0), (10, 0.7, 1.0, 0.1, 0.2)],
    "long": [(0, 0.8, 0.5, 0.0, 0.0), (10, 0.7, 0.8, 0.1, 0.2), (20, 0.5, 1.0, 0.3, 0.4)],
    "careful": [(0, 0.8, 0.5, 0.0, 0.0), (10, 0.75, 0.8, 0.05, 0.1), (20, 0.7, 1.0, 0.1, 0.2)],
    "better": [(0, 0.8, 0.5, 0.0, 0.0), (10, 0.79, 0.8, 0.1, 0.2), (20, 0.77, 1.0, 0.3, 0.4)],
    "frozen": [(0, 0.8, 0.5, 0.0, 0.0), (10, 0.8, 0.6, 0.0, 0.0), (20, 0.8, 0.7, 0.0, 0.0)],
}


ROWS = [
    {
        "task": task,
        "id": f"{task}:0",
        "label": "entailment",
        **dict.fromkeys(("row_0", "row_1", "row_2"), "entailment"),
    }
    for task in ("mnli", "wikidata")
]
"""Predictions that a report can read; no figure here comes of them."""


def points_of(name, nudge):
    rows = (
        (1, n, 16 * n, 16 * n, [mnli + nudge * (n > 0), wikidata], weights, features)
        for n, mnli, wikidata, weights, features in COURSES[name]
    )
    return [dict(zip(StoredPoint.model_fields, row, strict=True)) for row in rows]


def stored(output, *names, seeds=(0, 1, 2), **changes):
    """The figures of runs of these courses; with seed 1 MNLI is 0.01 lower after step 0, with seed 2 higher."""
    for name in names:
        for seed in seeds:
            nudge = (0, -0.01, 0.01)[seed]
            points = points_of(name, nudge)
            store_run(output, name, [seed], lambda _: ROWS, strategy=name, trajectory=points, **changes)
    return Measures(collect(output, list(names)), 0.99)


def test_forgetting_stands_at_the_target_and_at_equal_places(tmp_path):
    measures = stored(tmp_path, "fast", "long", "frozen")
    table = during_table(measures, "mnli")
    rows = {row[0].text: [cell.text for cell in row] for row in table.rows}
    same = "+0.100 [+0.090, +0.110]"
    assert rows["fast"][2] == "0.800 [0.800, 0.800]"
    # 10 steps, a distance of 0.1 and 1 - CKA of 0.2 are the least that a method that moves ends with.
    assert rows["fast"][7:] == [same] * 4
    assert rows["long"][7:] == ["+0.300 [+0.290, +0.310]", same, same, same]
    assert rows["frozen"][7:] == ["not reached", "+0.000 [-0.010, +0.010]", "not reached", "not reached"]
    assert "(64 shots: 10 steps, distance of the weights 0.1, 1 − CKA 0.2" in table.notes[0]


def test_a_place_that_some_seeds_reach_says_how_many(tmp_path):
    stored(tmp_path, "long", seeds=(0,))
    store_run(tmp_path, "long", [1], strategy="long", trajectory=points_of("long", 0)[:2])
    (group,) = Measures(collect(tmp_path, ["long"]), 0.99).during["mnli"]
    assert (group.at_target.note, group.at_target.summary.mean) == (
        "reached in 1 of 2 seeds",
        pytest.approx(0.3),
    )
    # The seed that stopped first decides where all are compared.
    assert group.places.n_steps == 10 and group.at_steps.note == ""


@pytest.mark.parametrize(
    ("names", "end"),
    [
        (
            ("fast", "long"),
            "fast reached the target in fewer steps: it forgets less because it stops sooner.",
        ),
        (("careful", "long"), "it forgets less because it moves less per step."),
        (
            ("better", "long"),
            "neither that it stops sooner nor that it moves less per step explains all of it.",
        ),
        (("fast", "careful"), "; the seeds do not tell them apart."),
    ],
)
def test_the_sentence_names_the_explanation_that_the_intervals_leave(tmp_path, names, end):
    measures = stored(tmp_path, *names)
    said = sentences.why_less(measures, "mnli")
    assert said.startswith(f"With 64 examples {names[0]} (+0.") and said.endswith(end)
    (section,) = (s for s in make_report(measures.collected, 0.99).sections if s.id == "during")
    assert said in [text for _, text in section.paragraphs]


def test_one_seed_tells_nothing_apart(tmp_path):
    said = sentences.why_less(stored(tmp_path, "fast", "long", seeds=(0,)), "mnli")
    assert said == (
        "With 64 examples fast (+0.100) had forgotten least of MNLI when it reached the target, long (+0.300) most; the "
        "seeds do not tell them apart."
    )


def test_where_no_target_is_reached_nothing_is_explained(tmp_path):
    said = sentences.why_less(stored(tmp_path, "frozen", "fast"), "mnli")
    assert said.startswith("Fewer than two methods reached 0.99 on validation pairs with 64 examples")


def test_pairs_to_relearn_are_a_column_where_they_were_counted(tmp_path):
    relearning = {"n_pairs": 96, "n_pairs_tried": 96, "target": 0.8}
    table = during_table(stored(tmp_path, "fast", relearning=relearning), "mnli")
    assert (table.columns[-1].title, table.rows[0][-1].text) == ("pairs to relearn it", "96 [96, 96]")


def test_the_old_task_is_drawn_below_the_new_one(tmp_path):
    figure = learning(stored(tmp_path, "long"))
    view = figure.views[0]
    assert view.label == "accuracy, Wikidata and MNLI, 64 shots"
    means = {t.get("yaxis", "y"): t for t in view.traces if "opacity" not in t and "chance" not in t["name"]}
    assert (means["y"]["x"], means["y"]["y"]) == ([160, 320], [0.8, 1.0])
    assert (means["y2"]["x"], means["y2"]["y"]) == ([160, 320], [0.7, 0.5])
    faint = [trace["y"] for trace in view.traces if "opacity" in trace and trace.get("yaxis") == "y2"]
    assert faint == [[0.7, 0.5], [0.69, 0.49], [0.71, 0.51]]
    assert figure.plots[0]["layout"]["yaxis2"]["anchor"] == "x"


def test_results_without_a_trajectory_say_so(tmp_path):
    store_run(tmp_path, "plain", [0], trajectory=[])
    report = make_report(collect(tmp_path, ["plain"]), 0.99)
    assert ("text", "These results have no trajectory; --curve measures one.") in report.sections[
        -1
    ].paragraphs
    assert "during" not in {section.id for section in report.sections}
