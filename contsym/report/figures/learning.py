"""Learning curves: accuracy on new and earlier tasks over pairs seen, and the loss of each step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from contsym.report.collect import title_of
from contsym.report.figures.style import Figure, Trace, View, axis_title, chance, line_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement

MAX_LOSSES = 200
"""The largest number of points of a loss curve; a longer one is thinned."""
MAX_TICKS = 12


def learning(measures: Measures) -> Figure:
    units = measures.collected.units()
    return Figure(
        "learning",
        "Learning curves",
        f"Means over {measures.collected.seeds_text}. Loss: of each training step; objectives differ, so only "
        "the shape of two strategies' losses can be compared. Accuracy, where the sweep measured it "
        f"(--curve): on a fixed part of the validation {units}, at growing counts of {units} seen; above on the task that "
        "is learned, below on an earlier one at the same time. Faint lines are the seeds; a mean ends where the "
        f"seed with the fewest {units} does. Grey: chance, the largest class of the test {units}.",
        [*_accuracy_views(measures), *_loss_views(measures)],
        select="show",
    )  # fmt: skip


def _places(measures: Measures) -> Iterator[tuple[int, int, str]]:
    """(experience, shots, words on the shots) of each view; one for a task before the new one, which has no shots."""
    collected = measures.collected
    for j in reversed(range(len(collected.tasks))):
        is_before = j < collected.tasks.index(collected.new_task)
        for shots in collected.shots[-1:] if is_before else reversed(collected.shots):
            where = "" if is_before and len(collected.shots) > 1 else f", {collected.shots_words(shots)}"
            yield j, shots, where


def _accuracy_views(measures: Measures) -> Iterator[View]:
    """A view per experience; of the last one a view per earlier task, which it has below."""
    tasks, variants = measures.collected.tasks, measures.collected.variants
    units = measures.collected.units()
    for j, shots, where in _places(measures):
        own = [trace for v in variants for trace in _accuracy_traces(measures, v, shots, j, j)]
        own += _chance(measures, tasks[j], own)
        earlier = tasks[:j] if tasks[j] == measures.collected.last_task else []
        below = {
            task: [
                t
                for v in variants
                for t in _accuracy_traces(measures, v, shots, j, i, yaxis="y2", showlegend=False)
            ]
            for i, task in enumerate(earlier)
        }
        measured = {
            task: [*traces, *_chance(measures, task, traces, yaxis="y2", showlegend=False)]
            for task, traces in below.items()
            if traces
        }
        if own and not measured:
            yield View(f"accuracy, {title_of(tasks[j])}{where}", own, _accuracy_layout(units, own, tasks[j]))
        for task, traces in measured.items():
            label = f"accuracy, {title_of(tasks[j])} and {title_of(task)}{where}"
            yield View(label, [*own, *traces], _accuracy_layout(units, [*own, *traces], tasks[j], task))


def _accuracy_traces(
    measures: Measures, variant: str, shots: int, experience: int, task: int, **more: Any
) -> list[Trace]:
    """The accuracy on a task during an experience: faint lines of the seeds where there are several, and the mean."""
    courses: list[tuple[list[int], list[float]]] = []
    for points in measures.collected.values(variant, shots, lambda result: result.trajectory):
        # A logarithmic axis has no place for the point before any pair.
        measured = {
            point.n_pairs_seen: accuracy
            for point in points
            if point.experience == experience
            and point.n_pairs_seen
            and (accuracy := point.accuracies[task]) is not None
        }
        if measured:
            courses.append((list(measured), list(measured.values())))
    if not courses:
        return []
    faint = {"mode": "lines", "opacity": 0.25, "hoverinfo": "skip", **more, "showlegend": False}
    seeds = [line_of(measures, variant, x=x, y=_rounded(y), **faint) for x, y in courses if len(courses) > 1]
    hover = f"%{{x:,}} {measures.collected.units()} seen: %{{y:.3f}}"
    x, y = mean_of_courses(courses)
    mean = line_of(measures, variant, size=8, x=x, y=_rounded(y), hovertemplate=hover, **more)
    return [*seeds, mean]


def _chance(measures: Measures, task: str, beside: Sequence[Trace], **more: Any) -> list[Trace]:
    counts = sorted({n for trace in beside for n in trace["x"]})
    ends = [counts[0], counts[-1]] if counts else []
    unit = f"{measures.collected.units()} seen"
    return [chance(measures, task, ends, unit=unit, **more)] if ends else []


def mean_of_courses(
    courses: Sequence[tuple[Sequence[int], Sequence[float]]],
) -> tuple[list[int], list[float]]:
    """The mean of courses (x, y) at every x of any, as far as all of them go; between points they are interpolated.

    >>> mean_of_courses([([16, 32], [0.5, 0.75]), ([16, 24, 40], [0.5, 1.0, 0.5])])
    ([16, 24, 32], [0.5, 0.8125, 0.75])
    """
    import numpy as np

    end = min(x[-1] for x, _ in courses)
    every = sorted({n for x, _ in courses for n in x if n <= end})
    return every, np.mean([np.interp(every, x, y) for x, y in courses], axis=0).tolist()


def _accuracy_layout(units: str, traces: list[Trace], task: str, earlier: str = "") -> dict[str, Any]:
    """Accuracy on a task over pairs seen; below it, on the same axis, that on an earlier one."""
    x = {**_ticks_at(traces), "type": "log", "title": axis_title(f"training {units} seen")}
    y = {"title": axis_title(f"accuracy, {title_of(task)}"), "automargin": True}
    if not earlier:
        return {"xaxis": x, "yaxis": y}
    below = {"title": axis_title(f"accuracy, {title_of(earlier)}"), "automargin": True, "domain": [0, 0.46]}
    return {
        "xaxis": {**x, "anchor": "y2"},
        "yaxis": {**y, "domain": [0.54, 1]},
        "yaxis2": {**below, "anchor": "x"},
        "height": 560,
    }


def _loss_views(measures: Measures) -> Iterator[View]:
    for j, shots, where in _places(measures):
        lines = (_loss_trace(measures, variant, shots, j) for variant in measures.collected.variants)
        if traces := [line for line in lines if line]:
            yield View(f"loss, {title_of(measures.collected.tasks[j])}{where}", traces, _loss_layout())


def _loss_trace(measures: Measures, variant: str, shots: int, j: int) -> Trace | None:
    losses = [loss for loss in measures.collected.values(variant, shots, lambda r: r.loss[j]) if loss]
    steps, values = thinned(mean_course(losses))
    if not steps:
        return None
    hover = "step %{x:,}: %{y:.4g}"
    return line_of(measures, variant, mode="lines", x=steps, y=_rounded(values), hovertemplate=hover)


def _loss_layout() -> dict[str, Any]:
    return {
        "xaxis": {"title": axis_title("training step"), "rangemode": "tozero"},
        "yaxis": {"title": axis_title("training loss"), "automargin": True, "rangemode": "tozero"},
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _ticks_at(traces: Sequence[Trace]) -> dict[str, Any]:
    """Ticks at the measured counts; at every second, third ... of them where they are many."""
    counts = sorted({n for trace in traces for n in trace["x"]})
    ticks = counts[:: -(-len(counts) // MAX_TICKS)]
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
