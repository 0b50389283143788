"""Figures as SVG, PDF and PNG for papers and slides: Matplotlib draws what Plotly draws on the page.

Plotly itself needs a browser for this. What is drawn here are the kinds of traces and axes that our figures have.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from contsym.report.figures.style import Figure, Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

ENDINGS = ("svg", "pdf", "png")
WIDTH = 7.2
"""Inches: the text of A4 and Letter with common margins."""
PAGE_WIDTH = 920
"""Pixels of a figure on the page that are as wide as WIDTH."""
POINTS = 0.75
"""Per pixel."""
DPI = 200
GRID, INK = "#e6e8ec", "#1d1f23"
DASHES: Mapping[str, Any] = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (8, 3)),
    "longdashdot": (0, (8, 3, 1, 3)),
}
MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "x": "X",
    "star": "*",
    "pentagon": "p",
    "cross": "P",
}
TEXT_PLACES = {
    "middle center": (0, 0, "center", "center"),
    "top center": (0, 6, "center", "bottom"),
    "bottom center": (0, -6, "center", "top"),
    "middle left": (-6, 0, "right", "center"),
    "middle right": (6, 0, "left", "center"),
}
"""Points from the mark, and the side of the text that lies there."""
SETTINGS: Any = {"svg.hashsalt": "contsym", "pdf.fonttype": 42, "font.size": 9, "axes.titlesize": 9}
"""The salt makes equal figures equal files; type 42 keeps text as text."""
METADATA: Mapping[str, Mapping[str, str | None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}


def write_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Write every view of every figure as `Figure.files` names them."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(SETTINGS):
        for figure in figures:
            for name, plot in zip(figure.files, figure.plots, strict=True):
                drawing = draw(plot["data"], plot["layout"])
                # Once for the three files.
                drawing.draw_without_rendering()
                drawing.set_layout_engine("none")
                for ending in ENDINGS:
                    drawing.savefig(
                        folder / f"{name}.{ending}", dpi=DPI, metadata=dict(METADATA[ending]), format=ending
                    )


def draw(traces: Sequence[Trace], layout: Mapping[str, Any]) -> Drawing:
    """One view of a figure, by Plotly's traces and layout."""
    from matplotlib.figure import Figure as MatplotlibFigure

    entries = _legend_entries(traces) if layout.get("showlegend", True) else {}
    height = (layout["height"] / PAGE_WIDTH) * WIDTH + 0.16 * math.ceil(len(entries) / 3)
    drawing = MatplotlibFigure(figsize=(WIDTH, height), layout="constrained")
    panels = _panels(drawing, traces, layout)
    for panel in panels:
        panel.draw()
    for title in layout.get("annotations", ()):
        nearest = min(panels, key=lambda panel: math.dist(panel.top, (title["x"], title["y"])))
        nearest.axes.set_title(_plain(title["text"]))
    _match(panels)
    if entries:
        columns = min(3, len(entries))
        drawing.legend(
            [*entries.values()],
            [*entries],
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            fontsize=8,
        )
    return drawing


