"""A training step while another process uses the cores: OpenMP threads that spin against ones that sleep.

    python benchmarks/waiting.py --repeats 3

Starts as many single-threaded busy processes as there are cores, then measures training steps of
MiniLM in fresh processes, by turns with OMP_WAIT_POLICY=ACTIVE, PASSIVE and unset.
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
from contsym.encoders import load, locate
from contsym.run import quiet_libraries
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


def spin() -> None:
    while True:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in busy:
        process.start()
    seconds: dict[str, list[float]] = {"ACTIVE": [], "PASSIVE": [], "unset": []}
    for _ in range(options.repeats):
        for policy, times in seconds.items():
            environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
            if policy != "unset":
                environment["OMP_WAIT_POLICY"] = policy
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", STEPS],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            times.append(float(done.stdout))
    for process in busy:
        process.terminate()
    medians = {policy: statistics.median(times) for policy, times in seconds.items()}
    for policy, median in medians.items():
        print(f"{policy:<8} {median:.3f} s a step   {median / medians['PASSIVE']:.2f} x PASSIVE")


if __name__ == "__main__":
    main()
