"""A training step by how long OpenMP threads spin before they sleep.

    python benchmarks/waiting.py --repeats 5

Measures training steps of MiniLM in fresh processes, by turns for each way of waiting: on idle
cores, beside one busy process, and beside as many busy processes as there are cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys

STEPS = """
import time, torch
from contsym.data.sources import load_task
from contsym.models.encoders.load import load
from contsym.models.encoders.checkpoints import locate
from contsym.machine import quiet_libraries
quiet_libraries()
encoder = load(locate("minilm"))
batch = encoder.tokenize(load_task("wikidata", "bundled").train["premise"][:32])
encoder.train()
optimizer = torch.optim.AdamW(encoder.parameters(), fused=True)
for i in range(7):
    if i == 1:
        started = time.perf_counter()
    encoder(batch).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
print((time.perf_counter() - started) / 6)
"""


WAYS: dict[str, dict[str, str]] = {
    "OpenMP's default": {},
    **{f"spin count {n:,}": {"GOMP_SPINCOUNT": str(n)} for n in (0, 100, 1000, 3000, 10_000, 30_000)},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
BASE = "spin count 1,000"


def spin() -> None:
    while True:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    n_cores = os.cpu_count() or 1
    for n_busy in sorted({0, 1, n_cores}):
        busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(n_busy)]
        for process in busy:
            process.start()
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(options.repeats):
            for name, setting in WAYS.items():
                seconds[name].append(measure(setting))
        for process in busy:
            process.terminate()
        for name, times in seconds.items():
            # Pair by pair: the machine's speed drifts.
            ratio = statistics.median(t / base for t, base in zip(times, seconds[BASE], strict=True))
            low, median, high = min(times), statistics.median(times), max(times)
            print(
                f"{n_busy} busy  {name:<18} {median:.3f} s per step ({low:.3f} to {high:.3f})  {ratio:.2f} x {BASE}",
                flush=True,
            )


def measure(setting: dict[str, str]) -> float:
    ours = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS"}
    environment = {k: v for k, v in os.environ.items() if k not in ours} | setting
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STEPS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
