"""The figures of a report, by Plotly: each a set of views, of which one is shown at a time."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.report.figures.embeddings import label_embeddings
from contsym.report.figures.heat_maps import by_relation, matrices
from contsym.report.figures.learning import learning
from contsym.report.figures.over_shots import accuracy_over_shots, kinds
from contsym.report.figures.style import COLOURS, Canvas, Figure, styles
from contsym.report.figures.trade_off import trade_off
from contsym.report.measures import Measures
from contsym.report.projection import LabelView

__all__ = ["COLOURS", "Figure", "all_figures", "styles"]

FIGURES = (accuracy_over_shots, trade_off, matrices, by_relation, kinds, learning, label_embeddings)


def all_figures(measures: Measures, label_views: Sequence[LabelView]) -> dict[str, Figure]:
    """Every figure that the results have something for, by name, in the report's order."""
    canvas = Canvas(measures, label_views)
    made = [draw(canvas) for draw in FIGURES]
    return {figure.name: figure for figure in made if figure and figure.views}
