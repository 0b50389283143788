"""Learning curves: accuracy over pairs seen, and the loss of each step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from contsym.report.collect import title_of
from contsym.report.figures.style import Canvas, Figure, Trace, View, axis_title, plain

MAX_LOSSES = 200
"""Points of a loss curve that are drawn; a longer one is thinned."""


def learning(canvas: Canvas) -> Figure | None:
    views = [*_curve_views(canvas), *_loss_views(canvas)]
    if not views:
        return None
    return Figure(
        "learning",
        "Learning curves",
        f"Means over {canvas.collected.seeds_said}. Loss: of each training step; objectives differ, so "
        "losses of two strategies cannot be compared, only their course. Accuracy, where the sweep measured it "
        "(--curve): on a fixed part of the test pairs, at doubling counts of pairs seen.",
        tuple(views),
        select="show",
    )


def _curve_views(canvas: Canvas) -> Iterator[View]:
    for j, task in reversed(list(enumerate(canvas.collected.tasks))):
        for shots in _shown_shots(canvas, task):
            traces = []
            for variant in canvas.collected.variants:
                by_pairs: dict[int, list[float]] = {}
                for points in canvas.collected.values(variant, shots, lambda result: result.curve):
                    for point in points:
                        if point.experience == j:
                            by_pairs.setdefault(point.n_pairs_seen, []).append(point.accuracy)
                if by_pairs:
                    x = sorted(by_pairs)
                    y = [sum(by_pairs[n]) / len(by_pairs[n]) for n in x]
                    traces.append(_course(canvas, variant, x, y, "%{x:,} pairs seen: %{y:.3f}", True))
            if traces:
                yield View(
                    f"accuracy, {_where(canvas, task, shots)}",
                    traces,
                    {
                        "xaxis": {
                            **_ticks_at(traces),
                            "type": "log",
                            "title": axis_title("training pairs seen"),
                        },
                        "yaxis": {"title": axis_title(f"accuracy, {title_of(task)}"), "automargin": True},
                    },
                )


def _loss_views(canvas: Canvas) -> Iterator[View]:
    for j, task in reversed(list(enumerate(canvas.collected.tasks))):
        for shots in _shown_shots(canvas, task):
            traces = []
            for variant in canvas.collected.variants:
                losses = [
                    result[j]
                    for result in canvas.collected.values(variant, shots, lambda r: r.loss)
                    if result[j]
                ]
                if losses:
                    x, y = thinned(mean_course(losses))
                    traces.append(_course(canvas, variant, x, y, "step %{x:,}: %{y:.4g}", False))
            if traces:
                yield View(
                    f"loss, {_where(canvas, task, shots)}",
                    traces,
                    {
                        "xaxis": {"title": axis_title("training step"), "rangemode": "tozero"},
                        "yaxis": {
                            "title": axis_title("training loss"),
                            "automargin": True,
                            "rangemode": "tozero",
                        },
                    },
                )


def _shown_shots(canvas: Canvas, task: str) -> list[int]:
    """The first tasks do not depend on the shots: once is enough."""
    collected = canvas.collected
    is_before = collected.tasks.index(task) < collected.tasks.index(collected.new_task)
    return [collected.shots[-1]] if is_before else list(reversed(collected.shots))


def _where(canvas: Canvas, task: str, shots: int) -> str:
    is_one = len(_shown_shots(canvas, task)) == 1 and len(canvas.collected.shots) > 1
    return title_of(task) if is_one else f"{title_of(task)}, {shots:,} shots"


def _course(canvas: Canvas, variant: str, x: list[int], y: list[float], hover: str, markers: bool) -> Trace:
    style = canvas.styles[variant]
    return {
        "type": "scatter",
        "mode": "lines+markers" if markers else "lines",
        "name": plain(variant),
        "legendgroup": variant,
        "meta": {"variant": variant},
        "x": x,
        "y": [float(f"{value:.5g}") for value in y],
        "line": {"color": style.colour, "dash": style.dash, "width": 2},
        "marker": {"symbol": style.symbol, "size": 8, "color": style.colour},
        "hovertemplate": hover,
    }


def _ticks_at(traces: Sequence[Trace], most: int = 12) -> dict[str, Any]:
    """Ticks at the counts that were measured; every second, third ... where they are many."""
    counts = sorted({n for trace in traces for n in trace["x"]})
    shown = counts[:: -(-len(counts) // most)]
    return {"tickmode": "array", "tickvals": shown, "ticktext": [f"{n:,}" for n in shown]}


def mean_course(losses: Sequence[Sequence[float]]) -> list[float]:
    """Mean over seeds by step; up to the shortest, where they are of several lengths.

    >>> mean_course([[1.0, 3.0], [3.0, 5.0, 7.0]])
    [2.0, 4.0]
    """
    return [sum(step) / len(step) for step in zip(*losses, strict=False)]


def thinned(values: Sequence[float], most: int = MAX_LOSSES) -> tuple[list[int], list[float]]:
    """Steps, counted from 1, and values: means of blocks where there are more than `most`, at the blocks' ends.

    >>> thinned([1.0, 3.0, 5.0], most=2)
    ([2, 3], [2.0, 5.0])
    """
    size = -(-len(values) // most) or 1
    blocks = [values[i : i + size] for i in range(0, len(values), size)]
    steps = list(itertools.accumulate(len(block) for block in blocks))
    return steps, [sum(block) / len(block) for block in blocks]
