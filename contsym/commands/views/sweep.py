"""What a person sees of a sweep in the terminal: the plan, the failures and the figures by shots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from statistics import fmean

from rich.console import RenderableType
from rich.text import Text

from contsym import plugins
from contsym.commands.views.answer import shortcut_warning
from contsym.commands.views.data import audit_lines
from contsym.commands.views.run import (
    MANY,
    PLUS_MINUS,
    forgetting_words,
    seen_lines,
    time_words,
    with_marks,
)
from contsym.commands.views.tables import (
    FirstFitting,
    Lines,
    add_numbers,
    grid,
    plain_table,
    short_uri,
    shown,
)
from contsym.data.audit import Overview
from contsym.results import paper
from contsym.results.metrics.efficiency import over_seeds
from contsym.results.metrics.stats import spread
from contsym.results.paper_readings import Outcome, in_order, samples, targets, verdict
from contsym.results.reading import (
    asked,
    coarse_validation,
    is_fixed,
    learned_from,
    number_span,
    reading,
    shots_label,
    shots_words,
    smallest_tried,
)
from contsym.results.schema import SeedResult
from contsym.results.selection import Selection
from contsym.results.summary import Results, best_shortcut, by_order, no_gain_lines
from contsym.sweeps.config import shots_text
from contsym.sweeps.plan import Sweep

Groups = Mapping[int, Mapping[str, Results]]
"""Results by number of shots and variant."""


def plan_report(
    sweep: Sweep,
    audits: Mapping[str, Overview],
    engine: tuple[str, int | None],
    tracking: str,
    seconds: float,
) -> Lines:
    """The cells, the results that exist already, the training that cells share, and how long it will take, unless that is
    unknown (0 seconds)."""
    config = sweep.config
    first_tasks = {c.first_task.key: c for c in sweep.cells if c.first_task}
    alone = sum(c.n_first_task_steps + c.n_steps for c in sweep.cells)
    shared = sum(c.n_steps for c in sweep.cells) + sum(c.n_first_task_steps for c in first_tasks.values())
    backend, n_jobs = engine
    at_once = f"{n_jobs} at a time"
    if n_jobs is None:
        at_once = "one for each GPU or node" if backend == "ray" else "1 at a time"
    rows = {
        "sweep": f"{sweep.id}: {len(sweep.cells):,} cells, {sweep.n_done:,} of them done",
        "strategies": ", ".join(config.strategies),
        "shots": ", ".join(map(shots_text, config.shots))
        + (", natural draw" if config.draw == "natural" else ""),
        "seeds": ", ".join(map(str, config.seeds)),
        "encoder": config.encoder or "by reading",
        "protocol": (config.protocol or "by reading")
        + "".join(f", pretrain {n}={v}" for n, v in config.pretrain.items()),
        **{name: ", ".join(values) for name, values in config.settings.items()},
        **_readings_row(sweep),
        "shared": f"{len(first_tasks)} first tasks for {len(sweep.cells)} cells"
        + (f": {shared:,} training steps in place of {alone:,}" if alone else ""),
        "engine": f"{backend}, {at_once}",
        **({"time": time_words(sweep, seconds)} if seconds else {}),
        "results": str(sweep.folder),
        "tracking": short_uri(tracking),
    }
    table = grid()
    for name, text in rows.items():
        if name != "shared" or first_tasks:
            table.add_row(name, Text(text))
    return Lines(table, audit_lines(list(audits.values()))) if audits else Lines(table)


def _readings_row(sweep: Sweep) -> dict[str, str]:
    """How the pairs are counted, by strategy where these differ in it; of several readings their number."""
    config = sweep.config
    if not config.readings:
        from contsym.strategies.catalog import load_strategy

        named = plugins.read(config.plugins)
        takes_steps = {name: load_strategy(name, named).trains for name in config.strategies}
        words: dict[str, list[str]] = {}
        for run in (cell.job.config for cell in sweep.cells):
            words.setdefault(asked(run, takes_steps=takes_steps[run.strategy]), []).append(run.strategy)
        return {"reading": _by_name(words)}
    n_main, n = sum(reading.is_main for reading in config.readings), len(config.readings)
    if config.screen is None or n_main == n:
        return {"readings": f"{n}"}
    screened = (
        f"{n - n_main} with {config.screen} seeds each, then the one nearest to the paper with all seeds"
    )
    return {"readings": f"{n_main} main ones with all seeds; {screened}"}


def _by_name(names: Mapping[str, Sequence[str]]) -> str:
    """Words, behind the names that each is of where there are several words.

    >>> _by_name({"8 pairs": ["a", "a"]}), _by_name({"8 pairs": ["a"], "16 pairs": ["b", "c"]})
    ('8 pairs', 'a: 8 pairs; b, c: 16 pairs')
    """
    if len(names) == 1:
        return next(iter(names))
    return "; ".join(f"{', '.join(dict.fromkeys(of))}: {words}" for words, of in names.items())


def failure_lines(failures: Mapping[str, Mapping[str, str]], n_cells: int) -> list[str]:
    """How many cells failed, and a line for each; none where none did."""
    if not failures:
        return []
    each = [f"! failed: {failure['name']}: {failure['error']}" for failure in failures.values()]
    of_them = "it" if len(failures) == 1 else "them"
    of = f"{len(failures)} of {n_cells} cells" if n_cells > 1 else "the only result"
    return [f"! {of} failed; no figure here is of {of_them}", *each]


def sweep_report(readings: Mapping[str, Results], varied: Collection[str]) -> Lines:
    """Accuracy on the last task and forgetting of the others: a row per number of shots, a column per strategy.

    For a scenario in several orders: these tables per order, then the spread over the orders. All of it per reading.
    """
    lines: list[RenderableType] = []
    for name, results in readings.items():
        lines += [Text(name, style="bold")] if name else []
        lines.append(_tables(results, varied))
    return Lines(*lines)


def _tables(results: Results, varied: Collection[str]) -> Lines:
    orders = by_order(results)
    tables = [table for order, of_order in orders.items() for table in _order_tables(order, of_order, varied)]
    if len(orders) > 1:
        groups = _groups(results, varied)
        tables += [_by_shots(title, groups, partial(_over_orders, *of)) for title, of in OVER_ORDERS.items()]
    readings: list[str] = []
    by_variant: dict[tuple[str, str], Results] = {}
    for row in _groups(results, varied).values():
        words: dict[str, list[str]] = {}
        for variant, each in row.items():
            words.setdefault(reading(each), []).append(variant)
            by_variant[variant, shots_label(each)] = each
        readings.append(_by_name(words))
    last = results[0].new_task
    warned = dict.fromkeys(filter(None, [*map(coarse_validation, results), shortcut_warning(last, results)]))
    # In several orders a task is learned at several places.
    warned |= dict.fromkeys(no_gain_lines(by_variant) if len(orders) == 1 else ())
    return Lines(
        *tables,
        *([Text(PLUS_MINUS)] if any(len(each) > 1 for each in by_variant.values()) else []),
        Text(f"reading: {'; '.join(readings)}"),
        *(Text(f"! {line}") for line in warned),
        *seen_lines(results),
    )


def selection_report(selections: Sequence[Selection]) -> Lines:
    """The setting of each strategy that validation pairs chose, and the tables of its results on the test pairs."""
    lines = [Text(f"chosen by validation: {selection.words}") for selection in selections]
    results = [result for selection in selections for result in selection.results]
    # One setting of each strategy is left, which the lines name.
    return Lines(_tables(results, ()), *lines) if results else Lines(*lines)


def readings_report(readings: Sequence[Outcome]) -> Lines:
    """What the readings say of the paper's table, and its figures in each of them, the nearest first."""
    table = plain_table("Samples needed (median) and points forgotten (mean), by reading", "reading")
    add_numbers(table, *(METHOD_HEADS[method.strategy] for method in paper.METHODS), "tau", no_wrap=False)
    figures = [f"{m.samples}\n{m.forgetting:+.1f}" for m in paper.METHODS]
    table.add_row("the paper's table", *figures, "")
    for outcome in in_order(readings):
        taus = "\n".join(
            f"{t.value:+.2f}" if t else "-" for t in (outcome.tau_samples, outcome.tau_forgetting)
        )
        cells = (_reading_cell(outcome, method.strategy) for method in paper.METHODS)
        table.add_row(f"{outcome.name}\ntarget {outcome.target:g}", *cells, taus)
    return Lines(Text(verdict(readings)), Text(""), table)


