"""The command line: parse, call, print. Heavy libraries load inside the verb that needs them."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from contsym import __version__
from contsym.authoring_cli import check, new
from contsym.config import DEFAULT_OUTPUT, RunConfig, parse_assignments, parse_seeds
from contsym.cores import waiting
from contsym.data_cli import data
from contsym.doctor_cli import doctor
from contsym.endings import end_cleanly_on_signals, file_trouble, heed, stopped
from contsym.errors import ContsymError, one_line
from contsym.list_cli import list_
from contsym.options import (
    SCENARIO_HELP,
    assignments_of,
    device_option,
    encoder_option,
    form_option,
    freeze_option,
    memory_index_option,
    noise_option,
    output_option,
    plugin_option,
    pooling_option,
    precision_option,
    protocol_options,
    sources_and_sizes,
    split_option,
    target_option,
    task_options,
    uri_option,
)
from contsym.pretrain_cli import pretrain
from contsym.report_cli import report
from contsym.results_cli import compare, metrics, reproduce
from contsym.sweep_cli import sweep

if TYPE_CHECKING:
    from rich.console import Console

    from contsym.run import Plan


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="contsym")
def cli() -> None:
    """How few examples does an encoder need to learn a relation, and what does it forget?

    \b
    Example:
      contsym run --strategy knn_fixed --scenario mnli_then_wikidata
    """


cli.add_command(list_)
cli.add_command(data)
cli.add_command(report)
cli.add_command(sweep)
cli.add_command(compare)
cli.add_command(pretrain)
cli.add_command(metrics)
cli.add_command(reproduce)
cli.add_command(new)
cli.add_command(check)
cli.add_command(doctor)


@cli.command()
@click.option("--strategy", required=True, metavar="NAME", help="Method (contsym list strategies).")
@click.option("--scenario", required=True, metavar="NAME|FILE", help=SCENARIO_HELP)
@plugin_option
@encoder_option
@pooling_option
@freeze_option
@task_options
@form_option
@click.option(
    "--shots", type=int, metavar="N", help="Training pairs of each Wikidata experience; default: all."
)
@split_option
@noise_option
@click.option("--seeds", default="0", show_default=True, metavar="LIST", help="As 0,1,2 or 0-4.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyper-parameter; repeatable (contsym list strategies --settings).",
)
@memory_index_option
@protocol_options
@device_option
@precision_option
@target_option
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

    from contsym.begun import going_on
    from contsym.display import orders_table, result_tables
    from contsym.display_progress import status
    from contsym.orders import by_order, over_orders
    from contsym.plugins import use
    from contsym.registry import scenario_runs
    from contsym.run import Shared, prepare
    from contsym.summary import as_json as result_as_json

    err = Console(stderr=True)
    shared = Shared()
    with status(err, "looking at data and encoder"):
        # Before prepare() does: a plug-in may be the scenario.
        use(config.plugins)
        # All orders, where the scenario means all, before the first of them is run.
        plans = [prepare(replace(config, scenario=each), shared) for each in scenario_runs(config.scenario)]
    # Imports torch, which prepare() does while large data are parsed.
    from contsym.tracking import resolve_uri

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


def _run_plan(plan: Plan, uri: str, err: Console) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Show, run, store and track a plan; gives the results and their MLflow runs, none where it has none."""
    from contsym.begun import n_stored
    from contsym.display import plan_lines, result_tables
    from contsym.display_progress import RunProgress
    from contsym.run import check_stored, run_seeds
    from contsym.tracking import display_uri

    err.print(plan_lines(plan, display_uri(uri)))
    if n := n_stored(plan):
        err.print(f"going on with it: {n} of {len(plan.config.seeds)} seeds are stored already", style="bold")
    with RunProgress(err) as progress:
        found = run_seeds(plan, progress)
        _store_table(plan.folder, result_tables(found))
        progress.phase("logging to MLflow", None)
        run_ids, warning = _track(plan.folder, plan.config.output, uri)
    heed()
    check_stored(plan)
    if warning:
        click.echo(f"warning: {warning}", err=True)
    return found, run_ids


def _track(folder: Path, output: Path, uri: str) -> tuple[dict[int, str], str | None]:
    """The MLflow run of each seed; none, and a warning, where the store cannot be used."""
    from contsym.errors import TrackingError
    from contsym.tracking import PATIENCE, log_run

    try:
        return log_run(folder, output, uri, PATIENCE), None
    except TrackingError as error:
        return {}, str(error)


def _store_table(folder: Path, tables: object) -> None:
    from rich.console import Console

    from contsym.results import write_file

    plain = Console(width=110, record=True, file=io.StringIO())
    plain.print(tables)
    write_file(folder / "table.txt", plain.export_text())


def _ui_hint(config: RunConfig) -> str:
    output = "" if str(config.output) == DEFAULT_OUTPUT else f" --output {config.output}"
    return f"look at it with: contsym ui{output}"


@cli.command()
@output_option
@uri_option
def sync(output: Path, tracking_uri: str | None) -> None:
    """Send stored results that MLflow does not have yet.

    What cannot be read, and what MLflow refuses of one run alone, is named on stderr, and the others are sent.
    Exit code 0: all is sent; 1: something was skipped; 2: the store cannot be used.

    \b
    Example:
      contsym sync --tracking-uri http://127.0.0.1:5000
    """
    from contsym import syncing, tracking
    from contsym.stored import Skipped

    uri, skipped = tracking.resolve_uri(output, tracking_uri), Skipped()
    n_sent = syncing.sync(output, uri, lambda name, n: click.echo(f"{name}: {n} seeds", err=True), skipped)
    click.echo(f"{n_sent} results sent to {tracking.display_uri(uri)}")
    if skipped.errors:
        sys.exit(1)


@cli.command()
@output_option
@uri_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(output: Path, tracking_uri: str | None, host: str, port: int) -> None:
    """Open the MLflow UI on the store that the runs went to.

    \b
    Example:
      contsym ui --port 5001
    """
    from contsym import tracking

    uri = tracking.resolve_uri(output, tracking_uri)
    command, environment = tracking.ui_command(output, uri, host, port)
    click.echo(f"MLflow UI on http://{host}:{port} (starting takes some 15 s; stop with Ctrl-C)", err=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        click.echo(f"note: {host} is reachable from other machines, without a password", err=True)
    os.execve(command[0], command, environment)  # noqa: S606 - replaces this process


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line and exit code 2, a signal 128 and its number."""
    end_cleanly_on_signals()
    os.environ.update(waiting())
    try:
        try:
            sys.exit(cli(standalone_mode=False))
        except Exception:
            # A library may have made an error of the signal.
            heed()
            raise
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _fail(one_line(f"{error.format_message()} (contsym --help)"))
    except ContsymError as error:
        _fail(str(error))
    except OSError as error:
        # What is wrong with a path shows wherever it is first used: a name too long, a folder without permission.
        if (message := file_trouble(error)) is None:
            if error.filename is None:
                raise
            message = f"{error.filename}: {error.strerror}; check the path"
        _fail(one_line(message))
    except (click.Abort, KeyboardInterrupt) as error:
        message, code = stopped(error)
        click.echo(message, err=True)
        sys.exit(code)


def _fail(message: str) -> NoReturn:
    click.echo("error: " + " ".join(message.split()), err=True)
    sys.exit(2)
