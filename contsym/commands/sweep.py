"""The command line of sweeps: start, look at, resume."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, redirect_stdout
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
from contsym.config import DEFAULT_OUTPUT, parse_assignments
from contsym.errors import SettingError
from contsym.sweeps.config import SweepConfig, parse_grid, parse_sweep_seeds, parse_sweep_shots, read_file

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from contsym.api.sweeping import Engine, SweepWatcher
    from contsym.checked import Skip
    from contsym.data.audit import Overview
    from contsym.results.schema import SeedResult
    from contsym.sweeps.plan import Sweep
    from contsym.sweeps.runs import StoredRun


@click.command()
@click.option(
    "--strategies", metavar="LIST", help="Methods, as knn_fixed,fine_tune (contsym list strategies)."
)
@click.option("--scenario", metavar="NAME|FILE", help=SCENARIO_HELP)
@click.option(
    "--shots",
    metavar="LIST",
    help="Training examples of each experience of a task with shots, as 8,16,64 or least.",
)
@click.option("--seeds", metavar="N|LIST", help="5 for five seeds, or 0,1,2 or 10-14.  [default: 3]")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of a hyper-parameter, as k=1,3,5, one cell per value; repeatable.",
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The sweep as TOML (docs/sweeps.md); options on the command line count more.",
)
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
@click.option(
    "--audit/--no-audit", default=True, show_default=True, help="Look for leaks and shortcuts in the data."
)
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
@click.option("--address", metavar="HOST:PORT", help="Of a Ray cluster; default: one is started here.")
@click.option(
    "--engine-option",
    "engine_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of Ray or SLURM, as partition=gpu (docs/clusters.md); repeatable.",
)
@click.option(
    "--status", "wants_status", is_flag=True, help="Show the sweeps of OUTPUT and how far they are."
)
@click.option("--resume", is_flag=True, help="Resume the latest sweep of OUTPUT.")
@output_option
@uri_option
@click.option("--json", "as_json", is_flag=True, help="Print the cells as JSON on stdout.")
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
      contsym sweep --strategies ridge --set ridge=1,3,10 --select validation \
        --scenario mnli_then_wikidata --shots 64
      contsym sweep --status
      contsym sweep --resume
    """
    output = options["output"]
    if options.pop("wants_status"):
        show_status(output, options["as_json"])
        return
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
        _is_given(context, name)
        for name in (*options, "assignments", "pretraining", "config_file")
        if name != "output"
    ):
        raise SettingError("--resume resumes the latest sweep as it was given; leave the other options out")
    run_sweep(config, engine, tracking_uri, as_json)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _config(context: click.Context, options: dict[str, Any]) -> SweepConfig:
    sources, sizes = sources_and_sizes(options)
    file, assignments = options.pop("config_file"), assignments_of(options)
    pretraining = parse_assignments(options.pop("pretraining"), "--pretrain")
    found = read_file(file) if file else {}
    given = {name: value for name, value in options.items() if _is_given(context, name) or name not in found}
    given = {name: value for name, value in given.items() if value is not None}
    parsers = {"strategies": _names, "shots": parse_sweep_shots, "seeds": parse_sweep_seeds}
    given |= {name: parse(given[name]) for name, parse in parsers.items() if name in given}
    given |= {"settings": parse_grid(assignments)} if assignments else {}
    given |= {"pretrain": pretraining} if pretraining else {}
    merged = {**found, **given}
    merged["sources"] = {**found.get("sources", {}), **sources}
    merged["sizes"] = {**found.get("sizes", {}), **sizes}
    for name in ("strategies", "scenario"):
        if name not in merged:
            raise SettingError(f"--{name} is missing; give it here or in --config FILE")
    # All training examples, or those of --size.
    merged.setdefault("shots", (None,))
    return SweepConfig(**merged)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def run_sweep(config: SweepConfig, engine: Engine, tracking_uri: str | None, as_json: bool) -> None:
    """Run, send and show; exits with 1 where cells failed."""
    from rich.console import Console

    from contsym.api.sweeping import make_sweep
    from contsym.checked import Skipped
    from contsym.commands.views.sweep import readings_report
    from contsym.results.paper_readings import readings_of

    skipped = Skipped()
    # Ray reports lost workers on stdout, whatever its logging settings; stdout is for the answer.
    with redirect_stdout(sys.stderr):
        swept = make_sweep(config, engine, tracking_uri, _Viewer(Console(stderr=True), engine), skipped)
    made, failed = swept.stored, swept.failed
    if swept.warning:
        click.echo(f"warning: {swept.warning}", err=True)
    found = made.results(skipped)
    readings = readings_of(made.results_by_reading(skipped))
    output = "" if str(config.output) == DEFAULT_OUTPUT else f" --output {shlex.quote(str(config.output))}"
    if as_json:
        click.echo(json.dumps(as_plain(made, skipped), ensure_ascii=False, allow_nan=False))
    elif found:
        Console().print(readings_report(readings) if readings else _report(made, found))
        click.echo(f"look at it with: contsym report{output} · contsym ui{output}")
    for name, error in failed.items():
        click.echo(f"failed: {name}: {error}", err=True)
    if failed:
        click.echo(
            f"{len(failed)} of {len(made.cells)} cells failed; contsym sweep --resume{output} tries them again",
            err=True,
        )
        sys.exit(1)


