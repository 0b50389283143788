"""Strategies against one another, with tests."""

from __future__ import annotations

from contsym.report.collect import title_of
from contsym.report.measures import Family, Measures
from contsym.report.table_formats import Cell, Column, Table, interval_text, number, words
from contsym.report.tables.layout import NOT_STORED
from contsym.results.metrics.stats import Comparison, Summary, p_text


def comparison_table(measures: Measures) -> Table:
    columns = (
        Column("task", "task", is_text=True),
        Column("shots", "shots"),
        Column("a", "a", is_text=True),
        Column("b", "b", is_text=True),
        Column("accuracy of a minus b", "difference", ("mean", "low", "high")),
        Column("p, Holm-corrected", "p"),
        Column("least difference to be seen", "least_difference"),
        Column("seeds", "n_seeds"),
    )
    rows = tuple(
        comparison_row(family, comparison)
        for family in measures.families
        for comparison in family.comparisons
    )
    return Table(
        "comparisons",
        "Pairwise comparisons on the same seeds and test pairs",
        columns,
        rows,
        (
            "Difference with its 95% interval by a paired bootstrap over seeds and test pairs; p: the largest of "
            "this test's, McNemar's and the paired t test's over seeds, corrected after Holm over all pairs of "
            "strategies at one task and number of shots. Bold: p below 0.05. "
            "Least difference: what this number of seeds would show in 80 of 100 "
            "repetitions (paired t-test, 5%); – with one seed.",
        ),
    )


def comparison_row(family: Family, c: Comparison) -> tuple[Cell, ...]:
    shown = Summary(c.n_seeds, c.difference, None, c.low, c.high, "bootstrap")
    least = c.least_difference
    return (
        words(title_of(family.task)),
        number(family.shots),
        words(c.a),
        words(c.b),
        Cell(interval_text(shown, sign=True), (c.difference, c.low, c.high), strong=c.p < 0.05),
        Cell(p_text(c.p), (c.p,), strong=c.p < 0.05),
        number(least, "{:.3f}", NOT_STORED),
        number(c.n_seeds),
    )
