"""What a person sees of a run in the terminal: the plan and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from contsym.commands.views.data import SHORT_KINDS, audit_lines
from contsym.data.shortcuts import SHORTCUTS, best
from contsym.results.metrics.stats import spread
from contsym.results.summary import Means, Results, never_learned, summarise

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.training.plan import Plan


MANY = 4
"""A longer scenario is shown experience by experience: its matrix would be too wide."""
MANY_KINDS = 3
"""With more experiences the matrix has no columns of kinds."""


def plan_lines(plan: Plan, folder: Path, tracking: str) -> Group:
    """What will be done: everything that decides the numbers, and where they go."""
    settings = {**plan.settings.model_dump(exclude_none=True), "learning_rate": plan.learning_rate}
    encoder = plan.encoder
    at = f"@{encoder.commit[:12]}" if encoder.commit else ""
    rows = [
        ("strategy", f"{plan.config.strategy}  " + _assignments(settings)),
        ("encoder", f"{encoder.name}{at}  ({encoder.origin}, {encoder.weights_sha256[:12]})"),
        ("pooling", plan.pooling.words()),
        ("scenario", f"{plan.config.scenario}  (form {plan.config.form}; {plan.config.protocol})"),
        *((f"  {task.name}", _source_line(task, plan)) for task in plan.tasks),
        ("compute", f"{plan.device}, {plan.precision}; seeds {', '.join(map(str, plan.config.seeds))}"),
        ("results", str(folder)),
        ("tracking", tracking),
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    if not plan.audits:
        return Group(table)
    return Group(table, audit_lines(list(plan.audits.values())))


def _source_line(task, plan: Plan) -> str:
    from contsym.training.parts import n_training_pairs
    from contsym.training.plan import n_training_steps

    n_train = n_training_pairs(task, plan.config)
    used = f"{n_train:,} of {len(task.train):,}" if n_train < len(task.train) else f"{n_train:,}"
    notes = "".join(f"; {note}" for note in task.notes)
    steps = f", {n_training_steps(plan, task, n_train):,} steps" if plan.strategy.trains else ""
    return f"{task.source}: train {used}{steps}; test {len(task.test):,}{notes}"


def result_tables(found: Results, run_ids: Mapping[int, str] | None = None) -> Group:
    """The accuracy matrix, what was forgotten, the kinds, and the MLflow runs if there are any."""
    first, mean = found[0], summarise(found)
    tasks = first.tasks
    retrained = " · retrain" if first.options.protocol == "retrain" else ""
    title = f"{first.strategy} · {first.scenario} · {first.encoder}{retrained}"
    shown = _stream_table if len(tasks) > MANY else _matrix_table
    lines: list[Any] = [Text(""), shown(f"Accuracy: {title}", found, mean)]
    lines += [_cost_table(found)] if first.experiences else []
    lines.append(_summary_table(found, mean))
    for task in tasks:
        source = first.sources[task]
        if source.stand_in:
            lines.append(Text(f"! {task} was measured on {source.name}: no figure to compare or publish"))
    lines += [Text(f"! {note}") for note in dict.fromkeys(n for r in found for n in r.notes)]
    for run_seed, run_id in (run_ids or {}).items():
        lines.append(Text(f"MLflow run of seed {run_seed}: {run_id}"))
    return Group(*lines)


def _matrix_table(title: str, found: Results, mean: Means) -> Table:
    first = found[0]
    by_kind = mean.by_kind if len(first.tasks) <= MANY_KINDS else {}
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("after", no_wrap=True)
    for task in first.tasks:
        table.add_column(_task_title(task, first), justify="right", no_wrap=not first.sources[task].stand_in)
        for kind in by_kind.get(task, {}):
            table.add_column(SHORT_KINDS[kind], justify="right", style="dim", no_wrap=True)
    names = ["pretrained" if first.options.protocol == "retrain" else "untrained", *first.tasks]
    for i, name in enumerate(names):
        cells = []
        for j, task in enumerate(first.tasks):
            cells.append(spread([r.matrix[i][j] for r in found]))
            for kind in by_kind.get(task, {}):
                cells.append(spread([r.by_kind[task][i][kind].accuracy for r in found]))
        table.add_row(name, *cells)
    majority = []
    for task in first.tasks:
        majority.append(f"{first.majority[task]:.3f}")
        majority += ["" for _ in by_kind.get(task, {})]
    table.add_section()
    table.add_row("majority class", *majority, style="dim")
    for name in SHORTCUTS:
        if name != "majority" and any(name in scores for scores in mean.shortcuts.values()):
            cells = []
            for task in first.tasks:
                score = mean.shortcuts.get(task, {}).get(name)
                cells += [
                    "" if score is None else f"{score:.3f}",
                    *("" for _ in by_kind.get(task, {})),
                ]
            table.add_row(name.replace("_", " "), *cells, style="dim")
    return table


def _stream_table(title: str, found: Results, mean: Means) -> Table:
    """A row an experience: its accuracy before and after its own training and at the end, and the best shortcut's."""
    first = found[0]
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("experience", no_wrap=True)
    for name in ("before", "after", "at end", "forgetting", "shortcut"):
        # Words in place of a figure may take two lines; figures may not be cut.
        table.add_column(name, justify="right", no_wrap=name != "forgetting")
    for j, task in enumerate(first.tasks):
        guessed = [best(r.shortcuts[task])[1] for r in found if r.shortcuts.get(task)]
        table.add_row(
            task,
            *(spread([r.matrix[i][j] for r in found]) for i in (j, j + 1, -1)),
            forgetting_words(task, j, found, mean),
            spread(guessed).partition("±")[0] if guessed else "",
        )
    return table


