"""The tables of a report, out of its measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contsym.data.relations import registry
from contsym.metrics.efficiency import Reached
from contsym.metrics.stats import Comparison, Summary
from contsym.report.collect import Collected, Result, title_of
from contsym.report.measures import Family, Forgetting, Measures
from contsym.report.paper import Paper
from contsym.report.tables import (
    SUMMARY_PARTS,
    Cell,
    Column,
    Table,
    Value,
    interval,
    interval_text,
    nothing,
    number,
    words,
)

NOT_STORED = "–"
KIND_NAMES = ("symmetric", "antisymmetric")


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


def interval_note(collected: Collected, shown_as: str = "Brackets") -> str:
    """What the intervals are, for these seeds."""
    if len(collected.seeds) == 1:
        return (
            f"{shown_as}: 95% Wilson interval over the test pairs, of an accuracy alone; one seed says nothing about "
            "other seeds"
        )
    return f"{shown_as}: 95% bootstrap interval of the mean over {collected.seeds_said}"


def kind_tasks(collected: Collected) -> list[str]:
    return [task for task in collected.tasks if collected.first["by_kind"].get(task)]


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
    where = f"{collected.first['encoder']}, {_sizes(collected)}"
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
    if collected.first["encoder"] != paper.encoder:
        found.append(f"{collected.first['encoder']} in place of {paper.encoder}")
    mnli = collected.first["sources"].get("mnli")
    if mnli is None:
        found.append("no MNLI before")
    elif mnli["rows"]["train"] != paper.mnli_train:
        found.append(f"{mnli['rows']['train']:,} MNLI training pairs in place of {paper.mnli_train:,}")
    if not found:
        return []
    return [f"Not the paper's protocol: {'; '.join(found)}. Orders may be compared, figures may not."]


def _sizes(collected: Collected) -> str:
    parts = []
    for task, source in collected.first["sources"].items():
        rows = source["rows"]
        train = "" if task == collected.new_task else f"{rows['train']:,} training pairs, "
        parts.append(f"{title_of(task)} from {source['name']} ({train}{rows['test']:,} test pairs)")
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


def accuracy_table(measures: Measures, task: str) -> Table:
    """Final accuracy: a row a variant, a column a number of shots; bold where the test says best."""
    collected = measures.collected

    def cell(column: Column, variant: str, shots: int) -> Cell:
        found = measures.accuracy(variant, shots, task)
        if found is None:
            return nothing(column, NOT_STORED)
        family = measures.family(task, shots)
        plain = interval(found)
        return Cell(plain.text, plain.values, bool(family and family.best == variant))

    table = _by_shots(collected, f"accuracy-{task}", f"Accuracy on {title_of(task)}, at the end", cell)
    notes = [
        f"{collected.first['n_test'][task]:,} test pairs. {interval_note(collected)}. Bold: better than every other "
        "by every test, Holm-corrected."
    ]
    if shown := shortcut_by_shots(measures, task):
        notes.append(f"The best shortcut scores {shown}.")
    return Table(table.name, table.title, table.columns, table.rows, tuple(notes))


def shortcut_by_shots(measures: Measures, task: str) -> str:
    """Score and name of the best shortcut; for each number of shots where it is not always the same."""
    found = {n: measures.best_shortcut(task, n) for n in measures.collected.shots}
    said = {n: f"{best[1]:.3f} ({best[0].replace('_', ' ')})" for n, best in found.items() if best}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{text} at {n:,} shots" for n, text in said.items())


def _by_shots(collected: Collected, name: str, title: str, cell) -> Table:
    columns = (
        Column("strategy", "strategy", is_text=True),
        *(Column(f"{n:,} shots", f"shots_{n}", SUMMARY_PARTS) for n in collected.shots),
    )
    rows = tuple(
        (words(v), *(cell(columns[i + 1], v, n) for i, n in enumerate(collected.shots)))
        for v in collected.variants
    )
    return Table(name, title, columns, rows)


def forgetting_cell(
    column: Column, found: Forgetting | None, *, scale: float = 1, digits: int = 3, sign: bool = True
) -> Cell:
    if found is None:
        return nothing(column, NOT_STORED)
    if found.summary is None:
        return nothing(column, found.words)
    return interval(found.summary, sign=sign, scale=scale, digits=digits)


def forgetting_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    table = _by_shots(
        collected,
        f"forgetting-{task}",
        f"Forgetting of {title_of(task)}",
        lambda column, variant, shots: forgetting_cell(column, measures.forgetting(variant, shots, task)),
    )
    note = (
        "The best accuracy after any experience before the last, minus the one at the end; negative where "
        'later training helped. "Never learned": its accuracy right after its own training was not above the '
        f"best shortcut by more than the Wilson interval, so there is nothing to forget. {interval_note(collected)}."
    )
    return Table(table.name, table.title, table.columns, table.rows, (note,))


def retention_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    table = _by_shots(
        collected,
        f"retention-{task}",
        f"Share of {title_of(task)} kept",
        lambda column, variant, shots: forgetting_cell(
            column, measures.retention(variant, shots, task), sign=False
        ),
    )
    note = f"Accuracy at the end over accuracy right after its own training. {interval_note(collected)}."
    return Table(table.name, table.title, table.columns, table.rows, (note,))


def shortcut_table(collected: Collected) -> Table:
    """What each shortcut scores, mean over the seeds, by task and shots."""
    rows = []
    for task in collected.tasks:
        found: dict[int, list[Mapping[str, float]]] = {}
        for shots in collected.shots:
            for variant in collected.variants:
                for scores in collected.values(variant, shots, _scores_of(task)):
                    if scores:
                        found.setdefault(shots, []).append(scores)
        if not found:
            continue
        for name in next(iter(found.values()))[0]:
            means = {n: sum(s[name] for s in scores) / len(scores) for n, scores in found.items()}
            rows.append(
                (
                    words(title_of(task)),
                    words(name.replace("_", " ")),
                    *(number(means.get(n), "{:.3f}", NOT_STORED) for n in collected.shots),
                )
            )
    columns = (
        Column("task", "task", is_text=True),
        Column("shortcut", "shortcut", is_text=True),
        *(Column(f"{n:,} shots", f"shots_{n}") for n in collected.shots),
    )
    note = "Trained on the same pairs as the strategies; what scores no more has shown no more than guessing."
    return Table("shortcuts", "What shortcuts score", columns, tuple(rows), (note,))


def _scores_of(task: str):
    return lambda result: result.get("shortcuts", {}).get(task)


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


def p_text(p: float) -> str:
    """
    >>> p_text(0.0312), p_text(0.00004), p_text(1.0)
    ('0.031', '< 0.001', '1.000')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def kind_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        *(Column(name, name, SUMMARY_PARTS) for name in KIND_NAMES),
        Column("symmetric minus antisymmetric", "difference"),
    )
    rows = []
    for variant in collected.variants:
        for shots in collected.shots:
            found = measures.by_group(variant, shots, task, "by_kind")
            if not found:
                continue
            parts = [found.get(name) for name in KIND_NAMES]
            first, second = parts
            gap = first.accuracy.mean - second.accuracy.mean if first and second else None
            rows.append(
                (
                    words(variant),
                    number(shots),
                    *(
                        interval(part.accuracy) if part else nothing(column, NOT_STORED)
                        for part, column in zip(parts, columns[2:4], strict=True)
                    ),
                    number(gap, "{:+.3f}", NOT_STORED),
                )
            )
    note = f"Accuracy at the end on the test pairs of each kind. {interval_note(collected)}."
    title = f"Symmetric against antisymmetric, {title_of(task)}"
    return Table(f"kinds-{task}", title, columns, tuple(rows), (note,))