METHOD_HEADS = {
    "random_labels": "random",
    "knn_fixed": "k-NN fixed",
    "knn_learned": "k-NN learned",
    "fine_tune": "fine-tune",
}


def _reading_cell(outcome: Outcome, strategy: str) -> str:
    per_seed = outcome.samples.get(strategy)
    if not per_seed:
        return "-"
    median = over_seeds(per_seed).median
    losses = outcome.losses.get(strategy)
    return f"{median or 'none'}\n{f'{100 * fmean(losses):+.1f}' if losses else '-'}"


OVER_ORDERS: dict[str, tuple[Callable[[SeedResult], float | None], bool]] = {
    "Accuracy, mean over tasks: mean ± sd over orders (min to max)": (lambda r: r.final_macro, False),
    "Backward transfer: mean ± sd over orders (min to max)": (lambda r: r.figures["bwt"], True),
}
"""By title: the figure of a result, and whether it has a sign."""


def _over_orders(figure: Callable[[SeedResult], float | None], sign: bool, results: Results) -> str:
    each = ([figure(r) for r in of_order] for of_order in by_order(results).values())
    means = [fmean(value for value in values if value is not None) for values in each]
    low, high = (spread([value], sign=sign) for value in (min(means), max(means)))
    return f"{spread(means, sign=sign)} ({low} to {high})"


