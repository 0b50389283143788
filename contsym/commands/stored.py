"""`contsym runs` and `contsym show`: the stored runs and sweeps, and the answer of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contsym.commands import completion
from contsym.commands.options import echo_json, json_option, output_option, verbose_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from contsym.checked import Skip
    from contsym.results.schema import SeedResult
    from contsym.sweeps.runs import StoredRun


@click.command(short_help="List stored runs and sweeps, the latest first.")
@click.option(
    "--strategy",
    metavar="NAME",
    shell_complete=completion.strategies,
    help="Only those of this method, with any add-on.",
)
@click.option(
    "--scenario", metavar="NAME", shell_complete=completion.scenarios, help="Only those of this scenario."
)
@click.option(
    "-n", "n_rows", type=click.IntRange(1, 2**31 - 1), default=20, show_default=True, help="How many at most."
)
@json_option
@output_option
def runs(strategy: str | None, scenario: str | None, n_rows: int, as_json: bool, output: Path) -> None:
    """List the stored runs and sweeps of OUTPUT, the latest first.

    The first letters of a name are enough wherever a run is named, and latest is the first of this list.

    \b
    Examples:
      contsym runs
      contsym runs --strategy knn_fixed --scenario mnli_then_wikidata -n 5
    """
    from rich.console import Console

    from contsym.checked import Skipped
    from contsym.commands.views.runs import facts_of, runs_report
    from contsym.sweeps.runs import stored_runs

    skip = Skipped()
    matching = (run for run in stored_runs(output, skip) if _is_of(run, strategy, scenario))
    found = [facts_of(run, skip) for run in islice(matching, n_rows)]
    if not found:
        stored = list(stored_runs(output, skip))
        _check_known("--strategy", strategy, set().union(*map(_methods, stored)))
        _check_known("--scenario", scenario, set().union(*map(_scenarios, stored)))
    if as_json:
        echo_json([each.as_plain() for each in found])
    elif found:
        Console(highlight=False).print(runs_report(found, output))
    else:
        of = "".join(f" of {name}" for name in (strategy, scenario) if name)
        click.echo(f"no run or sweep{of} in {output} yet; contsym run or sweep makes one")


def _is_of(run: StoredRun, strategy: str | None, scenario: str | None) -> bool:
    return strategy in (None, *_methods(run)) and scenario in (None, *_scenarios(run))


def _methods(run: StoredRun) -> set[str]:
    """The strategies of a run, with and without their add-ons."""
    return {name for each in run.config.strategies for name in (each, each.partition("+")[0])}


def _scenarios(run: StoredRun) -> set[str]:
    """The scenario of a run, as it was given and as the name of its file."""
    return {run.config.scenario, Path(run.config.scenario).stem}


def _check_known(option: str, given: str | None, stored: set[str]) -> None:
    """Raise SettingError for a name that no stored run has, where others are stored."""
    from contsym.errors import SettingError, nearest

    if given is not None and stored and given not in stored:
        raise SettingError(f"{option} {given}: no stored run has it; {nearest(given, sorted(stored))}")


@click.command(short_help="Show the answer of a stored run or sweep again.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=completion.runs)
@verbose_option
@json_option
@output_option
def show(run: str, verbose: bool, as_json: bool, output: Path) -> None:
    """Show the answer of a stored run or sweep, as contsym run or sweep printed it.

    RUN is latest (the default), a name that contsym runs lists or its first letters, STRATEGY@SHOTS of the latest sweep
    (of another one SWEEP:STRATEGY@SHOTS), or the folder of a run or a result.

    \b
    Examples:
      contsym show
      contsym show 5e05 --verbose
      contsym show knn_fixed@64 --json
    """
    from rich.console import Console

    from contsym.checked import Skipped
    from contsym.errors import SettingError
    from contsym.sweeps.find import find, find_row, is_row, no_result_yet, nothing_there
    from contsym.sweeps.runs import StoredRun

    skip = Skipped()
    target = None if is_row(run) else find(run, output, skip)
    if target is None and not is_row(run):
        raise nothing_there(run, output, skip)
    if isinstance(target, StoredRun):
        if verbose and target.is_sweep:
            raise SettingError(
                f"--verbose: {run} is a sweep, whose shortcuts and costs contsym report has; leave it out, or show one of "
                "its rows (STRATEGY@SHOTS)"
            )
        if as_json:
            echo_json(plain_of(target, skip))
            return
        tables = tables_of(target, target.results(skip), skip, verbose=verbose)
        if tables is None:
            raise no_result_yet(run, target)
        Console(highlight=False).print(tables)
        return
    results = list(find_row(run, output, skip).results.values())
    if as_json:
        echo_json(_plain_run(run, results))
    else:
        Console(highlight=False).print(run_tables(results, verbose=verbose))


def tables_of(
    stored: StoredRun,
    results: Sequence[SeedResult],
    skip: Skip,
    *,
    verbose: bool = False,
    run_ids: Mapping[str, str] | None = None,
) -> RenderableType | None:
    """What a person sees of a run or sweep; None where none of its results is stored, and none failed.

    `run_ids` are the MLflow runs of results, by key.
    """
    from rich.text import Text

    from contsym.commands.views.sweep import failure_lines, readings_report, selection_report, sweep_report
    from contsym.commands.views.tables import Lines
    from contsym.results.paper_readings import are_of_paper, readings_of
    from contsym.results.selection import select

    failures = stored.failures(skip)
    notes = [Text(line) for line in failure_lines(failures, len(stored.cells))]
    if not results:
        return Lines(*notes) if notes else None
    if missing := len(stored.cells) - stored.n_done - len(failures):
        of = f"{missing} of {len(stored.cells)} results {'is' if missing == 1 else 'are'} missing"
        notes.append(Text(f"! {of}, so the figures are of the others alone; the same command resumes"))
    if not stored.is_sweep:
        answer = run_tables(results, verbose=verbose, run_ids=run_ids)
        return Lines(answer, *notes) if notes else answer
    if are_of_paper(results) and (readings := readings_of(stored.results_by_reading(skip))):
        return Lines(readings_report(readings), *notes)
    if stored.config.select:
        return Lines(selection_report(select(results, stored.varied)), *notes)
    by_reading = {name: part.results(skip) for name, part in stored.parts().items()}
    found = {name: of_reading for name, of_reading in by_reading.items() if of_reading}
    return Lines(sweep_report(found, stored.varied), *notes)


def run_tables(
    results: Sequence[SeedResult], *, verbose: bool = False, run_ids: Mapping[str, str] | None = None
) -> RenderableType:
    from contsym.commands.views.run import orders_table, result_tables
    from contsym.results.summary import by_order, over_orders

    groups = by_order(results)
    if len(groups) > 1:
        return orders_table(groups, over_orders(groups))
    ids = {r.seed: run_ids[r.key] for r in results if r.key in run_ids} if run_ids else None
    return result_tables(results, ids, verbose=verbose)


def plain_of(stored: StoredRun, skip: Skip, run_ids: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A run or sweep as JSON: a run with its seeds and their mean, a sweep with its cells."""
    from contsym.sweeps.find import no_result_yet

    if stored.is_sweep:
        return _plain_sweep(stored, skip)
    results = stored.results(skip)
    if not results:
        raise no_result_yet(stored.name, stored)
    return _plain_run(stored.name, results, run_ids)


