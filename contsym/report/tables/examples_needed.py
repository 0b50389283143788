"""The number of examples needed, with the paper's figures beside them."""

from __future__ import annotations

from contsym.report.collect import Collected, title_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import SUMMARY_PARTS, Cell, Column, Table, make_table, text_column
from contsym.report.tables.forgetting import forgetting_cell
from contsym.report.tables.layout import STRATEGY, interval_note, median_note
from contsym.results import paper
from contsym.results.metrics.efficiency import ShotsNeeded

SHOTS_PARTS = ("median", "low", "high")


def paper_table(measures: Measures) -> Table:
    """The paper's figures, with ours of the same strategy beside them."""
    collected = measures.collected
    task = collected.earlier_tasks[0] if collected.earlier_tasks else None
    columns = (
        STRATEGY,
        Column("samples, paper", "samples_paper"),
        Column("samples, here", "samples_here", SHOTS_PARTS),
        Column("forgetting in points, paper", "forgetting_paper", form="{:.1f}"),
        Column("forgetting in points, here", "forgetting_here", SUMMARY_PARTS),
    )
    methods = {method.strategy: method for method in paper.METHODS}
    strategies = {variant: collected.strategy_of(variant) for variant in collected.variants}
    shown = [*strategies, *(name for name in methods if name not in strategies.values())]
    planned = collected.sweep.config.strategies if collected.sweep else ()
    most = collected.shots[-1]
    rows = []
    for variant in shown if collected.is_of_paper else ():
        method = methods.get(strategies.get(variant, variant))
        name = f"{method.title} ({variant})" if method else variant
        samples, points = (method.samples, method.forgetting) if method else (None, None)
        if variant in strategies:
            forgetting = measures.forgetting(variant, most, task) if task else None
            points_cell = forgetting_cell(forgetting, scale=100, digits=1)
            rows.append((name, samples, shots_needed_cell(measures, variant), points, points_cell))
        else:
            absent = Cell("not finished" if variant in planned else "not run")
            rows.append((name, samples, absent, points, absent))
    notes = (
        f"Paper: {paper.PROTOCOL}.",
        f"Here: {collected.first.encoder}, {_sizes(collected)}. Samples: {how_measured(measures)}, median over seeds "
        f"{median_note(collected)}."
        + (f" Forgetting: of {title_of(task)}, after {collected.amount(most)}." if task else ""),
        *_departures(collected),
    )
    title = f"Samples needed and forgetting: the paper's and ours ({paper.SOURCE})"
    return make_table("paper", title, columns, rows, *notes)


def _departures(collected: Collected) -> list[str]:
    """A note on how our protocol differs from the paper's; empty where it does not."""
    departures = []
    if collected.first.encoder != paper.ENCODER:
        departures.append(f"{collected.first.encoder} in place of {paper.ENCODER}")
    mnli = collected.first.sources.get("mnli")
    if mnli is None:
        departures.append("no MNLI before")
    elif mnli.rows.train != paper.MNLI_TRAIN:
        departures.append(f"{mnli.rows.train:,} MNLI training pairs in place of {paper.MNLI_TRAIN:,}")
    if not departures:
        return []
    return [f"Not the paper's protocol: {'; '.join(departures)}. Compare the order of methods, not figures."]


def _sizes(collected: Collected) -> str:
    parts = []
    for task, source in collected.first.sources.items():
        sizes = ", ".join(f"{n:,}" for n in collected.train_pairs(task))
        units = collected.units(task)
        train = "" if task == collected.new_task else f"{sizes} training {units}, "
        parts.append(f"{title_of(task)} from {source.name} ({train}{source.rows.test:,} test {units})")
    return "; ".join(parts)


def shots_needed_text(needed: ShotsNeeded, smallest: int | None = None) -> str:
    """Median and interval of the shots needed; at most as many where they are the smallest that were tried.

    >>> shots_needed_text(ShotsNeeded((8, 16, None), 16, 8, None), 8)
    '16 [at most 8, not reached]'
    """
    if len(needed.per_seed) == 1 or (needed.low == needed.median == needed.high):
        return _count(needed.median, smallest)
    low, high = (_count(n, smallest) for n in (needed.low, needed.high))
    return f"{_count(needed.median, smallest)} [{low}, {high}]"


def _count(shots: int | None, smallest: int | None) -> str:
    return "not reached" if shots is None else f"{'at most ' * (shots == smallest)}{shots:,}"


def shots_needed_cell(measures: Measures, variant: str) -> Cell:
    efficiency = measures.efficiency(variant)
    if (needed := efficiency.shots_needed) is None:
        return Cell("cells missing")
    values = (needed.median, needed.low, needed.high)
    return Cell(shots_needed_text(needed, efficiency.smallest), values)


def how_measured(measures: Measures) -> str:
    """What the examples needed are, for a caption."""
    collected = measures.collected
    units = collected.units(collected.new_task)
    part, reached = (
        f"{units} of {title_of(collected.new_task)}",
        f"an accuracy of at least {measures.target:g}",
    )
    if not any(measures.efficiency(variant).is_counted for variant in collected.variants):
        tried = collected.tried or " or ".join(collected.shots_words(n) for n in collected.shots)
        return f"the least shots of {tried} with {reached} on the test {part}"
    if any(r.search for r in collected.results):
        return f"the least shots of {collected.tried} with {reached} on the validation {part}"
    return f"the {units} seen, each once, until {reached} on the validation {part}, exact to one batch"


def efficiency_table(measures: Measures) -> Table:
    collected = measures.collected
    columns = (
        STRATEGY,
        Column(f"{collected.units(collected.new_task)} to {measures.target:g}", "shots_needed", SHOTS_PARTS),
        text_column("by seed", "by_seed"),
        Column("area under the curve", "area", SUMMARY_PARTS),
        Column("seeds", "n_seeds"),
    )
    rows = []
    for variant in collected.variants:
        efficiency = measures.efficiency(variant)
        by_seed = efficiency.shots_needed.per_seed if efficiency.shots_needed else ()
        by_seed_text = ", ".join(_count(n, None) for n in by_seed)
        needed = shots_needed_cell(measures, variant)
        rows.append((variant, needed, by_seed_text, efficiency.area, efficiency.n_seeds))
    words = how_measured(measures)
    note = (
        f"{words[0].upper()}{words[1:]}: median over the seeds {median_note(collected)}. At most: the smallest that was "
        "tried, so that fewer may do. Area: under accuracy over log2 of fixed numbers of shots, 1 = always right. "
        f"{interval_note(collected)}. Only seeds with a result at every number of shots count."
    )
    title = f"Examples needed of {title_of(collected.new_task)}"
    return make_table("efficiency", title, columns, rows, note)


PLACEMENTS = (
    Placement("paper", paper_table, is_open=True),
    Placement("statistics", efficiency_table, is_open=True),
)
