"""How many examples are needed, with the paper's figures beside them."""

from __future__ import annotations

from contsym.report.collect import Collected, title_of
from contsym.report.measures import Measures
from contsym.report.paper import Paper
from contsym.report.table_formats import SUMMARY_PARTS, Cell, Column, Table, interval, nothing, number, words
from contsym.report.tables.forgetting import forgetting_cell
from contsym.report.tables.layout import NOT_STORED
from contsym.results.metrics.efficiency import Reached


def paper_table(measures: Measures, paper: Paper) -> Table:
    """The paper's figures, with ours of the same strategy beside them."""
    collected = measures.collected
    samples = Column("samples, here", "samples_here", ("median", "low", "high"))
    task = collected.earlier_tasks[0] if collected.earlier_tasks else None
    forgot = Column("forgetting in points, here", "forgetting_here", SUMMARY_PARTS)
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("samples, paper", "samples_paper"),
        samples,
        Column("forgetting in points, paper", "forgetting_paper"),
        forgot,
    )
    rows = []
    asked = collected.sweep.config.strategies if collected.sweep else ()
    titles = {method.strategy: method for method in paper.methods}
    ours = collected.variants
    strategies = {variant: collected.strategy_of(variant) for variant in ours}
    names = [m.strategy for m in paper.methods if m.strategy not in strategies.values()]
    most = collected.shots[-1]
    for variant in [*ours, *names]:
        absent = "not finished" if variant in asked else "not run"
        method = titles.get(strategies.get(variant, variant))
        found = measures.forgetting(variant, most, task) if task and variant in ours else None
        rows.append(
            (
                words(f"{method.title} ({variant})" if method else variant),
                number(method.samples if method else None, none=NOT_STORED),
                reached_cell(samples, measures, variant) if variant in ours else nothing(samples, absent),
                number(method.forgetting if method else None, "{:.1f}", none=NOT_STORED),
                forgetting_cell(forgot, found, scale=100, digits=1)
                if found
                else nothing(forgot, absent if variant not in ours else NOT_STORED),
            )
        )
    where = f"{collected.first.encoder}, {_sizes(collected)}"
    return Table(
        "paper",
        f"Samples needed and forgetting: the paper's and ours ({paper.source})",
        columns,
        tuple(rows),
        (
            f"Paper: {paper.protocol}.",
            f"Here: {where}. Samples: the least shots of "
            f"{', '.join(map(str, collected.shots))} with an accuracy of {measures.target:g} on "
            f"{title_of(collected.new_task)}, median over seeds."
            + (f" Forgetting: of {title_of(task)}, at {most:,} shots." if task else ""),
            *_departures(collected, paper),
        ),
    )


def _departures(collected: Collected, paper: Paper) -> list[str]:
    """What keeps our figures from being compared with the paper's; nothing where nothing does."""
    found = []
    if collected.first.encoder != paper.encoder:
        found.append(f"{collected.first.encoder} in place of {paper.encoder}")
    mnli = collected.first.sources.get("mnli")
    if mnli is None:
        found.append("no MNLI before")
    elif mnli.rows.train != paper.mnli_train:
        found.append(f"{mnli.rows.train:,} MNLI training pairs in place of {paper.mnli_train:,}")
    if not found:
        return []
    return [f"Not the paper's protocol: {'; '.join(found)}. Orders may be compared, figures may not."]


def _sizes(collected: Collected) -> str:
    parts = []
    for task, source in collected.first.sources.items():
        rows = source.rows
        sizes = ", ".join(f"{n:,}" for n in collected.train_pairs(task))
        train = "" if task == collected.new_task else f"{sizes} training pairs, "
        parts.append(f"{title_of(task)} from {source.name} ({train}{rows.test:,} test pairs)")
    return "; ".join(parts)


def reached_text(reached: Reached) -> str:
    """Median and interval of the shots needed, "not reached" kept.

    >>> reached_text(Reached((8, 16, None), 16, 8, None))
    '16 [8, not reached]'
    """

    def said(value: float | None) -> str:
        return "not reached" if value is None else f"{value:,}"

    if len(reached.per_seed) == 1 or (reached.low == reached.median == reached.high):
        return said(reached.median)
    return f"{said(reached.median)} [{said(reached.low)}, {said(reached.high)}]"


def reached_cell(column: Column, measures: Measures, variant: str) -> Cell:
    found = measures.efficiency(variant)
    if found.reached is None:
        return nothing(column, "cells missing")
    reached = found.reached
    return Cell(reached_text(reached), (reached.median, reached.low, reached.high))


def efficiency_table(measures: Measures) -> Table:
    collected = measures.collected
    reached = Column(f"shots to {measures.target:g}", "shots_needed", ("median", "low", "high"))
    area = Column("area under the curve", "area", SUMMARY_PARTS)
    columns = (
        Column("strategy", "strategy", is_text=True),
        reached,
        Column("by seed", "by_seed", is_text=True),
        area,
        Column("seeds", "n_seeds"),
    )
    rows = []
    for variant in collected.variants:
        found = measures.efficiency(variant)
        by_seed = found.reached.per_seed if found.reached else ()
        rows.append(
            (
                words(variant),
                reached_cell(reached, measures, variant),
                words(", ".join("not reached" if n is None else f"{n:,}" for n in by_seed)),
                interval(found.area) if found.area else nothing(area, NOT_STORED),
                number(found.n_seeds),
            )
        )
    return Table(
        "efficiency",
        f"Examples needed of {title_of(collected.new_task)}",
        columns,
        tuple(rows),
        (
            f"The least shots of {', '.join(map(str, collected.shots))} with an accuracy of at least "
            f"{measures.target:g}: median over the seeds with its 95% bootstrap interval. Area: under accuracy "
            "over log2 of the shots, 1 = always right; its own bootstrap interval. Seeds of which every "
            "number of shots is stored.",
        ),
    )