def relation_table(measures: Measures, task: str) -> Table:
    collected = measures.collected
    columns = (
        Column("relation", "relation", is_text=True),
        Column("test pairs", "n"),
        Column("strategy", "strategy", is_text=True),
        *(Column(f"{n:,} shots", f"shots_{n}", SUMMARY_PARTS) for n in collected.shots),
    )
    rows = []
    for name, n in relations(measures, task).items():
        for variant in collected.variants:
            cells: list[Cell] = []
            for i, shots in enumerate(collected.shots):
                part = measures.by_group(variant, shots, task, "by_relation").get(name)
                cells.append(interval(part.accuracy) if part else nothing(columns[3 + i], NOT_STORED))
            rows.append((words(relation_title(name)), number(n), words(variant), *cells))
    note = f"Accuracy at the end; the commonest relation first. {interval_note(collected)}."
    title = f"Accuracy by relation, {title_of(task)}"
    return Table(f"relations-{task}", title, columns, tuple(rows), (note,))


def relations(measures: Measures, task: str) -> dict[str, int]:
    """Test pairs by relation, the commonest first; the data are the same in all results."""
    parts = measures.collected.first["by_relation"].get(task, {})
    return {name: parts[name]["n"] for name in sorted(parts, key=lambda name: (-parts[name]["n"], name))}


def relation_title(name: str) -> str:
    """A relation as people read it: a Wikidata property with its label.

    >>> relation_title("P26"), relation_title("is the father of")
    ('spouse (P26)', 'is the father of')
    """
    label = registry().names.get(name)
    return f"{label} ({name})" if label else name


def row_names(collected: Collected) -> list[str]:
    return ["untrained", *(f"after {title_of(task)}" for task in collected.tasks)]


