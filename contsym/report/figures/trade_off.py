"""Accuracy against forgetting, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence

from contsym.report.collect import title_of
from contsym.report.figures.style import GREY, Canvas, Figure, Trace, View, axis_title, legend, plain
from contsym.report.measures import TradeOff, pareto_front
from contsym.report.table_formats import interval_text


def trade_off(canvas: Canvas) -> Figure | None:
    collected, new = canvas.collected, title_of(canvas.collected.new_task)
    views, absent = [], []
    for task, points in canvas.measures.trade_offs.items():
        shown = {p.variant for p in points}
        absent += [f"{v} ({title_of(task)})" for v in collected.variants if v not in shown]
        if points:
            views.append(_trade_off_view(canvas, task, points))
    if not views:
        return None
    left_out = f" Not shown, as not learned in every seed: {', '.join(absent)}." if absent else ""
    return Figure(
        "trade-off",
        "Accuracy against forgetting",
        f"Accuracy on {new} at the end against what was forgotten, a point for each strategy and number of "
        f"shots (written beside it), mean over {collected.seeds_said}; the larger the marker, the more "
        f"seconds it took. Upper left is best; the line is the Pareto front.{left_out}",
        tuple(views),
        select="forgotten task",
        height=480,
    )


def _trade_off_view(canvas: Canvas, task: str, points: Sequence[TradeOff]) -> View:
    longest = max(p.seconds for p in points) or 1.0
    front = [points[i] for i in pareto_front([(p.accuracy.mean, p.forgetting.mean) for p in points])]
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front",
            "x": [p.forgetting.mean for p in front],
            "y": [p.accuracy.mean for p in front],
            "line": {"color": GREY, "width": 4, "shape": "hv"},
            "opacity": 0.5,
            "hoverinfo": "skip",
        }
    ]
    for variant in canvas.collected.variants:
        own = [p for p in points if p.variant == variant]
        style = canvas.styles[variant]
        on_front = [p in front for p in own]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers+text",
                "name": plain(variant),
                "legendgroup": variant,
                "meta": {"variant": variant},
                "x": [p.forgetting.mean for p in own],
                "y": [p.accuracy.mean for p in own],
                "text": [
                    f"<b>{p.shots:,}</b>" if f else f"{p.shots:,}" for p, f in zip(own, on_front, strict=True)
                ],
                "textposition": "top center",
                "textfont": {"size": 11},
                "cliponaxis": False,
                "line": {"color": style.colour, "width": 1, "dash": style.dash},
                "marker": {
                    "color": style.colour,
                    "symbol": style.symbol,
                    "opacity": 0.85,
                    "size": [round(6 + 14 * math.sqrt(p.seconds / longest), 1) for p in own],
                    "line": {"width": [2 if f else 0 for f in on_front], "color": GREY},
                },
                "customdata": [
                    [
                        p.shots,
                        interval_text(p.accuracy),
                        interval_text(p.forgetting, sign=True),
                        f"{p.seconds:,.0f}",
                        " · on the Pareto front" if f else "",
                    ]
                    for p, f in zip(own, on_front, strict=True)
                ],
                "hovertemplate": "%{customdata[0]} shots%{customdata[4]}<br>accuracy %{customdata[1]}<br>"
                "forgetting %{customdata[2]}<br>%{customdata[3]} s",
            }
        )
    return View(
        title_of(task),
        [trace for trace in traces if trace["x"]],
        {
            "xaxis": {
                "title": axis_title(f"forgetting, {title_of(task)}"),
                "automargin": True,
                "tickformat": "+.2~f",
            },
            "yaxis": {
                "title": axis_title(f"accuracy, {title_of(canvas.collected.new_task)}"),
                "automargin": True,
                # Around one point Plotly would show accuracies below 0 and above 1.
                **({"range": [-0.04, 1.04]} if len(points) == 1 else {}),
            },
            "legend": legend(1.05, itemsizing="constant"),
            "margin": {"l": 64, "r": 24, "t": 36, "b": 56},
        },
    )
