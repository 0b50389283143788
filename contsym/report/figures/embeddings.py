"""Label embeddings before and after training, on two principal components."""

from __future__ import annotations

from contsym.report.figures.style import (
    COLOURS,
    GREY,
    SYMBOLS,
    Canvas,
    Figure,
    View,
    axis_title,
    legend,
    plain,
    shortened,
    subplots,
    traces_of,
    without_template,
)
from contsym.report.projection import LabelView
from contsym.report.tables.layout import relation_title

MAX_RELATIONS = 12
"""Relations with a colour of their own in the view of label embeddings; the rarer ones share two."""


def label_embeddings(canvas: Canvas) -> Figure | None:
    if not canvas.label_views:
        return None
    views = [_embedding_view(canvas, view) for view in canvas.label_views]
    first = canvas.label_views[0]
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


def _embedding_view(canvas: Canvas, view: LabelView) -> View:
    grid = subplots(
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
                    "text": [plain(f"{view.relations[i]} ({view.kinds[i] or 'no kind'})") for i in members],
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
    layout = without_template(grid)
    first, second = view.shares
    for name, axis in layout.items():
        if name.startswith(("xaxis", "yaxis")):
            axis |= {"automargin": True, "showticklabels": False, "zeroline": False}
        if name.startswith("xaxis"):
            axis["title"] = axis_title(f"PC 1 ({first:.0%} of variance)", font={"size": 12})
    layout["yaxis"]["title"] = axis_title(f"PC 2 ({second:.0%} of variance)", font={"size": 12})
    layout["legend"] = legend(1.08, font={"size": 12})
    layout["margin"] = {"l": 40, "r": 16, "t": 36, "b": 40}
    return View(f"{view.variant} ({view.shots:,} shots, seed {view.seed})", traces_of(grid), layout)
