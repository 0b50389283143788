"""Strategies against one another, with tests."""

from __future__ import annotations

from contsym.report.collect import title_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import (
    Cell,
    Column,
    Table,
    interval_text,
    number_cell,
    text_cell,
    text_column,
)
from contsym.report.tables.layout import NOT_STORED, SHOTS, TASK
from contsym.results.metrics.stats import Summary, p_text


def comparison_table(measures: Measures) -> Table:
    columns = (
        TASK,
        SHOTS,
        text_column("a"),
        text_column("b"),
        Column("accuracy of a minus b", "difference", ("mean", "low", "high")),
        Column("p, Holm-corrected", "p"),
        Column("least detectable difference", "least_difference"),
        Column("seeds", "n_seeds"),
    )
    rows = []
    for family in measures.families:
        for c in family.comparisons:
            difference = interval_text(
                Summary(c.n_seeds, c.difference, None, c.low, c.high, "bootstrap"), sign=True
            )
            rows.append(
                (
                    text_cell(title_of(family.task)),
                    number_cell(family.shots),
                    text_cell(c.a),
                    text_cell(c.b),
                    Cell(difference, (c.difference, c.low, c.high), strong=c.p < 0.05),
                    Cell(p_text(c.p), (c.p,), strong=c.p < 0.05),
                    number_cell(c.least_difference, "{:.3f}", NOT_STORED),
                    number_cell(c.n_seeds),
                )
            )
    note = (
        "Difference with its 95% interval by a paired bootstrap over seeds and test pairs; p: the largest of "
        "this test's, McNemar's and the paired t test's over seeds, corrected after Holm over all pairs of "
        "strategies at one task and number of shots. Bold: p below 0.05. Least detectable difference: what "
        "this number of seeds would show in 80 of 100 repetitions (paired t-test, 5%); – with one seed."
    )
    title = "Pairwise comparisons on the same seeds and test pairs"
    return Table("comparisons", title, columns, tuple(rows), (note,))


PLACEMENTS = (Placement("statistics", comparison_table),)
