"""The figures of a report, by Plotly: each a set of views, of which one is shown at a time."""

from __future__ import annotations

import html
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contsym.report.collect import title_of
from contsym.report.contents import (
    KIND_NAMES,
    interval_note,
    kind_tasks,
    relation_title,
    relations,
    row_names,
)
from contsym.report.measures import Measures, TradeOff, pareto_front
from contsym.report.tables import interval_text
from contsym.report.view import LabelView

# Okabe and Ito 2008, without yellow and black, which are hard to see on white or on dark.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A8A8A")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "pentagon", "cross")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
GREY = "#808080"
MAX_LOSSES = 200
"""Points of a loss curve that are drawn; a longer one is thinned."""
MAX_RELATIONS = 12
"""Relations with a colour of their own in the view of label embeddings; the rarer ones share two."""
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


class Figures:
    """Makes the figures of measures; `all` leaves out those that there are no figures for."""

    def __init__(self, measures: Measures, views: Sequence[LabelView]) -> None:
        self.measures, self.collected, self.label_views = measures, measures.collected, views
        self.styles = styles(self.collected.variants)

    def all(self) -> dict[str, Figure]:
        made = [
            self.accuracy_over_shots(),
            self.trade_off(),
            self.matrices(),
            self.relations(),
            self.kinds(),
            self.learning(),
            self.label_embeddings(),
        ]
        return {figure.name: figure for figure in made if figure and figure.views}

    # -- Accuracy over shots. --

    def accuracy_over_shots(self) -> Figure:
        collected, views = self.collected, []
        new = collected.new_task
        for task in [new, *(task for task in collected.tasks if task != new)]:
            views.append(self._shots_view(f"{title_of(task)}, at the end", task, self.measures.accuracy))
            if task != collected.tasks[-1]:
                label = f"{title_of(task)}, right after its training"
                views.append(self._shots_view(label, task, self.measures.own_accuracy))
        tests = ", ".join(f"{title_of(t)} {n:,}" for t, n in collected.first["n_test"].items())
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

    def _shots_view(self, label: str, task: str, figure: Any) -> View:
        collected = self.collected
        traces: list[Trace] = []
        for variant in collected.variants:
            found = [(n, s) for n in collected.shots if (s := figure(variant, n, task))]
            traces += self._band(variant, [n for n, _ in found], [s for _, s in found])
        shortcuts = [(n, b) for n in collected.shots if (b := self.measures.best_shortcut(task, n))]
        if shortcuts:
            names = list(dict.fromkeys(best[0].replace("_", " ") for _, best in shortcuts))
            traces.append(
                _line(
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
                _line(
                    "target", ends, [self.measures.target] * 2, "longdash", f"target {self.measures.target:g}"
                )
            )
        return View(
            label,
            traces,
            {
                "xaxis": self._shots_axis(),
                "yaxis": {"title": axis_title(f"accuracy, {title_of(task)}"), "automargin": True},
            },
        )

    def _shots_axis(self) -> dict[str, Any]:
        shots = self.collected.shots
        pad = 0.06 * max(math.log10(shots[-1] / shots[0]), 0.3)
        return {
            "type": "log",
            "title": axis_title(f"{title_of(self.collected.new_task)} examples (shots)"),
            "tickmode": "array",
            "tickvals": shots,
            "ticktext": [f"{n:,}" for n in shots],
            "range": [math.log10(shots[0]) - pad, math.log10(shots[-1]) + pad],
            "automargin": True,
        }

    def _band(self, variant: str, x: list[int], found: Sequence[Any], **extra: Any) -> list[Trace]:
        """The line of the means, and behind it the band of the intervals where there are any."""
        style, traces = self.styles[variant], []
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

    # -- Accuracy against forgetting. --

    def trade_off(self) -> Figure | None:
        collected, new = self.collected, title_of(self.collected.new_task)
        views, absent = [], []
        for task, points in self.measures.trade_offs.items():
            shown = {p.variant for p in points}
            absent += [f"{v} ({title_of(task)})" for v in collected.variants if v not in shown]
            if points:
                views.append(self._trade_off_view(task, points))
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

    def _trade_off_view(self, task: str, points: Sequence[TradeOff]) -> View:
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
        for variant in self.collected.variants:
            own = [p for p in points if p.variant == variant]
            style = self.styles[variant]
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
                        f"<b>{p.shots:,}</b>" if f else f"{p.shots:,}"
                        for p, f in zip(own, on_front, strict=True)
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
                    "title": axis_title(f"accuracy, {title_of(self.collected.new_task)}"),
                    "automargin": True,
                    # Around one point Plotly would show accuracies below 0 and above 1.
                    **({"range": [-0.04, 1.04]} if len(points) == 1 else {}),
                },
                "legend": legend(1.05, itemsizing="constant"),
                "margin": {"l": 64, "r": 24, "t": 36, "b": 56},
            },
        )

    # -- Heat maps. --

    def matrices(self) -> Figure:
        import numpy as np
        from plotly.subplots import make_subplots

        collected, views = self.collected, []
        tasks = [plain(title_of(task)) for task in collected.tasks]
        rows = [plain(name) for name in row_names(collected)]
        n_columns = min(2, len(collected.variants))
        n_rows = -(-len(collected.variants) // n_columns)
        height = 60 + n_rows * (80 + 34 * len(rows))
        for shots in reversed(collected.shots):
            present = [v for v in collected.variants if collected.group(v, shots)]
            # For its layout: titles and axes side by side.
            grid = make_subplots(
                rows=n_rows,
                cols=n_columns,
                subplot_titles=[plain(v) for v in present],
                shared_yaxes=True,
                horizontal_spacing=0.06,
                vertical_spacing=min(0.9 / n_rows, 70 / height),
            )
            for i, variant in enumerate(present):
                found = collected.values(variant, shots, lambda result: result["matrix"])
                grid.add_trace(
                    {
                        "type": "heatmap",
                        "z": np.mean(found, axis=0).round(4).tolist(),
                        "x": tasks,
                        "y": rows,
                        "coloraxis": "coloraxis",
                        "texttemplate": "%{z:.2f}",
                        "name": plain(variant),
                        "hovertemplate": f"%{{x}}, %{{y}}: %{{z:.3f}}, n = {len(found)}",
                    },
                    row=i // n_columns + 1,
                    col=i % n_columns + 1,
                )
            layout = _without_template(grid)
            for name, axis in layout.items():
                if name.startswith("yaxis"):
                    axis |= {"autorange": "reversed", "automargin": True}
            layout |= {"coloraxis": _heat_axis(), "margin": {"l": 120, "r": 16, "t": 40, "b": 40}}
            views.append(View(f"{shots:,} shots", _traces(grid), layout))
        return Figure(
            "matrices",
            "Accuracy matrices as heat maps",
            "Accuracy on each task (columns) before any training and after each experience (rows), mean over "
            f"{collected.seeds_said}. A column that darkens from its own row down was forgotten.",
            tuple(views),
            select="shots",
            height=height,
            has_toggles=False,
        )

    def relations(self) -> Figure | None:
        collected, views, n_most = self.collected, [], 1
        for task in kind_tasks(collected):
            names = relations(self.measures, task)
            n_most = max(n_most, len(names))
            for shots in reversed(collected.shots):
                present = [v for v in collected.variants if collected.group(v, shots)]
                parts = {v: self.measures.by_group(v, shots, task, "by_relation") for v in present}
                z = [
                    [round(parts[v][name].accuracy.mean, 4) if name in parts[v] else None for v in present]
                    for name in names
                ]
                said = [
                    [interval_text(parts[v][name].accuracy) if name in parts[v] else "" for v in present]
                    for name in names
                ]
                labels = [f"{plain(shortened(relation_title(name)))} ({n:,})" for name, n in names.items()]
                trace = {
                    "type": "heatmap",
                    "z": z,
                    # By place: names that are cut short may be the same.
                    "x": list(range(len(present))),
                    "y": list(range(len(names))),
                    "customdata": [
                        [
                            [plain(v), plain(relation_title(name)), text]
                            for v, text in zip(present, row, strict=True)
                        ]
                        for name, row in zip(names, said, strict=True)
                    ],
                    "coloraxis": "coloraxis",
                    "texttemplate": "%{z:.2f}",
                    "hovertemplate": "%{customdata[1]}<br>%{customdata[0]}: %{customdata[2]}<extra></extra>",
                }
                ticks = {"tickmode": "array", "automargin": True, "showgrid": False, "zeroline": False}
                layout = {
                    "xaxis": {
                        **ticks,
                        "side": "top",
                        "tickvals": trace["x"],
                        "ticktext": [plain(v) for v in present],
                    },
                    "yaxis": {**ticks, "autorange": "reversed", "tickvals": trace["y"], "ticktext": labels},
                    "coloraxis": _heat_axis(),
                    "margin": {"l": 40, "r": 16, "t": 40, "b": 16},
                }
                views.append(View(f"{title_of(task)}, {shots:,} shots", [trace], layout))
        if not views:
            return None
        return Figure(
            "relations",
            "Accuracy by relation",
            "Accuracy at the end by relation (its test pairs in brackets), mean over "
            f"{collected.seeds_said}; the commonest relation first.",
            tuple(views),
            select="shots",
            height=110 + 24 * n_most,
            has_toggles=False,
        )

    # -- Kinds. --

    def kinds(self) -> Figure | None:
        from plotly.subplots import make_subplots

        collected, views = self.collected, []
        for task in kind_tasks(collected):
            grid = make_subplots(
                rows=2, cols=1, subplot_titles=KIND_NAMES, shared_xaxes=True, vertical_spacing=0.1
            )
            for row, kind in enumerate(KIND_NAMES, start=1):
                for variant in collected.variants:
                    parts = {n: self.measures.by_group(variant, n, task, "by_kind") for n in collected.shots}
                    found = [(n, part[kind].accuracy) for n, part in parts.items() if kind in part]
                    band = self._band(
                        variant, [n for n, _ in found], [s for _, s in found], showlegend=row == 1
                    )
                    for trace in band:
                        grid.add_trace(trace, row=row, col=1)
            layout = _without_template(grid)
            axis = self._shots_axis()
            title = axis.pop("title")
            layout["xaxis"] |= axis
            layout["xaxis2"] |= {**axis, "title": title}
            for name in ("yaxis", "yaxis2"):
                layout[name] |= {"title": axis_title("accuracy"), "range": [-0.04, 1.04], "automargin": True}
            layout["legend"] = legend(1.06)
            views.append(View(title_of(task), _traces(grid), layout))
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

    # -- Learning curves. --

    def learning(self) -> Figure | None:
        views = [*self._curve_views(), *self._loss_views()]
        if not views:
            return None
        return Figure(
            "learning",
            "Learning curves",
            f"Means over {self.collected.seeds_said}. Loss: of each training step; objectives differ, so "
            "losses of two strategies cannot be compared, only their course. Accuracy, where the sweep measured it "
            "(--curve): on a fixed part of the test pairs, at doubling counts of pairs seen.",
            tuple(views),
            select="show",
        )

    def _shown_shots(self, task: str) -> list[int]:
        """The first tasks do not depend on the shots: once is enough."""
        collected = self.collected
        is_before = collected.tasks.index(task) < collected.tasks.index(collected.new_task)
        return [collected.shots[-1]] if is_before else list(reversed(collected.shots))

    def _curve_views(self) -> Iterator[View]:
        for j, task in reversed(list(enumerate(self.collected.tasks))):
            for shots in self._shown_shots(task):
                traces = []
                for variant in self.collected.variants:
                    by_pairs: dict[int, list[float]] = {}
                    for points in self.collected.values(variant, shots, lambda result: result["curve"]):
                        for point in points:
                            if point["experience"] == j:
                                by_pairs.setdefault(point["n_pairs_seen"], []).append(point["accuracy"])
                    if by_pairs:
                        x = sorted(by_pairs)
                        y = [sum(by_pairs[n]) / len(by_pairs[n]) for n in x]
                        traces.append(self._course(variant, x, y, "%{x:,} pairs seen: %{y:.3f}", True))
                if traces:
                    yield View(
                        f"accuracy, {self._where(task, shots)}",
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

    def _loss_views(self) -> Iterator[View]:
        for j, task in reversed(list(enumerate(self.collected.tasks))):
            for shots in self._shown_shots(task):
                traces = []
                for variant in self.collected.variants:
                    losses = [
                        result[j]
                        for result in self.collected.values(variant, shots, lambda r: r["loss"])
                        if result[j]
                    ]
                    if losses:
                        x, y = thinned(mean_course(losses))
                        traces.append(self._course(variant, x, y, "step %{x:,}: %{y:.4g}", False))
                if traces:
                    yield View(
                        f"loss, {self._where(task, shots)}",
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

    def _where(self, task: str, shots: int) -> str:
        is_one = len(self._shown_shots(task)) == 1 and len(self.collected.shots) > 1
        return title_of(task) if is_one else f"{title_of(task)}, {shots:,} shots"

    def _course(self, variant: str, x: list[int], y: list[float], hover: str, markers: bool) -> Trace:
        style = self.styles[variant]
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

    # -- Label embeddings. --

    def label_embeddings(self) -> Figure | None:
        if not self.label_views:
            return None
        views = [self._embedding_view(view) for view in self.label_views]
        first = self.label_views[0]
        return Figure(
            "embeddings",
            "Label embeddings before and after training",
            f"Label embeddings h ⊘ p of {len(first.relations):,} test pairs at length 1, before any training (left) "
            "and after the last experience (right), on the first two principal components of both together; one "
            f"seed. Filled: symmetric; open: antisymmetric. The {MAX_RELATIONS} commonest relations have a colour "
            "and marker of their own.",
            tuple(views),
            select="strategy",
            height=520,
            has_toggles=False,
        )

    def _embedding_view(self, view: LabelView) -> View:
        from plotly.subplots import make_subplots

        grid = make_subplots(
            rows=1,
            cols=2,
            subplot_titles=("before training", "after training"),
            shared_yaxes="all",
            shared_xaxes="all",
            horizontal_spacing=0.03,
        )
        pairs = list(zip(view.relations, view.kinds, strict=True))
        counts = {name: sum(r == name for r in view.relations) for name in sorted(set(view.relations))}
        common = sorted(counts, key=lambda name: (-counts[name], name))[:MAX_RELATIONS]
        looks = {name: (SYMBOLS[i % len(SYMBOLS)], COLOURS[i % 6]) for i, name in enumerate(common)}
        groups: dict[str, list[int]] = {}
        for i, (relation, kind) in enumerate(pairs):
            groups.setdefault(relation if relation in looks else f"other {kind} relations", []).append(i)
        # The many rare ones first, so that they lie below.
        order = [*sorted(set(groups) - set(common)), *common]
        for group in order:
            members = groups[group]
            symbol, colour = looks.get(group, ("circle", GREY))
            is_open = view.kinds[members[0]] == "antisymmetric"
            for column, points in enumerate((view.before, view.after), start=1):
                grid.add_trace(
                    {
                        "type": "scatter",
                        "mode": "markers",
                        "name": plain(shortened(relation_title(group))),
                        "legendrank": 1001 if group not in looks else 1000,
                        "legendgroup": group,
                        "showlegend": column == 2,
                        "x": [points[i][0] for i in members],
                        "y": [points[i][1] for i in members],
                        "text": [
                            plain(f"{view.relations[i]} ({view.kinds[i] or 'no kind'})") for i in members
                        ],
                        "hovertemplate": "%{text}<extra></extra>",
                        "marker": {
                            "symbol": f"{symbol}-open" if is_open else symbol,
                            "size": 7,
                            "color": colour,
                            "opacity": 0.9,
                            "line": {"width": 1.5 if is_open else 0, "color": colour},
                        },
                    },
                    row=1,
                    col=column,
                )
        layout = _without_template(grid)
        first, second = view.shares
        for name, axis in layout.items():
            if name.startswith(("xaxis", "yaxis")):
                axis |= {"automargin": True, "showticklabels": False, "zeroline": False}
            if name.startswith("xaxis"):
                axis["title"] = axis_title(f"PC 1 ({first:.0%} of variance)", font={"size": 12})
        layout["yaxis"]["title"] = axis_title(f"PC 2 ({second:.0%} of variance)", font={"size": 12})
        layout["legend"] = legend(1.08, font={"size": 12})
        layout["margin"] = {"l": 40, "r": 16, "t": 36, "b": 40}
        return View(f"{view.variant} ({view.shots:,} shots, seed {view.seed})", _traces(grid), layout)


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


def _line(group: str, x: Sequence[float], y: Sequence[float], dash: str, name: str) -> Trace:
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


def _heat_axis() -> dict[str, Any]:
    # Cividis is even in lightness and made for colour-blind readers (Nuñez, Anderton and Renslow 2018).
    return {"colorscale": "Cividis", "cmin": 0, "cmax": 1, "showscale": False}


def _traces(grid: Any) -> list[Trace]:
    return json.loads(grid.to_json())["data"]


def _without_template(grid: Any) -> dict[str, Any]:
    layout = json.loads(grid.to_json())["layout"]
    layout.pop("template", None)
    return layout
