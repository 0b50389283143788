"""What a person sees of stored figures: published conventions, and runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from contsym.commands.views.run import forgetting_text, seen_lines
from contsym.commands.views.tables import Lines, add_numbers, grid, plain_table, shown
from contsym.results.compare import FEW_SEEDS, StoredRow, TaskComparison, differences_of
from contsym.results.matrix_files import StoredMatrix
from contsym.results.metrics.conventions import CONVENTIONS, NOTATION, ConventionName
from contsym.results.metrics.stats import Comparison, p_text, spread
from contsym.results.summary import mark_words

Figures = Mapping[ConventionName, Mapping[str, Sequence[float | None]]]
"""A value per seed, by convention and name of the figure."""


def conventions_report(matrices: Sequence[StoredMatrix], figures: Figures) -> Lines:
    """Each convention with its source, and each figure with its formula; mean and deviation over seeds."""
    first = matrices[0]
    seeds = [str(matrix.seed) for matrix in matrices if matrix.seed is not None]
    of_seeds = f"; seeds {', '.join(seeds)}" if seeds else ""
    lines: list[RenderableType] = [
        Text(NOTATION),
        Text(f"T = {len(first.tasks)}: {', '.join(first.tasks)}{of_seeds}"),
    ]
    for task in first.tasks:
        learned = [matrix.learned[task] for matrix in matrices if matrix.learned]
        above_shortcuts = [matrix.above_shortcuts[task] for matrix in matrices if matrix.above_shortcuts]
        if words := mark_words(learned, above_shortcuts):
            lines.append(Text(f"! {task}: {words}, right after its own training"))
    lines += limit_lines([matrix.limit for matrix in matrices])
    one_task = len(first.tasks) == 1
    no_value = "not defined for one task" if one_task else "needs the n_j, which a CSV file does not have"
    for name, by_figure in figures.items():
        convention = CONVENTIONS[name]
        table = grid()
        table.columns[0].style = ""
        table.add_column(overflow="fold")
        for figure in convention.figures:
            values = [value for value in by_figure[figure.name] if value is not None]
            note = figure.note if values else no_value
            formula = figure.formula + (f"   ({note})" if note else "")
            table.add_row(f"  {figure.name}", spread(values) if values else "-", Text(formula))
        lines += [Text(""), Text(f"{name}: {convention.source}", style="bold"), table]
        lines += [Text(f"  {convention.note}", style="dim")] if convention.note else []
    return Lines(*lines)


def figures_as_plain(matrices: Sequence[StoredMatrix], figures: Figures) -> dict[str, Any]:
    """What `contsym metrics --json` prints: a value per seed and their mean, with formula and source."""
    conventions: dict[str, Any] = {}
    for name, by_figure in figures.items():
        convention = CONVENTIONS[name]
        conventions[name] = {"source": convention.source, "note": convention.note, "figures": {}}
        for figure in convention.figures:
            values = list(by_figure[figure.name])
            numbers = [value for value in values if value is not None]
            mean = sum(numbers) / len(numbers) if numbers else None
            entry = {"formula": figure.formula, "values": values, "mean": mean}
            conventions[name]["figures"][figure.name] = entry
    return {
        "tasks": list(matrices[0].tasks),
        "seeds": [matrix.seed for matrix in matrices],
        "learned": [matrix.learned for matrix in matrices],
        "above_shortcuts": [matrix.above_shortcuts for matrix in matrices],
        "limit": matrices[0].limit,
        "notation": NOTATION,
        "conventions": conventions,
    }


def comparison_report(runs: Mapping[str, StoredRow], comparisons: Sequence[TaskComparison]) -> Lines:
    """Per task the accuracies, every pair, and whether one run is best; then other differences of the runs."""
    lines: list[RenderableType] = []
    for each in comparisons:
        of = next(iter(runs.values())).first.sources[each.task].examples
        lines += [_accuracies(each, of), _pairs(each), Text(_verdict(each)), Text("")]
    lines.append(Text("p: corrected for all pairs of a task · least: the least detectable difference"))
    if any(each.n_seeds == 1 for each in comparisons):
        lines.append(
            Text("! one seed: intervals and tests are about the test data and say nothing of other seeds")
        )
    lines += seen_lines([run.first for run in runs.values()])
    lines += limit_lines([run.first.options.limit for run in runs.values()])
    for what, by_run in differences_of(runs).items():
        values = ", ".join(f"{name}: {value}" for name, value in by_run.items())
        lines.append(Text(f"! the runs also differ in {what} ({values})"))
    return Lines(*lines)


def limit_lines(limits: Sequence[int | None]) -> list[Text]:
    """A line per --limit of some results."""
    return [Text(f"! --limit {n}: only a quick look") for n in dict.fromkeys(limits) if n is not None]


def _accuracies(each: TaskComparison, examples: str) -> RenderableType:
    seeds = "1 seed" if each.n_seeds == 1 else f"{each.n_seeds} seeds"
    table = plain_table(f"Accuracy, {each.task} ({each.n_items:,} test {examples}, {seeds})", "run")
    is_range = 1 < each.n_seeds < FEW_SEEDS
    add_numbers(table, "accuracy", "range of the seeds" if is_range else "95% interval", "forgetting")
    table.add_column("")
    # Below the table: beside the numbers they would take the room of the names.
    marks = []
    for name, summary in each.accuracies.items():
        # The last task has no figure that a mark could stand beside.
        words = mark_words(each.learned[name], each.above_shortcuts[name]) if each.forgetting[name] else ""
        forgetting = forgetting_text(each.forgetting[name], "")
        marks += [shown(f"! {name}, {each.task}: {words}")] if words else []
        mark = "best" if name == each.best else ""
        deviation = "" if summary.std is None else f"±{summary.std:.3f}"
        low, high = summary.low, summary.high
        interval = "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        table.add_row(shown(name), f"{summary.mean:.3f}{deviation}", interval, forgetting, mark)
    return Lines(table, *marks)


def _pairs(each: TaskComparison) -> RenderableType:
    table = plain_table("Every pair", "a - b")
    add_numbers(table, "difference", "95% interval", "p", "least")
    for pair in each.comparisons:
        table.add_row(
            Text(f"{pair.a} - {pair.b}"),
            f"{pair.difference:+.3f}",
            f"{pair.low:+.3f} to {pair.high:+.3f}",
            p_text(pair.p),
            least_words(pair),
        )
    return table


def least_words(pair: Comparison) -> str:
    """The least detectable difference; none where the seeds can show none; - with one seed, or all differing alike."""
    if pair.least_difference:
        return f"{pair.least_difference:.3f}"
    return "none" if pair.least_difference is None and pair.n_seeds > 1 else "-"


def _verdict(each: TaskComparison) -> str:
    if each.best:
        return f"best on {each.task}: {each.best} (better than each other run, corrected p < 0.05)"
    if each.n_seeds == 1:
        return f"best on {each.task}: unknown with one seed"
    top = max(each.accuracies, key=lambda name: each.accuracies[name].mean)
    worse = {
        c.b if c.a == top else c.a
        for c in each.comparisons
        if top in (c.a, c.b) and c.p < 0.05 and (c.difference > 0) == (c.a == top)
    }
    others = [name for name in each.accuracies if name not in {top, *worse}]
    return f"best on {each.task}: none; {top} is not shown to be better than {', '.join(others)}"
