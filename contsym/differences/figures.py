"""The figures of a comparison's page."""

from __future__ import annotations

from typing import Any

from contsym.differences.part_names import VECTORS
from contsym.differences.schema import Ability, Diff, Group
from contsym.differences.sentences import transplanted
from contsym.report.figures.style import (
    COLOURS,
    GREY,
    Figure,
    Trace,
    View,
    axis_title,
    legend,
    plain,
    shortened,
)
from contsym.report.tables.layout import relation_title

BEFORE, AFTER, LOSS = GREY, COLOURS[0], COLOURS[4]
MAX_GROUPS = 40
"""Groups of one view; the table has all."""


def all_figures(found: Diff) -> list[tuple[str, Figure]]:
    """Every figure that has a view, with the id of its section."""
    made = [
        ("abilities", changes(found)),
        ("groups", groups(found)),
        ("where", where(found)),
        ("returned", returned(found)),
    ]
    return [(section, figure) for section, figure in made if figure.views]


def changes(found: Diff) -> Figure:
    measured = [a for a in found.abilities if a.change is not None]
    height = 130 + 34 * len(measured)
    return Figure(
        "changes",
        "Change of accuracy",
        "NEW less OLD, with the 95% interval. Filled: the test shows a change (p below 0.05 after correction). An ability "
        "that only one side has is in the table alone.",
        [View("change", [_change(measured)], _change_layout())] if measured else [],
        height=height,
    )


def _change(abilities: list[Ability]) -> Trace:
    values = [(a.change or 0.0, a.low or 0.0, a.high or 0.0) for a in abilities]
    colours = [LOSS if value < 0 else AFTER for value, _, _ in values]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(value, 4) for value, _, _ in values],
        "y": [plain(a.title) for a in abilities],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [round(high - value, 4) for value, _, high in values],
            "arrayminus": [round(value - low, 4) for value, low, _ in values],
            "color": GREY,
        },
        "marker": {
            "size": 11,
            "symbol": ["circle" if a.is_shown else "circle-open" for a in abilities],
            "color": colours,
        },
        "customdata": [[round(a.before or 0, 4), round(a.after or 0, 4), a.n] for a in abilities],
        "hovertemplate": "%{y}: %{customdata[0]:.3f}, then %{customdata[1]:.3f} (%{x:+.3f}), %{customdata[2]:,} pairs"
        "<extra></extra>",
        "showlegend": False,
    }


def _change_layout() -> dict[str, Any]:
    return {
        "xaxis": {"title": axis_title("change of accuracy"), "zeroline": True, "automargin": True},
        "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"},
        "margin": {"l": 40, "r": 24, "t": 16, "b": 56},
    }


def groups(found: Diff) -> Figure:
    views, most = [], 1
    for ability in found.abilities:
        if ability.change is None:
            continue
        for column in dict.fromkeys(group.column for group in ability.groups):
            members = [group for group in ability.groups if group.column == column][:MAX_GROUPS]
            most = max(most, len(members))
            views.append(_groups_view(f"{ability.title}, by {column}", members))
    return Figure(
        "groups",
        "Accuracy before and after by group",
        f"The groups with most pairs first (their number in brackets), at most {MAX_GROUPS}.",
        views,
        height=120 + 24 * most,
    )


def _groups_view(label: str, members: list[Group]) -> View:
    # Rows are numbers, since shortened names may be equal.
    rows = list(range(len(members)))
    lines: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": [x for g in members for x in (g.before, g.after, None)],
        "y": [y for row in rows for y in (row, row, None)],
        "line": {"color": GREY, "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    names = [plain(relation_title(g.name)) for g in members]
    traces = [lines]
    for name, symbol, colour in (("before", "circle-open", BEFORE), ("after", "circle", AFTER)):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [round(getattr(g, name) or 0, 4) for g in members],
                "y": rows,
                "customdata": [[title, g.n] for title, g in zip(names, members, strict=True)],
                "marker": {"size": 10, "symbol": symbol, "color": colour},
                "hovertemplate": f"%{{customdata[0]}}, {name}: %{{x:.3f}}, %{{customdata[1]:,}} pairs<extra></extra>",
            }
        )
    ticks = [f"{plain(shortened(relation_title(g.name)))} ({g.n:,})" for g in members]
    axis = {"tickmode": "array", "tickvals": rows, "ticktext": ticks, "automargin": True, "zeroline": False}
    layout = {
        "xaxis": {"title": axis_title("accuracy"), "range": [-0.03, 1.03], "zeroline": False},
        "yaxis": {**axis, "range": [len(rows) - 0.4, -0.6]},
        "legend": legend(1.01),
        "margin": {"l": 40, "r": 24, "t": 40, "b": 56},
    }
    return View(label, traces, layout)