def _plain_run(
    name: str, results: Sequence[SeedResult], run_ids: Mapping[str, str] | None = None
) -> dict[str, Any]:
    from contsym.results.summary import as_json, by_order, over_orders

    groups = by_order(results)
    each = [as_json(group, run_ids) for group in groups.values()]
    printed = {"orders": each, "over_orders": over_orders(groups)} if len(groups) > 1 else each[0]
    return {"run": name, **printed}


def _plain_sweep(sweep: StoredRun, skip: Skip) -> dict[str, Any]:
    """The configuration of a sweep, and each cell with its main figures, or its error.

    A cell is done, failed, missing, or unreadable where its result is there and cannot be read. With --select also the
    setting that each strategy was chosen with.
    """
    from contsym.results import store
    from contsym.results.selection import select
    from contsym.results.summary import PER_SEED

    failures, done = sweep.failures(skip), sweep.done()
    found = {path.name: result for path, result in store.read_results(done.values(), skip).items()}
    shown = {*PER_SEED, "seen"} - {"seed", "key"}
    cells = []
    for cell in sweep.cells:
        entry: dict[str, Any] = {
            "key": cell.key,
            "strategy": cell.strategy,
            "scenario": cell.scenario,
            "seed": cell.seed,
            "shots": cell.shots,
            "settings": dict(cell.settings),
            "reading": cell.reading,
        }
        if cell.key in found:
            entry |= {"state": "done", **found[cell.key].model_dump(mode="json", include=shown)}
        elif cell.key in done:
            entry["state"] = "unreadable"
        elif cell.key in failures:
            entry |= {"state": "failed", "error": failures[cell.key]["error"]}
        else:
            entry["state"] = "missing"
        cells.append(entry)
    config = {**sweep.config.model_dump(), "output": str(sweep.output)}
    plain = {
        "sweep": sweep.id,
        "name": sweep.name,
        "created": sweep.created,
        "config": config,
        "cells": cells,
    }
    if sweep.config.select:
        chosen = select([found[key] for key in done if key in found], sweep.varied)
        plain["selected"] = [each.as_plain() for each in chosen]
    return plain
