"""What a person sees of a run in the terminal: the plan and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.text import Text

from contsym.commands.views.answer import MANY, answer_lines, warning_lines
from contsym.commands.views.data import SHORT_KINDS, audit_lines, title_of
from contsym.commands.views.progress import duration
from contsym.commands.views.tables import (
    FirstFitting,
    Lines,
    PlainTable,
    add_numbers,
    bare_table,
    grid,
    plain_table,
    short_uri,
)
from contsym.config import LEAST
from contsym.data.shortcuts import SHORTCUTS, best
from contsym.results.metrics.matrix import MATRIX_FIGURES
from contsym.results.metrics.stats import spread
from contsym.results.reading import asked, reading
from contsym.results.summary import (
    TIMES,
    Means,
    Results,
    best_shortcut,
    labels_words,
    marks,
    mean_answers,
    seen_before,
    summarise,
)

if TYPE_CHECKING:
    from contsym.sweeps.plan import Sweep
    from contsym.training.plan import Plan


UNSIGNED = {figure.title for figure in MATRIX_FIGURES if not figure.is_change}
MANY_KINDS = 3
"""With more experiences the matrix has no columns of kinds."""


PLUS_MINUS = "±: the standard deviation over seeds, not an interval (contsym compare and report have those)"
"""Below tables of means over seeds."""


def plan_lines(plan: Plan, folder: Path, tracking: str) -> Lines:
    """Everything that decides the numbers, and where they go."""
    settings = _settings_used(plan)
    encoder = plan.encoder
    commit = f"@{encoder.commit[:12]}" if encoder.commit else ""
    space = plan.scenario.label_space
    rows = [
        (
            "strategy",
            f"{plan.config.strategy}  {', '.join(f'{k}={v}' for k, v in settings.items())}".rstrip(),
        ),
        ("encoder", f"{encoder.name}{commit}  ({encoder.origin}, {encoder.weights_sha256[:12]})"),
        ("pooling", plan.pooling.words()),
        *([("adapter", plan.config.adapter)] if plan.config.adapter else []),
        ("scenario", f"{plan.config.scenario}  (form {plan.config.form}; {plan.config.protocol})"),
        *([] if space.is_nli else [("labels", space.words)]),
        ("reading", asked(plan.config, takes_steps=plan.strategy.trains)),
        *((f"  {task.name}", _source_line(place, plan)) for place, task in enumerate(plan.tasks)),
        ("compute", f"{plan.device}, {plan.precision}; seeds {', '.join(map(str, plan.config.seeds))}"),
        ("results", str(folder)),
        ("tracking", short_uri(tracking)),
    ]
    table = grid()
    for name, value in rows:
        table.add_row(name, Text(value))
    return Lines(table, audit_lines(list(plan.audits.values()))) if plan.audits else Lines(table)


def _settings_used(plan: Plan) -> dict[str, Any]:
    """The settings that count: not those of steps with one pass, and without steps only those of the method itself."""
    from contsym.models.settings import TrainingSettings

    used = {**plan.settings.effective(plan.config.one_pass), "learning_rate": plan.learning_rate}
    if not plan.strategy.trains:
        used = {name: value for name, value in used.items() if name not in TrainingSettings.model_fields}
    return {name: value for name, value in used.items() if value is not None}


def dry_run_lines(sweep: Sweep, seconds: float) -> Lines:
    """What is left to do of a plan that is only shown, and that nothing was done."""
    n, done = len(sweep.cells), sweep.n_done
    steps = sum(cell.n_first_task_steps + cell.n_steps for cell in sweep.cells)
    rows = [
        ("to do", f"{n - done:,} of {n:,} results; {done:,} are stored already"),
        ("steps", f"{steps:,}, of all seeds together"),
    ]
    rows += [("time", time_words(sweep, seconds))] if seconds else []
    table = grid()
    for name, value in rows:
        table.add_row(name, Text(value))
    return Lines(table, Text("dry run: nothing was trained or stored", style="bold"))


def time_words(sweep: Sweep, seconds: float) -> str:
    """The expected time: a bound where a target may end trainings earlier, a guess where shots are searched for."""
    is_searched = any(cell.job.config.shots == LEAST for cell in sweep.cells)
    bound, guess = ("", ", if searches end midway") if is_searched else ("up to ", "")
    return f"{bound}about {duration(seconds)}{guess}, by a trial of the encoder here; more beside other work"


def _source_line(place: int, plan: Plan) -> str:
    from contsym.training.parts import choice, n_training_pairs
    from contsym.training.plan import n_training_steps

    task = plan.tasks[place]
    if task.tested_only:
        notes = "".join(f"; {note}" for note in task.notes)
        return f"{task.source}: only tested, {len(task.test):,}{notes}"
    n_each = [n_training_pairs(each, plan.config) for each in plan.tasks]
    n_train = n_each[place]
    used = f"{n_train:,} of {len(task.train):,}" if n_train < len(task.train) else f"{n_train:,}"
    used += " (natural draw)" if choice(task, plan.config)[2] == "natural" else ""
    notes = "".join(f"; {note}" for note in task.notes)
    steps = f", {n_training_steps(plan, place, n_each):,} steps" if plan.strategy.trains else ""
    if plan.config.protocol == "retrain" and place == 0:
        steps = ", known from the start and not trained here"
    return f"{task.source}: train {used}{steps}; validation {len(task.validation):,}; test {len(task.test):,}{notes}"


def result_tables(
    results: Results, run_ids: Mapping[int, str] | None = None, *, verbose: bool = False
) -> Lines:
    """The answer in sentences, the accuracies, and warnings.

    With `verbose` also every shortcut, all figures of transfer and forgetting, costs, and the MLflow runs if there are
    any.
    """
    first, mean = results[0], summarise(results)
    n_seeds = f"{len(results)} seed{'s' * (len(results) > 1)}"
    title = f"{first.strategy} · {first.scenario} · {first.encoder} · {first.options.protocol} · {n_seeds}"
    title += f" · {words}" if (words := labels_words(first)) else ""
    lines: list[Any] = [Text(""), Text(title, style="bold"), *map(Text, answer_lines(results)), Text("")]
    if len(first.tasks) > MANY:
        lines += [_stream_table(results), *_star_lines(results)]
    else:
        tables = [_matrix_table(results, mean, verbose, has_kinds) for has_kinds in (True, False)]
        lines.append(FirstFitting(*tables))
    if verbose:
        lines += [_cost_table(results)] if first.experiences else []
        lines += [_summary_table(results, mean), _answers_table(results)]
    else:
        lines.append(Text(f"{sum(r.seconds for r in results):.0f} s without loading; more with --verbose"))
    lines += [Text(PLUS_MINUS)] if len(results) > 1 else []
    lines += map(Text, warning_lines(results))
    if verbose:
        lines += [Text(f"MLflow run of seed {seed}: {run_id}") for seed, run_id in (run_ids or {}).items()]
    return Lines(*lines)


def seen_lines(results: Results) -> list[Text]:
    """A line per encoder that was trained on a task of its results before."""
    return [Text(f"! {line}") for line in dict.fromkeys(map(seen_before, results)) if line]


def _matrix_table(results: Results, mean: Means, verbose: bool, has_kinds: bool) -> PlainTable:
    first = results[0]
    has_kinds = has_kinds and len(first.tasks) <= MANY_KINDS
    kinds = {t: list(mean.by_kind.get(t, {})) if has_kinds else [] for t in first.tasks}
    table = plain_table("Accuracy", "after")
    for task in first.tasks:
        add_numbers(table, task)
        add_numbers(table, *(SHORT_KINDS.get(kind, kind) for kind in kinds[task]), style="dim")
    is_retrained = first.options.protocol == "retrain"
    names = ["pretrained" if is_retrained else "untrained", *first.trained_tasks]
    for i, name in enumerate(names):
        if i == 1 and is_retrained:
            # The first task is known from the start, so its row is the same again.
            continue
        cells = []
        for j, task in enumerate(first.tasks):
            cells.append(spread([r.matrix[i][j] for r in results]))
            cells += [spread([r.by_kind[task][i][kind].accuracy for r in results]) for kind in kinds[task]]
        table.add_row(name, *cells)
    table.add_section()
    guesses = {"majority class": {task: first.majority[task] for task in first.tasks}}
    if not verbose and mean.shortcuts:
        guesses["best shortcut"] = {task: best(scores)[1] for task, scores in mean.shortcuts.items()}
    for name in SHORTCUTS if verbose else ():
        if name != "majority" and any(name in scores for scores in mean.shortcuts.values()):
            scores = {task: scores[name] for task, scores in mean.shortcuts.items() if name in scores}
            guesses[title_of(name)] = scores
    for name, scores in guesses.items():
        cells = []
        for task in first.tasks:
            cells += [f"{scores[task]:.3f}" if task in scores else "", *("" for _ in kinds[task])]
        table.add_row(name, *cells, style="dim")
    return table


def _stream_table(results: Results) -> PlainTable:
    """A row per experience: accuracy before and after its own training and at the end, and the best shortcut."""
    table = plain_table("Accuracy", "experience")
    add_numbers(table, "before", "after", "at end", "forgetting", "shortcut")
    for j, task in enumerate(results[0].tasks):
        guess = best_shortcut([r.shortcuts.get(task, {}) for r in results])
        table.add_row(
            task,
            *(spread([r.matrix[i][j] for r in results]) for i in (j, j + 1, -1)),
            forgetting_text(_forgetting(task, results), STAR if marks(results, task) else ""),
            f"{guess[1]:.3f}" if guess else "",
        )
    return table


STAR = "*"
"""In place of the words of marks, which stand below a long table."""


def _star_lines(results: Results) -> list[Text]:
    tasks_of: dict[str, list[str]] = {}
    for task in results[0].tasks:
        tasks_of.setdefault(marks(results, task), []).append(task)
    return [Text(f"({STAR}) {words}: {', '.join(tasks)}") for words, tasks in tasks_of.items() if words]


def _cost_table(results: Results) -> PlainTable:
    of = f", mean of {len(results)} seeds" if len(results) > 1 else ""
    table = plain_table(f"Cost by experience{of}", "experience")
    add_numbers(table, "steps", "seconds", "texts encoded", "bytes stored")
    for j, task in enumerate(results[0].trained_tasks):
        costs = [r.cost.experiences[j] for r in results]
        table.add_row(
            task,
            f"{fmean(cost.training_steps for cost in costs):,.0f}",
            f"{fmean(cost.training_seconds for cost in costs):,.1f}",
            f"{fmean(cost.training_forwards for cost in costs):,.0f}",
            f"{fmean(cost.stored_bytes_after for cost in costs):,.0f}",
        )
    return table


MOST_LABELS = 4
"""With more, the share of each is in `--json` alone."""
SHORT = {"entailment": "entail.", "contradiction": "contrad."}


def _answers_table(results: Results) -> PlainTable:
    """Calibration and label bias: what was answered on each task right after its training, and at the end."""
    names = results[0].labels if len(results[0].labels) <= MOST_LABELS else []
    labels = {name: SHORT.get(name, name) for name in names}
    title = "Calibration, and the share of the examples given each label" if labels else "Calibration"
    table = plain_table(title, "task", "")
    add_numbers(table, "macro-F1", "ECE", *labels.values())
    for task in results[0].tasks:
        true = results[0].answers[task].true
        if labels:
            table.add_row(task, "true", "", "", *(f"{true[label]:.3f}" for label in labels), style="dim")
        times = list(zip(TIMES, ("after its training", "at the end"), strict=True))
        for time, words in times[results[0].sources[task].tested_only :]:
            answers = mean_answers(results, task, time)
            shares = (f"{answers.predicted[label]:.3f}" for label in labels)
            name = task if not labels and (time, words) == times[results[0].sources[task].tested_only] else ""
            table.add_row(name, words, f"{answers.macro_f1:.3f}", f"{answers.calibration_error:.3f}", *shares)
    return table


def orders_table(groups: Mapping[str, Results], figures: Mapping[str, Any]) -> Lines:
    """Each figure in each order, mean over the seeds, and its spread over the orders."""
    orders = list(groups)
    first = groups[orders[0]][0]
    seeds = ", ".join(str(result.seed) for result in groups[orders[0]])
    scenario = first.scenario.partition(":")[0]
    title = f"{first.strategy} · {scenario} · {first.encoder} (mean over seeds {seeds})"
    table = plain_table(title, "in order")
    # There is room for a column each of a few orders.
    shown = orders if len(orders) <= MANY_KINDS else []
    add_numbers(table, *(str(i) for i, _ in enumerate(shown, 1)), "mean", "sd", "min", "max")
    for figure, over in figures.items():
        form = "{:.3f}" if figure.startswith("accuracy") or figure in UNSIGNED else "{:+.3f}"
        values = [*((over["by_order"][order], form) for order in shown), (over["mean"], form)]
        values += [(over["sd"], "{:.3f}"), (over["min"], form), (over["max"], form)]
        table.add_row(figure, *("-" if value is None else form.format(value) for value, form in values))
    names = [Text(f"{i}: {order}") for i, order in enumerate(orders, 1)]
    note = Text("-: no such figure in that order (forgetting of its last task)")
    seen = seen_lines([group[0] for group in groups.values()])
    return Lines(Text(""), table, note, *names, *seen)


def _summary_table(results: Results, mean: Means) -> PlainTable:
    first = results[0]
    table = bare_table()
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    accuracy = f"{mean.final_macro:.3f} (mean over tasks), {mean.final_micro:.3f} (pooled)"
    table.add_row("reading", reading(results))
    table.add_row("final accuracy", accuracy)
    # A long scenario has these in columns of its table.
    tasks = [] if len(first.tasks) > MANY else first.trained_tasks
    for task, above in mean.above_best_shortcut.items() if tasks else ():
        name, score = best(mean.shortcuts[task])
        words = f"{above:+.3f} ({title_of(name)} {score:.3f})"
        table.add_row(f"above the best shortcut, {task}", words)
    for task in tasks:
        table.add_row(f"forgetting, {task}", Text(forgetting_words(task, results)))
    probes = [r.probe for r in results if r.probe]
    if len(probes) == len(results):
        before, after = spread([p.before for p in probes]), spread([p.after for p in probes])
        lost = spread([p.forgetting for p in probes], sign=True)
        words = f"{lost} (a fresh linear probe: {before}, then {after})"
        table.add_row(f"probe forgetting, {first.tasks[0]}", words)
    for figure in MATRIX_FIGURES:
        if (value := mean.figures[figure.name]) is not None:
            table.add_row(figure.title, f"{value:+.3f}" if figure.is_change else f"{value:.3f}")
    # A task that is known from the start needed none here.
    for task in tasks[first.options.protocol == "retrain" :] if first.trajectory else []:
        table.add_row(
            f"{first.sources[task].examples} to {first.options.aim:g}, {task}",
            Text(efficiency_words(task, results)),
        )
    table.add_row("cost", cost_words(results))
    return table


def cost_words(results: Results) -> str:
    """Seconds and texts of all seeds together; parameters, bytes and memory of the seed that took most."""
    costs = [r.cost for r in results]
    seconds, texts = sum(r.seconds for r in results), sum(cost.encoder_forwards for cost in costs)
    parameters = max(cost.trained_parameters for cost in costs)
    n_bytes = max(cost.stored_bytes for cost in costs)
    memory = max(cost.peak_memory_bytes for cost in costs) / 2**30
    total = f"{seconds:.0f} s; {texts:,} texts encoded, "
    if len(results) > 1:
        total = f"{seconds:.0f} s and {texts:,} texts encoded in {len(results)} seeds; per seed at most "
    return f"{total}{parameters:,} parameters trained, {n_bytes:,} bytes stored, peak memory {memory:.1f} GiB"


def forgetting_words(task: str, results: Results) -> str:
    return forgetting_text(_forgetting(task, results), marks(results, task))


def _forgetting(task: str, results: Results) -> list[float]:
    """A figure per seed; none for the last task."""
    return [r.forgetting[task] for r in results if task in r.forgetting]


def forgetting_text(per_seed: Sequence[float], words: str) -> str:
    """Mean and deviation over the seeds, and the words of the marks; no values: the last task.

    >>> forgetting_text([0.1, 0.2], ""), forgetting_text([0.2], "not learned"), forgetting_text([], "")
    ('+0.150±0.071', '+0.200 (not learned)', '- (last task)')
    """
    if not per_seed:
        return f"- ({', '.join(filter(None, ('last task', words)))})"
    return with_marks(spread(per_seed, sign=True), words)


def with_marks(figure: str, words: str) -> str:
    return f"{figure} ({words})" if words else figure


def efficiency_words(task: str, results: Results) -> str:
    """The least distinct pairs and pairs seen that reached the target, seed by seed."""

    def words(n_pairs: Sequence[int | None]) -> str:
        return ", ".join("not reached" if n is None else f"{n:,}" for n in n_pairs)

    per_seed = [r.sample_efficiency[task] for r in results]
    distinct, seen = words([e.n_distinct_pairs for e in per_seed]), words([e.n_pairs_seen for e in per_seed])
    return distinct if distinct == seen else f"{distinct} distinct; {seen} seen"
