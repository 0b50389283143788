"""What results cost and where they come from: data, settings, versions, keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contsym.report.collect import Collected, title_of
from contsym.report.measures import Measures
from contsym.report.table_formats import Cell, Column, Table, Value, number, words
from contsym.report.tables.layout import NOT_STORED
from contsym.results.schema import SeedResult

COSTS = {
    "stored_bytes": "stored bytes",
    "trained_parameters": "trained parameters",
    "encoder_forwards": "texts encoded",
    "encoder_forwards_evaluation": "of these for evaluation",
    "pairs_seen": "training pairs seen",
    "training_seconds": "seconds of training",
}


def cost_table(measures: Measures) -> Table:
    collected = measures.collected
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        *(Column(title, name) for name, title in COSTS.items()),
        Column("seconds in all", "seconds"),
        Column("peak memory, MiB", "peak_memory_mib"),
    )
    rows = []
    for variant in collected.variants:
        for shots in collected.shots:
            if not collected.group(variant, shots):
                continue
            memory = measures.cost(variant, shots, "peak_memory_bytes")
            seconds = measures.seconds(variant, shots)
            assert seconds is not None
            rows.append(
                (
                    words(variant),
                    number(shots),
                    *(
                        number(
                            measures.cost(variant, shots, name),
                            "{:,.1f}" if "seconds" in name else "{:,.0f}",
                            NOT_STORED,
                        )
                        for name in COSTS
                    ),
                    number(seconds, "{:,.1f}"),
                    number(memory / 2**20 if memory else None, "{:,.0f}", NOT_STORED),
                )
            )
    note = (
        "Means over seeds, of a cell as if it had run alone: seconds count the work of a shared beginning in each "
        "cell that went on from it. Seconds depend on the machine and on what else ran there."
    )
    return Table("cost", "What it costs", columns, tuple(rows), (note,))


def source_table(collected: Collected) -> Table:
    columns = (
        Column("task", "task", is_text=True),
        Column("source", "source", is_text=True),
        Column("training pairs", "train"),
        Column("test pairs", "test"),
        Column("fingerprint (SHA-256)", "fingerprint", is_text=True),
        Column("stand-in", "stand_in", is_text=True),
        Column("notes", "notes", is_text=True),
    )
    rows = []
    for task, source in collected.first.sources.items():
        train = ", ".join(f"{n:,}" for n in collected.train_pairs(task))
        rows.append(
            (
                words(title_of(task)),
                words(source.name),
                Cell(train, (train,)),
                number(source.rows.test),
                words(source.fingerprint),
                words("yes" if source.stand_in else "no"),
                words("; ".join(source.notes)),
            )
        )
    return Table("sources", "Data", columns, tuple(rows))


def setting_table(collected: Collected) -> Table:
    """The hyper-parameters of each variant, as resolved."""
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("settings", "settings", is_text=True),
    )
    rows = []
    for variant in collected.variants:
        stored = (s for n in collected.shots for s in collected.group(variant, n))
        rows.append((words(variant), words("; or ".join(dict.fromkeys(_settings(s.result) for s in stored)))))
    return Table("settings", "Hyper-parameters", columns, tuple(rows))


def _settings(result: SeedResult) -> str:
    settings = sorted(result.settings.items())
    return ", ".join(f"{name}={'default' if value is None else value}" for name, value in settings)


def version_table(collected: Collected) -> Table:
    """What made the results: one line a fact, all values of it where they differ."""
    facts: dict[str, Callable[[SeedResult], str]] = {
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
    rows = [(words(name), words(", ".join(_distinct(collected, fact)))) for name, fact in facts.items()]
    rows += [(words(what), words(", ".join(origins))) for what, origins in collected.plugins.items()]
    rows += [(words(f"note on {variant}"), words(note)) for variant, note in collected.notes]
    libraries = list(dict.fromkeys(name for s in collected.stored for name in s.result.versions))
    for name in libraries:
        found = {s.result.versions.get(name, "not recorded") for s in collected.stored}
        rows.append((words(name), words(", ".join(sorted(found)))))
    rows.append((words("seeds"), words(", ".join(map(str, collected.seeds)))))
    times = sorted(s.result.started_at for s in collected.stored)
    rows.append((words("started"), words(f"{times[0]} to {times[-1]}" if len(times) > 1 else times[0])))
    columns = (Column("what", "what", is_text=True), Column("value", "value", is_text=True))
    return Table("versions", "Versions and machine", columns, tuple(rows))


def _distinct(collected: Collected, fact: Callable[[SeedResult], str]) -> Sequence[str]:
    return sorted({fact(s.result) for s in collected.stored})


def cell_table(collected: Collected) -> Table:
    """Every result by its key, so that a figure can be traced to its folder."""
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        Column("seed", "seed"),
        *(Column(f"final, {title_of(task)}", f"final_{task}") for task in collected.tasks),
        Column("key", "key", is_text=True),
    )
    rows: list[tuple[Cell, ...]] = []
    for variant in collected.variants:
        for shots in collected.shots:
            for stored in collected.group(variant, shots):
                rows.append(_cell_row(stored.result, variant, shots, collected.tasks))
    return Table("cells", "Every result", columns, tuple(rows))


def _cell_row(result: SeedResult, variant: str, shots: int, tasks: Sequence[str]) -> tuple[Cell, ...]:
    finals: list[Value] = [result.final[task] for task in tasks]
    return (
        words(variant),
        number(shots),
        number(result.seed, "{}"),
        *(Cell(f"{value:.3f}", (value,)) for value in finals),
        words(result.key),
    )
