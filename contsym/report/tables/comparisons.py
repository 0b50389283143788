"""Strategies against one another, with tests."""

from __future__ import annotations

from contsym.report.collect import title_of
from contsym.report.measures import ALPHA, Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import Cell, Column, Table, interval_text, make_table, text_column
from contsym.report.tables.layout import SHOTS, TASK, shots_cell
from contsym.results.metrics.stats import Comparison, Summary, p_text


def comparison_table(measures: Measures) -> Table:
    columns = (
        TASK,
        SHOTS,
        text_column("a"),
        text_column("b"),
        Column("accuracy of a minus b", "difference", ("mean", "low", "high")),
        Column("p, Holm-corrected", "p"),
        Column("least detectable difference", "least_difference", form="{:.3f}"),
        Column("seeds", "n_seeds"),
    )
    rows = []
    for family in measures.families:
        for c in family.comparisons:
            summary = Summary(c.n_seeds, c.difference, None, c.low, c.high, "bootstrap")
            text, is_shown = interval_text(summary, sign=True), c.p < ALPHA
            difference = Cell(text, (c.difference, c.low, c.high), is_shown)
            p = Cell(p_text(c.p), (c.p,), is_shown)
            task = title_of(family.task)
            rows.append(
                (
                    task,
                    shots_cell(measures.collected, family.shots),
                    c.a,
                    c.b,
                    difference,
                    p,
                    _least(c),
                    c.n_seeds,
                )
            )
    units = measures.collected.units()
    note = (
        f"Difference with its 95% interval by a paired bootstrap over seeds and test {units}; p: the largest of this "
        "test's, McNemar's and the paired t test's over seeds, corrected after Holm over all pairs of "
        "strategies at one task and number of shots. Bold: p below 0.05. Least detectable difference: what "
        "this number of seeds would show in 80 of 100 repetitions (paired t-test, 5%); none: not even a difference of 1; "
        "–: with one seed, or where all seeds differ alike."
    )
    title = f"Pairwise comparisons on the same seeds and test {units}"
    return make_table("comparisons", title, columns, rows, note)


def _least(c: Comparison) -> Cell | float | None:
    if c.least_difference is None and c.n_seeds > 1:
        return Cell("none")
    # 0 where all seeds differ alike: by chance, since they are few.
    return c.least_difference or None


PLACEMENTS = (Placement("statistics", comparison_table),)
