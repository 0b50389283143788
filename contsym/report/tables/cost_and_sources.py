"""The cost of results and their provenance: data, settings, versions, keys."""

from __future__ import annotations

from collections.abc import Callable

from contsym.report.collect import title_of
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import Column, Table, make_table, text_column
from contsym.report.tables.layout import SHOTS, STRATEGY, TASK, groups, shots_cell
from contsym.results.reading import reading
from contsym.results.schema import SeedResult

COSTS: dict[Column, Callable[[SeedResult], float]] = {
    Column("stored bytes", "stored_bytes", form="{:,.0f}"): lambda r: r.cost.stored_bytes,
    Column("trained parameters", "trained_parameters", form="{:,.0f}"): lambda r: r.cost.trained_parameters,
    Column("texts encoded", "encoder_forwards", form="{:,.0f}"): lambda r: r.cost.encoder_forwards,
    Column("of these for evaluation", "encoder_forwards_evaluation", form="{:,.0f}"): (
        lambda r: r.cost.encoder_forwards_evaluation
    ),
    Column("training examples seen", "pairs_seen", form="{:,.0f}"): lambda r: r.cost.total("pairs_seen"),
    Column("seconds of training", "training_seconds", form="{:,.1f}"): (
        lambda r: r.cost.total("training_seconds")
    ),
    Column("seconds in total", "seconds", form="{:,.1f}"): lambda r: r.seconds,
    Column("peak memory, MiB", "peak_memory_mib", form="{:,.0f}"): (
        lambda r: r.cost.peak_memory_bytes / 2**20
    ),
}


def cost_table(measures: Measures) -> Table:
    rows = (
        (
            variant,
            shots_cell(measures.collected, shots, variant),
            *(measures.mean(variant, shots, cost) for cost in COSTS.values()),
        )
        for variant, shots in groups(measures.collected)
    )
    note = (
        "Means over seeds, of each cell as if it had run alone: where cells share the training on the first "
        "task, its seconds count in every one. Seconds depend on the machine and its other work."
    )
    return make_table("cost", "Cost", (STRATEGY, SHOTS, *COSTS), rows, note)


def source_table(measures: Measures) -> Table:
    collected = measures.collected
    units = collected.units()
    columns = (
        TASK,
        text_column("source"),
        Column(f"training {units}", "train"),
        Column(f"validation {units}", "validation"),
        Column(f"test {units}", "test"),
        text_column("fingerprint (SHA-256)", "fingerprint"),
        text_column("notes"),
    )
    rows = (
        (
            title_of(task),
            source.name,
            # As text, since there may be several numbers.
            ", ".join(f"{n:,}" for n in collected.train_pairs(task)),
            source.rows.validation,
            source.rows.test,
            source.fingerprint,
            "; ".join(source.notes),
        )
        for task, source in collected.first.sources.items()
    )
    return make_table("sources", "Data", columns, rows)


def setting_table(measures: Measures) -> Table:
    """The hyper-parameters of each variant, defaults included."""
    collected = measures.collected
    rows = []
    for variant in collected.variants:
        results = [result for n in collected.shots for result in collected.group(variant, n)]
        rows.append((variant, "; or ".join(dict.fromkeys(map(_settings, results)))))
    return make_table("settings", "Hyper-parameters", (STRATEGY, text_column("settings")), rows)


def _settings(result: SeedResult) -> str:
    # One pass is as many steps as it takes, and a given number of steps is no number of epochs.
    unused = ["epochs", "min_steps"] if result.options.one_pass or result.settings.get("steps") else []
    unused += ["steps"] if result.options.one_pass or not result.settings.get("steps") else []
    settings = sorted((name, value) for name, value in result.settings.items() if name not in unused)
    return ", ".join(f"{name}={'default' if value is None else value}" for name, value in settings)


FACTS: dict[str, Callable[[SeedResult], str]] = {
    "encoder": lambda r: f"{r.encoder} ({r.encoder_weights.origin})",
    "encoder weights (SHA-256)": lambda r: r.encoder_weights.sha256,
    "pooling": lambda r: r.pooling.words,
    "adapter": lambda r: r.options.adapter or "none: the weights are trained",
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
    results = collected.results

    def distinct(fact: Callable[[SeedResult], str]) -> str:
        return ", ".join(sorted(set(map(fact, results))))

    rows = [(name, distinct(fact)) for name, fact in FACTS.items()]
    rows += [(plugin, ", ".join(origins)) for plugin, origins in collected.plugins.items()]
    rows += [(f"note on {variants or 'all'}", note) for variants, note in collected.notes]
    for name in dict.fromkeys(name for result in results for name in result.versions):
        rows.append((name, distinct(lambda r, name=name: r.versions.get(name, "not recorded"))))  # type: ignore[misc]
    rows.append(("seeds", ", ".join(map(str, collected.seeds))))
    times = sorted(result.started_at for result in results)
    rows.append(("started", f"{times[0]} to {times[-1]}" if len(times) > 1 else times[0]))
    return make_table("versions", "Versions and machine", (text_column("what"), text_column("value")), rows)


def cell_table(measures: Measures) -> Table:
    """Every result with its key, which is the name of its folder."""
    collected = measures.collected
    finals = (Column(f"final, {title_of(task)}", f"final_{task}", form="{:.3f}") for task in collected.tasks)
    columns = (
        STRATEGY,
        SHOTS,
        Column("seed", form="{}"),
        text_column("reading"),
        *finals,
        text_column("key"),
    )
    rows = (
        (
            variant,
            shots_cell(collected, shots, variant),
            r.seed,
            reading([r]),
            *(r.final[task] for task in collected.tasks),
            r.key,
        )
        for variant, shots in groups(collected)
        for r in collected.group(variant, shots)
    )
    return make_table("cells", "Every result", columns, rows)


PLACEMENTS = (
    Placement("cost", cost_table, is_open=True),
    Placement("provenance", source_table, is_open=True),
    Placement("provenance", setting_table),
    Placement("provenance", version_table),
    Placement("provenance", cell_table),
)
