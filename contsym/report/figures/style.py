"""Parts that figures share: views, colours and markers, axes, bands and levels."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contsym.report.collect import title_of
from contsym.report.measures import Measures
from contsym.report.table_formats import interval_text
from contsym.results.metrics.stats import Summary

# Okabe and Ito 2008, without yellow and black; orange and sky blue are darker, so that each colour has a contrast
# of 3 or more on the white and on the dark page (WCAG 2.2, 1.4.11).
COLOURS = ("#0072B2", "#C47F00", "#009E73", "#CC79A7", "#D55E00", "#3A96D0", "#8A8A8A")
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
    caption: str
    views: Sequence[View]
    select: str = "show"
    """The label of the selector."""
    height: int = 440

    @cached_property
    def files(self) -> list[str]:
        """The name of each view's files, without ending."""
        if len(self.views) == 1:
            return [self.name]
        names = [
            f"{self.name}-{re.sub(r'[^a-z0-9.]+', '-', v.label.lower()).strip('-.')}" for v in self.views
        ]
        # Two labels may differ only in signs that a name cannot have.
        return [f"{name}-{i}" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]

    @cached_property
    def plots(self) -> list[dict[str, Any]]:
        """Each view as JSON values that Plotly has checked, with the name of its files."""
        plots = zip(self.files, self.by_view().items(), strict=True)
        return [{"label": label, "file": file, **json.loads(plot.to_json())} for file, (label, plot) in plots]

    def by_view(self) -> dict[str, Any]:
        """A plotly.graph_objects.Figure for each view, by its label."""
        import plotly.graph_objects as go

        plots = {}
        for view in self.views:
            layout = {**base_layout(self.height), **view.layout}
            plots[view.label] = go.Figure(data=list(view.traces), layout=layout)
        return plots


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
    """Above the plot, where there is room for many lines; a larger y leaves room for titles of subplots."""
    return {"orientation": "h", "x": 0, "xanchor": "left", "y": y, "yanchor": "bottom", **more}


def axis_title(text: str, **more: Any) -> dict[str, Any]:
    return {"text": plain(text), "standoff": 8, **more}


