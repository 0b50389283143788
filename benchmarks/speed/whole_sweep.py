"""A whole sweep by one command, against a `contsym run` for each of its cells.

Timed is each command from start to end: start-up, reading, leaks and shortcuts, training, and MLflow. Both use all cores:
`contsym sweep` has a process per core, and `contsym run` a thread per core. A round is a group of seeds, in new folders
with an empty cache; which of the two comes first changes from round to round.

Equal results: the same cells, and accuracies on the last task within 0.1. Threads add floats in another order, and
trainings on few pairs then diverge. With equal threads results are equal to the bit (tests/sweeps/test_scheduler.py).
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from contsym.machine import n_cores
from contsym.results import store
from speed.ratios import Comparison, Options

ALLOWED = 0.1
STRATEGIES = ("random_labels", "knn_fixed", "knn_learned", "fine_tune")


def compared(
    measure: str, name: str, options: Options, cells: Sequence[Sequence[str]], grid: Sequence[str], *words: str,
    n_seeds: int, aim: float,
) -> Comparison:  # fmt: skip
    """`cells`: the options of each run, without its seed; `grid`: those of the sweep; `words`: those of both."""
    same = ["--scenario", "mnli_then_wikidata", "--device", options.device, *words]
    same += ["--encoder", options.encoder] if options.smoke else []
    same += ["--mnli", options.mnli, "--wikidata", options.wikidata]
    seconds: dict[str, list[float]] = {"sweep": [], "runs": []}
    apart = 0.0
    for i in range(1 if options.smoke else options.long_repeats):
        seeds = range(i * n_seeds, (i + 1) * n_seeds)
        sweep = ["sweep", *grid, "--seeds", f"{seeds[0]}-{seeds[-1]}", "--jobs", str(n_cores()), *same]
        runs = [
            ["run", *cell, "--seeds", f"{seed}-{seed}", *same]
            for cell, seed in itertools.product(cells, seeds)
        ]
        ways = [("sweep", [sweep]), ("runs", runs)]
        found = {}
        for way, commands in ways if i % 2 == 0 else ways[::-1]:
            with tempfile.TemporaryDirectory() as folder:
                seconds[way].append(sum(took(command, Path(folder)) for command in commands))
                found[way] = finals(Path(folder) / "output")
        if found["sweep"].keys() != found["runs"].keys() or len(found["runs"]) != len(runs):
            raise RuntimeError(f"{len(found['sweep'])} cells swept, {len(found['runs'])} of {len(runs)} run")
        apart = max(
            apart, *(abs(final[-1] - found["runs"][cell][-1]) for cell, final in found["sweep"].items())
        )
    return Comparison(
        measure=measure,
        name=f"{name}, {len(runs)} cells a round / contsym run for each",
        ours=seconds["sweep"],
        theirs=seconds["runs"],
        agrees=apart <= ALLOWED,
        agreement=f"the same cells; accuracies on the last task differ by {apart:.3f} at most, allowed {ALLOWED:g}",
        aim=aim,
    )


def took(command: Sequence[str], folder: Path) -> float:
    """Seconds of a command. The first one in a folder finds its cache and output empty."""
    environment = {**os.environ, "CONTSYM_CACHE": str(folder / "cache")}
    # A run would have as many threads, and a sweep still as many processes as cores.
    environment.pop("OMP_NUM_THREADS", None)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "contsym", *command, "--output", str(folder / "output")],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"contsym {' '.join(command)} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def finals(output: Path) -> dict[tuple[str, int | None, int], list[float]]:
    """The final accuracies of every cell below a folder."""
    results = map(store.read_result, output.rglob(store.RESULT))
    return {(each.strategy, each.n_shots, each.seed): list(each.final.values()) for each in results}