class _Viewer:
    """Shows a sweep in the terminal."""

    def __init__(self, err: Console, engine: Engine) -> None:
        self._err, self._engine = err, engine

    def planning(self) -> AbstractContextManager[object]:
        from contsym.commands.views.progress import status

        return status(self._err, "looking at data and encoder")

    def planned(self, sweep: Sweep, audits: Mapping[str, Overview], uri: str, seconds: float) -> None:
        from contsym.commands.views.sweep import plan_report
        from contsym.results.tracking import display_uri

        engine = self._engine.backend, self._engine.jobs
        self._err.print(plan_report(sweep, audits, engine, display_uri(uri), seconds))

    def running(self, sweep: Sweep) -> AbstractContextManager[SweepWatcher]:
        from contsym.commands.views.progress import SweepProgress

        return SweepProgress(self._err, sweep)

    def extended(self, reading: str) -> None:
        self._err.print(f"nearest to the paper: {reading}; running its other seeds", markup=False)


def _report(sweep: StoredRun, found: list[SeedResult]) -> RenderableType:
    """The tables of a sweep; with --select, of the best setting of each strategy."""
    from contsym.commands.views.sweep import selection_report, sweep_report
    from contsym.results.selection import select

    if sweep.config.select:
        return selection_report(select(found, sweep.varied))
    return sweep_report(found, sweep.varied)


def as_plain(sweep: StoredRun, skip: Skip) -> dict[str, Any]:
    """A sweep as JSON: its configuration, and each cell with its main figures, or its error.

    A cell is done, failed, missing, or unreadable where its result is there and cannot be read.
    """
    from contsym.results import store
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
    return {"sweep": sweep.id, "name": sweep.name, "created": sweep.created, "config": config, "cells": cells}


def show_status(output: Path, as_json: bool) -> None:
    """Every sweep of the folder: how many cells are done, failed and missing."""
    from rich.console import Console

    from contsym.checked import Skipped
    from contsym.commands.views.sweep import status_report
    from contsym.sweeps.runs import stored_sweeps

    skip = Skipped()
    found = stored_sweeps(output, skip)
    if as_json:
        plain = [as_plain(sweep, skip) for sweep in found]
        click.echo(json.dumps(plain, ensure_ascii=False, allow_nan=False))
    elif not found:
        click.echo(f"no sweep in {output} yet; contsym sweep --strategies ... makes one")
    else:
        Console().print(status_report(found, skip))
