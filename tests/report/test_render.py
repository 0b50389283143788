"""The HTML file: whole, the same every time, and safe whatever the data say."""

import json
import re
import shutil
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from contsym.report import figures, tables
from contsym.report.collect import collect
from contsym.report.figures import all_figures
from contsym.report.figures.style import COLOURS, styles
from contsym.report.measures import Measures
from contsym.report.projection import label_view, label_views, plane
from contsym.report.render import make_report, script_json, to_html, write_report
from contsym.report.tables import all_tables
from contsym.results.schema_training import Search, TriedShots
from contsym.results.store import TENSORS
from tests.stored_results import plain_result, store_run, store_sweep

EVIL = "</script><script>window.evil = 1</script>]]> & <b>\u2028'\""
SECTIONS = "answer paper accuracy trade-off during matrices relations kinds learning "
SECTIONS += "embeddings statistics cost provenance"


class Elements(HTMLParser):
    """Every element that is opened, with its attributes; and the text of tables."""

    def __init__(self, text):
        super().__init__()
        self.found, self.cells, self.open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open = tag

    def handle_data(self, data):
        if self.open in ("td", "th"):
            self.cells.append(data)


def without_plotly(text):
    """All but the library's own script, which is the one of several megabytes."""
    return re.sub(r"<script>/\*\*.*?</script>", "", text, flags=re.S)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    output = tmp_path_factory.mktemp("sweep")
    store_sweep(output, not_learned=["knn_learned"])
    return output


@pytest.fixture(scope="module")
def text(output):
    return to_html(make_report(collect(output, []), 0.99))


def test_every_table_and_figure_stands_in_a_section(output):
    measures = Measures(collect(output, []), 0.99)
    sections = {section.id for section in make_report(measures.collected, 0.99).sections}
    placed = [*all_tables(measures), *all_figures(measures)]
    assert len(placed) > 20
    assert {placement.section for placement, _ in placed} <= sections


def test_no_module_of_tables_or_figures_is_overlooked():
    """Each lists what it makes, or has parts that others use."""
    shared = {"layout", "style"}
    for package in (tables, figures):
        names = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
        listed = {n for n in names if hasattr(import_module(f"{package.__name__}.{n}"), "PLACEMENTS")}
        assert names - listed <= shared


def test_every_section_is_there_and_in_order(text):
    found = [attrs["id"] for tag, attrs in Elements(without_plotly(text)).found if tag == "section"]
    assert found == SECTIONS.split()


def test_the_same_results_give_the_same_bytes(output, text):
    assert to_html(make_report(collect(output, []), 0.99)) == text


def test_nothing_is_loaded_from_anywhere(text):
    loads = [
        (tag, attrs)
        for tag, attrs in Elements(without_plotly(text)).found
        if {"src", "href"} & set(attrs)
        # Links load nothing by themselves.
        and not (tag == "a" and re.match(r"#|figures/[\w.-]+$|tables/[\w.-]+$", attrs["href"]))
    ]
    assert loads == []
    assert "default-src 'none'" in text
    assert len(text) < 10_000_000


def test_names_from_the_data_are_text_and_nothing_else(tmp_path):
    relations = {"symmetric": (EVIL, "borders"), "antisymmetric": ("<img src=x onerror=alert(1)>", "in")}
    store_sweep(tmp_path, strategies=["knn_fixed", "fine_tune"], relations=relations)
    page = Elements(without_plotly(to_html(make_report(collect(tmp_path, []), 0.99))))
    # The library's script is cut out; ours is one, and the others are data.
    kinds = [attrs.get("type") for tag, attrs in page.found if tag == "script"]
    assert kinds.count(None) == 1 and set(kinds) == {None, "application/json"}
    assert not [tag for tag, _ in page.found if tag in ("img", "b")]
    assert "".join(page.cells).count(EVIL) == 2  # in the table, for each strategy


def test_names_of_strategies_are_escaped_too(tmp_path):
    store_run(tmp_path, "a", [0, 1], strategy="<i>knn</i>")
    page = Elements(without_plotly(to_html(make_report(collect(tmp_path, ["a"]), 0.99))))
    assert not [tag for tag, _ in page.found if tag == "i"]


