"""The cost of results and their provenance: data, settings, versions, keys."""

from __future__ import annotations

from collections.abc import Callable

from contsym.report.collect import title_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import Column, Table, number_cell, text_cell, text_column
from contsym.report.tables.layout import SHOTS, STRATEGY, TASK, groups
from contsym.results.schema import SeedResult

COSTS: dict[str, tuple[str, str, Callable[[SeedResult], float]]] = {
    "stored_bytes": ("stored bytes", "{:,.0f}", lambda r: r.cost.stored_bytes),
    "trained_parameters": ("trained parameters", "{:,.0f}", lambda r: r.cost.trained_parameters),
    "encoder_forwards": ("texts encoded", "{:,.0f}", lambda r: r.cost.encoder_forwards),
    "encoder_forwards_evaluation": (
        "of these for evaluation",
        "{:,.0f}",
        lambda r: r.cost.encoder_forwards_evaluation,
    ),
    "pairs_seen": ("training pairs seen", "{:,.0f}", lambda r: r.cost.total("pairs_seen")),
    "training_seconds": ("seconds of training", "{:,.1f}", lambda r: r.cost.total("training_seconds")),
    "seconds": ("seconds in total", "{:,.1f}", lambda r: r.seconds),
    "peak_memory_mib": ("peak memory, MiB", "{:,.0f}", lambda r: r.cost.peak_memory_bytes / 2**20),
}
"""Title, format and value of each column, by its name in the CSV."""


def cost_table(measures: Measures) -> Table:
    columns = (STRATEGY, SHOTS, *(Column(title, key) for key, (title, *_) in COSTS.items()))
    rows = tuple(
        (
            text_cell(variant),
            number_cell(shots),
            *(number_cell(measures.mean(variant, shots, cost), form) for _, form, cost in COSTS.values()),
        )
        for variant, shots in groups(measures.collected)
    )
    note = (
        "Means over seeds, of each cell as if it had run alone: where cells share the training on the first "
        "task, its seconds count in every one. Seconds depend on the machine and its other work."
    )
    return Table("cost", "Cost", columns, rows, (note,))


def source_table(measures: Measures) -> Table:
    collected = measures.collected
    columns = (
        TASK,
        text_column("source"),
        Column("training pairs", "train"),
        Column("test pairs", "test"),
        text_column("fingerprint (SHA-256)", "fingerprint"),
        text_column("stand-in", "stand_in"),
        text_column("notes"),
    )
    rows = tuple(
        (
            text_cell(title_of(task)),
            text_cell(source.name),
            text_cell(", ".join(f"{n:,}" for n in collected.train_pairs(task))),
            number_cell(source.rows.test),
            text_cell(source.fingerprint),
            text_cell("yes" if source.stand_in else "no"),
            text_cell("; ".join(source.notes)),
        )
        for task, source in collected.first.sources.items()
    )
    return Table("sources", "Data", columns, rows)


def setting_table(measures: Measures) -> Table:
    """The hyper-parameters of each variant, defaults included."""
    collected = measures.collected
    rows = []
    for variant in collected.variants:
        results = [stored.result for n in collected.shots for stored in collected.group(variant, n)]
        rows.append((text_cell(variant), text_cell("; or ".join(dict.fromkeys(map(_settings, results))))))
    return Table("settings", "Hyper-parameters", (STRATEGY, text_column("settings")), tuple(rows))


def _settings(result: SeedResult) -> str:
    settings = sorted(result.settings.items())
    return ", ".join(f"{name}={'default' if value is None else value}" for name, value in settings)


FACTS: dict[str, Callable[[SeedResult], str]] = {
    "encoder": lambda r: f"{r.encoder} ({r.encoder_weights.origin})",
    "encoder weights (SHA-256)": lambda r: r.encoder_weights.sha256,
    "pooling": lambda r: r.pooling.words,
    "device, precision": lambda r: f"{r.device}, {r.precision}",
    "threads": lambda r: str(r.threads),
    "platform": lambda r: r.platform,
    "git commit": lambda r: r.git_commit or "not from a checkout",
    "code (SHA-256)": lambda r: r.code_sha256,
    "form": lambda r: r.options.form,
    "split": lambda r: r.options.split or "as the data come",
}


def version_table(measures: Measures) -> Table:
    """What made the results: a row per fact, with every value of it."""
    collected = measures.collected
    results = [stored.result for stored in collected.stored]

    def distinct(fact: Callable[[SeedResult], str]) -> str:
        return ", ".join(sorted(set(map(fact, results))))

    rows = [(name, distinct(fact)) for name, fact in FACTS.items()]
    rows += [(plugin, ", ".join(origins)) for plugin, origins in collected.plugins.items()]
    rows += [(f"note on {variant}", note) for variant, note in collected.notes]
    for name in dict.fromkeys(name for result in results for name in result.versions):
        rows.append((name, distinct(lambda r, name=name: r.versions.get(name, "not recorded"))))  # type: ignore[misc]
    rows.append(("seeds", ", ".join(map(str, collected.seeds))))
    times = sorted(result.started_at for result in results)
    rows.append(("started", f"{times[0]} to {times[-1]}" if len(times) > 1 else times[0]))
    columns = (text_column("what"), text_column("value"))
    return Table(
        "versions",
        "Versions and machine",
        columns,
        tuple((text_cell(name), text_cell(value)) for name, value in rows),
    )


def cell_table(measures: Measures) -> Table:
    """Every result with its key, which is the name of its folder."""
    collected = measures.collected
    columns = (
        STRATEGY,
        SHOTS,
        Column("seed", "seed"),
        *(Column(f"final, {title_of(task)}", f"final_{task}") for task in collected.tasks),
        text_column("key"),
    )
    rows = tuple(
        (
            text_cell(variant),
            number_cell(shots),
            number_cell(stored.result.seed, "{}"),
            *(number_cell(stored.result.final[task], "{:.3f}") for task in collected.tasks),
            text_cell(stored.result.key),
        )
        for variant, shots in groups(collected)
        for stored in collected.group(variant, shots)
    )
    return Table("cells", "Every result", columns, rows)


PLACEMENTS = (
    Placement("cost", cost_table, is_open=True),
    Placement("provenance", source_table, is_open=True),
    Placement("provenance", setting_table),
    Placement("provenance", version_table),
    Placement("provenance", cell_table),
)
