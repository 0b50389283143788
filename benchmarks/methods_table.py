"""Tables of every method from the cells of sweeps, as Markdown: one for each protocol and number of pairs.

    python benchmarks/methods_table.py OUTPUT [OUTPUT ...] [--seeds N]

Figures are means over the seeds with 95% intervals (docs/statistics.md). A method with another setting has a
row of its own; one with fewer than N seeds has none. Below each table: the best shortcut of each task.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from contsym.commands.views.run import with_marks
from contsym.data import shortcuts
from contsym.report.table_formats import interval_text
from contsym.results.metrics.stats import summarise_values
from contsym.results.schema import SeedResult
from contsym.results.store import read_result
from contsym.results.summary import marks
from contsym.strategies.catalog import FAMILIES, split_name, strategies

Results = Sequence[SeedResult]
COLUMNS = (
    *("method", "seeds", "Wikidata", "MNLI before", "MNLI after", "forgetting, points"),
    *("a probe forgets, points", "stored, kB", "texts encoded in training"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outputs", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="the least that a row must have")
    given = parser.parse_args()
    tables: dict[tuple[str, str, int], dict[str, list[SeedResult]]] = defaultdict(dict)
    for folder in given.outputs:
        for path in sorted(folder.glob("results/*/result.json")):
            result = read_result(path)
            options = result.options
            place = result.scenario, options.protocol, result.n_shots
            row = tables[place].setdefault(row_name(result), [])
            if result.seed in [other.seed for other in row]:
                parser.error(f"{path}: {row_name(result)} has seed {result.seed} twice; name fewer folders")
            row.append(result)
    for (scenario, protocol, shots), all_rows in sorted(tables.items()):
        rows = {name: found for name, found in all_rows.items() if len(found) >= given.seeds}
        if not rows:
            continue
        print(f"### {scenario}, protocol {protocol}, {shots} pairs\n")
        print("| " + " | ".join(COLUMNS) + " |")
        print("|---" * len(COLUMNS) + "|")
        for name, found in sorted(rows.items(), key=lambda row: place_of(row[0])):
            print("| " + " | ".join(cells(name, sorted(found, key=lambda r: r.seed))) + " |")
        print(f"\n{best_shortcuts([r for found in rows.values() for r in found])}\n")


def row_name(result: SeedResult) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in sorted(result.set.items()))
    return result.strategy + (f" ({settings})" if settings else "")


def place_of(name: str) -> tuple[int, str]:
    """The order of `contsym list`: by family, add-ons last."""
    strategy = name.partition(" ")[0]
    base, on_top = split_name(strategy)
    families = list(FAMILIES)
    family = strategies()[base].family
    return (families.index(family) + 100 * bool(on_top), name)


def cells(name: str, found: Results) -> list[str]:
    first, last = found[0].tasks[0], found[0].tasks[-1]
    before = [r.matrix[1][0] for r in found]
    after = [r.matrix[-1][0] for r in found]
    forgotten = [100 * (b - a) for b, a in zip(before, after, strict=True)]
    probes = [r.probe for r in found]
    return [
        f"`{name}`",
        str(len(found)),
        ci([r.final[last] for r in found]),
        ci(before),
        ci(after),
        with_marks(ci(forgotten, points=True), marks(found, first)),
        ci([100 * p.forgetting for p in probes], points=True) if all(probes) else "no vectors",
        f"{sum(r.cost.stored_bytes for r in found) / len(found) / 1000:,.0f}",
        f"{sum(r.cost.total('training_forwards') for r in found) / len(found):,.0f}",
    ]


def ci(values: Sequence[float], *, points: bool = False) -> str:
    return interval_text(summarise_values(values), sign=points, digits=1 if points else 3)


def best_shortcuts(found: Results) -> str:
    words = []
    for task in found[0].tasks:
        scores = [shortcuts.best(r.shortcuts[task]) for r in found]
        mean = sum(score for _, score in scores) / len(scores)
        words.append(f"{task} {mean:.3f} ({', '.join(sorted({name for name, _ in scores}))})")
    return "Best shortcut: " + "; ".join(words) + "."


if __name__ == "__main__":
    main()
