"""Puts a report together: sections of figures and tables into one HTML file, and the tables beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import contsym
from contsym.errors import ContsymError
from contsym.files import write_file
from contsym.report import rerun_command, sentences
from contsym.report.collect import Collected
from contsym.report.figures import all_figures
from contsym.report.figures.style import Figure, styles
from contsym.report.measures import Measures
from contsym.report.paper import read_paper
from contsym.report.projection import label_views
from contsym.report.table_formats import Table, write_tables
from contsym.report.tables import all_tables
from contsym.report.tables.layout import kind_tasks

REPORT, TABLES = "report.html", "tables"


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    warnings: Sequence[str] = ()
    question: str = ""
    answer: Sequence[str] = ()
    paragraphs: Sequence[str] = ()
    commands: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[tuple[Table, bool]] = field(default=())
    """Each with whether it is shown unfolded."""


@dataclass(frozen=True)
class Report:
    title: str
    about: str
    variants: Sequence[dict[str, str]]
    sections: Sequence[Section]
    tables: Sequence[Table]


def make_report(collected: Collected, target: float) -> Report:
    """Everything that the report says; a section without figures says why."""
    measures = Measures(collected, target)
    tables = all_tables(measures, read_paper())
    figures = all_figures(measures, label_views(collected))
    sections = _sections(measures, figures, tables)
    first = collected.first
    what = f"sweep {collected.name}" if collected.sweep else collected.name
    n = len(collected.stored)
    about = (
        f"{what} · scenario {first.scenario} · encoder {first.encoder} · "
        f"protocol {first.options.protocol} · "
        f"{n} result{'s' * (n > 1)}, "
        f"seed{'s' * (len(collected.seeds) > 1)} {', '.join(map(str, collected.seeds))}"
    )
    return Report(
        f"Few-shot need and forgetting: {first.scenario}",
        about + (f" · started {collected.sweep.created}" if collected.sweep else ""),
        [{"name": name, "colour": style.colour} for name, style in styles(collected.variants).items()],
        sections,
        list(tables.values()),
    )


def _sections(measures: Measures, figures: dict[str, Figure], tables: dict[str, Table]) -> list[Section]:
    collected = measures.collected

    def some(*names: str, is_open: bool = False) -> list[tuple[Table, bool]]:
        return [(tables[name], is_open) for name in names if name in tables]

    def drawn(name: str) -> list[Figure]:
        return [figures[name]] if name in figures else []

    def reason(name: str, why: str) -> list[str]:
        return [] if name in figures else [why]

    earlier, new = collected.earlier_tasks, collected.new_task
    kinds = kind_tasks(collected)
    no_kinds = "No task of this scenario has relations of a known kind."
    failed = [f"Failed: {f['name']}: {f['error']}" for f in collected.failures.values()]
    one_strategy = (
        "With one strategy there is nothing to compare."
        if len(collected.variants) == 1
        else ("No seed is stored for all strategies at one number of shots yet.")
    )
    learned_none = (
        "This scenario has one task, so nothing can be forgotten."
        if not earlier
        else "Never learned: no earlier task was learned in every seed of any group, so there is no forgetting to show."
    )
    return [
        Section(
            "answer",
            "The question and the answer",
            warnings=sentences.warnings(measures),
            question=sentences.question(collected),
            answer=sentences.answer(measures),
        ),
        Section("paper", "The paper's table, and ours", tables=some("paper", is_open=True)),
        Section(
            "accuracy",
            "Accuracy over shots",
            figures=drawn("accuracy"),
            tables=some(
                f"accuracy-{new}", *(f"accuracy-{t}" for t in collected.tasks if t != new), "shortcuts"
            ),
        ),
        Section(
            "trade-off",
            "Accuracy against forgetting",
            paragraphs=reason("trade-off", learned_none),
            figures=drawn("trade-off"),
            tables=some("trade-off", *(f"forgetting-{task}" for task in earlier)),
        ),
        Section("matrices", "Accuracy matrices", figures=drawn("matrices"), tables=some("matrices")),
        Section(
            "relations",
            "Accuracy by relation",
            paragraphs=reason("relations", no_kinds),
            figures=drawn("relations"),
            tables=some(*(f"relations-{task}" for task in kinds)),
        ),
        Section(
            "kinds",
            "Symmetric against antisymmetric",
            paragraphs=reason("kinds", no_kinds),
            figures=drawn("kinds"),
            tables=some(*(f"kinds-{task}" for task in kinds)),
        ),
        Section(
            "learning",
            "Learning curves",
            paragraphs=reason("learning", "None of these strategies trains, so there is no course to show."),
            figures=drawn("learning"),
        ),
        Section(
            "embeddings",
            "Label embeddings before and after training",
            paragraphs=reason("embeddings", "These results hold no label embeddings for a picture."),
            figures=drawn("embeddings"),
        ),
        Section(
            "statistics",
            "Comparisons and examples needed",
            paragraphs=reason_of(tables, "comparisons", one_strategy),
            tables=some("efficiency", is_open=True)
            + some("comparisons")
            + some(*(f"retention-{task}" for task in earlier)),
        ),
        Section("cost", "Cost", tables=some("cost", is_open=True)),
        Section(
            "provenance",
            "Where these figures come from",
            paragraphs=[p for p in (rerun_command.shared(collected), *failed) if p]
            + [
                "The same results again, with the same data, code and libraries "
                "(to the bit on the same machine with as many threads):"
            ],
            commands=rerun_command.commands(collected),
            tables=some("sources", is_open=True) + some("settings", "versions", "cells"),
        ),
    ]


def reason_of(tables: dict[str, Table], name: str, why: str) -> list[str]:
    return [] if name in tables else [why]


def script_json(value: Any) -> str:
    """JSON that may stand inside a <script>: no sign in it can end the element or open a comment.

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
    folder = resources.files("contsym.report").joinpath("templates")

    def own(name: str) -> Markup:
        return Markup(folder.joinpath(name).read_text("utf-8"))  # noqa: S704 - our own file

    data = {
        figure.name: Markup(script_json(figure.plots))  # noqa: S704 - escaped by script_json
        for section in report.sections
        for figure in section.figures
    }
    return environment.get_template("report.html.j2").render(
        title=report.title,
        about=report.about,
        variants=report.variants,
        sections=report.sections,
        data=data,
        css=own("report.css"),
        script=own("report.js"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - the library's own file
        plotly_version=get_plotlyjs_version(),
        version=contsym.__version__,
    )


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write the HTML file and the tables; gives the paths of both. Raises ContsymError where it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_tables(report.tables, folder / TABLES)
        write_file(folder / REPORT, to_html(report))
    except OSError as error:
        raise ContsymError(
            f"--to {folder} cannot be written ({error.strerror or error}); expected a folder that you may write to"
        ) from None
    return folder / REPORT, folder / TABLES
