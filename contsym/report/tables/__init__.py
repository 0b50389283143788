"""The tables of a report: a module for each question."""

from __future__ import annotations

from contsym.report.measures import Measures
from contsym.report.placement import Placement, make_all
from contsym.report.table_formats import Table


def all_tables(measures: Measures) -> list[tuple[Placement, Table]]:
    """Every table that has rows, the unfolded ones first."""
    tables = [(placement, table) for placement, table in make_all(__name__, measures) if table.rows]
    return sorted(tables, key=lambda placed: not placed[0].is_open)