def matrix_table(measures: Measures) -> Table:
    import numpy as np

    collected = measures.collected
    columns = (
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        Column("row", "row", is_text=True),
        *(Column(title_of(task), task) for task in collected.tasks),
    )
    rows = []
    for variant in collected.variants:
        for shots in collected.shots:
            found = collected.values(variant, shots, lambda result: result["matrix"])
            if found:
                for name, row in zip(row_names(collected), np.mean(found, axis=0).tolist(), strict=True):
                    rows.append(
                        (words(variant), number(shots), words(name), *(number(a, "{:.3f}") for a in row))
                    )
    note = "Accuracy on each task's test pairs before training and after each experience, mean over seeds."
    return Table("matrices", "Accuracy matrices", columns, tuple(rows), (note,))


def trade_off_table(measures: Measures) -> Table:
    from contsym.report.measures import pareto_front

    columns = (
        Column("forgotten task", "task", is_text=True),
        Column("strategy", "strategy", is_text=True),
        Column("shots", "shots"),
        Column(f"accuracy, {title_of(measures.collected.new_task)}", "accuracy", SUMMARY_PARTS),
        Column("forgetting", "forgetting", SUMMARY_PARTS),
        Column("seconds", "seconds"),
        Column("Pareto front", "on_front", is_text=True),
    )
    rows = []
    for task, points in measures.trade_offs.items():
        front = pareto_front([(p.accuracy.mean, p.forgetting.mean) for p in points])
        for i, p in enumerate(points):
            rows.append(
                (
                    words(title_of(task)),
                    words(p.variant),
                    number(p.shots),
                    interval(p.accuracy),
                    interval(p.forgetting, sign=True),
                    number(p.seconds, "{:,.1f}"),
                    words("yes" if i in front else "no"),
                )
            )
    note = "Groups that learned the task in every seed. On the front: no other has as much accuracy and as little forgetting."
    return Table("trade-off", "Accuracy against forgetting", columns, tuple(rows), (note,))


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
    for task, source in collected.first["sources"].items():
        shots = ", ".join(f"{n:,}" for n in collected.shots)
        train = source["rows"]["train"]
        rows.append(
            (
                words(title_of(task)),
                words(source["name"]),
                Cell(shots, (shots,)) if task == collected.new_task else number(train),
                number(source["rows"]["test"]),
                words(source["fingerprint"]),
                words("yes" if source["stand_in"] else "no"),
                words("; ".join(source.get("notes", ()))),
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
        found = next(g[0] for n in collected.shots if (g := collected.group(variant, n)))
        settings = found.result["settings"]
        said = ", ".join(f"{name}={'default' if v is None else v}" for name, v in sorted(settings.items()))
        rows.append((words(variant), words(said)))
    return Table("settings", "Hyper-parameters", columns, tuple(rows))


def version_table(collected: Collected) -> Table:
    """What made the results: one line a fact, all values of it where they differ."""
    facts = {
        "encoder": lambda r: f"{r['encoder']} ({r['encoder_weights']['origin']})",
        "encoder weights (SHA-256)": lambda r: r["encoder_weights"]["sha256"],
        "device, precision": lambda r: f"{r['device']}, {r['precision']}",
        "threads": lambda r: str(r["threads"]),
        "platform": lambda r: r["platform"],
        "git commit": lambda r: r["git_commit"] or "not from a checkout",
        "form": lambda r: r["options"]["form"],
        "split": lambda r: r["options"].get("split") or "as the data come",
    }
    rows = [(words(name), words(", ".join(_distinct(collected, fact)))) for name, fact in facts.items()]
    rows += [(words(what), words(", ".join(origins))) for what, origins in collected.plugins.items()]
    rows += [(words(f"note on {variant}"), words(note)) for variant, note in collected.notes]
    libraries = list(dict.fromkeys(name for s in collected.stored for name in s.result["versions"]))
    for name in libraries:
        found = _distinct(collected, lambda r, name=name: r["versions"].get(name, "not recorded"))
        rows.append((words(name), words(", ".join(found))))
    rows.append((words("seeds"), words(", ".join(map(str, collected.seeds)))))
    times = sorted(s.result["started_at"] for s in collected.stored)
    rows.append((words("started"), words(f"{times[0]} to {times[-1]}" if len(times) > 1 else times[0])))
    columns = (Column("what", "what", is_text=True), Column("value", "value", is_text=True))
    return Table("versions", "Versions and machine", columns, tuple(rows))


def _distinct(collected: Collected, fact) -> Sequence[str]:
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


def _cell_row(result: Result, variant: str, shots: int, tasks: Sequence[str]) -> tuple[Cell, ...]:
    finals: list[Value] = [result["final"][task] for task in tasks]
    return (
        words(variant),
        number(shots),
        number(result["seed"], "{}"),
        *(Cell(f"{value:.3f}", (value,)) for value in finals),
        words(result["key"]),
    )
