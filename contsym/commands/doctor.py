"""The command line that checks whether contsym can work here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from contsym.commands import options
from contsym.commands.doctor_checks import Finding, Request, as_plain, examine, works
from contsym.commands.views.tables import Lines, bare_table, shown


@click.command(short_help="Check whether a run can work here.")
@options.output_option
@options.uri_option
@options.encoder_option_with(Request.encoder)
@options.device_option
@options.precision_option
@click.option("--network", is_flag=True, help="Also ask the Hub and the tracking server; some seconds each.")
@options.json_option
def doctor(as_json: bool, **request: Any) -> None:
    """Check whether a run can work here, and say how to fix what does not.

    Exit code 0: a run can work. 1: it cannot.

    \b
    Examples:
      contsym doctor
      contsym doctor --encoder path/to/encoder --output /scratch/me/mlruns --network
    """
    from contsym.commands.views.progress import status

    with status(Console(stderr=True), "checking"):
        findings = list(examine(Request(**request)))
    if as_json:
        options.echo_json(as_plain(findings))
    else:
        Console(highlight=False).print(findings_report(findings))
    if not works(findings):
        sys.exit(1)


MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "bold red")}


def findings_report(findings: Sequence[Finding]) -> Lines:
    """A line per finding, its remedy below it, and the verdict."""
    table = bare_table()
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(Text(*MARKS[finding.state]), finding.name, shown(finding.text))
        if finding.remedy:
            table.add_row("", "", shown(f"-> {finding.remedy}", style="italic"))
    n_bad = sum(finding.state == "bad" for finding in findings)
    verdict = f"a run cannot work here: {n_bad} to fix" if n_bad else "a run can work here"
    return Lines(table, Text(""), Text(verdict, style="bold"))