def _order_tables(order: str, results: Results, varied: Collection[str]) -> list[RenderableType]:
    groups = _groups(results, varied)
    of = f" ({order})" if order else ""
    *earlier, last = results[0].trained_tasks
    measured = [last, *(task for task in results[0].tasks if results[0].sources[task].tested_only)]
    tables = [
        _by_shots(f"Accuracy, {task}{of}", groups, partial(_accuracy, task), _guesses(task, groups))
        for task in measured
    ]
    if len(earlier) > 1:
        title = f"Accuracy, mean over {len(earlier) + 1} experiences{of}"
        tables.insert(0, _by_shots(title, groups, partial(_mean_accuracy, [*earlier, last])))
    if len(earlier) > MANY:
        title = f"Forgetting, mean over the {len(earlier)} earlier experiences{of}"
        return [*tables, _by_shots(title, groups, partial(_mean_forgetting, earlier))]
    return [
        *tables,
        *(_by_shots(f"Forgetting, {t}{of}", groups, partial(forgetting_words, t)) for t in earlier),
        *_needed_table(of, groups),
    ]


def _needed_table(of: str, groups: Groups) -> list[RenderableType]:
    """The pairs that searches found, or that trainings saw until they stopped at a target; none where all were given."""
    counted = {
        n: row for n, row in groups.items() if not is_fixed([r for each in row.values() for r in each])
    }
    if not counted:
        return []
    first = next(iter(next(iter(counted.values())).values()))[0]
    source = first.sources[first.new_task]
    title = f"{source.examples.capitalize()} of {first.new_task} needed{of}, by validation: median (range of the seeds)"
    return [_by_shots(title, counted, _needed)]


def _needed(results: Results) -> str:
    # A pair that was seen twice is one that was needed.
    needed = [n and min(n, r.n_shots) for r in results for n in [samples(r, targets(r)[-1])]]
    found = [n for n in needed if n is not None]
    if not found:
        return f"not reached with {number_span([learned_from(r) for r in results])}"
    median = over_seeds(needed).median
    is_least = all(n == smallest_tried(r) for n, r in zip(needed, results, strict=True))
    words = "not reached" if median is None else f"{'at most ' * is_least}{median:,}"
    span = number_span(found) + (f"; not reached in {len(needed) - len(found)}" * (len(found) < len(needed)))
    return words if len(results) == 1 or span == f"{median:,}" else f"{words} ({span})"


def _groups(results: Results, varied: Collection[str]) -> dict[int, dict[str, list[SeedResult]]]:
    groups: dict[int, dict[str, list[SeedResult]]] = {}
    for result in sorted(results, key=lambda r: r.shots_group):
        row = groups.setdefault(result.shots_group, {})
        row.setdefault(result.variant(varied), []).append(result)
    return groups


def _guesses(task: str, groups: Groups) -> dict[str, dict[int, str]]:
    """The mean accuracy of the majority class and of the best shortcut; each seed counts once, since neither depends on the
    strategy."""
    majority, shortcut = {}, {}
    for shots, row in groups.items():
        by_seed = {r.seed: r for results in row.values() for r in results}
        majority[shots] = f"{fmean(r.majority[task] for r in by_seed.values()):.3f}"
        guess = best_shortcut([scores for r in by_seed.values() if (scores := r.shortcuts.get(task))])
        shortcut[shots] = f"{guess[1]:.3f}" if guess else ""
    return {"majority class": majority, "best shortcut": shortcut}


def _by_shots(
    title: str,
    groups: Groups,
    words: Callable[[Results], str],
    guesses: Mapping[str, Mapping[int, str]] | None = None,
) -> RenderableType:
    """A row per number of shots, or per strategy where there are too many for the width; `guesses` come last, where there
    are any."""
    names = list(dict.fromkeys(name for row in groups.values() for name in row))
    cells = {name: {n: words(row[name]) for n, row in groups.items() if name in row} for name in names}
    cells |= {name: dict(each) for name, each in (guesses or {}).items() if any(each.values())}
    by_shots, by_strategy = plain_table(title), plain_table(title, "strategy")
    add_numbers(by_shots, "shots")
    for name in cells:
        add_numbers(
            by_shots,
            name,
            min_width=min(len(name), 16),
            no_wrap=False,
            style="dim" if name not in names else "",
        )
    every = {n: [r for each in row.values() for r in each] for n, row in groups.items()}
    for n, results in every.items():
        by_shots.add_row(shots_label(results), *(of.get(n, "") for of in cells.values()))
    add_numbers(by_strategy, *map(shots_words, every.values()), no_wrap=False)
    for name, of in cells.items():
        by_strategy.add_row(
            shown(name), *(of.get(n, "") for n in groups), style="dim" if name not in names else ""
        )
    return FirstFitting(by_shots, by_strategy)


def _accuracy(task: str, results: Results) -> str:
    return spread([r.final[task] for r in results])


def _mean_accuracy(tasks: Sequence[str], results: Results) -> str:
    return spread([fmean(r.final[task] for task in tasks) for r in results])


def _mean_forgetting(tasks: Sequence[str], results: Results) -> str:
    """The mean over the tasks, and how many of them every seed learned."""
    n_learned = sum(all(r.learned[task] for r in results) for task in tasks)
    means = [fmean(r.forgetting[task] for task in tasks) for r in results]
    words = f"{n_learned} of {len(tasks)} learned" if n_learned < len(tasks) else ""
    return with_marks(spread(means, sign=True), words)
