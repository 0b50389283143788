"""What a person sees of an audit of training, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from contsym.commands.views.tables import Lines, add_numbers, plain_table, shown
from contsym.results.metrics.stats import p_text
from contsym.results.training_audit import Audited, Judged, sentence


def audit_report(found: Mapping[str, Audited], notes: Sequence[str], *, verbose: bool) -> Lines:
    """A sentence and a table for each method; the rules that were not known before only if asked for."""
    lines: list[RenderableType] = []
    for name, audited in found.items():
        seeds = f"{len(audited.seeds)} seed{'s' * (len(audited.seeds) > 1)}"
        lines += [shown(f"{name}, {seeds}"), shown(f"  {sentence(audited)}."), Text("")]
        lines += [_table(audited, verbose), Text("")]
        if unknown := len(audited.rules) - len(audited.known):
            words = "rule was" if unknown == 1 else "rules were"
            more = "" if verbose else "; --verbose shows them"
            lines += [
                shown(f"{unknown} {words} not known before (below 95% on validation pairs){more}"),
                Text(""),
            ]
    lines.append(
        shown(
            "before: the model before the run's last task; twin: that model with the best shift of its label scores"
        )
    )
    lines += [shown(f"! {note}") for note in notes]
    return Lines(*lines)


def _table(audited: Audited, verbose: bool) -> Table:
    table = plain_table("Accuracy")
    table.add_column("rule", overflow="fold")
    add_numbers(table, "before", "after", "twin", "change", "p")
    table.add_column("verdict", no_wrap=True)
    table.add_row(*_cells(audited.task.name, audited.task), style="bold")
    family = ""
    for rule in audited.rules if verbose else audited.known:
        head, _, construction = rule.name.partition(": ")
        if construction and head != family:
            table.add_row(shown(head))
        family = head
        name = f"  {construction}" if construction else rule.name
        style = "bold" if rule.verdict in ("label bias", "lost") else ""
        table.add_row(*_cells(name, rule), style=style)
    return table


def _cells(name: str, judged: Judged) -> list[str | Text]:
    return [
        shown(name),
        f"{judged.before:.3f}",
        f"{judged.after:.3f}",
        f"{judged.twin:.3f}",
        f"{judged.change.difference:+.3f}",
        p_text(judged.p),
        judged.verdict,
    ]