class Panel:
    """The traces of one pair of axes, and where Plotly's layout has it."""

    def __init__(
        self, axes: Axes, names: tuple[str, str], traces: Sequence[Trace], layout: Mapping[str, Any]
    ):
        self.axes, self.traces = axes, traces
        self.x, self.y = (layout.get(_axis(name), {}) for name in names)
        self.names = names
        self.categories = (_categories(traces, "x"), _categories(traces, "y"))

    @property
    def top(self) -> tuple[float, float]:
        """The middle of the upper edge, in shares of the figure."""
        low, high = self.x.get("domain", (0, 1))
        return (low + high) / 2, self.y.get("domain", (0, 1))[1]

    def draw(self) -> None:
        before: Trace = {}
        for trace in self.traces:
            x, y = (
                _numbers(trace.get(name, ()), categories)
                for name, categories in zip("xy", self.categories, strict=True)
            )
            if trace["type"] == "heatmap":
                z = [[math.nan if value is None else value for value in row] for row in trace["z"]]
                self.axes.imshow(z, cmap="cividis", vmin=0, vmax=1, aspect="auto")
            elif trace["type"] == "bar":
                self.axes.bar(x, y, color=trace["marker"]["color"])
            else:
                _scatter(self.axes, trace, x, y, before)
            before = {"x": x, "y": y}
        has_cells = any(trace["type"] == "heatmap" for trace in self.traces)
        if not has_cells:
            self.axes.grid(color=GRID, linewidth=0.6)
            self.axes.set_axisbelow(True)
        self.axes.spines[["top", "right"]].set_visible(False)
        self._set_axis("x", self.x, self.categories[0])
        self._set_axis("y", self.y, self.categories[1])

    def _set_axis(
        self, name: Literal["x", "y"], axis: Mapping[str, Any], categories: Mapping[str, int]
    ) -> None:
        where = getattr(self.axes, f"{name}axis")
        limits, set_limits = getattr(self.axes, f"get_{name}lim"), getattr(self.axes, f"set_{name}lim")
        if axis.get("type") == "log":
            getattr(self.axes, f"set_{name}scale")("log")
            where.set_minor_locator(_no_ticks())
        if text := axis.get("title", {}).get("text"):
            getattr(self.axes, f"set_{name}label")(_plain(text))
        if categories:
            where.set_ticks([*categories.values()], [_plain(name) for name in categories])
        elif "ticktext" in axis:
            where.set_ticks(axis["tickvals"], [_plain(text) for text in axis["ticktext"]])
        elif str(axis.get("tickformat", "")).startswith("+"):
            where.set_major_formatter(lambda value, _: f"{value:+.3g}")
        if (low_high := axis.get("range")) and axis.get("type") == "log":
            set_limits(*(10**end for end in low_high))
        elif low_high:
            set_limits(*low_high)
        elif axis.get("rangemode") == "tozero":
            set_limits(min(0, limits()[0]), limits()[1])
        if axis.get("autorange") == "reversed" and limits()[0] < limits()[1]:
            set_limits(*reversed(limits()))
        if axis.get("showticklabels") is False:
            self.axes.tick_params(axis=name, labelbottom=False, labelleft=False)
        if axis.get("side") == "top":
            where.tick_top()


def _panels(drawing: Drawing, traces: Sequence[Trace], layout: Mapping[str, Any]) -> list[Panel]:
    """One per pair of axes, in the rows and columns that their domains make."""
    groups: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        groups.setdefault((trace.get("xaxis", "x"), trace.get("yaxis", "y")), []).append(trace)

    def domain(name: str) -> tuple[float, ...]:
        return tuple(layout.get(_axis(name), {}).get("domain", (0, 1)))

    columns = sorted({domain(x) for x, _ in groups})
    rows = sorted({domain(y) for _, y in groups}, reverse=True)
    grid = drawing.add_gridspec(len(rows), len(columns))
    return [
        Panel(
            drawing.add_subplot(grid[rows.index(domain(names[1])), columns.index(domain(names[0]))]),
            names,
            members,
            layout,
        )
        for names, members in groups.items()
    ]


def _match(panels: Sequence[Panel]) -> None:
    """Give axes that show the same range the widest of theirs: those that `matches` ties, and one that two have."""
    for place, name in enumerate("xy"):
        tied: dict[str, list[Panel]] = {}
        for panel in panels:
            axis = (panel.x, panel.y)[place]
            tied.setdefault(axis.get("matches", panel.names[place]), []).append(panel)
        for members in tied.values():
            limits = [getattr(panel.axes, f"get_{name}lim")() for panel in members]
            is_reversed = limits[0][0] > limits[0][1]
            ends = min(map(min, limits)), max(map(max, limits))
            for panel in members:
                getattr(panel.axes, f"set_{name}lim")(*(reversed(ends) if is_reversed else ends))


def _scatter(axes: Axes, trace: Trace, x: list[float], y: list[float], before: Mapping[str, Any]) -> None:
    mode, alpha = trace.get("mode", "lines"), trace.get("opacity", 1)
    line = trace.get("line", {})
    if trace.get("fill") == "tonexty":
        axes.fill_between(x, before["y"], y, color=_rgba(trace["fillcolor"]), linewidth=0)
    if "lines" in mode and line.get("width", 2):
        axes.plot(x, y, alpha=alpha, marker="", **_line_style(line), zorder=2)
    for name in ("error_x", "error_y"):
        if error := trace.get(name):
            whiskers: dict[str, Any] = {f"{name[-1]}err": [error["arrayminus"], error["array"]]}
            colour = error.get("color") or line.get("color")
            axes.errorbar(x, y, fmt="none", ecolor=colour, elinewidth=1, capsize=3, **whiskers)
    if "markers" in mode:
        styles = list(_marker_styles(trace, len(x)))
        for style in {tuple(each.items()): each for each in styles}.values():
            places = [i for i, each in enumerate(styles) if each == style]
            a, b = ([values[i] for i in places] for values in (x, y))
            axes.plot(a, b, linestyle="", alpha=alpha, **style, zorder=3)
    if "text" in mode:
        _texts(axes, trace, x, y)