def test_script_json_is_json_and_cannot_end_its_element():
    value = {"name": EVIL, "n": [1, None, 0.5]}
    written = script_json(value)
    assert json.loads(written) == value
    assert not set("<>&\u2028") & set(written)
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))


def test_figures_hold_the_measured_numbers(output):
    collected = collect(output, [])
    measures = Measures(collected, 0.99)
    drawn = {figure.name: figure for _, figure in all_figures(measures)}
    view = drawn["accuracy"].plots[0]
    lines = {trace["name"]: trace for trace in view["data"] if "name" in trace}
    assert lines["random_labels"]["x"] == [8, 16, 32, 64]
    assert lines["random_labels"]["y"] == pytest.approx([30 / 40, 36 / 40, 39 / 40, 1.0])
    assert lines["target 0.99"]["y"] == [0.99, 0.99]
    assert lines["best shortcut (relation phrase)"]["y"] == [1.0] * 4
    assert view["layout"]["xaxis"]["type"] == "log"
    bands = [trace for trace in view["data"] if trace.get("fill") == "tonexty"]
    assert len(bands) == 4
    # Of 40 test pairs half are symmetric.
    assert lines["chance 0.500"]["y"] == [0.5, 0.5]
    # Not learned: hollow points, and the legend says so.
    points = {trace["name"]: trace for trace in drawn["trade-off"].plots[0]["data"]}
    marks = ["learned and above its shortcuts in every seed", "not so in every seed: see the table"]
    assert [*points] == ["Pareto front", "random_labels", "knn_fixed", "knn_learned", "fine_tune", *marks]
    symbols = {name: set(points[name]["marker"]["symbol"]) for name in ("knn_fixed", "knn_learned")}
    assert symbols == {"knn_fixed": {"square"}, "knn_learned": {"diamond-open"}}
    assert points["knn_learned"]["x"] == pytest.approx([0.01] * 4)
    assert [points[name]["marker"]["symbol"] for name in marks] == ["circle", "circle-open"]


def test_more_strategies_than_colours_still_differ():
    many = [f"strategy {i}" for i in range(3 * len(COLOURS))]
    found = styles(many)
    assert len({(s.colour, s.symbol, s.dash) for s in found.values()}) == len(many)


def test_a_single_task_and_a_single_strategy_say_what_there_is_not(tmp_path):
    store_run(
        tmp_path, "a", [0], tasks=["wikidata"], matrix=[[0.5], [0.95]], n_test={"wikidata": 40},
        final={"wikidata": 0.95}, learned={"wikidata": True}, forgetting={},
        loss=[[]], trajectory=[],
    )  # fmt: skip
    text = without_plotly(to_html(make_report(collect(tmp_path, ["a"]), 0.99)))
    for sentence in (
        "This scenario has one task, so nothing can be forgotten.",
        "With one strategy there is nothing to compare.",
        "These results hold no label embeddings.",
        "None of these strategies trains, so there is no learning curve.",
    ):
        assert sentence in text
    assert 'id="plot-trade-off"' not in text and 'id="plot-embeddings"' not in text


def test_a_search_for_the_least_is_never_called_training_on_the_most(tmp_path):
    search = {"tried": [{"n": 8, "accuracy": 1.0}], "found": 8, "target": 0.99, "step": 8, "most": 120}
    options = {**plain_result()["options"], "shots": "least", "step": 8}
    store_run(tmp_path, "a", [0, 1], search=search, options=options)
    report = make_report(collect(tmp_path, ["a"]), 0.99)
    text = re.sub(r"\s+", " ", without_plotly(to_html(report)))
    assert "With the least examples needed (8 of up to 120) knn_fixed has an accuracy of" in text
    assert "after the least examples needed (8 of up to 120)" in text
    assert "The least shots of 8, 16, ... 120" in text
    assert "120 examples" not in text and "120 shots." not in text
    shots = [
        row[i].text
        for table in report.tables
        for i, c in enumerate(table.columns)
        if c.title == "shots"
        for row in table.rows
    ]
    assert set(shots) - {"–"} == {"8 of up to 120"}


