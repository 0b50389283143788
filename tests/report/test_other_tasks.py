"""Reports of tasks other than the paper's, of single texts, and of few seeds."""

import io

import pytest
from rich.console import Console

from contsym.commands.views.sweep import sweep_report
from contsym.report import sentences
from contsym.report.collect import collect
from contsym.report.figures.style import COLOURS, cell_numbers
from contsym.report.measures import Measures
from contsym.report.projection import LabelView
from contsym.report.render import make_report
from contsym.report.tables.accuracy import mean_table
from contsym.report.tables.comparisons import comparison_table
from contsym.report.tables.layout import interval_note
from tests.stored_results import plain_result, store_run, store_sweep, stream


def of_texts(**changes):
    """Wikidata in the place of the last task becomes a task of single texts."""
    sources = plain_result()["sources"]
    return {"sources": {name: {**source, "inputs": "single"} for name, source in sources.items()}, **changes}


def test_single_texts_are_called_texts(tmp_path):
    store_run(tmp_path, "a", [0], **of_texts())
    report = make_report(collect(tmp_path, ["a"]), 0.99)
    titles = {column.title for table in report.tables for column in table.columns}
    assert "test texts" in titles and not any("pairs" in title for title in titles)
    captions = {figure.name: figure.caption for figure in report.figures}
    assert "test texts: MNLI 100, Wikidata 40" in captions["accuracy"]


def test_the_paper_s_table_is_of_the_paper_s_tasks_relations_and_methods_alone(tmp_path):
    store_run(tmp_path, "paper", [0], strategy="fine_tune")
    store_run(tmp_path, "method", [0], strategy="ridge")
    own = {"wikidata": {"is a colleague of": {"accuracy": 0.9, "n": 40}}}
    store_run(tmp_path, "pairs", [0], strategy="fine_tune", by_relation=own)
    sections = {
        name: [s.id for s in make_report(collect(tmp_path, [name]), 0.9).sections]
        for name in ("paper", "method", "pairs")
    }
    assert sections["paper"][:2] == ["answer", "paper"]
    assert "paper" not in sections["method"] and "paper" not in sections["pairs"]


def test_one_number_of_shots_is_not_called_needed(tmp_path):
    store_sweep(tmp_path, strategies=["knn_fixed", "fine_tune"], shots=[64], seeds=(0, 1), with_view=False)
    collected = collect(tmp_path, [])
    assert sentences.question(collected) == (
        "How accurate is each method on Wikidata after 64 examples, and how much of MNLI does it forget?"
    )
    assert sentences.needed(Measures(collected, 0.99)) == (
        "With 64 examples knn_fixed reached an accuracy of 0.99 on the test pairs of Wikidata (median over 2 seeds); "
        "fine_tune did not."
    )


def test_two_seeds_have_a_range_and_a_difference_above_1_is_none(tmp_path):
    store_sweep(tmp_path, strategies=["knn_fixed", "fine_tune"], shots=[64], seeds=(0, 1), with_view=False)
    measures = Measures(collect(tmp_path, []), 0.99)
    assert interval_note(measures.collected).startswith("Brackets: the range of 2 seeds")
    least = {row[0].text: row[6] for row in comparison_table(measures).rows}
    # 70 and 71 against 36 and 37 of 100 differ alike; 40 and 40 against 38 and 39 of 40 do not, by 16.33 * 0.0177 / sqrt(2).
    assert least["MNLI"].text == "–"
    assert least["Wikidata"].values[0] == pytest.approx(0.204, abs=1e-3)
    values = (float(cell.values[0]) for cell in least.values() if cell.values)
    assert max(values) <= 1


def test_a_plane_that_shows_nothing_is_left_out_and_said_to_be(tmp_path, monkeypatch):
    store_sweep(tmp_path, strategies=["knn_fixed"], shots=[64], seeds=(0,))

    def with_shares(*shares):
        view = LabelView("knn_fixed", 64, 0, ["a"] * 3, ["symmetric"] * 3, [[0, 0]] * 3, [[1, 1]] * 3, shares)
        monkeypatch.setattr("contsym.report.figures.embeddings.label_views", lambda collected: [view])
        return make_report(collect(tmp_path, []), 0.99)

    report = with_shares(0.03, 0.02)
    assert "embeddings" not in {section.id for section in report.sections}
    assert any(
        "less than 20% of their variance: 5% for knn_fixed" in text
        for _, text in report.sections[-1].paragraphs
    )
    (figure,) = (f for f in with_shares(0.2, 0.14).figures if f.name == "embeddings")
    assert figure.views[0].label == "knn_fixed (64 shots, seed 0): 34% of the variance"


def contrast(one, other):
    """WCAG 2.2, from the definition."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_stand_out_on_both_pages_and_numbers_on_every_cell():
    from plotly.colors import sample_colorscale

    for colour in COLOURS:
        assert min(contrast(colour, "#ffffff"), contrast(colour, "#15171b")) >= 3, colour
    values = [i / 50 for i in range(51)]
    inks = cell_numbers([0], range(51), [[value] for value in values])["textfont"]["color"]
    for ink, cell in zip(inks, sample_colorscale("cividis", values, colortype="tuple"), strict=True):
        assert contrast(ink, "#" + "".join(f"{round(255 * c):02x}" for c in cell)) >= 4.5


def test_a_stream_has_the_means_over_its_tasks(tmp_path):
    names = ["mnli", "wikidata", "third"]
    for seed, last in ((0, [0.5, 0.7, 0.9]), (1, [0.7, 0.9, 0.8])):
        matrix = [[0.4] * 3, [0.9, 0.4, 0.4], [0.9, 0.9, 0.4], last]
        store_run(
            tmp_path,
            "a",
            [seed],
            **stream(names, matrix, (0.4, 0.2) if seed == 0 else (0.2, 0.0)),
            figures={"bwt": -0.2, "fwt": None},
        )
    collected = collect(tmp_path, ["a"])
    (row,) = mean_table(Measures(collected, 0.99)).rows
    # (0.5 + 0.7 + 0.9) / 3 and 0.8; (0.4 + 0.2) / 2 and 0.1.
    assert [cell.text for cell in row[2:4]] == ["0.750 [0.700, 0.800]", "+0.200 [+0.100, +0.300]"]
    assert "Accuracy, mean over 3 experiences" in " ".join(shown_sweep(collected.results).split())
    store_run(tmp_path, "two", [0])
    assert mean_table(Measures(collect(tmp_path, ["two"]), 0.99)).rows == ()


def shown_sweep(results):
    console = Console(file=io.StringIO(), width=80)
    console.print(sweep_report({"": results}, ()))
    return console.file.getvalue()
