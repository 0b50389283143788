"""The command line of sweeps: start, resume, or only show what would run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, redirect_stdout
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
)
from contsym.commands.screen import Screen, log_options, screen
from contsym.config import parse_assignments, parse_seeds
from contsym.errors import SettingError
from contsym.sweeps.config import SweepConfig, parse_grid, parse_sweep_shots, read_file

if TYPE_CHECKING:
    from contsym.api.sweeping import Engine
    from contsym.data.audit import Overview
    from contsym.sweeps.plan import Sweep
    from contsym.sweeps.scheduler import Watcher


@click.command(short_help="Run methods x seeds x shots x values; resumes.")
@click.option(
    "--strategies",
    metavar="LIST",
    shell_complete=completion.strategies,
    help="Methods, as knn_fixed,fine_tune (contsym list strategies).  [required]",
)
@scenario_option
@click.option(
    "--shots",
    metavar="LIST",
    help="Training examples per experience of a few-shot task, as 8,16,64, least or all.",
)
@click.option("--seeds", metavar="N|LIST", help=f"{SEEDS_HELP}  [default: 3]")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of a hyper-parameter, as k=1,3,5, one cell per value; repeatable.",
)
@config_option
@click.option(
    "--select",
    type=click.Choice(["validation"]),
    help="Keep the best setting of each strategy by validation pairs, and report its test figures.",
)
@cell_options
@click.option(
    "--curve/--no-curve",
    default=False,
    show_default=True,
    help="Measure all tasks while training, in each cell.",
)
@audit_option
@click.option(
    "--jobs",
    type=int,
    metavar="N",
    help="Cells at a time; they share the cores.  [default: 1; with ray one for each GPU or node]",
)
@click.option(
    "--backend",
    type=click.Choice(["local", "ray", "slurm"]),
    default="local",
    show_default=True,
    help="This machine, a Ray cluster, or SLURM.",
)
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="Of a Ray cluster; default: that at RAY_ADDRESS, else a new one on this machine.",
)
@click.option(
    "--engine-option",
    "engine_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of Ray or SLURM, as partition=gpu (docs/clusters.md); repeatable.",
)
@click.option("--resume", is_flag=True, help="Resume the latest sweep of OUTPUT.")
@output_option
@uri_option
@dry_run_option
@log_options
@json_option
@click.pass_context
def sweep(context: click.Context, /, **options: Any) -> None:
    """Run strategies x seeds x shots x set values; what is finished is never run again.

    What cells have in common (the first task, as MNLI, does not depend on the shots) is done
    once. Stop it at any time: the same command, or --resume, resumes it.

    \b
    Examples:
      contsym sweep --strategies random_labels,knn_fixed,knn_learned,fine_tune \\
        --scenario mnli_then_wikidata --shots 8,16,32,64 --seeds 5 --jobs 2
      contsym sweep --config sweeps/paper.toml --backend ray --address ray-head:6379
      contsym sweep --strategies ridge --set ridge=1,3,10 --select validation \\
        --scenario mnli_then_wikidata --shots 64
      contsym sweep --resume
    """
    output, dry_run = options["output"], options.pop("dry_run")
    from contsym.api.sweeping import Engine
    from contsym.sweeps.engines.choose import check_engine, read_options

    given = (options.pop("backend"), options.pop("jobs"), options.pop("address"))
    engine = Engine(*given, read_options(options.pop("engine_options")))
    check_engine(*given, engine.options)
    as_json, tracking_uri = options.pop("as_json"), options.pop("tracking_uri")
    resume = options.pop("resume")
    from contsym.sweeps.runs import latest_sweep

    config = latest_sweep(output).live() if resume else _config(context, options)
    if resume and any(
        context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        for name in (*options, "assignments", "pretraining", "config_file")
        if name != "output"
    ):
        raise SettingError("--resume resumes the latest sweep as it was given; leave the other options out")
    if dry_run:
        _show_plan(config, engine, tracking_uri, as_json)
    else:
        run_sweep(config, engine, tracking_uri, as_json)


def _config(context: click.Context, options: dict[str, Any]) -> SweepConfig:
    sources, sizes = sources_and_sizes(options)
    file, assignments = options.pop("config_file"), assignments_of(options)
    pretraining = parse_assignments(options.pop("pretraining"), "--pretrain")
    found = read_file(file) if file else {}
    given = {name: value for name, value in options.items() if is_given(context, name) or name not in found}
    given = {name: value for name, value in given.items() if value is not None}
    parsers = {"strategies": _names, "shots": parse_sweep_shots, "seeds": parse_seeds}
    given |= {name: parse(given[name]) for name, parse in parsers.items() if name in given}
    merged = {**found, **given}
    for name, values in (("settings", parse_grid(assignments)), ("pretrain", pretraining)):
        merged[name] = {**found.get(name, {}), **values}
    merged["sources"] = {**found.get("sources", {}), **sources}
    merged["sizes"] = {**found.get("sizes", {}), **sizes}
    for name in ("strategies", "scenario"):
        if name not in merged:
            raise SettingError(f"--{name} is missing; give it here or in --config FILE")
    # All training examples, or those of --size.
    merged.setdefault("shots", (None,))
    return SweepConfig(**merged)


def _show_plan(config: SweepConfig, engine: Engine, tracking_uri: str | None, as_json: bool) -> None:
    """What a sweep would do; nothing is trained or stored."""
    from rich.console import Console

    from contsym.api.sweeping import plan_only
    from contsym.commands.views.sweep import plan_report
    from contsym.results.tracking import display_uri, resolve_uri
    from contsym.sweeps.plan import as_plain

    planned, audits, seconds = plan_only(config, engine, _Viewer(screen(), engine))
    if as_json:
        echo_json(as_plain(planned, seconds))
        return
    uri = display_uri(resolve_uri(config.output, tracking_uri))
    console = Console(highlight=False)
    console.print(plan_report(planned, audits, (engine.backend, engine.jobs), uri, seconds))
    console.print("dry run: nothing was trained or stored", style="bold")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def run_sweep(config: SweepConfig, engine: Engine, tracking_uri: str | None, as_json: bool) -> None:
    """Run, send and show; exits with 1 where cells failed."""
    from rich.console import Console

    from contsym.api.sweeping import make_sweep
    from contsym.checked import Skipped
    from contsym.commands.stored import plain_of, tables_of

    skipped, shown = Skipped(), screen()
    # Ray reports lost workers on stdout, whatever its logging settings; stdout is for the answer.
    with redirect_stdout(sys.stderr):
        swept = make_sweep(config, engine, tracking_uri, _Viewer(shown, engine), skipped)
    made, failed = swept.stored, swept.failed
    if swept.warning:
        shown.warn(f"warning: {swept.warning}")
    tables = tables_of(made, made.results(skipped), skipped)
    output = output_words(config.output)
    if as_json:
        echo_json(plain_of(made, skipped))
    elif tables:
        Console(highlight=False).print(tables)
        if made.n_done:
            click.echo(f"look at it with: contsym report{output} · contsym ui{output}")
    if failed:
        # The answer has the errors, unless it is JSON for a program, or a result is there and its model failed.
        said = set() if as_json else {each["name"] for each in made.failures().values()}
        for name, error in failed.items():
            if name not in said:
                shown.warn(f"failed: {name}: {error}")
        them = "it" if len(failed) == 1 else "them"
        shown.warn(
            f"{len(failed)} of {len(made.cells)} cells failed; contsym sweep --resume{output} tries {them} again"
        )
        sys.exit(1)


class _Viewer:
    """Shows a sweep in the terminal."""

    def __init__(self, shown: Screen, engine: Engine) -> None:
        self._shown, self._engine, self._seconds = shown, engine, 0.0

    def planning(self) -> AbstractContextManager[object]:
        from contsym.commands.views.progress import status

        return status(self._shown.console, "looking at data and encoder", self._shown.log)

    def planned(self, sweep: Sweep, audits: Mapping[str, Overview], uri: str, seconds: float) -> None:
        from contsym.commands.views.sweep import plan_report
        from contsym.results.tracking import display_uri

        engine, self._seconds = (self._engine.backend, self._engine.jobs), seconds
        self._shown.print(plan_report(sweep, audits, engine, display_uri(uri), seconds))

    def running(self, sweep: Sweep) -> AbstractContextManager[Watcher]:
        from contsym.commands.views.progress import SweepProgress

        return SweepProgress(*self._shown, sweep, self._seconds)

    def extended(self, reading: str) -> None:
        self._shown.print(f"nearest to the paper: {reading}; running its other seeds", markup=False)