def _texts(axes: Axes, trace: Trace, x: Sequence[float], y: Sequence[float]) -> None:
    dx, dy, ha, va = TEXT_PLACES[trace.get("textposition", "middle center")]
    colours = trace.get("textfont", {}).get("color", INK)
    for i, (a, b, text) in enumerate(zip(x, y, trace["text"], strict=True)):
        axes.annotate(
            _plain(text),
            (a, b),
            xytext=(dx, dy),
            textcoords="offset points",
            ha=ha,
            va=va,
            fontsize=7.5,
            fontweight="bold" if "<b>" in text else "normal",
            color=colours if isinstance(colours, str) else colours[i],
        )


def _line_style(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "color": line["color"],
        "linestyle": DASHES[line.get("dash", "solid")],
        "linewidth": POINTS * line.get("width", 2),
        "drawstyle": "steps-post" if line.get("shape") == "hv" else "default",
    }


def _marker_styles(trace: Trace, n: int) -> Iterator[dict[str, Any]]:
    """The style of each point; Plotly takes one value for all or a list for any part of a marker."""
    marker = trace.get("marker", {})

    def each(value: Any) -> list[Any]:
        return list(value) if isinstance(value, (list, tuple)) else [value] * n

    edge = marker.get("line", {})
    parts = (marker.get("symbol", "circle"), marker.get("size", 6), marker.get("color"), edge.get("width", 0))
    for symbol, size, colour, width in zip(*map(each, parts), strict=True):
        is_open = symbol.endswith("-open")
        yield {
            "marker": MARKERS[symbol.removesuffix("-open")],
            "markersize": POINTS * size,
            "markerfacecolor": "none" if is_open else colour,
            "markeredgecolor": colour if is_open or not width else edge.get("color", colour),
            "markeredgewidth": 1.2 if is_open else POINTS * width,
        }


def _legend_entries(traces: Sequence[Trace]) -> dict[str, Any]:
    """By name, in the order of the traces; lines as they are, and of many markers the first."""
    from matplotlib.lines import Line2D

    entries: dict[str, Any] = {}
    for trace in traces:
        if trace["type"] != "scatter" or "name" not in trace or trace.get("showlegend") is False:
            continue
        mode = trace.get("mode", "lines")
        style: dict[str, Any] = _line_style(trace["line"]) if "lines" in mode else {"linestyle": ""}
        if "markers" in mode:
            style |= next(_marker_styles(trace, max(1, len(trace["x"]))))
            style["markersize"] = min(style["markersize"], 7)
        entries.setdefault(_plain(trace["name"]), Line2D([], [], **style))
    return entries


def _categories(traces: Sequence[Trace], name: str) -> dict[str, int]:
    """The places of an axis of names, in the order in which they first come; empty for numbers."""
    values = [value for trace in traces for value in trace.get(name, ()) if isinstance(value, str)]
    return {value: i for i, value in enumerate(dict.fromkeys(values))}


def _numbers(values: Sequence[Any], categories: Mapping[str, int]) -> list[float]:
    return [math.nan if v is None else categories[v] if isinstance(v, str) else v for v in values]


def _axis(name: str) -> str:
    """The entry of the layout for an axis, as `xaxis2` for `x2`."""
    return f"{name[0]}axis{name[1:]}"


def _plain(text: str) -> str:
    """The text without Plotly's tags. A dollar sign would begin a formula of Matplotlib.

    >>> _plain("<b>a &lt; b</b> $1")
    'a < b \\\\$1'
    """
    return html.unescape(re.sub(r"</?b>|<br>", "", text)).replace("$", r"\$")


def _rgba(text: str) -> tuple[float, ...]:
    """
    >>> _rgba("rgba(255,0,51,0.16)")
    (1.0, 0.0, 0.2, 0.16)
    """
    red, green, blue, alpha = map(float, re.findall(r"[\d.]+", text))
    return red / 255, green / 255, blue / 255, alpha


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
