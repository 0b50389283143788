"""Accuracy over shots: of each task, and of symmetric against antisymmetric pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contsym.report.collect import title_of
from contsym.report.figures import style
from contsym.report.figures.style import Figure, Trace, View, plain
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.tables.layout import KIND_NAMES, interval_note, kind_tasks, tasks_new_first
from contsym.results.metrics.stats import Summary


def accuracy_over_shots(measures: Measures) -> Figure:
    collected, views = measures.collected, []
    for task in tasks_new_first(collected):
        views.append(_shots_view(measures, f"{title_of(task)}, at the end", task, measures.accuracy))
        if task in collected.earlier_tasks:
            label = f"{title_of(task)}, right after its training"
            views.append(_shots_view(measures, label, task, measures.own_accuracy))
    tests = ", ".join(f"{title_of(t)} {n:,}" for t, n in collected.first.n_test.items())
    new, is_by_strategy = title_of(collected.new_task), style.is_by_strategy(measures)
    over, bands = f"over the number of {new} examples (log axis): mean and band", "Bands"
    if is_by_strategy:
        over, bands = (
            f"by strategy, with {collected.amount(collected.shots[0])} of {new}: mean and interval",
            "Bars",
        )
    return Figure(
        "accuracy",
        "Accuracy by strategy" if is_by_strategy else "Accuracy over shots by strategy",
        f"Accuracy {over} of {collected.seeds_text}; test {collected.units()}: {tests}. "
        f"{interval_note(collected, bands)}. Grey: the target; the best shortcut, which answers without "
        "understanding; and chance, one answer to everything.",
        views,
        select="task",
        height=460,
    )


def _shots_view(
    measures: Measures, label: str, task: str, accuracy: Callable[[str, int, str], Summary | None]
) -> View:
    collected = measures.collected
    traces: list[Trace] = []
    for variant in collected.variants:
        traces += style.band(
            measures, variant, {n: s for n in collected.shots if (s := accuracy(variant, n, task))}
        )
    shortcuts = {n: best for n in collected.shots if (best := measures.best_shortcut(task, n))}
    if shortcuts:
        names = dict.fromkeys(name.replace("_", " ") for name, _ in shortcuts.values())
        accuracies = {n: value for n, (_, value) in shortcuts.items()}
        name = f"best shortcut ({plain(', '.join(names))})"
        traces.append(style.level("best shortcut", accuracies, "dot", name, **style.across(measures)))
    ends = dict.fromkeys((collected.shots[0], collected.shots[-1]), measures.target)
    traces.append(style.chance(measures, task, [*ends], **style.across(measures)))
    if task == collected.new_task:
        name = f"target {measures.target:g}"
        traces.append(style.level("target", ends, "longdash", name, **style.across(measures)))
    return View(
        label,
        traces,
        {
            "xaxis": style.shots_axis(measures),
            "yaxis": {"title": style.axis_title(f"accuracy, {title_of(task)}"), "automargin": True},
        },
    )


def kinds(measures: Measures) -> Figure:
    collected = measures.collected
    over = "over the number of examples, mean and band"
    if style.is_by_strategy(measures):
        over = "by strategy, mean and interval"
    return Figure(
        "kinds",
        "Symmetric against antisymmetric",
        f"Accuracy at the end on symmetric (above) and antisymmetric (below) test pairs {over} of "
        f"{collected.seeds_text}. A method that calls everything one kind is high in one and low in the other.",
        [_kinds_view(measures, task) for task in kind_tasks(collected)],
        select="task",
        height=600,
    )


def _kinds_view(measures: Measures, task: str) -> View:
    grid = style.subplots(rows=2, cols=1, subplot_titles=KIND_NAMES, shared_xaxes=True, vertical_spacing=0.1)
    shots = measures.collected.shots
    for variant in measures.collected.variants:
        parts = {n: measures.by_kind(variant, n, task) for n in shots}
        for row, kind in enumerate(KIND_NAMES, start=1):
            summaries = {n: part[kind] for n, part in parts.items() if kind in part}
            for trace in style.band(measures, variant, summaries, showlegend=row == 1):
                grid.add_trace(trace, row=row, col=1)

    def adapt(layout: dict[str, Any]) -> None:
        axis = style.shots_axis(measures)
        title = axis.pop("title")
        layout["xaxis"] |= axis
        layout["xaxis2"] |= {**axis, "title": title}
        for name in ("yaxis", "yaxis2"):
            layout[name] |= {
                "title": style.axis_title("accuracy"),
                "range": [-0.04, 1.04],
                "automargin": True,
            }
        layout["legend"] = style.legend(1.06)

    return style.grid_view(title_of(task), grid, adapt)


PLACEMENTS = (Placement("accuracy", accuracy_over_shots), Placement("kinds", kinds))
