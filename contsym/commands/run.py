"""`contsym run`: train a strategy through a scenario, show and track the result."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contsym.commands.options import (
    SCENARIO_HELP,
    assignments_of,
    cell_options,
    output_option,
    sources_and_sizes,
    uri_option,
)
from contsym.config import DEFAULT_OUTPUT, RunConfig, parse_assignments, parse_seeds

if TYPE_CHECKING:
    from rich.console import Console

    from contsym.results.schema import SeedResult
    from contsym.training.plan import Plan


@click.command()
@click.option("--strategy", required=True, metavar="NAME", help="Method (contsym list strategies).")
@click.option("--scenario", required=True, metavar="NAME|FILE", help=SCENARIO_HELP)
@click.option(
    "--shots", type=int, metavar="N", help="Training pairs of each Wikidata experience; default: all."
)
@click.option("--seeds", default="0", show_default=True, metavar="LIST", help="As 0,1,2 or 0-4.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyper-parameter; repeatable (contsym list strategies --settings).",
)
@cell_options
@click.option("--curve/--no-curve", default=True, show_default=True, help="Measure the learning curve.")
@click.option(
    "--audit/--no-audit",
    default=True,
    show_default=True,
    help="Look for leaks and shortcuts in the data first.",
)
@output_option
@uri_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
def run(
    seeds: str,
    pretraining: tuple[str, ...],
    as_json: bool,
    **options,
) -> None:
    """Train a strategy through a scenario and show what it learned and forgot.

    \b
    Examples:
      contsym run --strategy knn_fixed --scenario mnli_then_wikidata
      contsym run --strategy random_labels --scenario wikidata_only --shots 48 --seeds 0,1,2
      contsym run --strategy knn_fixed --scenario mnli_then_wikidata \\
        --mnli path/to/mnli --wikidata path/to/pairs.jsonl --shots 64 --set k=5
    """
    sources, sizes = sources_and_sizes(options)
    config = RunConfig(
        sources=sources,
        sizes=sizes,
        seeds=parse_seeds(seeds),
        settings=parse_assignments(assignments_of(options)),
        pretrain=parse_assignments(pretraining, "--pretrain"),
        **options,
    )
    from rich.console import Console

    from contsym.commands.views.progress import status
    from contsym.commands.views.run import orders_table, result_tables
    from contsym.plugins import use
    from contsym.results.summary import as_json as result_as_json
    from contsym.results.summary import by_order, over_orders
    from contsym.scenarios.catalog import scenario_runs
    from contsym.training.parts import Shared
    from contsym.training.plan import prepare
    from contsym.training.resume import going_on

    err = Console(stderr=True)
    shared = Shared()
    with status(err, "looking at data and encoder"):
        # Before prepare() does: a plug-in may be the scenario.
        use(config.plugins)
        # All orders, where the scenario means all, before the first of them is run.
        plans = [prepare(replace(config, scenario=each), shared) for each in scenario_runs(config.scenario)]
    # Imports torch, which prepare() does while large data are parsed.
    from contsym.results.tracking import resolve_uri

    uri = resolve_uri(config.output, config.tracking_uri)
    with going_on(plans) as named:
        done = [_run_plan(plan, uri, err) for plan in named]
    printed: dict[str, Any] = {}
    if len(plans) == 1:
        ((found, run_ids),) = done
        tables = result_tables(found, run_ids)
        printed = result_as_json(found, run_ids)
    else:
        groups = by_order([result for found, _ in done for result in found])
        tables = orders_table(groups, over_orders(groups))
        printed = {"orders": [result_as_json(*each) for each in done], "over_orders": over_orders(groups)}
    is_tracked = all(run_ids for _, run_ids in done)
    hint = _ui_hint(config) if is_tracked else "not in MLflow yet: contsym sync sends it"
    if as_json:
        err.print(tables)
        click.echo(hint, err=True)
        click.echo(json.dumps(printed, ensure_ascii=False, allow_nan=False))
    else:
        Console().print(tables)
        click.echo(hint)


def _run_plan(plan: Plan, uri: str, err: Console) -> tuple[list[SeedResult], dict[int, str]]:
    """Show, run, store and track a plan; gives the results and their MLflow runs, none where it has none."""
    from contsym.commands.views.progress import RunProgress
    from contsym.commands.views.run import plan_lines, result_tables
    from contsym.results.tracking import display_uri
    from contsym.training.resume import n_stored
    from contsym.training.run import check_stored, run_seeds

    err.print(plan_lines(plan, display_uri(uri)))
    if n := n_stored(plan):
        err.print(f"going on with it: {n} of {len(plan.config.seeds)} seeds are stored already", style="bold")
    with RunProgress(err) as progress:
        found = run_seeds(plan, progress)
        _store_table(plan.folder, result_tables(found))
        progress.phase("logging to MLflow", None)
        run_ids, warning = _track(plan.folder, plan.config.output, uri)
    check_stored(plan)
    if warning:
        click.echo(f"warning: {warning}", err=True)
    return found, run_ids


def _track(folder: Path, output: Path, uri: str) -> tuple[dict[int, str], str | None]:
    """The MLflow run of each seed; none, and a warning, where the store cannot be used."""
    from contsym.errors import TrackingError
    from contsym.results.tracking import log_run

    try:
        return log_run(folder, output, uri), None
    except TrackingError as error:
        return {}, str(error)


def _store_table(folder: Path, tables: object) -> None:
    from rich.console import Console

    from contsym.files import write_file

    plain = Console(width=110, record=True, file=io.StringIO())
    plain.print(tables)
    write_file(folder / "table.txt", plain.export_text())


def _ui_hint(config: RunConfig) -> str:
    output = "" if str(config.output) == DEFAULT_OUTPUT else f" --output {config.output}"
    return f"look at it with: contsym ui{output}"