STATES = {"cka_distance": "1 - CKA", "drift": "cosine drift", "neighbours_lost": "neighbours lost"}


def where(found: Diff) -> Figure:
    views = []
    layers = [part for part in found.parts if part.name != VECTORS and part.cka_distance is not None]
    if len(layers) > 1:
        traces: list[Trace] = []
        for (field, title), colour, symbol, dash in zip(
            STATES.items(), COLOURS, ("circle", "square", "diamond"), ("solid", "dash", "dot"), strict=False
        ):
            values = [getattr(part, field) for part in layers]
            if all(value is None for value in values):
                continue
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": title,
                    "x": [plain(part.name) for part in layers],
                    "y": values,
                    "line": {"color": colour, "dash": dash, "width": 2},
                    "marker": {"symbol": symbol, "size": 9, "color": colour},
                    "hovertemplate": "%{x}: %{y:.3~g}",
                }
            )
        views.append(View("states", traces, _layout("states after this part; 0: equal")))
    weights = [part for part in found.parts if part.weights is not None]
    if weights:
        bars: Trace = {
            "type": "bar",
            "x": [plain(part.name) for part in weights],
            "y": [part.weights for part in weights],
            "marker": {"color": AFTER},
            "hovertemplate": "%{x}: %{y:.3~g}<extra></extra>",
            "showlegend": False,
        }
        views.append(View("weights", [bars], _layout("distance of the weights; 1: OLD's length")))
    return Figure(
        "where",
        "Where it moved",
        "States: of the same texts in both checkpoints, from the embeddings up; a steep step is a layer that changed what "
        "it does. Weights: how far each part moved.",
        views,
    )


def _layout(title: str, rangemode: str = "tozero") -> dict[str, Any]:
    return {
        "xaxis": {"type": "category", "automargin": True},
        "yaxis": {"title": axis_title(title), "rangemode": rangemode, "automargin": True},
        "margin": {"l": 64, "r": 16, "t": 40, "b": 56},
    }


def returned(found: Diff) -> Figure:
    return Figure(
        "returned",
        "Accuracy of NEW with one part of OLD put back",
        "Lines: OLD and NEW as they are. A mark on OLD's line has returned the whole loss, one on NEW's nothing. Whiskers: "
        "95% interval of the difference to NEW.",
        [_returned_view(found, ability) for ability in found.lost if transplanted(found, ability)],
    )


def _returned_view(found: Diff, ability: Ability) -> View:
    rows = transplanted(found, ability)
    parts = [plain(part) for part, _ in rows]
    after = ability.after or 0.0
    points: Trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "one part put back",
        "x": parts,
        "y": [round(each.accuracy, 4) for _, each in rows],
        "marker": {"size": 11, "symbol": "diamond", "color": COLOURS[0]},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [round(after + each.high - each.accuracy, 4) for _, each in rows],
            "arrayminus": [round(each.accuracy - after - each.low, 4) for _, each in rows],
            "color": GREY,
        },
        "customdata": [[f"{each.share:.0%}"] for _, each in rows],
        "hovertemplate": "%{x}: %{y:.3f}, %{customdata[0]} of the loss returned<extra></extra>",
    }
    lines: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": parts,
            "y": [round(value, 4)] * len(parts),
            "line": {"color": colour, "dash": dash, "width": 2},
            "hovertemplate": f"{name}: %{{y:.3f}}<extra></extra>",
        }
        for name, value, colour, dash in (
            ("OLD", ability.before or 0.0, GREY, "dash"),
            ("NEW", after, COLOURS[4], "solid"),
        )
    ]
    return View(ability.title, [*lines, points], _layout("accuracy", rangemode="normal"))
