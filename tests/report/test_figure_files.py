"""Figures as files: what Matplotlib draws is what Plotly draws on the page."""

import pytest

from contsym.report.collect import collect
from contsym.report.figure_files import draw, write_figures
from contsym.report.figures.heat_maps import matrices
from contsym.report.figures.over_shots import accuracy_over_shots, kinds
from contsym.report.figures.style import COLOURS, Figure, View
from contsym.report.measures import Measures
from tests.stored_results import store_sweep


@pytest.fixture(scope="module")
def measures(tmp_path_factory):
    output = tmp_path_factory.mktemp("sweep")
    store_sweep(output, strategies=["knn_fixed", "fine_tune"], with_view=False)
    return Measures(collect(output, []), 0.99)


def drawn(figure, view=0):
    plot = figure.plots[view]
    return draw(plot["data"], plot["layout"])


def test_lines_are_where_the_numbers_are(measures):
    (axes,) = drawn(accuracy_over_shots(measures)).axes
    lines = [
        (list(line.get_xdata()), line.get_ydata()) for line in axes.lines if line.get_linestyle() == "--"
    ]
    # fine_tune is the second strategy, whose lines are dashed: 20, 24, 33 and 38 of 40.
    (x, y), *_ = lines
    assert x == [8, 16, 32, 64]
    assert list(y) == pytest.approx([0.5, 0.6, 0.825, 0.95])
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["8", "16", "32", "64"]
    assert axes.get_ylabel() == "accuracy, Wikidata"


def test_panels_have_their_titles_and_heat_maps_their_numbers(measures):
    assert [axes.get_title() for axes in drawn(kinds(measures)).axes] == ["symmetric", "antisymmetric"]
    first, _ = drawn(matrices(measures)).axes
    # At 64 shots, knn_fixed: after MNLI 0.80, after Wikidata 0.70 and 1.00.
    numbers = [text.get_text() for text in first.texts]
    assert numbers == ["0.34", "0.50", "0.80", "0.50", "0.70", "1.00"]
    assert [text.get_text() for text in first.get_yticklabels()] == [
        "untrained",
        "after MNLI",
        "after Wikidata",
    ]
    # Row 0 is the uppermost.
    assert first.get_ylim()[0] > first.get_ylim()[1]


def test_the_same_figure_gives_the_same_files_and_a_name_that_any_system_takes(tmp_path):
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [1, 2],
        "y": [0, None],
        "marker": {"color": COLOURS[0]},
    }
    views = [View(label, [points], {}) for label in ("a/b, $x$", "A b: x", "c")]
    figure = Figure("made-up", "Made up", "", views)
    assert figure.files == ["made-up-a-b-x-1", "made-up-a-b-x-2", "made-up-c"]
    for name in ("one", "two"):
        write_figures([figure], tmp_path / name)
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert len(written) == 9
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert written["made-up-c.pdf"].startswith(b"%PDF") and written["made-up-c.png"].startswith(b"\x89PNG")
