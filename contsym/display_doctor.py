"""What a person sees of `contsym doctor` in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from contsym.display_data import shown
from contsym.doctor import Finding, works

MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "bold red")}


def findings_report(findings: Sequence[Finding]) -> Group:
    """A line for each finding, what to do below it, and the verdict."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(Text(*MARKS[finding.state]), finding.what, shown(finding.found))
        if finding.remedy:
            table.add_row("", "", shown(f"-> {finding.remedy}", style="italic"))
    n_bad = sum(finding.state == "bad" for finding in findings)
    verdict = "a run can work here" if works(list(findings)) else f"a run cannot work here: {n_bad} to mend"
    return Group(table, Text(""), Text(verdict, style="bold"))
