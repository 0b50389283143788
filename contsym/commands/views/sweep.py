"""What a person sees of a sweep in the terminal: the plan, its status and the figures by shots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from statistics import fmean

from rich.console import Group, RenderableType
from rich.text import Text

from contsym.checked import Skip
from contsym.commands.views.data import audit_lines
from contsym.commands.views.run import MANY
from contsym.commands.views.tables import grid, plain_table
from contsym.data.audit import Overview
from contsym.data.shortcuts import best
from contsym.results.metrics.stats import spread
from contsym.results.schema import SeedResult
from contsym.results.summary import Results, by_order, never_learned
from contsym.sweep.config import shots_text
from contsym.sweep.plan import Sweep
from contsym.sweep.runs import StoredRun


def plan_report(
    sweep: Sweep, audits: Mapping[str, Overview], engine: tuple[str, int | None], tracking: str
) -> Group:
    """What will be done, how much of it is there already, and what is shared."""
    config = sweep.config
    first_tasks = {c.first_task.key: c for c in sweep.cells if c.first_task}
    alone = sum(c.n_first_task_steps + c.n_steps for c in sweep.cells)
    shared = sum(c.n_steps for c in sweep.cells) + sum(c.n_first_task_steps for c in first_tasks.values())
    rows = grid()
    rows.add_row("sweep", Text(f"{sweep.id}: {len(sweep.cells):,} cells, {sweep.n_done:,} of them done"))
    rows.add_row("strategies", Text(", ".join(config.strategies)))
    rows.add_row("shots", ", ".join(map(shots_text, config.shots)))
    rows.add_row("seeds", ", ".join(map(str, config.seeds)))
    protocol = config.protocol + "".join(f", pretrain {n}={v}" for n, v in config.pretrain.items())
    rows.add_row("protocol", protocol)
    for name, values in config.settings.items():
        rows.add_row(name, Text(", ".join(values)))
    if first_tasks:
        rows.add_row(
            "shared",
            f"first task trained {len(first_tasks)} times for {len(sweep.cells)} cells: {shared:,} steps, not {alone:,}",
        )
    backend, n_jobs = engine
    several = "one for each GPU or node" if backend == "ray" else "1 at a time"
    rows.add_row("engine", f"{backend}, {several if n_jobs is None else f'{n_jobs} at a time'}")
    rows.add_row("results", Text(str(sweep.folder)))
    rows.add_row("tracking", Text(tracking))
    return Group(rows, audit_lines(list(audits.values()))) if audits else Group(rows)


def status_report(sweeps: Sequence[StoredRun], skip: Skip) -> RenderableType:
    """A row a sweep: how many of its cells are done, failed and missing."""
    table = plain_table("Sweeps, the latest first")
    for title in ("sweep", "started"):
        table.add_column(title, no_wrap=True)
    for title in ("done", "failed", "missing"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("of")
    for sweep in sweeps:
        n_done, n_failed = sweep.n_done, len(sweep.failures(skip))
        counts = (n_done, n_failed, len(sweep.cells) - n_done - n_failed)
        config = sweep.config
        what = f"{config.scenario}: {', '.join(config.strategies)}"
        started = sweep.created[:16].replace("T", " ")
        # The beginning of an id names it, and 80 columns are few.
        table.add_row(sweep.id[:8], started, *(f"{n:,}" for n in counts), Text(what))
    return table


def sweep_report(found: Results, varied: Collection[str]) -> Group:
    """Accuracy of the last task and forgetting of the others: a row a number of shots, a column a strategy.

    Of a scenario in every order: these for each order, then how far the orders are apart.
    """
    orders = by_order(found)
    tables = [table for order, own in orders.items() for table in _order_tables(order, own, varied)]
    if len(orders) > 1:
        spread_tables = (
            _by_shots(title, _groups(found, varied), partial(_over_orders, figure))
            for title, figure in OVER_ORDERS.items()
        )
        tables += spread_tables
    return Group(*tables)


OVER_ORDERS = {
    "Accuracy, mean over tasks: mean ± sd over orders (min to max)": "final_macro",
    "Backward transfer: mean ± sd over orders (min to max)": "bwt",
}


def _over_orders(figure: str, found: Results) -> str:
    means = [fmean(getattr(r, figure) for r in own) for own in by_order(found).values()]
    low, high = (spread([value], sign=figure == "bwt") for value in (min(means), max(means)))
    return f"{spread(means, sign=figure == 'bwt')} ({low} to {high})"


def _order_tables(order: str, found: Results, varied: Collection[str]) -> list[RenderableType]:
    groups = _groups(found, varied)
    of = f" ({order})" if order else ""
    *earlier, last = found[0].tasks
    guessed = {n: _best_shortcuts(last, row) for n, row in groups.items()}
    tables = [_by_shots(f"Accuracy, {last}{of}", groups, partial(_accuracy, last), guessed)]
    if len(earlier) > MANY:
        title = f"Forgetting, mean over the {len(earlier)} earlier experiences that were learned{of}"
        return [*tables, _by_shots(title, groups, partial(_mean_forgetting, earlier))]
    return [
        *tables,
        *(_by_shots(f"Forgetting, {t}{of}", groups, partial(_forgetting, t)) for t in earlier),
    ]


def _mean_forgetting(tasks: Sequence[str], seeds: Results) -> str:
    known = [[f for t in tasks if (f := r.forgetting[t]) is not None] for r in seeds]
    means = [fmean(each) for each in known if each]
    return spread(means, sign=True) if means else never_learned(0, len(seeds))


def _groups(found: Results, varied: Collection[str]) -> dict[int, dict[str, list[SeedResult]]]:
    groups: dict[int, dict[str, list[SeedResult]]] = {}
    for result in sorted(found, key=lambda r: r.n_shots):
        row = groups.setdefault(result.n_shots, {})
        row.setdefault(result.variant(varied), []).append(result)
    return groups


def _by_shots(
    title: str,
    groups: Mapping[int, Mapping[str, Results]],
    words: Callable[[Results], str],
    guessed: Mapping[int, Sequence[float]] | None = None,
) -> RenderableType:
    """`guessed` are the best shortcuts by number of shots, shown in a last column if there are any."""
    table = plain_table(title)
    table.add_column("shots", justify="right", no_wrap=True)
    names = list(dict.fromkeys(name for row in groups.values() for name in row))
    for name in names:
        table.add_column(name, justify="right", min_width=min(len(name), 16))
    shows_guesses = any((guessed or {}).values())
    if shows_guesses:
        # Its mean alone: four strategies and this fit into 80 columns.
        table.add_column("best shortcut", justify="right", style="dim")
    for shots, row in groups.items():
        cells = [words(row[name]) if name in row else "" for name in names]
        if shows_guesses and guessed:
            cells.append(spread(guessed[shots]).partition("±")[0] if guessed[shots] else "")
        table.add_row(f"{shots:,}", *cells)
    return table


def _best_shortcuts(task: str, row: Mapping[str, Results]) -> list[float]:
    """What the best shortcut scores, once a seed: it does not depend on the strategy."""
    scores = {r.seed: r.shortcuts.get(task) for seeds in row.values() for r in seeds}
    return [best(measured)[1] for measured in scores.values() if measured]


def _accuracy(task: str, seeds: Results) -> str:
    return spread([r.final[task] for r in seeds])


def _forgetting(task: str, seeds: Results) -> str:
    figures = [f for r in seeds if (f := r.forgetting[task]) is not None]
    if not figures:
        return never_learned(0, len(seeds))
    lacking = len(seeds) - len(figures)
    return spread(figures, sign=True) + (f" ({len(figures)} of {len(seeds)})" if lacking else "")
