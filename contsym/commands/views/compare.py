"""What a person sees of stored figures: published conventions, and runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from contsym.commands.views.tables import grid, plain_table
from contsym.results.compare import FoundRun, TaskComparison, differences_of
from contsym.results.matrix_files import StoredMatrix
from contsym.results.metrics.conventions import CONVENTIONS, NOTATION, ConventionName
from contsym.results.metrics.stats import Comparison, Summary, p_text, spread
from contsym.results.summary import never_learned


def conventions_report(
    found: Sequence[StoredMatrix], figures: Mapping[ConventionName, Mapping[str, Sequence[float | None]]]
) -> Group:
    """Each convention with its source, and each figure with its formula; mean and deviation over seeds."""
    first = found[0]
    seeds = [str(matrix.seed) for matrix in found if matrix.seed is not None]
    lines: list[RenderableType] = [
        Text(NOTATION),
        Text(
            f"T = {len(first.tasks)}: {', '.join(first.tasks)}"
            + (f"; seeds {', '.join(seeds)}" if seeds else "")
        ),
    ]
    for task in first.tasks[:-1]:
        n = sum(task in matrix.never_learned for matrix in found)
        if n:
            words = never_learned(len(found) - n, len(found))
            lines.append(Text(f"! {task} was {words}: what is said here of forgetting it means nothing"))
    for name, by_figure in figures.items():
        convention = CONVENTIONS[name]
        lines += [Text(""), Text(f"{name}: {convention.source}", style="bold")]
        table = grid()
        table.columns[0].style = ""
        table.add_column(overflow="fold")
        for figure in convention.figures:
            known = [value for value in by_figure[figure.name] if value is not None]
            note = figure.note if known else _why_none(first)
            words = figure.formula + (f"   ({note})" if note else "")
            table.add_row(f"  {figure.name}", spread(known) if known else "-", Text(words))
        lines.append(table)
        if convention.note:
            lines.append(Text(f"  {convention.note}", style="dim"))
    return Group(*lines)


def _why_none(matrix: StoredMatrix) -> str:
    return "not defined for one task" if len(matrix.tasks) == 1 else "needs the n_j, which a CSV file has not"


def comparison_report(runs: Mapping[str, FoundRun], found: Sequence[TaskComparison]) -> Group:
    """For each task the accuracies, every pair, and whether one is best; then what else differs."""
    lines: list[RenderableType] = []
    for each in found:
        lines += [_accuracies(each), _pairs(each), Text(_verdict(each)), Text("")]
    lines.append(Text("p: corrected for all pairs of a task · least: the difference the seeds could show"))
    if any(each.n_seeds == 1 for each in found):
        lines.append(
            Text("! one seed: intervals and tests are about the test pairs and say nothing of other seeds")
        )
    for each in found:
        sources = dict.fromkeys(
            run.first.sources[each.task].name
            for run in runs.values()
            if run.first.sources[each.task].stand_in
        )
        lines += [
            Text(f"! {each.task} was measured on {name}: no figure to compare or publish") for name in sources
        ]
    for what, by_run in differences_of(runs).items():
        values = ", ".join(f"{name}: {value}" for name, value in by_run.items())
        lines.append(Text(f"! the runs differ in {what} too ({values})"))
    return Group(*lines)


def _accuracies(each: TaskComparison) -> RenderableType:
    seeds = "1 seed" if each.n_seeds == 1 else f"{each.n_seeds} seeds"
    table = plain_table(f"Accuracy, {each.task} ({each.n_items:,} test pairs, {seeds})")
    table.add_column("run")
    for title in ("accuracy", "95% interval", "forgetting"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for name, summary in each.accuracies.items():
        mark = "best" if name == each.best else ""
        table.add_row(Text(name), mean_words(summary), interval_words(summary), _forgetting(each, name), mark)
    return table


def _pairs(each: TaskComparison) -> RenderableType:
    table = plain_table("Every pair")
    table.add_column("a - b")
    for title in ("difference", "95% interval", "p", "least"):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in each.comparisons:
        table.add_row(
            Text(f"{pair.a} - {pair.b}"),
            f"{pair.difference:+.3f}",
            f"{pair.low:+.3f} to {pair.high:+.3f}",
            p_text(pair.p),
            least_words(pair),
        )
    return table


def mean_words(summary: Summary) -> str:
    return f"{summary.mean:.3f}" + ("" if summary.std is None else f"±{summary.std:.3f}")


def interval_words(summary: Summary) -> str:
    if summary.low is None or summary.high is None:
        return "-"
    return f"{summary.low:.3f} to {summary.high:.3f}"


def least_words(pair: Comparison) -> str:
    """The least difference that the seeds could show; - where one seed, or seeds that all agree, tell nothing."""
    if not pair.least_difference:
        return "-"
    # No two accuracies differ by more than 1.
    return f"{pair.least_difference:.3f}" if pair.least_difference <= 1 else "none"


def _forgetting(each: TaskComparison, name: str) -> str:
    values, n_learned = each.forgetting[name], each.n_learned[name]
    if not values:
        return "- (last task)"
    if n_learned < len(values):
        return never_learned(n_learned, len(values))
    return spread([value for value in values if value is not None], sign=True)


def _verdict(each: TaskComparison) -> str:
    if each.best:
        return f"best on {each.task}: {each.best} (better than each other run, corrected p < 0.05)"
    if each.n_seeds == 1:
        return f"best on {each.task}: not said of one seed"
    top = max(each.accuracies, key=lambda name: each.accuracies[name].mean)
    beaten = [
        c for c in each.comparisons if c.p < 0.05 and (c.difference > 0) == (c.a == top) and top in (c.a, c.b)
    ]
    others = [name for name in each.accuracies if name != top and not any(name in (c.a, c.b) for c in beaten)]
    return f"best on {each.task}: none; {top} is not shown to be better than {', '.join(others)}"


def figures_as_plain(
    found: Sequence[StoredMatrix], figures: Mapping[ConventionName, Mapping[str, Sequence[float | None]]]
) -> dict[str, Any]:
    """What `contsym metrics --json` prints: a value for each seed and their mean, with formula and source."""
    return {
        "tasks": list(found[0].tasks),
        "seeds": [matrix.seed for matrix in found],
        "never_learned": [list(matrix.never_learned) for matrix in found],
        "notation": NOTATION,
        "conventions": {
            name: {
                "source": CONVENTIONS[name].source,
                "note": CONVENTIONS[name].note,
                "figures": {
                    figure.name: {
                        "formula": figure.formula,
                        "values": list(by_figure[figure.name]),
                        "mean": _mean(by_figure[figure.name]),
                    }
                    for figure in CONVENTIONS[name].figures
                },
            }
            for name, by_figure in figures.items()
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
