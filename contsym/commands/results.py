"""`contsym metrics`, `compare` and `reproduce`: the commands on stored results."""

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
@click.option("--convention", type=click.Choice(CONVENTION_NAMES), help="Whose formulas; default: all four.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def metrics(file: Path, convention: ConventionName | None, as_json: bool) -> None:
    """Recompute published figures of forgetting and transfer from a stored matrix.

    FILE is a result.json, the folder of a run or a result, or a CSV file such as matrix.csv in MLflow: the header
    after,TASK,TASK,... and rows untrained, TASK, TASK, ...

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
    from contsym.sweeps.find import find_row
    from contsym.sweeps.runs import RECORD

    if (file / RECORD).is_file():
        matrices = matrices_of(list(find_row(str(file), file.parent.parent).results.values()))
    else:
        matrices = read_matrices(file)
    by_convention: dict[ConventionName, dict[str, list[float | None]]] = {}
    for name in [convention] if convention else CONVENTION_NAMES:
        per_seed = [figures(name, np.array(matrix.rows), matrix.n_test) for matrix in matrices]
        by_convention[name] = {f.name: [seed[f.name] for seed in per_seed] for f in CONVENTIONS[name].figures}
    if as_json:
        _echo_json({"file": str(file), **figures_as_plain(matrices, by_convention)})
    else:
        Console(highlight=False).print(conventions_report(matrices, by_convention))


def _echo_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, ensure_ascii=False, allow_nan=False))


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--task", metavar="NAME", help="Compare on this task alone; default: every task of all runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@output_option
def compare(runs: tuple[str, ...], task: str | None, as_json: bool, output: Path) -> None:
    """Compare stored runs in pairs, and name the best if it is significantly better.

    RUN is the name of a run in OUTPUT, the folder of a run or a result, or STRATEGY@SHOTS of the latest sweep
    ('knn_fixed k=5@64' if it has several values of k). Seeds and test pairs must be the same.

    \b
    Examples:
      contsym compare knn_fixed@64 random_labels@64 fine_tune@64
      contsym compare mlruns/runs/RUN mlruns/runs/RUN --task mnli
    """
    from rich.console import Console

    from contsym.api.comparison import compare as compare_stored
    from contsym.checked import Skipped
    from contsym.commands.views.compare import comparison_report
    from contsym.results.compare import as_plain

    compared = compare_stored(*runs, task=task, output=output, skip=Skipped())
    if as_json:
        _echo_json(as_plain(compared.rows, compared.tasks))
    else:
        Console(highlight=False).print(comparison_report(compared.rows, compared.tasks))


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--seed", type=int, metavar="N", help="This seed alone; default: every stored seed.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=TOLERANCE,
    show_default=True,
    help="Largest allowed difference of an accuracy on another machine, version or precision.",
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
    """Repeat a stored run from its record and compare.

    RUN is as for contsym compare. On the same machine, with the same versions, threads and precision, all figures,
    predictions and stored vectors must be equal to the bit. Otherwise the differences are listed, and no accuracy may
    differ by more than the tolerance. Nothing is stored.
    Exit code 0: equal or within the tolerance; 1: different; 2: cannot be repeated.

    \b
    Examples:
      contsym reproduce mlruns/runs/RUN
      contsym reproduce knn_fixed@64 --seed 0 --precision fp32
      contsym reproduce RUN --wikidata where/the/pairs/are/now.jsonl
    """
    from rich.console import Console

    from contsym.sweeps.find import find_row

    row = find_row(run, options.pop("output"))
    if seed is not None and seed not in row.results:
        seeds = ", ".join(map(str, row.results))
        raise SettingError(f"--seed {seed}: {run} has the seeds {seeds}; expected one of them")
    chosen = {s: r for s, r in row.results.items() if seed is None or s == seed}
    # Before torch reads it: with another number of threads, the order of sums is another.
    os.environ["OMP_NUM_THREADS"] = str(max(result.threads for result in chosen.values()))

    import torch

    from contsym.commands.views.progress import RunProgress
    from contsym.training.reproduce import repeat

    sources, sizes = sources_and_sizes(options)
    if sizes:
        raise SettingError(f"--{next(iter(sizes))}-size: the record has the number of pairs; leave it out")
    source = context.get_parameter_source
    changes = {
        name: options[name]
        for name in ("device", "precision")
        if source(name) is click.core.ParameterSource.COMMANDLINE
    }
    repeats = []
    for number, result in chosen.items():
        torch.set_num_threads(result.threads)
        with RunProgress(Console(stderr=True)) as progress:
            folder = row.folders[number]
            repeats.append(repeat(folder, result, progress, tolerance=tolerance, sources=sources, **changes))
        if not as_json:
            click.echo("\n".join(repeats[-1].lines()))
    if as_json:
        _echo_json({"run": run, "seeds": [each.as_plain() for each in repeats]})
    if any(each.verdict == "different" for each in repeats):
        sys.exit(1)
