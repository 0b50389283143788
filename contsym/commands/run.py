"""`contsym run`: train a strategy through a scenario, show and track the result."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from contsym.commands import completion
from contsym.commands.options import (
    SEEDS_HELP,
    assignments_of,
    audit_option,
    cell_options,
    config_option,
    dry_run_option,
    echo_json,
    is_given,
    json_option,
    output_option,
    output_words,
    scenario_option,
    sources_and_sizes,
    uri_option,
    verbose_option,
)
from contsym.commands.screen import Screen, log_options, screen
from contsym.config import RunConfig, parse_assignments, parse_seeds, parse_shots
from contsym.errors import SettingError
from contsym.sweeps.config import for_one_run, read_file

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.sweeps.runs import StoredRun
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


@click.command(short_help="Train a method and show what it learned and forgot.")
@click.option(
    "--strategy",
    metavar="NAME",
    shell_complete=completion.strategies,
    help="Method (contsym list strategies).  [required]",
)
@scenario_option
@click.option(
    "--shots",
    metavar="N|least|all",
    help="Training examples per experience of a few-shot task, as Wikidata; least: the fewest that reach the target; all, "
    "the default.",
)
@click.option("--seeds", default="1", show_default=True, metavar="N|LIST", help=SEEDS_HELP)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyper-parameter; repeatable (contsym list strategies --settings).",
)
@config_option
@cell_options
@click.option("--curve/--no-curve", default=True, show_default=True, help="Measure all tasks while training.")
@audit_option
@output_option
@uri_option
@dry_run_option
@verbose_option
@log_options
@json_option
@click.pass_context
def run(context: click.Context, /, dry_run: bool, verbose: bool, as_json: bool, **options: Any) -> None:
    """Train a strategy through a scenario and show what it learned and forgot.

    \b
    Examples:
      contsym run --strategy knn_fixed --scenario mnli_then_wikidata
      contsym run --strategy random_labels --scenario wikidata_only --shots 48 --seeds 3
      contsym run --strategy knn_fixed --scenario mnli_then_wikidata \\
        --mnli path/to/mnli --wikidata path/to/pairs.jsonl --shots 64 --set k=5
      contsym run --config sweeps/mine.toml --strategy fine_tune --dry-run
    """
    config = _config(context, options)
    from rich.console import Console

    from contsym.api.running import make_run
    from contsym.checked import Skipped
    from contsym.commands.stored import plain_of, tables_of

    shown = screen()
    if dry_run:
        _show_plan(config, shown, as_json)
        return
    made = make_run(config, _Viewer(shown))
    stored, run_ids, skip = made.stored, made.run_ids, Skipped()
    if made.warning:
        shown.warn(f"warning: {made.warning}")
    results = [result for each in made.found for result in each]
    tables = tables_of(stored, results, skip, verbose=verbose, run_ids=run_ids)
    is_tracked = all(cell.key in run_ids for cell in stored.cells)
    hint = _ui_hint(config) if is_tracked else "not in MLflow yet: contsym sync sends it"
    if shown.log:
        shown.log.print(tables)
    if not as_json:
        Console().print(tables)
        click.echo(hint)
        return
    shown.console.print(tables)
    shown.console.print(hint, markup=False)
    echo_json(plain_of(stored, skip, run_ids))


def _config(context: click.Context, options: dict[str, Any]) -> RunConfig:
    assignments, pretraining = assignments_of(options), options.pop("pretraining")
    typed = {name for name in options if is_given(context, name)}
    sources, sizes = sources_and_sizes(options)
    file = options.pop("config_file")
    settings, pretrain = parse_assignments(assignments), parse_assignments(pretraining, "--pretrain")
    found = for_one_run(read_file(file), {*typed, *settings}, f"--config {file}") if file else {}
    given = {name: value for name, value in options.items() if name in typed or name not in found}
    parsers = {"shots": parse_shots, "seeds": parse_seeds}
    given |= {name: parse(given[name]) for name, parse in parsers.items() if given.get(name) is not None}
    merged = {**found, **given}
    for name, values in (("settings", settings), ("pretrain", pretrain)):
        merged[name] = {**found.get(name, {}), **values}
    for name, names in (("strategy", "strategies"), ("scenario", "scenarios")):
        if merged.get(name) is None:
            raise SettingError(
                f"--{name} is missing; give it here or in --config FILE (contsym list {names} has the names)"
            )
    merged["sources"] = {**found.get("sources", {}), **sources}
    merged["sizes"] = {**found.get("sizes", {}), **sizes}
    return RunConfig(**merged)


def _show_plan(config: RunConfig, shown: Screen, as_json: bool) -> None:
    """What a run would do; nothing is trained or stored."""
    from rich.console import Console

    from contsym.api.running import plan_only
    from contsym.commands.views.run import dry_run_lines, plan_lines
    from contsym.results.tracking import display_uri, resolve_uri
    from contsym.sweeps.plan import as_plain, seconds_left

    viewer = _Viewer(shown)
    planned = plan_only(config, viewer)
    with viewer.planning():
        seconds = seconds_left(planned.sweep)
    if as_json:
        echo_json(as_plain(planned.sweep, seconds))
        return
    uri = display_uri(resolve_uri(config.output, config.tracking_uri))
    console = Console(highlight=False)
    for plan in planned.plans:
        console.print(plan_lines(plan, planned.sweep.folder, uri))
    console.print(dry_run_lines(planned.sweep, seconds))


class _Viewer:
    """Shows a run in the terminal."""

    def __init__(self, shown: Screen) -> None:
        self._shown = shown

    def planning(self) -> AbstractContextManager[object]:
        from contsym.commands.views.progress import status

        return status(self._shown.console, "looking at data and encoder", self._shown.log)

    def planned(self, plan: Plan, stored: StoredRun, uri: str) -> None:
        from contsym.commands.views.run import plan_lines
        from contsym.results.tracking import display_uri
        from contsym.training.keys import key_of
        from contsym.training.run import is_done

        self._shown.print(plan_lines(plan, stored.folder, display_uri(uri)))
        seeds = plan.config.seeds
        if n := sum(is_done(plan.config, key_of(plan, seed)) for seed in seeds):
            rest = "nothing is left to train" if n == len(seeds) else "the others are trained now"
            self._shown.print(f"{n} of {len(seeds)} seeds are stored already; {rest}", style="bold")

    def training(self) -> AbstractContextManager[Progress]:
        from contsym.commands.views.progress import RunProgress

        return RunProgress(*self._shown)

    def table(self, found: Sequence[list[SeedResult]]) -> str:
        from rich.console import Console

        from contsym.commands.stored import run_tables

        plain = Console(width=110, record=True, file=io.StringIO())
        plain.print(run_tables([result for results in found for result in results], verbose=True))
        return plain.export_text()


def _ui_hint(config: RunConfig) -> str:
    output = output_words(config.output)
    seed = f" --seed {config.seeds[0]}" if len(config.seeds) > 1 else ""
    model = f" · its model with: contsym predict latest{seed}{output}" if config.save_models else ""
    return f"look at it with: contsym ui{output}{model}"
