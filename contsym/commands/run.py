"""`contsym run`: train a strategy through a scenario, show and track the result."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from contsym.commands.options import (
    SCENARIO_HELP,
    assignments_of,
    cell_options,
    output_option,
    sources_and_sizes,
    uri_option,
)
from contsym.config import DEFAULT_OUTPUT, RunConfig, parse_assignments, parse_seeds, parse_shots

if TYPE_CHECKING:
    from rich.console import Console

    from contsym.results.schema import SeedResult
    from contsym.sweeps.runs import StoredRun
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


@click.command()
@click.option("--strategy", required=True, metavar="NAME", help="Method (contsym list strategies).")
@click.option("--scenario", required=True, metavar="NAME|FILE", help=SCENARIO_HELP)
@click.option(
    "--shots",
    metavar="N|least",
    help="Training examples of each experience of a task with shots, as Wikidata, or the fewest that reach the target; "
    "default: all.",
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
@click.option("--curve/--no-curve", default=True, show_default=True, help="Measure all tasks while training.")
@click.option(
    "--audit/--no-audit",
    default=True,
    show_default=True,
    help="Look for leaks and shortcuts in the data first.",
)
@output_option
@uri_option
@click.option("--verbose", is_flag=True, help="Also show every shortcut, all figures, and the costs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
def run(
    shots: str | None,
    seeds: str,
    pretraining: tuple[str, ...],
    verbose: bool,
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
        shots=None if shots is None else parse_shots(shots),
        seeds=parse_seeds(seeds),
        settings=parse_assignments(assignments_of(options)),
        pretrain=parse_assignments(pretraining, "--pretrain"),
        **options,
    )
    from rich.console import Console

    from contsym.api.running import make_run
    from contsym.commands.views.run import orders_table, result_tables
    from contsym.results.summary import as_json as result_as_json
    from contsym.results.summary import by_order, over_orders

    err = Console(stderr=True)
    made = make_run(config, _Viewer(err))
    stored, found, run_ids = made.stored, made.found, made.run_ids
    if made.warning:
        click.echo(f"warning: {made.warning}", err=True)
    groups = by_order([result for results in found for result in results])
    several = orders_table(groups, over_orders(groups)) if len(found) > 1 else None
    tables = several or result_tables(
        found[0], {r.seed: run_ids[r.key] for r in found[0] if r.key in run_ids}, verbose=verbose
    )
    is_tracked = all(cell.key in run_ids for cell in stored.cells)
    hint = _ui_hint(config) if is_tracked else "not in MLflow yet: contsym sync sends it"
    if not as_json:
        Console().print(tables)
        click.echo(hint)
        return
    err.print(tables)
    click.echo(hint, err=True)
    each = [result_as_json(results, run_ids) for results in found]
    printed = {"orders": each, "over_orders": over_orders(groups)} if several else each[0]
    click.echo(json.dumps({"run": stored.name, **printed}, ensure_ascii=False, allow_nan=False))


class _Viewer:
    """Shows a run in the terminal."""

    def __init__(self, err: Console) -> None:
        self._err = err

    def planning(self) -> AbstractContextManager[object]:
        from contsym.commands.views.progress import status

        return status(self._err, "looking at data and encoder")

    def planned(self, plan: Plan, stored: StoredRun, uri: str) -> None:
        from contsym.commands.views.run import plan_lines
        from contsym.results.tracking import display_uri
        from contsym.training.plan import key_of
        from contsym.training.run import is_done

        self._err.print(plan_lines(plan, stored.folder, display_uri(uri)))
        seeds = plan.config.seeds
        if n := sum(is_done(plan.config, key_of(plan, seed)) for seed in seeds):
            rest = "nothing is left to train" if n == len(seeds) else "the others are trained now"
            self._err.print(f"{n} of {len(seeds)} seeds are stored already; {rest}", style="bold")

    def training(self) -> AbstractContextManager[Progress]:
        from contsym.commands.views.progress import RunProgress

        return RunProgress(self._err)

    def table(self, found: Sequence[list[SeedResult]]) -> str:
        from rich.console import Console

        from contsym.commands.views.run import orders_table, result_tables
        from contsym.results.summary import by_order, over_orders

        groups = by_order([result for results in found for result in results])
        is_one = len(found) == 1
        plain = Console(width=110, record=True, file=io.StringIO())
        plain.print(
            result_tables(found[0], verbose=True) if is_one else orders_table(groups, over_orders(groups))
        )
        return plain.export_text()


def _ui_hint(config: RunConfig) -> str:
    output = "" if str(config.output) == DEFAULT_OUTPUT else f" --output {config.output}"
    return f"look at it with: contsym ui{output}"
