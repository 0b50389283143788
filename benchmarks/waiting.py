"""A training step with OpenMP threads that wait by spinning, by sleeping, or by a short spin.

    python benchmarks/waiting.py --repeats 3

Measures training steps of MiniLM in fresh processes, by turns for each way of waiting, first on
idle cores and then beside as many busy processes as there are cores.
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
from contsym.environment import quiet_libraries
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
    "as OpenMP comes": {},
    "sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "short spin": {"GOMP_SPINCOUNT": "30000"},
}


def spin() -> None:
    while True:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for load in ("idle", "busy"):
        busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
        for process in busy if load == "busy" else []:
            process.start()
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(options.repeats):
            for name, setting in WAYS.items():
                seconds[name].append(measure(setting))
        for process in busy if load == "busy" else []:
            process.terminate()
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        for name, median in medians.items():
            ratio = median / medians["short spin"]
            print(f"{load}  {name:<16} {median:.3f} s a step   {ratio:.2f} x short spin")


def measure(setting: dict[str, str]) -> float:
    ours = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
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
