"""Accuracy over shots: of each task, and of symmetric against antisymmetric pairs."""

from __future__ import annotations

from typing import Any

from contsym.report.collect import title_of
from contsym.report.figures.style import (
    Canvas,
    Figure,
    Trace,
    View,
    axis_title,
    band,
    legend,
    level,
    plain,
    shots_axis,
    subplots,
    traces_of,
    without_template,
)
from contsym.report.tables.layout import KIND_NAMES, interval_note, kind_tasks


def accuracy_over_shots(canvas: Canvas) -> Figure:
    collected, views = canvas.collected, []
    new = collected.new_task
    for task in [new, *(task for task in collected.tasks if task != new)]:
        views.append(_shots_view(canvas, f"{title_of(task)}, at the end", task, canvas.measures.accuracy))
        if task != collected.tasks[-1]:
            label = f"{title_of(task)}, right after its training"
            views.append(_shots_view(canvas, label, task, canvas.measures.own_accuracy))
    tests = ", ".join(f"{title_of(t)} {n:,}" for t, n in collected.first.n_test.items())
    return Figure(
        "accuracy",
        "Accuracy over shots by strategy",
        f"Accuracy over the number of {title_of(new)} examples (log axis): mean and band of "
        f"{collected.seeds_said}; test pairs: {tests}. "
        f"{interval_note(collected, 'Bands')}. Grey: the target and the best shortcut, which answers "
        "without understanding.",
        tuple(views),
        select="task",
        height=460,
    )


def _shots_view(canvas: Canvas, label: str, task: str, figure: Any) -> View:
    collected = canvas.collected
    traces: list[Trace] = []
    for variant in collected.variants:
        found = [(n, s) for n in collected.shots if (s := figure(variant, n, task))]
        traces += band(canvas, variant, [n for n, _ in found], [s for _, s in found])
    shortcuts = [(n, b) for n in collected.shots if (b := canvas.measures.best_shortcut(task, n))]
    if shortcuts:
        names = list(dict.fromkeys(best[0].replace("_", " ") for _, best in shortcuts))
        traces.append(
            level(
                "best shortcut",
                [n for n, _ in shortcuts],
                [best[1] for _, best in shortcuts],
                "dot",
                f"best shortcut ({plain(', '.join(names))})",
            )
        )
    if task == collected.new_task:
        ends = [collected.shots[0], collected.shots[-1]]
        traces.append(
            level(
                "target", ends, [canvas.measures.target] * 2, "longdash", f"target {canvas.measures.target:g}"
            )
        )
    return View(
        label,
        traces,
        {
            "xaxis": shots_axis(canvas),
            "yaxis": {"title": axis_title(f"accuracy, {title_of(task)}"), "automargin": True},
        },
    )


def kinds(canvas: Canvas) -> Figure | None:
    collected, views = canvas.collected, []
    for task in kind_tasks(collected):
        grid = subplots(rows=2, cols=1, subplot_titles=KIND_NAMES, shared_xaxes=True, vertical_spacing=0.1)
        for row, kind in enumerate(KIND_NAMES, start=1):
            for variant in collected.variants:
                parts = {n: canvas.measures.by_kind(variant, n, task) for n in collected.shots}
                found = [(n, part[kind].accuracy) for n, part in parts.items() if kind in part]
                traces = band(
                    canvas, variant, [n for n, _ in found], [s for _, s in found], showlegend=row == 1
                )
                for trace in traces:
                    grid.add_trace(trace, row=row, col=1)
        layout = without_template(grid)
        axis = shots_axis(canvas)
        title = axis.pop("title")
        layout["xaxis"] |= axis
        layout["xaxis2"] |= {**axis, "title": title}
        for name in ("yaxis", "yaxis2"):
            layout[name] |= {"title": axis_title("accuracy"), "range": [-0.04, 1.04], "automargin": True}
        layout["legend"] = legend(1.06)
        views.append(View(title_of(task), traces_of(grid), layout))
    if not views:
        return None
    return Figure(
        "kinds",
        "Symmetric against antisymmetric",
        "Accuracy at the end on symmetric (above) and antisymmetric (below) test pairs over the number of "
        f"examples, mean and band of {collected.seeds_said}. A method that calls everything one kind "
        "is high in one and low in the other.",
        tuple(views),
        select="task",
        height=600,
    )
