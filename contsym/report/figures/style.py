"""What all figures have in common: a figure of views, colours and marks, axes, bands and levels."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contsym.report.collect import Collected, title_of
from contsym.report.measures import Measures
from contsym.report.projection import LabelView
from contsym.report.table_formats import interval_text

# Okabe and Ito 2008, without yellow and black, which are hard to see on white or on dark.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A8A8A")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "pentagon", "cross")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
GREY = "#808080"
MAX_NAME = 34

Trace = dict[str, Any]


@dataclass(frozen=True)
class View:
    label: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    name: str
    title: str
    """Of the figure, for a screen reader; `caption` says what is shown, and of how many."""
    caption: str
    views: tuple[View, ...]
    select: str = "show"
    """The label of the selector."""
    height: int = 440
    caption_more: str = ""
    has_toggles: bool = field(default=True)
    """Its lines belong to strategies, which can be hidden."""

    @cached_property
    def plots(self) -> list[dict[str, Any]]:
        """Each view as Plotly's own JSON values, checked by Plotly."""
        import plotly.graph_objects as go

        made = []
        for view in self.views:
            layout = {**base_layout(self.height), **view.layout}
            figure = go.Figure(data=list(view.traces), layout=layout)
            made.append({"label": view.label, **json.loads(figure.to_json())})
        return made


def base_layout(height: int) -> dict[str, Any]:
    return {
        "template": "none",
        "height": height,
        "autosize": True,
        "margin": {"l": 64, "r": 16, "t": 24, "b": 56},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1d1f23"},
        "legend": legend(),
        "showlegend": True,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "namelength": -1},
    }


def legend(y: float = 1.02, **more: Any) -> dict[str, Any]:
    """Above the plot, where it may take as many lines as it needs; y leaves room for titles of parts."""
    return {"orientation": "h", "x": 0, "xanchor": "left", "y": y, "yanchor": "bottom", **more}


def axis_title(text: str, **more: Any) -> dict[str, Any]:
    return {"text": plain(text), "standoff": 8, **more}


def plain(text: object) -> str:
    """Text that Plotly shows as it is: it reads a few HTML tags in what it is given.

    >>> plain("<b>a & b")
    '&lt;b&gt;a &amp; b'
    """
    return html.escape(str(text), quote=False)


def shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


@dataclass(frozen=True)
class Style:
    colour: str
    symbol: str
    dash: str

    @property
    def band(self) -> str:
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},0.16)"


def styles(variants: Sequence[str]) -> dict[str, Style]:
    """A colour, a marker and a dash each; colours come again only with another marker and dash."""
    return {
        variant: Style(COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)])
        for i, variant in enumerate(variants)
    }


class Canvas:
    """What figures are drawn from, and how each strategy looks in all of them."""

    def __init__(self, measures: Measures, label_views: Sequence[LabelView] = ()) -> None:
        self.measures, self.label_views = measures, label_views
        self.collected: Collected = measures.collected
        self.styles = styles(self.collected.variants)


def shots_axis(canvas: Canvas) -> dict[str, Any]:
    shots = canvas.collected.shots
    pad = 0.06 * max(math.log10(shots[-1] / shots[0]), 0.3)
    return {
        "type": "log",
        "title": axis_title(f"{title_of(canvas.collected.new_task)} examples (shots)"),
        "tickmode": "array",
        "tickvals": shots,
        "ticktext": [f"{n:,}" for n in shots],
        "range": [math.log10(shots[0]) - pad, math.log10(shots[-1]) + pad],
        "automargin": True,
    }


def band(canvas: Canvas, variant: str, x: list[int], found: Sequence[Any], **extra: Any) -> list[Trace]:
    """The line of the means, and behind it the band of the intervals where there are any."""
    style, traces = canvas.styles[variant], []
    if not x:
        return []
    shared = {"legendgroup": variant, "meta": {"variant": variant}, **extra}
    if len(x) > 1 and all(s.low is not None for s in found):
        edge: Trace = {"type": "scatter", "mode": "lines", "line": {"width": 0, "color": style.colour}}
        edge |= {"hoverinfo": "skip", "x": x, **shared, "showlegend": False}
        traces.append({**edge, "y": [s.low for s in found]})
        traces.append({**edge, "y": [s.high for s in found], "fill": "tonexty", "fillcolor": style.band})
    main: Trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(variant),
        "x": x,
        "y": [s.mean for s in found],
        "line": {"color": style.colour, "dash": style.dash, "width": 2},
        "marker": {"symbol": style.symbol, "size": 9, "color": style.colour},
        "customdata": [[interval_text(s), s.n] for s in found],
        "hovertemplate": "%{x} shots: %{customdata[0]}, n = %{customdata[1]}",
        **shared,
    }
    if len(x) == 1 and found[0].low is not None:
        main["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [found[0].high - found[0].mean],
            "arrayminus": [found[0].mean - found[0].low],
        }
    return [*traces, main]


def level(group: str, x: Sequence[float], y: Sequence[float], dash: str, name: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines" if len(set(x)) > 1 else "lines+markers",
        "name": name,
        "legendgroup": group,
        "x": list(x),
        "y": list(y),
        "line": {"color": GREY, "dash": dash, "width": 1.5},
        "marker": {"symbol": "line-ew-open", "size": 14, "color": GREY},
        "hovertemplate": "%{x} shots: %{y:.3f}",
    }


def heat_axis() -> dict[str, Any]:
    # Cividis is even in lightness and made for colour-blind readers (Nuñez, Anderton and Renslow 2018).
    return {"colorscale": "Cividis", "cmin": 0, "cmax": 1, "showscale": False}


def subplots(**options: Any) -> Any:
    """Plotly's grid of plots, for its layout: titles, and axes that are shared."""
    from plotly.subplots import make_subplots

    return make_subplots(**options)


def traces_of(grid: Any) -> list[Trace]:
    return json.loads(grid.to_json())["data"]


def without_template(grid: Any) -> dict[str, Any]:
    layout = json.loads(grid.to_json())["layout"]
    layout.pop("template", None)
    return layout
