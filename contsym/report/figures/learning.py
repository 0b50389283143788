"""Learning curves: accuracy over pairs seen, and the loss of each step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from contsym.report.collect import title_of
from contsym.report.figures.style import Figure, Trace, View, axis_title, line_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement

MAX_LOSSES = 200
"""The largest number of points of a loss curve; a longer one is thinned."""


def learning(measures: Measures) -> Figure:
    return Figure(
        "learning",
        "Learning curves",
        f"Means over {measures.collected.seeds_text}. Loss: of each training step; objectives differ, so only "
        "the shape of two strategies' losses can be compared. Accuracy, where the sweep measured it "
        "(--curve): on a fixed part of the validation pairs, at growing counts of pairs seen.",
        [*_views(measures, "accuracy", _accuracy_trace, _accuracy_layout),
         *_views(measures, "loss", _loss_trace, _loss_layout)],
        select="show",
    )  # fmt: skip


def _views(
    measures: Measures,
    measure: str,
    trace_of: Callable[[Measures, str, int, int], Trace | None],
    layout: Callable[[list[Trace], str], dict[str, Any]],
) -> Iterator[View]:
    """A view per task and number of shots; once for a task before the new one, which has no shots."""
    collected = measures.collected
    for j, task in reversed(list(enumerate(collected.tasks))):
        is_before = j < collected.tasks.index(collected.new_task)
        for shots in collected.shots[-1:] if is_before else reversed(collected.shots):
            lines = (trace_of(measures, variant, shots, j) for variant in collected.variants)
            traces = [trace for trace in lines if trace]
            where = "" if is_before and len(collected.shots) > 1 else f", {shots:,} shots"
            if traces:
                yield View(f"{measure}, {title_of(task)}{where}", traces, layout(traces, task))


def _accuracy_trace(measures: Measures, variant: str, shots: int, j: int) -> Trace | None:
    by_pairs: dict[int, list[float]] = {}
    for points in measures.collected.values(variant, shots, lambda result: result.trajectory):
        for point in points:
            # A logarithmic axis has no place for the point before any pair.
            if point.experience == j and point.n_pairs_seen and (own := point.accuracies[j]) is not None:
                by_pairs.setdefault(point.n_pairs_seen, []).append(own)
    means = [sum(by_pairs[n]) / len(by_pairs[n]) for n in sorted(by_pairs)]
    hover = "%{x:,} pairs seen: %{y:.3f}"
    return _line(measures, variant, sorted(by_pairs), means, hover, "lines+markers")


def _accuracy_layout(traces: list[Trace], task: str) -> dict[str, Any]:
    title = axis_title("training pairs seen")
    return {
        "xaxis": {**_ticks_at(traces), "type": "log", "title": title},
        "yaxis": {"title": axis_title(f"accuracy, {title_of(task)}"), "automargin": True},
    }


def _loss_trace(measures: Measures, variant: str, shots: int, j: int) -> Trace | None:
    losses = [loss for loss in measures.collected.values(variant, shots, lambda r: r.loss[j]) if loss]
    steps, values = thinned(mean_course(losses))
    return _line(measures, variant, steps, values, "step %{x:,}: %{y:.4g}", "lines")


def _loss_layout(traces: list[Trace], task: str) -> dict[str, Any]:
    return {
        "xaxis": {"title": axis_title("training step"), "rangemode": "tozero"},
        "yaxis": {"title": axis_title("training loss"), "automargin": True, "rangemode": "tozero"},
    }


def _line(
    measures: Measures, variant: str, x: list[int], y: Sequence[float], hover: str, mode: str
) -> Trace | None:
    rounded = [float(f"{value:.5g}") for value in y]
    return line_of(measures, variant, size=8, mode=mode, x=x, y=rounded, hovertemplate=hover) if x else None


def _ticks_at(traces: Sequence[Trace], most: int = 12) -> dict[str, Any]:
    """Ticks at the measured counts; at every second, third ... of them where they are many."""
    counts = sorted({n for trace in traces for n in trace["x"]})
    ticks = counts[:: -(-len(counts) // most)]
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [f"{n:,}" for n in ticks]}


def mean_course(losses: Sequence[Sequence[float]]) -> list[float]:
    """The mean over seeds of each step, up to the last step of the shortest seed.

    >>> mean_course([[1.0, 3.0], [3.0, 5.0, 7.0]])
    [2.0, 4.0]
    """
    return [sum(step) / len(step) for step in zip(*losses, strict=False)]


def thinned(values: Sequence[float], most: int = MAX_LOSSES) -> tuple[list[int], list[float]]:
    """Steps, counted from 1, and values; of more than `most` values, means of blocks at their last steps.

    >>> thinned([1.0, 3.0, 5.0], most=2)
    ([2, 3], [2.0, 5.0])
    """
    size = -(-len(values) // most) or 1
    blocks = [values[i : i + size] for i in range(0, len(values), size)]
    steps = list(itertools.accumulate(len(block) for block in blocks))
    return steps, [sum(block) / len(block) for block in blocks]


PLACEMENTS = (Placement("learning", learning),)
