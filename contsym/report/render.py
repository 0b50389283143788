"""Puts a report together: sections of figures and tables in one HTML file, and the tables as files beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import contsym
from contsym.errors import ContsymError
from contsym.files import write_file
from contsym.report import rerun, sentences
from contsym.report.collect import Collected
from contsym.report.figure_files import ENDINGS, write_figures
from contsym.report.figures import all_figures
from contsym.report.figures.embeddings import why_none
from contsym.report.figures.style import Figure, styles
from contsym.report.measures import Measures
from contsym.report.table_formats import Table, file_name, write_tables
from contsym.report.tables import all_tables
from contsym.results.paper_readings import verdict
from contsym.results.summary import labels_words, seen_before

REPORT, TABLES, FIGURES = "report.html", "tables", "figures"


@dataclass(frozen=True)
class Section:
    id: str
    """Tables and figures name the section that they stand in by it."""
    title: str
    paragraphs: Sequence[tuple[str, str]]
    """Kind (a class of report.css) and text of each."""
    commands: Sequence[str]
    figures: Sequence[Figure]
    tables: Sequence[tuple[Table, bool]]
    """Each table, and whether it is unfolded."""


@dataclass(frozen=True)
class Report:
    title: str
    about: str
    variants: Sequence[dict[str, str]]
    sections: Sequence[Section]
    made_of: str = "stored results alone"

    @property
    def tables(self) -> list[Table]:
        return [table for section in self.sections for table, _ in section.tables]

    @property
    def figures(self) -> list[Figure]:
        return [figure for section in self.sections for figure in section.figures]


def make_report(collected: Collected, target: float) -> Report:
    first, n_results = collected.first, len(collected.results)
    about = [
        f"sweep {collected.name}" if collected.sweep else collected.name,
        f"scenario {first.scenario}",
        f"encoder {first.encoder}",
        f"protocol {first.options.protocol}",
        *filter(None, [labels_words(first)]),
        f"{n_results} result{'s' * (n_results > 1)}, "
        f"seed{'s' * (len(collected.seeds) > 1)} {', '.join(map(str, collected.seeds))}",
    ]
    if collected.sweep:
        started = datetime.fromisoformat(collected.sweep.created).astimezone(UTC)
        about.append(f"started {started:%Y-%m-%d %H:%M} UTC")
    return Report(
        f"{'Few-shot need' if first.sources[first.new_task].few_shot else 'Accuracy'} and forgetting: {first.scenario}",
        " · ".join(about),
        [{"name": name, "colour": style.colour} for name, style in styles(collected.variants).items()],
        _sections(Measures(collected, target)),
    )


def _sections(measures: Measures) -> list[Section]:
    """The sections that have something to show; the last one says why others are missing."""
    collected = measures.collected
    tables, figures = all_tables(measures), all_figures(measures)
    missing: list[str] = []

    def section(
        name: str,
        title: str,
        *paragraphs: tuple[str, str],
        without: str = "",
        commands: Sequence[str] = (),
    ) -> Section | None:
        """None where there is neither a figure nor a table; `without` says why, on the page's end."""
        own_figures = [figure for placement, figure in figures if placement.section == name]
        own_tables = [(table, placement.is_open) for placement, table in tables if placement.section == name]
        if not own_figures and not own_tables and name != "answer":
            missing.append(without)
            return None
        return Section(name, title, [p for p in paragraphs if p[1]], commands, own_figures, own_tables)

    no_plane = why_none(measures)
    no_kinds = "No task of this scenario has relations of a known kind."
    no_comparison = (
        "With one strategy there is nothing to compare."
        if len(collected.variants) == 1
        else "No seed has a result for all strategies at one number of shots yet."
    )
    no_forgetting = "This scenario has one task, so nothing can be forgotten."
    no_trajectory = "These results have no trajectory; --curve measures one."
    outcomes = collected.outcomes
    sections = [
        section(
            "answer",
            "The question and the answer",
            *(("warning", text) for text in sentences.warnings(measures)),
            ("question", sentences.question(collected)),
            *(("answer", text) for text in sentences.answer(measures)),
            ("text", sentences.chosen(collected)),
            ("warning", f"{seen}." if (seen := seen_before(collected.first)) else ""),
        ),
        section("paper", "The paper's table, and ours"),
        section(
            "readings",
            "Which reading gives the paper's table",
            ("answer", verdict(outcomes) if outcomes else ""),
        ),
        section("accuracy", "Accuracy over shots" if len(collected.shots) > 1 else "Accuracy"),
        section("trade-off", "Accuracy against forgetting", without=no_forgetting),
        section(
            "during",
            "Forgetting during training",
            *(("answer", sentences.why_less(measures, task)) for task in collected.earlier_tasks),
            (
                "text",
                f"The learning curves show the accuracy on earlier tasks over the {collected.units()} seen.",
            ),
            without=no_trajectory if collected.earlier_tasks else no_forgetting,
        ),
        section(
            "audit",
            "A rule learned, or a label bias",
            ("text", "Rules: those that the encoder knew before, with 0.95 or more on validation pairs."),
            without="No model of these results was audited; contsym audit RUN audits those saved by --save-model.",
        ),
        section("matrices", "Accuracy matrices"),
        section("relations", "Accuracy by relation", without=no_kinds),
        section("kinds", "Symmetric against antisymmetric", without=no_kinds),
        section(
            "learning",
            "Learning curves",
            without="None of these strategies trains, so there is no learning curve.",
        ),
        section(
            "embeddings",
            "Label embeddings before and after training",
            ("text", no_plane),
            without=no_plane,
        ),
        section(
            "statistics",
            "Comparisons and examples needed",
            ("text", "" if measures.families else no_comparison),
        ),
        section("cost", "Cost"),
        section(
            "provenance",
            "Where these figures come from",
            ("text", rerun.shared_training(collected)),
            *(("text", f"Failed: {f['name']}: {f['error']}") for f in collected.failures.values()),
            (
                "text",
                "To make the same results again (equal to the bit on the same machine with the same data, "
                "code, libraries and number of threads):",
            ),
            commands=rerun.commands(collected),
        ),
    ]
    return _with_missing([each for each in sections if each], missing)