def plain(text: object) -> str:
    """Text that Plotly shows literally: Plotly interprets a few HTML tags.

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
    """A colour, a marker and a dash per variant; a colour repeats only with another marker and dash."""
    return {
        variant: Style(COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)])
        for i, variant in enumerate(variants)
    }


PAD, LEAST_DECADES = 0.06, 0.3
"""Room beside the outer shots, as a share of the decades that the axis has, at least these."""


def is_by_strategy(measures: Measures) -> bool:
    """Whether a figure over shots has a place for each strategy: with one number of shots all would lie on another."""
    return len(measures.collected.shots) == 1


def across(measures: Measures) -> dict[str, Any]:
    """Where a `level` of one value begins and ends, where each strategy has a place."""
    return {"across": (-0.5, len(measures.collected.variants) - 0.5)} if is_by_strategy(measures) else {}


def shots_axis(measures: Measures) -> dict[str, Any]:
    collected, shots = measures.collected, measures.collected.shots
    if is_by_strategy(measures):
        return {
            "title": axis_title(f"{title_of(collected.new_task)}: {collected.shots_words(shots[0])}"),
            "tickmode": "array",
            "tickvals": [*range(len(collected.variants))],
            "ticktext": [plain(shortened(variant)) for variant in collected.variants],
            "range": [-0.5, len(collected.variants) - 0.5],
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
        }
    labels: dict[int, list[str]] = {}
    for n in shots:
        labels.setdefault(int(n), []).append(collected.shots_label(n))
    pad = PAD * max(math.log10(shots[-1] / shots[0]), LEAST_DECADES)
    return {
        "type": "log",
        "title": axis_title(f"{title_of(collected.new_task)} examples (shots)"),
        "tickmode": "array",
        "tickvals": [*labels],
        "ticktext": [" and ".join(each) for each in labels.values()],
        "range": [math.log10(shots[0]) - pad, math.log10(shots[-1]) + pad],
        "automargin": True,
    }


def line_of(measures: Measures, variant: str, *, size: int = 9, **more: Any) -> Trace:
    """A line in the style of a variant, which a click in the legend hides."""
    style = styles(measures.collected.variants)[variant]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(variant),
        "legendgroup": variant,
        "meta": {"variant": variant},
        "line": {"color": style.colour, "dash": style.dash, "width": 2},
        "marker": {"symbol": style.symbol, "size": size, "color": style.colour},
        **more,
    }


def band(measures: Measures, variant: str, summaries: Mapping[int, Summary], **more: Any) -> list[Trace]:
    """The line of the means over shots, and behind it the band of the intervals where there are any."""
    collected = measures.collected
    style, x, means = styles(collected.variants)[variant], list(summaries), list(summaries.values())
    if not x:
        return []
    words = [collected.shots_words(n) for n in x]
    if is_by_strategy(measures):
        x = [collected.variants.index(variant)]
    traces = []
    if len(x) > 1 and all(s.low is not None for s in means):
        edge: Trace = {"type": "scatter", "mode": "lines", "line": {"width": 0, "color": style.colour}}
        edge |= {"hoverinfo": "skip", "x": x, "legendgroup": variant, "meta": {"variant": variant}}
        edge |= {**more, "showlegend": False}
        traces.append({**edge, "y": [s.low for s in means]})
        traces.append({**edge, "y": [s.high for s in means], "fill": "tonexty", "fillcolor": style.band})
    main = line_of(
        measures,
        variant,
        x=x,
        y=[s.mean for s in means],
        customdata=[[interval_text(s), s.n, text] for s, text in zip(means, words, strict=True)],
        hovertemplate="%{customdata[2]}: %{customdata[0]}, n = %{customdata[1]}",
        **more,
    )
    if len(means) == 1:
        main |= error_bars(y=means)
    return [*traces, main]


def error_bars(**summaries: Sequence[Summary]) -> Trace:
    """The entries of a trace for the intervals along its axes, `x` or `y`; none where a mean has no interval."""
    bars: Trace = {}
    for axis, each in summaries.items():
        if any(s.low is None or s.high is None for s in each):
            continue
        above = [max(0.0, s.high - s.mean) for s in each if s.high is not None]
        below = [max(0.0, s.mean - s.low) for s in each if s.low is not None]
        bars[f"error_{axis}"] = {
            "type": "data",
            "symmetric": False,
            "array": above,
            "arrayminus": below,
            "thickness": 1,
        }
    return bars


def level(
    group: str,
    values: Mapping[int, float],
    dash: str,
    name: str,
    *,
    unit: str = "shots",
    across: tuple[float, float] | None = None,
    **more: Any,
) -> Trace:
    """A grey line over shots, or another count, that belongs to no strategy; of a single one over the width of the plot.

    `across` says where that begins and ends.
    """
    # A search and a training on the most that it may try have one place.
    values = {int(n): height for n, height in values.items()}
    places, where = [float(n) for n in values], f"%{{x:,}} {unit}: "
    heights = list(values.values())
    if len(places) == 1:
        edge = 10 ** (PAD * LEAST_DECADES)
        places = [*across] if across else [places[0] / edge, places[0] * edge]
        heights, where = heights * 2, ""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": group,
        "x": places,
        "y": heights,
        "line": {"color": GREY, "dash": dash, "width": 1.5},
        "hovertemplate": f"{where}%{{y:.3f}}",
        **more,
    }


LEAST_RANGE = 0.1
"""An axis that spans less would show differences of a thousandth at full height."""


def readable_range(values: Sequence[float], most: float = math.inf) -> dict[str, Any]:
    """The range of an axis whose values span less than `LEAST_RANGE`, which ends at `most`; else empty.

    >>> readable_range([0.01, 0.03]), readable_range([0.995, 0.999], most=1.01), readable_range([0.2, 0.9])
    ({'range': [-0.03, 0.07]}, {'range': [0.91, 1.01]}, {})
    """
    low, high = min(values), max(values)
    if high - low >= LEAST_RANGE:
        return {}
    top = min((low + high + LEAST_RANGE) / 2, most)
    return {"range": [round(top - LEAST_RANGE, 3), round(top, 3)]}


def chance(measures: Measures, task: str, ends: Sequence[int], **more: Any) -> Trace:
    """The accuracy of one answer to everything, the largest class of the test part."""
    share = measures.collected.first.majority[task]
    return level("chance", dict.fromkeys(ends, share), "dashdot", f"chance {share:.3f}", **more)


def key_entry(name: str, **marker: Any) -> Trace:
    """A legend entry that explains a kind of mark and belongs to no point."""
    marker = {"size": 9, "color": GREY, "line": {"width": 1.5, "color": GREY}, **marker}
    return {"type": "scatter", "mode": "markers", "name": name, "x": [None], "y": [None], "marker": marker}


def cell_numbers(x: Sequence[Any], y: Sequence[Any], z: Sequence[Sequence[float | None]]) -> Trace:
    """The numbers of a heat map, black or white, whichever has more contrast to its cell (4.5 or more)."""
    cells = [
        (column, row, v) for row, line in zip(y, z, strict=True) for column, v in zip(x, line, strict=True)
    ]
    shown = [(column, row, value) for column, row, value in cells if value is not None]
    return {
        "type": "scatter",
        "mode": "text",
        "x": [column for column, _, _ in shown],
        "y": [row for _, row, _ in shown],
        "text": [f"{value:.2f}" for _, _, value in shown],
        "textfont": {"color": [_ink_on(value) for _, _, value in shown]},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _ink_on(accuracy: float) -> str:
    """Black or white, by the relative luminance of the cell's colour (WCAG 2.2); 0.179 has as much contrast to both."""
    from plotly.colors import sample_colorscale

    (colour,) = sample_colorscale("cividis", [min(max(accuracy, 0.0), 1.0)], colortype="tuple")
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if luminance > 0.179 else "#ffffff"


def heat_axis() -> dict[str, Any]:
    # Cividis is even in lightness and made for colour-blind readers (Nuñez, Anderton and Renslow 2018).
    return {"colorscale": "Cividis", "cmin": 0, "cmax": 1, "showscale": False}


def subplots(**options: Any) -> Any:
    """Plotly's grid of plots, for its layout: titles, and shared axes."""
    from plotly.subplots import make_subplots

    return make_subplots(**options)


def grid_view(label: str, grid: Any, adapt: Callable[[dict[str, Any]], None]) -> View:
    """The view of a grid of plots; `adapt` changes Plotly's layout of it."""
    plot = json.loads(grid.to_json())
    plot["layout"].pop("template", None)
    adapt(plot["layout"])
    return View(label, plot["data"], plot["layout"])
