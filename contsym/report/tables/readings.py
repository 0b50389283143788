"""Samples needed and forgetting of the paper's methods, a row per reading of the paper's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import (
    SUMMARY_PARTS,
    Cell,
    Column,
    Table,
    interval_cell,
    make_table,
    text_column,
)
from contsym.report.tables.examples_needed import SHOTS_PARTS, shots_needed_text
from contsym.report.tables.layout import interval_note, median_note
from contsym.results import paper
from contsym.results.metrics.efficiency import over_seeds
from contsym.results.metrics.stats import summarise_values
from contsym.results.paper_readings import Outcome, Tau, in_order

TAU_PARTS = ("value", "low", "high")


def samples_table(measures: Measures) -> Table:
    collected = measures.collected

    def samples(reading: Outcome, strategy: str) -> Cell | None:
        if not (per_seed := reading.samples.get(strategy)):
            return None
        needed = over_seeds(per_seed)
        return Cell(shots_needed_text(needed), (needed.median, needed.low, needed.high))

    return _table(
        "readings-samples",
        "Samples needed, by reading",
        collected.outcomes,
        SHOTS_PARTS,
        samples,
        lambda reading: reading.tau_samples,
        [Cell(str(m.samples), (m.samples, None, None)) for m in paper.METHODS],
        "Pairs of the new task until the validation accuracy reached the target: median over seeds "
        f"{median_note(collected)}.",
    )


def forgetting_table(measures: Measures) -> Table:
    collected = measures.collected

    def forgetting(reading: Outcome, strategy: str) -> Cell | None:
        values = reading.losses.get(strategy)
        return interval_cell(summarise_values(values), sign=True, scale=100, digits=1) if values else None

    return _table(
        "readings-forgetting",
        "Forgetting in points, by reading",
        collected.outcomes,
        SUMMARY_PARTS,
        forgetting,
        lambda reading: reading.tau_forgetting,
        [Cell(f"{m.forgetting:+.1f}", (m.forgetting / 100, None, None, None)) for m in paper.METHODS],
        "Accuracy lost on the first task when the target was reached, or at the end where it was not: mean over "
        "seeds. On the test pairs where training stopped there, else on validation pairs. "
        f"{interval_note(collected)}.",
    )


def _table(
    name: str,
    title: str,
    readings: Sequence[Outcome],
    parts: tuple[str, ...],
    cell: Callable[[Outcome, str], Cell | None],
    tau: Callable[[Outcome], Tau | None],
    paper_cells: Sequence[Cell],
    note: str,
) -> Table:
    columns = (
        text_column("reading"),
        Column("target", form="{:g}"),
        Column("seeds"),
        *(Column(method.title, method.strategy, parts) for method in paper.METHODS),
        Column("Kendall's tau", "tau", TAU_PARTS),
    )
    rows: list[Sequence[Any]] = [("the paper's table", None, None, *paper_cells, None)]
    common = _common_options([reading.name for reading in readings])
    for reading in in_order(readings):
        order = tau(reading)
        n_seeds = max(map(len, reading.samples.values()))
        tau_cell = Cell(order.words, (order.value, order.low, order.high)) if order else None
        cells = (cell(reading, method.strategy) for method in paper.METHODS)
        own = " ".join(option for option in reading.name.split() if option not in common)
        rows.append((own or "ours", reading.target, n_seeds, *cells, tau_cell))
    tau_note = (
        "Tau: rank correlation of our order of the methods with the paper's, 1 = the same order; its interval "
        "resamples seeds. The reading nearest to the paper comes first, of those with the most methods."
    )
    same = [f"Every reading here: {', '.join(common)}."] if common else []
    return make_table(name, title, columns, rows if len(rows) > 1 else [], note, tau_note, *same)


def _common_options(names: Sequence[str]) -> list[str]:
    """The options that all names have, in the order of the first.

    >>> _common_options(["one_pass=true draw=natural", "one_pass=true draw=balanced"])
    ['one_pass=true']
    """
    first, *others = [name.split() for name in names] or [[]]
    return [option for option in first if all(option in other for other in others)]


PLACEMENTS = (
    Placement("readings", samples_table, is_open=True),
    Placement("readings", forgetting_table, is_open=True),
)