def test_a_search_and_a_training_on_the_most_that_it_may_try_are_two_groups(tmp_path):
    options = plain_result()["options"]
    search = {"tried": [{"n": 8, "accuracy": 1.0}], "found": 8, "target": 0.99, "step": 8, "most": 64}
    store_run(tmp_path, "a", [0, 1], search=search, options={**options, "shots": "least", "step": 8})
    store_run(tmp_path, "b", [0, 1], options={**options, "shots": None})
    for names in (["a", "b"], ["b", "a"]):
        found = collect(tmp_path, names)
        assert [found.shots_label(n) for n in found.shots] == ["least of 64", "64"]
        assert [[r.seed for r in found.group("knn_fixed", n)] for n in found.shots] == [[0, 1], [0, 1]]
        # The search says how many are needed, and the other is no answer to that.
        needed = Measures(found, 0.99).efficiency("knn_fixed").shots_needed
        assert needed and needed.per_seed == (8, 8)
    text = without_plotly(to_html(make_report(found, 0.99)))
    assert "least of up to 64 shots" in text


def test_plane_of_known_points_and_of_no_variance():
    # All variance on two axes, three times as wide on the first: shares 0.9 and 0.1.
    points, shares = plane(np.array([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]]))
    assert shares == pytest.approx((0.9, 0.1))
    assert np.abs(points).tolist() == [[3, 0], [3, 0], [0, 1], [0, 1]]
    points, shares = plane(np.ones((4, 3)))
    assert shares == (0.0, 0.0) and not points.any()


def test_views_before_and_after_share_their_axes(output):
    (first, *_) = label_views(collect(output, []))
    assert (first.variant, first.shots, first.seed) == ("random_labels", 64, 0)
    assert len(first.before) == len(first.after) == len(first.relations) == 40
    by_kind = {
        kind: [x for (x, _), k in zip(first.after, first.kinds, strict=True) if k == kind]
        for kind in ("symmetric", "antisymmetric")
    }
    # Made to lie apart after training: along the first axis the kinds have a gap between them.
    low, high = sorted(by_kind.values(), key=min)
    assert max(low) < min(high)


def test_the_view_of_a_search_is_of_the_group_that_tables_show(output):
    collected = collect(output, [])
    folder, result = next((f, r) for f, r in collected.by_folder.items() if r.strategy == "random_labels")
    tried = [TriedShots(n=16, accuracy=1.0)]
    search = Search(tried=tried, found=16, target=0.99, step=16, most=7000)
    found = label_view("random_labels", result.model_copy(update={"search": search}), folder / TENSORS)
    assert found.shots == search.group and int(found.shots) == 7000


def test_results_kept_without_their_vectors_have_a_report_that_says_so(output, tmp_path):
    shutil.copytree(output, tmp_path / "kept", ignore=shutil.ignore_patterns(TENSORS))
    report = make_report(collect(tmp_path / "kept", []), 0.99)
    whole = make_report(collect(output, []), 0.99)
    assert [table.rows for table in report.tables] == [table.rows for table in whole.tables]
    text = without_plotly(to_html(report))
    assert f"The file {TENSORS} was not kept with the results of random_labels, " in text
    assert 'id="plot-embeddings"' not in text


@pytest.mark.slow
def test_written_files_are_where_they_are_said_to_be(output, tmp_path):
    report = make_report(collect(output, []), 0.99)
    html, folder = write_report(report, tmp_path / "to" / "here")
    assert html.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert {p.suffix for p in folder.iterdir()} == {".md", ".csv", ".tex"}
    assert len(list(folder.iterdir())) == 3 * len(report.tables)
    drawn = [path for path in html.parent.glob("figures/*") if path.stat().st_size > 1000]
    assert len(drawn) == 3 * sum(len(figure.views) for figure in report.figures)
    links = [str(attrs.get("href")) for _, attrs in Elements(without_plotly(html.read_text("utf-8"))).found]
    linked = [link for link in links if link.startswith(("figures/", "tables/"))]
    assert len(linked) == 3 * (len(report.figures) + len(report.tables))
    assert all((html.parent / link).is_file() for link in linked)
