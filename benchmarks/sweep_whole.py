"""A whole sweep by one command, against the same cells by a command each: seconds, and whether results are the same.

    python benchmarks/sweep_whole.py --json FILE
    python benchmarks/sweep_whole.py --mnli ../shared/data/mnli --wikidata ../shared/data/asymmetricity --mnli-size 800

By default 4 strategies, 4 numbers of shots and 3 seeds: 48 cells of the bundled pairs, 105 minutes on two cores. A
round is one seed: `contsym sweep` once, and `contsym run` once for each of its cells, each into an empty folder
of its own; which of the two comes first changes from round to round. Seconds are those of the commands, from the
shell's side: with start-up, loading, shortcuts, audits, logging to MLflow. Both use all cores (`--jobs 1`, unless
--jobs says otherwise, and then floats are added in another order and results are not compared to the bit).
Exit code 1 where a result differs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contsym.machine import waiting

os.environ.update(waiting())

from contsym.machine import n_cores, platform_name
from contsym.results import store

STRATEGIES, SHOTS = "random_labels,knn_fixed,knn_learned,fine_tune", "8,16,32,64"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", default=STRATEGIES)
    parser.add_argument("--shots", default=SHOTS)
    parser.add_argument("--seeds", type=int, default=3, help="rounds, and seeds")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--mnli", default="bundled")
    parser.add_argument("--wikidata", default="bundled")
    parser.add_argument("--mnli-size", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write it, after each round, and go on after those there"
    )
    given = parser.parse_args()
    same = [
        "--scenario",
        "mnli_then_wikidata",
        "--protocol",
        "sequential",
        "--encoder",
        given.encoder,
        "--mnli",
        given.mnli,
    ]
    same += ["--wikidata", given.wikidata, *(word for pair in given.set for word in ("--set", pair))]
    same += ["--mnli-size", str(given.mnli_size)] if given.mnli_size else []
    cells = [
        (strategy, shots) for strategy in given.strategies.split(",") for shots in given.shots.split(",")
    ]
    found: dict[str, Any] = {"platform": platform_name(), "date": time.strftime("%Y-%m-%d"), "options": same}
    found |= {"cells": ["/".join(cell) for cell in cells], "jobs": given.jobs, "rounds": []}
    if given.json and given.json.exists():
        kept = json.loads(given.json.read_text("utf-8"))
        if any(kept[name] != found[name] for name in ("options", "platform", "cells", "jobs")):
            parser.error(
                f"--json {given.json}: its rounds are of other cells or of another machine; name another file"
            )
        found = kept
    for seed in range(len(found["rounds"]), given.seeds):
        found["rounds"].append(one_round(given, seed, cells, same))
        if given.json:
            given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    totals = [sum(each[way] for each in found["rounds"]) for way in ("one_by_one", "sweep")]
    print(f"{len(cells) * len(found['rounds'])} cells: {totals[0]:.0f} s one by one, {totals[1]:.0f} s as a sweep, "
          f"{totals[0] / totals[1]:.2f}; median of rounds "
          f"{statistics.median(each['ratio'] for each in found['rounds']):.2f}")  # fmt: skip
    apart = sum(each["n_different"] for each in found["rounds"])
    if apart and given.jobs == 1:
        sys.exit(f"{apart} cells have other results as part of a sweep")


def one_round(
    given: argparse.Namespace, seed: int, cells: Sequence[tuple[str, str]], same: Sequence[str]
) -> dict[str, Any]:
    seconds = {"sweep": 0.0, "one_by_one": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {way: Path(folder) / way for way in seconds}
        for way in ("sweep", "one_by_one") if seed % 2 == 0 else ("one_by_one", "sweep"):
            lines = [["run", "--no-curve", "--strategy", name, "--shots", n] for name, n in cells]
            if way == "sweep":
                grid = f"--strategies {given.strategies} --shots {given.shots} --jobs {given.jobs}"
                lines = [["sweep", *grid.split()]]
            for line in lines:
                began = time.perf_counter()
                contsym(*line, "--seeds", f"{seed}-{seed}", "--output", str(outputs[way]), *same)
                seconds[way] += time.perf_counter() - began
        swept, alone = (results(outputs[way]) for way in seconds)
    if swept.keys() != alone.keys() or len(swept) != len(cells):
        sys.exit(f"seed {seed}: {len(swept)} cells swept and {len(alone)} run, and not the same ones")
    n_different = sum(swept[key] != alone[key] for key in swept)
    largest = max(abs(a - b) for key in swept for a, b in zip(swept[key][2], alone[key][2], strict=True))
    ratio = seconds["one_by_one"] / seconds["sweep"]
    print(f"seed {seed}: {seconds['one_by_one']:.0f} s one by one, {seconds['sweep']:.0f} s as a sweep, {ratio:.2f}; "
          f"{n_different} of {len(cells)} cells differ, final accuracies by {largest:.3f} at most", flush=True)  # fmt: skip
    return {**seconds, "ratio": ratio, "n_different": n_different, "largest_difference": largest}


def contsym(*words: str) -> None:
    # As a sweep with one job has it: other threads, other sums.
    threads = {"OMP_NUM_THREADS": str(n_cores())}
    command = [sys.executable, "-m", "contsym", *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads})
    if done.returncode:
        sys.exit(f"contsym {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")


def results(output: Path) -> dict[str, tuple[Any, Any, list[float]]]:
    """Accuracies, losses and final accuracies of every cell below a folder, by the cell's key."""
    found = map(store.read_result, output.rglob(store.RESULT))
    return {each.key: (each.matrix, each.loss, list(each.final.values())) for each in found}


if __name__ == "__main__":
    main()
