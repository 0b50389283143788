"""`contsym metrics`, `compare` and `reproduce`: the commands on stored results."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contsym.commands import completion
from contsym.commands.options import (
    device_option,
    echo_json,
    is_given,
    json_option,
    moved_sources,
    output_option,
    precision_option,
    sources_and_sizes,
)
from contsym.commands.screen import log_options, screen
from contsym.errors import SettingError
from contsym.training.reproduce import TOLERANCE

if TYPE_CHECKING:
    from contsym.results.metrics.conventions import ConventionName


CONVENTION_NAMES: tuple[ConventionName, ...] = ("chaudhry", "lopez-paz", "avalanche", "mammoth")


@click.command(short_help="Recompute published figures of forgetting and transfer.")
@click.argument("run", metavar="RUN|FILE", shell_complete=completion.runs)
@click.option("--convention", type=click.Choice(CONVENTION_NAMES), help="Whose formulas; default: all four.")
@json_option
@output_option
def metrics(run: str, convention: ConventionName | None, as_json: bool, output: Path) -> None:
    """Recompute published figures of forgetting and transfer from a stored matrix.

    RUN is as for contsym show. FILE is a result.json, or a CSV file such as matrix.csv in MLflow: the header
    after,TASK,TASK,... and rows untrained, TASK, TASK, ...

    \b
    Examples:
      contsym metrics latest
      contsym metrics matrix.csv --convention chaudhry
    """
    import numpy as np
    from rich.console import Console

    from contsym.commands.views.compare import conventions_report, figures_as_plain
    from contsym.results.matrix_files import matrices_of, read_matrices
    from contsym.results.metrics.conventions import CONVENTIONS, figures
    from contsym.sweeps.find import find_row

    if Path(run).is_file() or Path(run).suffix in (".csv", ".json"):
        matrices = read_matrices(Path(run))
    else:
        matrices = matrices_of(list(find_row(run, output).results.values()))
    by_convention: dict[ConventionName, dict[str, list[float | None]]] = {}
    for name in [convention] if convention else CONVENTION_NAMES:
        per_seed = [figures(name, np.array(matrix.rows), matrix.n_test) for matrix in matrices]
        by_convention[name] = {f.name: [seed[f.name] for seed in per_seed] for f in CONVENTIONS[name].figures}
    if as_json:
        echo_json({"run": run, **figures_as_plain(matrices, by_convention)})
    else:
        Console(highlight=False).print(conventions_report(matrices, by_convention))


@click.command(short_help="Compare stored runs in pairs, and name the best if there is one.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", shell_complete=completion.runs)
@click.option("--task", metavar="NAME", help="Compare on this task alone; default: every task of all runs.")
@json_option
@output_option
def compare(runs: tuple[str, ...], task: str | None, as_json: bool, output: Path) -> None:
    """Compare stored runs in pairs, and name the best if it is significantly better.

    RUN is as for contsym show; of a sweep with several values of k, 'knn_fixed k=5@64'. Seeds and test pairs must be
    the same.

    \b
    Examples:
      contsym compare knn_fixed@64 random_labels@64 fine_tune@64
      contsym compare latest 5e05 --task mnli
    """
    from rich.console import Console

    from contsym.api.comparison import compare as compare_stored
    from contsym.checked import Skipped
    from contsym.commands.views.compare import comparison_report
    from contsym.results.compare import as_plain

    compared = compare_stored(*runs, task=task, output=output, skip=Skipped())
    if as_json:
        echo_json(as_plain(compared.rows, compared.tasks))
    else:
        Console(highlight=False).print(comparison_report(compared.rows, compared.tasks))


@click.command(short_help="Repeat a stored run from its record and compare.")
@click.argument("run", metavar="RUN", shell_complete=completion.runs)
@click.option("--seed", type=int, metavar="N", help="This seed alone; default: every stored seed.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=TOLERANCE,
    show_default=True,
    help="Largest allowed difference of an accuracy on another machine, version or precision.",
)
@moved_sources
@device_option
@precision_option
@log_options
@json_option
@output_option
@click.pass_context
def reproduce(
    context: click.Context, /, run: str, seed: int | None, tolerance: float, as_json: bool, **options: Any
) -> None:
    """Repeat a stored run from its record and compare.

    RUN is as for contsym show. On the same machine, with the same versions, threads and precision, all figures,
    predictions and stored vectors must be equal to the bit. Otherwise the differences are listed, and no accuracy may
    differ by more than the tolerance. Nothing is stored.
    Exit code 0: equal or within the tolerance; 1: different; 2: cannot be repeated.

    \b
    Examples:
      contsym reproduce latest
      contsym reproduce knn_fixed@64 --seed 0 --precision fp32
      contsym reproduce RUN --wikidata where/the/pairs/are/now.jsonl
    """
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

    sources, _ = sources_and_sizes(options)
    changes = {name: options[name] for name in ("device", "precision") if is_given(context, name)}
    repeats = []
    for number, result in chosen.items():
        torch.set_num_threads(result.threads)
        with RunProgress(*screen()) as progress:
            folder = row.folders[number]
            repeats.append(repeat(folder, result, progress, tolerance=tolerance, sources=sources, **changes))
        if not as_json:
            click.echo("\n".join(repeats[-1].lines()))
    if as_json:
        echo_json({"run": run, "seeds": [each.as_plain() for each in repeats]})
    if any(each.verdict == "different" for each in repeats):
        sys.exit(1)
