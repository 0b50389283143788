"""Accuracy against forgetting, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence

from contsym.report.collect import title_of
from contsym.report.figures.style import (
    GREY,
    Figure,
    Trace,
    View,
    axis_title,
    error_bars,
    key_entry,
    legend,
    line_of,
    readable_range,
    styles,
)
from contsym.report.measures import Measures, TradeOff, pareto_front
from contsym.report.placement import Placement
from contsym.report.table_formats import interval_text
from contsym.report.tables.layout import interval_note


def trade_off(measures: Measures) -> Figure:
    collected, trade_offs = measures.collected, measures.trade_offs
    return Figure(
        "trade-off",
        "Accuracy against forgetting",
        f"Accuracy on {title_of(collected.new_task)} at the end against forgetting, a point for each strategy "
        "and number of shots (of several, the most are written beside the point), mean over "
        f"{collected.seeds_text}; the larger the marker, the more seconds the group took. "
        f"{interval_note(collected, 'Bars, with three or more seeds')}. Upper left is best; the line is the Pareto front.",
        [_trade_off_view(measures, task, points) for task, points in trade_offs.items() if points],
        select="forgotten task",
        height=480,
    )


TEXT_PLACES = ("top center", "bottom center", "middle left", "middle right")
"""Of the labels of one strategy and the next, so that those of equal points do not lie on each other."""
LEAST_SEEDS = 3
"""With fewer a range says nothing, so that a point has no bars."""


def _labels(measures: Measures, group: Sequence[TradeOff]) -> list[str]:
    """The shots beside the last point of a strategy's line; none where all points have the same."""
    last = len(group) - 1 if len(measures.collected.shots) > 1 else None
    return [measures.collected.shots_label(p.shots) if i == last else "" for i, p in enumerate(group)]


def _intervals(group: Sequence[TradeOff]) -> Trace:
    if any(p.accuracy.n < LEAST_SEEDS for p in group):
        return {}
    return error_bars(x=[p.forgetting.summary for p in group], y=[p.accuracy for p in group])


def _ends(points: Sequence[TradeOff], axis: str) -> list[float]:
    """What must be seen along an axis: the means and the ends of their bars."""
    summaries = [p.forgetting.summary if axis == "x" else p.accuracy for p in points]
    ends = [end for s in summaries if s.n >= LEAST_SEEDS for end in (s.low, s.high) if end is not None]
    return [*(s.mean for s in summaries), *ends]


def _trade_off_view(measures: Measures, task: str, points: Sequence[TradeOff]) -> View:
    longest = max(p.seconds for p in points) or 1.0
    means = [(p.accuracy.mean, p.forgetting.summary.mean) for p in points]
    front = [points[i] for i in pareto_front(means)]
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front",
            "x": [p.forgetting.summary.mean for p in front],
            "y": [p.accuracy.mean for p in front],
            "line": {"color": GREY, "width": 4, "shape": "hv"},
            "opacity": 0.5,
            "hoverinfo": "skip",
        }
    ]
    for place, variant in enumerate(measures.collected.variants):
        group = [p for p in points if p.variant == variant]
        labels = _labels(measures, group)
        style = styles(measures.collected.variants)[variant]
        on_front = [p in front for p in group]
        traces.append(
            {
                **line_of(measures, variant),
                "mode": "lines+markers+text",
                "x": [p.forgetting.summary.mean for p in group],
                "y": [p.accuracy.mean for p in group],
                "text": [
                    f"<b>{text}</b>" if f and text else text for text, f in zip(labels, on_front, strict=True)
                ],
                "textposition": TEXT_PLACES[place % len(TEXT_PLACES)],
                "textfont": {"size": 11},
                "cliponaxis": False,
                "line": {"color": style.colour, "width": 1, "dash": style.dash},
                "marker": {
                    "color": style.colour,
                    "symbol": [style.symbol + "-open" * bool(p.forgetting.marks) for p in group],
                    "opacity": 0.85,
                    "size": [round(6 + 14 * math.sqrt(p.seconds / longest), 1) for p in group],
                    "line": {"width": [2 if f else 0 for f in on_front], "color": GREY},
                },
                **_intervals(group),
                "customdata": [
                    [
                        measures.collected.shots_words(p.shots),
                        interval_text(p.accuracy),
                        interval_text(p.forgetting.summary, sign=True),
                        f"{p.seconds:,.0f}",
                        " · on the Pareto front" if f else "",
                        f" ({p.forgetting.marks})" if p.forgetting.marks else "",
                    ]
                    for p, f in zip(group, on_front, strict=True)
                ],
                "hovertemplate": "%{customdata[0]}%{customdata[4]}<br>accuracy %{customdata[1]}<br>"
                "forgetting %{customdata[2]}%{customdata[5]}<br>%{customdata[3]} s",
            }
        )
    if any(p.forgetting.marks for p in points):
        traces.append(key_entry("learned and above its shortcuts in every seed", symbol="circle"))
        traces.append(key_entry("not so in every seed: see the table", symbol="circle-open"))
    return View(
        title_of(task),
        [trace for trace in traces if trace["x"]],
        {
            "xaxis": {
                "title": axis_title(f"forgetting, {title_of(task)}"),
                "automargin": True,
                "tickformat": "+.3~f",
                **(readable_range(_ends(points, "x")) if len(points) > 1 else {}),
            },
            "yaxis": {
                "title": axis_title(f"accuracy, {title_of(measures.collected.new_task)}"),
                "automargin": True,
                # Around one point Plotly would show accuracies below 0 and above 1.
                **(
                    {"range": [-0.04, 1.04]}
                    if len(points) == 1
                    else readable_range(_ends(points, "y"), most=1.01)
                ),
            },
            "legend": legend(1.05, itemsizing="constant"),
            "margin": {"l": 64, "r": 24, "t": 36, "b": 56},
        },
    )


PLACEMENTS = (Placement("trade-off", trade_off),)
