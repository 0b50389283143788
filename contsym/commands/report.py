"""The command line of reports."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contsym.commands import completion
from contsym.commands.options import echo_json, json_option, output_option, uri_option
from contsym.commands.screen import log_options, screen
from contsym.errors import SettingError, TrackingError

if TYPE_CHECKING:
    from contsym.report.collect import Collected

MANY_PAIRS = 300
"""With more comparisons the progress says how many there are: a hundred take a few seconds."""


@click.command(short_help="Write one HTML page and its tables for a sweep or runs.")
@click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=completion.runs)
@output_option
@uri_option
@click.option("--to", metavar="FOLDER", type=click.Path(path_type=Path), help="Default: OUTPUT/reports/NAME.")
@click.option("--target", type=float, help="Accuracy to reach; default: that of the results, usually 0.99.")
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
@log_options
@json_option
def report(
    names: tuple[str, ...],
    output: Path,
    tracking_uri: str | None,
    to: Path | None,
    target: float | None,
    opens: bool,
    as_json: bool,
) -> None:
    """Write one HTML file, tables and figures for a sweep or for runs.

    The default is the latest sweep of OUTPUT, finished or not. RUN is as for contsym show, without
    STRATEGY@SHOTS. The file needs no network; the same tables are in tables/ as Markdown, CSV and LaTeX, and the
    figures in figures/ as SVG, PDF and PNG. Where the run is in MLflow, all are added to it.

    \b
    Examples:
      contsym report
      contsym report 3f2a --to reports/paper --open
      contsym report knn_fixed-mnli_then_wikidata-5e052868ceac
    """
    if target is not None and not 0 < target <= 1:
        raise SettingError(f"--target {target} is out of range; expected 0 < target <= 1")
    from contsym.commands.views.progress import status
    from contsym.report.collect import collect
    from contsym.report.render import FIGURES, make_report, write_report
    from contsym.results.paper_readings import targets as targets_of

    shown = screen()
    with status(shown.console, "reading results", shown.log) as now:
        collected = collect(output, names)
        searched = {r.search.target for r in collected.results if r.search}
        if target is not None and searched - {target}:
            of = ", ".join(f"{t:g}" for t in sorted(searched))
            raise SettingError(
                f"--target {target:g}: the least shots were searched for {of}; leave --target out, or search again with "
                "--until"
            )
        # Batches between were not measured.
        stopped = {targets_of(r) for r in collected.results if r.options.until is not None}
        if target is not None and any(target not in each for each in stopped):
            of = " and ".join(f"{t:g}" for t in sorted({t for each in stopped for t in each}))
            raise SettingError(
                f"--target {target:g}: with --until the pairs needed were counted for {of} alone; leave --target out, or "
                "train again with --until"
            )
        n_pairs = math.comb(len(collected.variants), 2) * len(collected.shots) * len(collected.tasks)
        compared = f", {n_pairs:,} comparisons of strategies" if n_pairs > MANY_PAIRS else ""
        n = len(collected.results)
        now(f"making tables and figures of {n:,} result{'s' * (n > 1)}{compared}")
        page = make_report(collected, collected.target if target is None else target)
        now(f"drawing {sum(len(figure.views) for figure in page.figures):,} figures as files")
        html, tables = write_report(page, to or output / "reports" / collected.name)
    figures = html.parent / FIGURES
    if as_json:
        found = {"page": str(html), "tables": str(tables), "n_tables": len(page.tables)}
        echo_json({**found, "figures": str(figures), "n_figures": len(page.figures)})
    else:
        click.echo(html)
        click.echo(f"{tables} ({len(page.tables)} tables as Markdown, CSV and LaTeX)")
        click.echo(f"{figures} ({len(page.figures)} figures as SVG, PDF and PNG)")
    _send(collected, html.parent, output, tracking_uri)
    if opens:
        click.launch(str(html.resolve()))


def _send(collected: Collected, folder: Path, output: Path, tracking_uri: str | None) -> None:
    """Add the report to the MLflow run that it is of; a store that fails costs a line, not the report."""
    from contsym.results.tracking import resolve_uri
    from contsym.sweeps.tracking import log_report

    try:
        if collected.run and log_report(collected.run, folder, resolve_uri(output, tracking_uri)):
            click.echo("added to the run in MLflow (contsym ui)", err=True)
        elif tracking_uri:
            click.echo(
                f"note: not added to MLflow: no result of it was sent to {tracking_uri}; contsym sync "
                "--tracking-uri sends them",
                err=True,
            )
    except TrackingError as error:
        click.echo(f"note: {error}", err=True)
