"""Label embeddings before and after training, on two principal components."""

from __future__ import annotations

from collections import Counter
from typing import Any

from contsym.report.figures import style
from contsym.report.figures.style import Figure, View, plain
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.projection import LabelView, label_views, without_vectors
from contsym.report.tables.layout import relation_title
from contsym.results.store import TENSORS

MAX_RELATIONS = 6
"""The number of relations with a colour of their own; the rarer ones share two groups."""
LEAST_SHARE = 0.2
"""A plane with less of the variance shows nothing, and is left out."""


def label_embeddings(measures: Measures) -> Figure:
    views = [view for view in label_views(measures.collected) if sum(view.shares) >= LEAST_SHARE]
    n_pairs = len(views[0].relations) if views else 0
    return Figure(
        "embeddings",
        "Label embeddings before and after training",
        f"Label embeddings h ⊘ p of {n_pairs:,} test pairs at length 1, before any training (left) "
        "and after the last experience (right), whether or not the strategy uses them; one seed. The plane of the first "
        "two principal components of both together holds the share of their variance that is written above; the "
        f"rest is not seen. The {MAX_RELATIONS} commonest relations have a colour and marker of their own.",
        [_embedding_view(measures, view) for view in views],
        select="strategy",
        height=520,
    )


def _embedding_view(measures: Measures, view: LabelView) -> View:
    grid = style.subplots(
        rows=1,
        cols=2,
        subplot_titles=("before training", "after training"),
        shared_yaxes="all",
        shared_xaxes="all",
        horizontal_spacing=0.03,
    )
    counts = Counter(view.relations)
    common = sorted(counts, key=lambda name: (-counts[name], name))[:MAX_RELATIONS]
    marks = {
        name: (symbol, colour)
        for name, symbol, colour in zip(common, style.SYMBOLS, style.COLOURS, strict=False)
    }
    groups: dict[str, list[int]] = {}
    for i, (relation, kind) in enumerate(zip(view.relations, view.kinds, strict=True)):
        groups.setdefault(relation if relation in marks else f"other {kind} relations", []).append(i)
    # The rare relations are drawn first, so that they lie below the common ones.
    for group in [*sorted(set(groups) - set(common)), *common]:
        members = groups[group]
        symbol, colour = marks.get(group, ("circle", style.GREY))
        is_open = view.kinds[members[0]] == "antisymmetric"
        for column, points in enumerate((view.before, view.after), start=1):
            grid.add_trace(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": plain(style.shortened(relation_title(group))),
                    "legendrank": 1000 if group in marks else 1001,
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
    for kind, symbol in (("symmetric", "circle"), ("antisymmetric", "circle-open")):
        if kind in view.kinds:
            grid.add_trace(style.key_entry(kind, symbol=symbol), row=1, col=2)

    def adapt(layout: dict[str, Any]) -> None:
        titles = [
            style.axis_title(f"PC {i} ({share:.0%} of variance)", font={"size": 12})
            for i, share in enumerate(view.shares, 1)
        ]
        for name, axis in layout.items():
            if name.startswith(("xaxis", "yaxis")):
                axis |= {"automargin": True, "showticklabels": False, "zeroline": False}
            if name.startswith("xaxis"):
                axis["title"] = titles[0]
        layout["yaxis"]["title"] = titles[1]
        layout["legend"] = style.legend(1.08, font={"size": 12})
        layout["margin"] = {"l": 40, "r": 16, "t": 36, "b": 40}

    share = f"{sum(view.shares):.0%} of the variance"
    shots = measures.collected.shots_words(view.shots)
    return style.grid_view(f"{view.variant} ({shots}, seed {view.seed}): {share}", grid, adapt)


def why_none(measures: Measures) -> str:
    """Why there is no view of some strategies, or of any."""
    views = label_views(measures.collected)
    shares = {v.variant: sum(v.shares) for v in views if sum(v.shares) < LEAST_SHARE}
    reasons = []
    if shares:
        listed = ", ".join(f"{share:.0%} for {variant}" for variant, share in shares.items())
        reasons.append(
            "A plane of label embeddings is left out where it would hold less than "
            f"{LEAST_SHARE:.0%} of their variance: {listed}."
        )
    if missing := without_vectors(measures.collected):
        reasons.append(f"The file {TENSORS} was not kept with the results of {', '.join(missing)}.")
    return " ".join(reasons) or ("" if views else "These results hold no label embeddings.")


PLACEMENTS = (Placement("embeddings", label_embeddings),)