def _cost_table(found: Results) -> Table:
    """What each experience took, and what is stored after it."""
    of = f", mean of {len(found)} seeds" if len(found) > 1 else ""
    table = Table(title=f"Cost by experience{of}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("experience", no_wrap=True)
    for name in ("steps", "seconds", "texts encoded", "bytes stored"):
        table.add_column(name, justify="right", no_wrap=True)
    for j, task in enumerate(found[0].tasks):
        costs = [r.cost.experiences[j] for r in found]
        steps, texts, stored, seconds = (
            fmean(getattr(cost, name) for cost in costs)
            for name in ("training_steps", "training_forwards", "stored_bytes_after", "training_seconds")
        )
        table.add_row(task, f"{steps:,.0f}", f"{seconds:,.1f}", f"{texts:,.0f}", f"{stored:,.0f}")
    return table


def orders_table(groups: Mapping[str, Results], figures: Mapping[str, Any]) -> Group:
    """Each figure in each order, mean over the seeds, and how far the orders are apart."""
    first = next(iter(groups.values()))[0]
    scenario = first.scenario.partition(":")[0]
    seeds = ", ".join(str(result.seed) for result in next(iter(groups.values())))
    title = f"{first.strategy} · {scenario} · {first.encoder} (mean over seeds {seeds})"
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("in order", no_wrap=True)
    numbers = {order: str(i) for i, order in enumerate(groups, 1)}
    # Few orders fit beside one another; of many the spread is shown alone.
    shown = list(groups) if len(groups) <= MANY_KINDS else []
    for name in [*(numbers[order] for order in shown), "mean", "sd", "min", "max"]:
        table.add_column(name, justify="right", no_wrap=True)
    for figure, spread_of in figures.items():
        form = "{:.3f}" if figure.startswith("accuracy") else "{:+.3f}"
        values = [*(spread_of["by_order"][order] for order in shown), spread_of["mean"]]
        cells = ["-" if value is None else form.format(value) for value in values]
        cells.append("-" if spread_of["sd"] is None else f"{spread_of['sd']:.3f}")
        cells += ["-" if spread_of[n] is None else form.format(spread_of[n]) for n in ("min", "max")]
        table.add_row(figure, *cells)
    orders = [Text(f"{number}: {order}") for order, number in numbers.items()]
    note = Text("-: no such figure in that order (its last task, or never learned)")
    return Group(Text(""), table, note, *orders)


def _summary_table(found: Results, mean: Means) -> Table:
    first = found[0]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row(
        "final accuracy", f"{mean.final_macro:.3f} (mean over tasks), {mean.final_micro:.3f} (pooled)"
    )
    # In a long stream these are columns of its table.
    each = [] if len(first.tasks) > MANY else first.tasks
    for task, above in mean.above_best_shortcut.items() if each else ():
        name, score = best(mean.shortcuts[task])
        words = f"{above:+.3f} ({name.replace('_', ' ')} {score:.3f})"
        table.add_row(f"above the best shortcut, {task}", words)
    for j, task in enumerate(each):
        table.add_row(f"forgetting, {task}", Text(forgetting_words(task, j, found, mean)))
    probes = [r.probe for r in found if r.probe]
    if len(probes) == len(found):
        before, after = (spread([getattr(p, name) for p in probes]) for name in ("before", "after"))
        lost = spread([p.forgetting for p in probes], sign=True)
        table.add_row(
            f"probe forgetting, {first.tasks[0]}", f"{lost} (a fresh linear probe: {before}, then {after})"
        )
    for name, title in (("bwt", "backward transfer"), ("fwt", "forward transfer")):
        if (value := getattr(mean, name)) is not None:
            table.add_row(title, f"{value:+.3f}")
    target = first.options.target
    for task in each if first.curve else []:
        table.add_row(f"pairs to {target:g}, {task}", Text(efficiency_words(task, found)))
    table.add_row("cost", cost_words(found))
    return table


def cost_words(found: Results) -> str:
    """Seconds and texts of all seeds together; parameters, bytes and memory of the seed that took most."""
    seconds, texts = (
        sum(values) for values in ((r.seconds for r in found), _costs(found, "encoder_forwards"))
    )
    parameters, n_bytes, memory = (
        max(_costs(found, name)) for name in ("trained_parameters", "stored_bytes", "peak_memory_bytes")
    )
    whole = f"{seconds:.0f} s; {texts:,} texts encoded, "
    if len(found) > 1:
        whole = f"{seconds:.0f} s and {texts:,} texts encoded in {len(found)} seeds; per seed at most "
    return f"{whole}{parameters:,} parameters trained, {n_bytes:,} bytes stored, peak memory {memory / 2**30:.1f} GiB"


def _costs(found: Results, name: str) -> list[int]:
    return [getattr(result.cost, name) for result in found]


def forgetting_words(task: str, position: int, found: Results, mean: Means) -> str:
    """A figure, `never learned`, or why there is none."""
    if position == len(found[0].tasks) - 1:
        return "- (last task)"
    n_learned, n_seeds = mean.learned_in[task], len(found)
    if n_learned < n_seeds:
        return never_learned(n_learned, n_seeds)
    return spread([f for r in found if (f := r.forgetting[task]) is not None], sign=True)


def efficiency_words(task: str, found: Results) -> str:
    """The least distinct pairs and pairs seen that reached the target, seed by seed."""

    def words(name: str) -> str:
        values = [getattr(r.sample_efficiency[task], name) for r in found]
        return ", ".join("not reached" if v is None else f"{v:,}" for v in values)

    distinct, seen = words("n_distinct_pairs"), words("n_pairs_seen")
    return distinct if distinct == seen else f"{distinct} distinct; {seen} seen"


def _task_title(task: str, first: SeedResult) -> str:
    source = first.sources[task]
    return f"{task}\n{escape(source.name)}" if source.stand_in else task


def _assignments(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
