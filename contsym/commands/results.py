"""The command line of stored results: conventions recomputed, runs compared."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contsym.commands.options import (
    device_option,
    output_option,
    precision_option,
    sources_and_sizes,
    task_options,
)
from contsym.errors import SettingError
from contsym.training.reproduce import TOLERANCE

if TYPE_CHECKING:
    from contsym.results.metrics.conventions import ConventionName


CONVENTION_NAMES: tuple[ConventionName, ...] = ("chaudhry", "lopez-paz", "avalanche", "mammoth")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--convention",
    type=click.Choice(CONVENTION_NAMES),
    help="Whose formulas; default: all four, one below the other.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def metrics(file: Path, convention: ConventionName | None, as_json: bool) -> None:
    """Recompute published figures of forgetting and transfer from a stored matrix.

    FILE is a result.json, the folder of a run or a result, or a CSV file as MLflow has it
    (matrix.csv): the header after,TASK,TASK,... and rows untrained, TASK, TASK, ...

    \b
    Examples:
      contsym metrics mlruns/runs/RUN
      contsym metrics matrix.csv --convention chaudhry
    """
    import numpy as np
    from rich.console import Console

    from contsym.commands.views.compare import conventions_report, figures_as_plain
    from contsym.results.matrix_files import matrices_of, read_matrices
    from contsym.results.metrics.conventions import CONVENTIONS, figures
    from contsym.sweep.find import find_row
    from contsym.sweep.runs import RECORD

    if (file / RECORD).is_file():
        found = matrices_of(list(find_row(str(file), file.parent.parent).results.values()))
    else:
        found = read_matrices(file)
    by_convention: dict[ConventionName, dict[str, list[float | None]]] = {}
    for name in [convention] if convention else CONVENTION_NAMES:
        each = [figures(name, np.array(matrix.rows), matrix.n_test) for matrix in found]
        by_convention[name] = {f.name: [seed[f.name] for seed in each] for f in CONVENTIONS[name].figures}
    if as_json:
        plain = {"file": str(file), **figures_as_plain(found, by_convention)}
        click.echo(json.dumps(plain, ensure_ascii=False, allow_nan=False))
    else:
        Console(highlight=False).print(conventions_report(found, by_convention))


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--task", metavar="NAME", help="Compare on this task alone; default: every task they share.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@output_option
def compare(runs: tuple[str, ...], task: str | None, as_json: bool, output: Path) -> None:
    """Compare stored runs pair by pair, and name the best only where tests say so.

    RUN is a run of OUTPUT by its name, the folder of a run or a result, or STRATEGY@SHOTS of the latest sweep
    ('knn_fixed k=5@64' where it has several values of k). Seeds and test pairs must be the same.

    \b
    Examples:
      contsym compare knn_fixed@64 random_labels@64 fine_tune@64
      contsym compare mlruns/runs/RUN mlruns/runs/RUN --task mnli
    """
    from rich.console import Console

    from contsym.checked import Skipped
    from contsym.commands.views.compare import comparison_report
    from contsym.results.compare import as_plain, compare_runs, name_runs
    from contsym.sweep.find import find_row

    if len(runs) < 2:
        raise SettingError(f"compare: only {runs[0]} was given; expected two runs or more")
    skip = Skipped()
    named = name_runs([find_row(given, output, skip) for given in runs])
    found = compare_runs(named, task)
    if as_json:
        click.echo(json.dumps(as_plain(named, found), ensure_ascii=False, allow_nan=False))
    else:
        Console(highlight=False).print(comparison_report(named, found))


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--seed", type=int, metavar="N", help="This seed alone; default: every seed that is stored.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=TOLERANCE,
    show_default=True,
    help="Largest difference of an accuracy that will do on another machine, version or precision.",
)
@task_options
@device_option
@precision_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@output_option
@click.pass_context
def reproduce(
    context: click.Context, /, run: str, seed: int | None, tolerance: float, as_json: bool, **options: Any
) -> None:
    """Repeat a stored run from its own record and compare.

    RUN is as for contsym compare. On the same machine, with the same versions, threads and precision, all
    figures, answers and stored vectors must be equal to the bit. Otherwise it says what differs, and no
    accuracy may differ by more than the tolerance. Nothing is stored.
    Exit code 0: equal or within the tolerance; 1: different; 2: cannot be repeated.

    \b
    Examples:
      contsym reproduce mlruns/runs/RUN
      contsym reproduce knn_fixed@64 --seed 0 --precision fp32
      contsym reproduce RUN --wikidata where/the/pairs/are/now.jsonl
    """
    from rich.console import Console

    from contsym.sweep.find import find_row

    found = find_row(run, options.pop("output"))
    if seed is not None and seed not in found.results:
        stored = ", ".join(map(str, found.results))
        raise SettingError(f"--seed {seed}: {run} has the seeds {stored}; expected one of them")
    chosen = {s: r for s, r in found.results.items() if seed is None or s == seed}
    # Before torch reads it: with another number of threads, sums are taken in another order.
    os.environ["OMP_NUM_THREADS"] = str(max(result.threads for result in chosen.values()))

    import torch

    from contsym.commands.views.progress import RunProgress
    from contsym.training.reproduce import repeat

    sources, sizes = sources_and_sizes(options)
    if sizes:
        raise SettingError(f"--{next(iter(sizes))}-size: the record says how many pairs; leave it out")
    source = context.get_parameter_source
    given = {
        name: options[name]
        for name in ("device", "precision")
        if source(name) is click.core.ParameterSource.COMMANDLINE
    }
    done = []
    for number, result in chosen.items():
        torch.set_num_threads(result.threads)
        with RunProgress(Console(stderr=True)) as progress:
            done.append(
                repeat(found.folders[number], result, progress, tolerance=tolerance, sources=sources, **given)
            )
        if not as_json:
            click.echo("\n".join(done[-1].lines()))
    if as_json:
        plain = {"run": run, "seeds": [repeated.as_plain() for repeated in done]}
        click.echo(json.dumps(plain, ensure_ascii=False, allow_nan=False))
    if any(repeated.verdict == "different" for repeated in done):
        sys.exit(1)
