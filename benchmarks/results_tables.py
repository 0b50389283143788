"""The tables of docs/results.md from stored runs, as Markdown.

    python benchmarks/results_tables.py mlruns

Every figure is the mean over the seeds of a run, ± the standard deviation.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from contsym.commands.views.run import efficiency_words, forgetting_words
from contsym.results.schema import SeedResult
from contsym.results.summary import summarise
from contsym.sweeps.runs import stored_runs

Seeds = Sequence[SeedResult]


def main() -> None:
    runs = [run.results() for run in reversed(stored_runs(Path(sys.argv[1]))) if not run.is_sweep]
    groups: dict[str, list[Seeds]] = {}
    for found in filter(None, runs):
        groups.setdefault(title(found[0]), []).append(found)
    for name, group in groups.items():
        print(f"### {name}\n")
        print("\n".join(table(group)), "\n")


def title(result: SeedResult) -> str:
    """What the runs of one table have in common."""
    options, sources = result.options, result.sources
    split = f", split {options.split}" if options.split else ""
    return f"{result.scenario}, {sources['wikidata'].name}{split}, {options.shots} shots"


def table(runs: Sequence[Seeds]) -> list[str]:
    first = runs[0][0]
    tasks = first.tasks
    columns = ["strategy", "seeds"]
    columns += [f"{task}, {when}" for task in tasks for when in row_names(tasks)]
    columns += ["symmetric", "antisymmetric"]
    columns += [f"forgetting, {task}" for task in tasks[:-1]]
    columns += [f"pairs to {first.options.target:g}, {tasks[-1]}"] if first.trajectory else []
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for found in runs:
        mean = summarise(found)
        cells = [found[0].strategy, ", ".join(str(r.seed) for r in found)]
        for j in range(len(tasks)):
            cells += [spread([r.matrix[i][j] for r in found]) for i in range(len(tasks) + 1)]
        kinds = mean.by_kind["wikidata"]
        cells += [f"{kinds[kind]:.3f}" for kind in ("symmetric", "antisymmetric")]
        cells += [forgetting_words(task, found) for task in tasks[:-1]]
        cells += [efficiency_words(tasks[-1], found)] if first.trajectory else []
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def row_names(tasks: Sequence[str]) -> list[str]:
    return ["untrained", *(f"after {task}" for task in tasks)]


def spread(values: Sequence[float]) -> str:
    import numpy as np

    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


if __name__ == "__main__":
    main()
