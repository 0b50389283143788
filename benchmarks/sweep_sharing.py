"""What a shared first task and --jobs 2 save in a sweep.

    python benchmarks/sweep_sharing.py --mnli ../shared/data/mnli --wikidata ../shared/data/asymmetricity

Sharing: every cell is run twice in this process, on one thread, by turns: alone from the pretrained
encoder, and as a sweep does it, from a cached first task. Without other options these are the
cells of the sweep in docs/results.md; --strategies and --seeds take a part of it, whose ratio is nearly
that of the whole (a first task is shared over the shots only).

Parallel: the same cells through one worker and through two, each worker with one thread, by turns.
The efficiency is seconds(1) / (2 seconds(2)); workers are started before the clock is.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from contsym.config import parse_seeds
from contsym.machine import waiting

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: what a worker of --jobs 2 has on two cores
os.environ.update(waiting())

from contsym.machine import platform_name
from contsym.sweeps.config import SweepConfig, parse_grid, parse_sweep_shots
from contsym.sweeps.engines.local import LocalExecutor
from contsym.sweeps.job import Job
from contsym.training.first_task import FirstTaskCache
from contsym.training.keys import key_of
from contsym.training.parts import Shared
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", default="random_labels,knn_fixed,knn_learned,fine_tune")
    parser.add_argument("--shots", default="8,16,32,64")
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--mnli", default="bundled")
    parser.add_argument("--wikidata", default="bundled")
    parser.add_argument("--mnli-size", type=int, default=3200)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of the parallel part")
    parser.add_argument("--part", choices=["sharing", "parallel", "both"], default="both")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sweep = SweepConfig(
            strategies=tuple(given.strategies.split(",")),
            scenario="mnli_then_wikidata",
            protocol="sequential",
            shots=parse_sweep_shots(given.shots),
            seeds=parse_seeds(given.seeds),
            settings=parse_grid(given.set or ["epochs=2.5"]),
            encoder=given.encoder,
            sources={"mnli": given.mnli, "wikidata": given.wikidata},
            sizes={"mnli": given.mnli_size},
            output=Path(folder),
        )
        found: dict[str, object] = {"platform": platform_name(), "date": time.strftime("%Y-%m-%d")}
        if given.part != "parallel":
            found |= sharing(sweep)
        if given.part != "sharing":
            found |= parallel(sweep, given.repeats)
    print(json.dumps(found))


def sharing(sweep: SweepConfig) -> dict[str, object]:
    """Seconds of all cells alone and shared, and their ratio."""
    shared, seconds = Shared(), {"alone": 0.0, "shared": 0.0}
    kept = FirstTaskCache(sweep.output / "first_tasks")
    n_cells = 0
    settings = {name: values[0] for name, values in sweep.settings.items()}
    for seed in sweep.seeds:
        for strategy in sweep.strategies:
            for i, shots in enumerate(sweep.shots):
                plan = prepare(sweep.cell(strategy, seed, shots, settings), shared)
                figures = {}
                # The first of a pair changes from cell to cell, so that neither has the warmer caches.
                for way in ("alone", "shared") if i % 2 else ("shared", "alone"):
                    began = time.perf_counter()
                    result, _, _ = run_seed(plan, seed, Silent(), kept if way == "shared" else None)
                    seconds[way] += time.perf_counter() - began
                    figures[way] = (result.matrix, result.loss)
                assert figures["alone"] == figures["shared"], "sharing changed a result"
                n_cells += 1
                ratio = seconds["alone"] / seconds["shared"]
                print(f"{strategy:<14} seed {seed} {shots:>4} shots: alone {seconds['alone']:6.0f} s, "
                      f"shared {seconds['shared']:6.0f} s so far: {ratio:.2f}", flush=True)  # fmt: skip
    print(f"sharing: {n_cells} cells, without / with a shared first task = {ratio:.2f}")
    return {"n_cells": n_cells, "seconds": seconds, "sharing_ratio": ratio}


def parallel(sweep: SweepConfig, n_repeats: int) -> dict[str, object]:
    """Seconds of the same four cells through one worker and through two."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    shared = Shared()
    executors = {n: LocalExecutor(n) for n in seconds}
    config = replace(sweep, scenario="wikidata_only", sizes={}, audit=False)
    config = replace(config, sources={"wikidata": sweep.sources["wikidata"]}, settings={"steps": ("50",)})
    try:
        for repeat in range(n_repeats + 1):
            for n, executor in executors.items():
                works = []
                for i in range(2 if repeat == 0 else 4):
                    output = config.output / f"{repeat}-{n}-{i}"
                    run = replace(config.cell("fine_tune", i, 32, {"steps": "50"}), output=output)
                    works.append(Job(key_of(prepare(run, shared), i), run))
                began = time.perf_counter()
                through(executor, works)
                if repeat:  # the first round starts the workers and loads the data
                    seconds[n].append(time.perf_counter() - began)
                    print(f"--jobs {n}: {seconds[n][-1]:.1f} s", flush=True)
    finally:
        for executor in executors.values():
            executor.close()
    efficiencies = sorted(one / (2 * two) for one, two in zip(seconds[1], seconds[2], strict=True))
    efficiency = efficiencies[len(efficiencies) // 2]
    print(f"parallel: efficiency of --jobs 2 = {efficiency:.2f} (median of {n_repeats} rounds)")
    return {"parallel_seconds": seconds, "parallel_efficiency": efficiency}


def through(executor: LocalExecutor, works: list[Job]) -> None:
    waiting = list(works)
    running: set[object] = set()
    while waiting or running:
        while waiting and len(running) < executor.n_slots:
            running.add(executor.submit(waiting.pop()))
        for handle, error in executor.wait(running, 0.05):
            running.discard(handle)
            if error is not None:
                raise error


if __name__ == "__main__":
    main()
