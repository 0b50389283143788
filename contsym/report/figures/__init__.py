"""The figures of a report, by Plotly: each is a set of views, of which one is shown at a time."""

from __future__ import annotations

from contsym.report.figures.style import Figure
from contsym.report.measures import Measures
from contsym.report.placement import Placement, make_all


def all_figures(measures: Measures) -> list[tuple[Placement, Figure]]:
    """Every figure that has a view."""
    return [(placement, figure) for placement, figure in make_all(__name__, measures) if figure.views]