def _with_missing(sections: list[Section], missing: Sequence[str]) -> list[Section]:
    """The sections, the last one with the reasons why others are not there."""
    reasons = [("text", reason) for reason in dict.fromkeys(missing) if reason]
    last = sections[-1]
    return [*sections[:-1], replace(last, paragraphs=[*reasons, *last.paragraphs])]


def script_json(value: Any) -> str:
    """JSON for a <script> element: no sign in it can end the element or open a comment.

    >>> script_json(["</script><!--", "]]>"])
    '["\\\\u003c/script\\\\u003e\\\\u003c!--","]]\\\\u003e"]'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def to_html(report: Report) -> str:
    """One HTML file with everything in it; the same report gives the same text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    environment = Environment(
        loader=PackageLoader("contsym.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates = resources.files("contsym.report").joinpath("templates")

    def template_text(name: str) -> Markup:
        return Markup(templates.joinpath(name).read_text("utf-8"))  # noqa: S704 - part of contsym

    data = {
        figure.name: Markup(script_json(figure.plots))  # noqa: S704 - escaped by script_json
        for figure in report.figures
    }
    return environment.get_template("report.html.j2").render(
        report=report,
        data=data,
        css=template_text("report.css"),
        script=template_text("report.js"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - part of plotly
        plotly_version=get_plotlyjs_version(),
        version=contsym.__version__,
        table_endings={"md": "Markdown", "csv": "CSV", "tex": "LaTeX"},
        figure_endings=ENDINGS,
        file_name=file_name,
    )


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write the HTML file, the tables and the figures; gives the paths of the first two.

    Raises ContsymError where it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_tables(report.tables, folder / TABLES)
        write_figures(report.figures, folder / FIGURES)
        write_file(folder / REPORT, to_html(report))
    except OSError as error:
        raise ContsymError(
            f"--to {folder} cannot be written ({error.strerror or error}); expected a folder that you may write to"
        ) from None
    return folder / REPORT, folder / TABLES
