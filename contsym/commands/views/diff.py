"""What a person sees of two checkpoints compared, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from contsym.commands.views.tables import Lines, add_numbers, grid, plain_table, shown
from contsym.differences.schema import OWN, Ability, Change, Diff, Part, Returned
from contsym.differences.schema import Group as PairGroup
from contsym.differences.sentences import answer, distance_text, signed, warnings
from contsym.differences.tables import FLIPS, drawn, ordered_groups
from contsym.report.tables.layout import relation_title
from contsym.results.metrics.stats import p_text

MAX_GROUPS = 12
"""Rows of the table of relations and skills; a column of few values is shown entirely."""
FEW = 4
"""Values of a column that are shown whether they changed or not."""
MAX_LABELS = 3
"""Labels of an ability in the table of answers."""
MAX_RETURNED = 3
"""Abilities with a column in the table of parts put back."""
NOTHING = "-"


def diff_report(found: Diff) -> Lines:
    """Both checkpoints, the warnings, the sentences, and the tables: abilities, answers, groups, parts, parts put back."""
    lines: list[RenderableType] = [_sides(found), Text("")]
    lines += [shown(f"! {note}") for note in warnings(found)]
    lines += [shown(sentence) for sentence in answer(found)]
    if found.is_same:
        return Lines(*lines)
    lines += [Text(""), _abilities(found)]
    lines.append(
        Text(
            "p: corrected over all abilities; the interval is not, so it may leave out 0 where p is above 0.05 · least: the "
            "least detectable change · majority: the most frequent label alone"
        )
    )
    lines += [Text(line)] if (line := drawn(found)) else []
    lines.append(Text(""))
    if any(ability.measure in OWN for ability in found.abilities):
        lines.append(_answers(found))
        lines.append(Text(f"{FLIPS} · true: how often the label is right"))
        lines.append(Text(""))
    if groups := _shown_groups(found):
        lines.append(_groups(groups))
    lines.append(_parts(found.parts, found.n_texts, found.reads))
    if found.transplants:
        lines += _transplants(found)
    return Lines(*lines)


def _sides(found: Diff) -> Table:
    table = grid()
    for title, side in (("OLD", found.old), ("NEW", found.new)):
        table.add_row(title, shown(side.words))
    return table


def _abilities(found: Diff) -> Table:
    counts = ", ".join(f"{task.n:,} of {task.name}" for task in found.tasks)
    table = plain_table(f"Accuracy on the same pairs: {counts}")
    # Folded, so that a long name takes no room from the numbers.
    table.add_column("ability", overflow="fold", max_width=12)
    add_numbers(table, "before", "after", "change", "95% interval", "p", "least")
    for task in found.tasks:
        table.add_row(shown(task.name))
        table.add_row("  majority", *[f"{task.majority:.3f}"] * 2, *[NOTHING] * 4, style="dim")
        for ability in found.abilities:
            if ability.task == task.name:
                table.add_row(
                    f"  {ability.measure}", *_cells(ability), style="bold" if ability.is_shown else ""
                )
    return table


def _cells(change: Change) -> list[str]:
    least = NOTHING if change.least is None else f"{change.least:.3f}"
    before, after = (NOTHING if value is None else f"{value:.3f}" for value in (change.before, change.after))
    if change.change is None or change.p is None:
        return [before, after, NOTHING, NOTHING, NOTHING, NOTHING]
    interval = f"{signed(change.low)} to {signed(change.high)}"
    return [before, after, signed(change.change), interval, p_text(change.p), least]


def _answers(found: Diff) -> Table:
    """Pairs whose own answer changed, and the labels whose share of the answers changed most."""
    table = plain_table("Their own answers: pairs that changed, and how often each label is answered")
    table.add_column("ability", overflow="fold", max_width=12)
    add_numbers(table, "lost", "won", "other")
    table.add_column("label", overflow="fold", max_width=13)
    add_numbers(table, "true", "before", "after")
    for task in found.tasks:
        own = [a for a in found.abilities if a.task == task.name and a.measure in OWN]
        if own:
            table.add_row(shown(task.name))
        for ability in own:
            f = ability.flips
            counts = [f"{n:,}" for n in (f.lost, f.won, f.other)] if f else [NOTHING] * 3
            shares = sorted(ability.shares, key=lambda s: -abs((s.after or 0) - (s.before or 0)))[:MAX_LABELS]
            first = [f"  {ability.measure}", *counts]
            for share in shares:
                values = (share.true, share.before, share.after)
                cells = (NOTHING if value is None else f"{value:.1%}" for value in values)
                table.add_row(*first, shown(share.label), *cells)
                first = [""] * 4
    return table


def _shown_groups(found: Diff) -> list[tuple[Ability, PairGroup]]:
    """Groups that changed, and all of a column with few values; kinds first, then the largest change of each ability."""
    rows = []
    for ability in found.abilities:
        sizes = {
            column: sum(g.column == column for g in ability.groups)
            for column in {g.column for g in ability.groups}
        }
        own = [g for g in ability.groups if g.change is not None and (g.is_shown or sizes[g.column] <= FEW)]
        rows += [(ability, group) for group in ordered_groups(own)]
    return rows


def _groups(rows: Sequence[tuple[Ability, PairGroup]]) -> RenderableType:
    table = plain_table("By relation, kind and skill")
    table.add_column("ability", overflow="fold", max_width=18)
    table.add_column("pairs of", overflow="fold", max_width=14)
    add_numbers(table, "pairs", "before", "after", "change", "p")
    for ability, group in rows[:MAX_GROUPS]:
        before, after, change, _, p, _ = _cells(group)
        style = "bold" if group.is_shown else ""
        table.add_row(
            shown(ability.title),
            shown(relation_title(group.name)),
            f"{group.n:,}",
            before,
            after,
            change,
            p,
            style=style,
        )
    if (more := len(rows) - MAX_GROUPS) > 0:
        table.add_row(f"{more} more on the page")
    return table


def _parts(parts: Sequence[Part], n_texts: int, reads: str) -> Table:
    what = "pairs" if reads == "pairs" else "sentences"
    table = plain_table(f"Where it moved, from 0 (equal); states of {n_texts:,} {what}", "part")
    add_numbers(table, "weights", "1 - CKA", "cosine drift", "neighbours lost")
    for part in parts:
        values = (part.weights, part.cka_distance, part.drift, part.neighbours_lost)
        table.add_row(part.name, *(NOTHING if value is None else distance_text(value) for value in values))
    return table


def _transplants(found: Diff) -> list[RenderableType]:
    """Accuracy with one part of OLD in NEW, and the share of the loss that returns."""
    patched = {(each.task, each.measure) for transplant in found.transplants for each in transplant.abilities}
    all_lost = [ability for ability in found.lost if (ability.task, ability.measure) in patched]
    lost = all_lost[:MAX_RETURNED]
    more = len(all_lost) - len(lost)
    title = "NEW with one part of OLD put back: accuracy, and the share of the loss returned"
    # Above the table, whose width would break it.
    lines: list[RenderableType] = [Text(title, style="italic")]
    table = plain_table("", "part")
    add_numbers(table, *(ability.title for ability in lost), no_wrap=False)
    table.add_row("none", *(f"{ability.after:.3f} {0:>5.0%}" for ability in lost))
    for transplant in found.transplants:
        by_ability = {(each.task, each.measure): each for each in transplant.abilities}
        cells = [_returned(by_ability.get((ability.task, ability.measure))) for ability in lost]
        table.add_row(transplant.part, *cells)
    lines.append(table)
    legend = (
        "*: the 95% interval of its difference from NEW leaves out 0, not corrected over the parts; the others are not shown "
        "to return any"
    )
    return [*lines, Text(legend), *([Text(f"{more} more abilities on the page")] if more else [])]


def _returned(each: Returned | None) -> str:
    if each is None:
        return NOTHING
    return f"{'*' if each.is_shown else ''}{each.accuracy:.3f} {each.share:>5.0%}"
