"""The tables of a report, out of its measures: a module for each question."""

from __future__ import annotations

from contsym.report.measures import Measures
from contsym.report.paper import Paper
from contsym.report.table_formats import Table
from contsym.report.tables.accuracy import (
    accuracy_table,
    kind_table,
    matrix_table,
    relation_table,
    shortcut_table,
)
from contsym.report.tables.comparisons import comparison_table
from contsym.report.tables.cost_and_sources import (
    cell_table,
    cost_table,
    setting_table,
    source_table,
    version_table,
)
from contsym.report.tables.examples_needed import efficiency_table, paper_table
from contsym.report.tables.forgetting import forgetting_table, retention_table, trade_off_table
from contsym.report.tables.layout import kind_tasks


def all_tables(measures: Measures, paper: Paper) -> dict[str, Table]:
    """Every table that the results have figures for, by name."""
    collected = measures.collected
    tables = [paper_table(measures, paper), efficiency_table(measures)]
    tables += [accuracy_table(measures, task) for task in collected.tasks]
    for task in collected.earlier_tasks:
        tables += [forgetting_table(measures, task), retention_table(measures, task)]
    tables.append(shortcut_table(collected))
    tables.append(comparison_table(measures))
    tables += [kind_table(measures, task) for task in kind_tasks(collected)]
    tables += [relation_table(measures, task) for task in kind_tasks(collected)]
    tables += [matrix_table(measures), trade_off_table(measures), cost_table(measures)]
    tables += [source_table(collected), setting_table(collected), version_table(collected)]
    tables.append(cell_table(collected))
    return {table.name: table for table in tables if table.rows}
