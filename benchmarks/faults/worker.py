"""A worker of a sweep that is killed: one on this machine, and one of a Ray cluster."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.faults import checks
from benchmarks.faults.bench import HANGS_AFTER, ROOT, Bench, Fault, Red, Skipped, has_ended
from benchmarks.faults.kill import reference

RAY_TESTS = "killed or outlives or lost"


def local(bench: Bench, rng: random.Random) -> str:
    """A process of `--jobs 2` killed at a random moment: its piece is done again, the sweep ends as ever."""
    known = reference(bench, "sweep", bench.sweep_words, {"in_one_process": None})
    with bench.output() as output:
        child = bench.start([*bench.sweep_words(output), "--jobs", "2"])
        until = time.monotonic() + HANGS_AFTER
        workers: list[int] = []
        while len(workers) < 2 and not has_ended(child.pid) and time.monotonic() < until:
            time.sleep(0.2)
            workers = workers_of(child.pid)
        # Between its start and the first pieces of work.
        time.sleep(rng.uniform(0, 20))
        killed = rng.choice(workers_of(child.pid) or workers)
        is_killed = not has_ended(child.pid) and not has_ended(killed)
        if is_killed:
            os.kill(killed, 9)
        child.expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return "its piece was done again; tables equal" if is_killed else "had ended before"


def workers_of(parent: int) -> list[int]:
    """Processes of a pool, without the one that watches its semaphores."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            is_child = path.joinpath("stat").read_text("utf-8").rpartition(")")[2].split()[1] == str(parent)
            if is_child and b"spawn_main" in path.joinpath("cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, IndexError):
            continue  # it has just ended
    return found


def ray(bench: Bench, rng: random.Random) -> str:
    """The tests of a Ray cluster on this machine: a killed worker, and a dead node."""
    if importlib.util.find_spec("ray") is None:
        raise Skipped("ray is not installed")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-m",
        "slow or night",
        "tests/sweeps/engines/test_ray.py",
        "-k",
        RAY_TESTS,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = (done.stdout.splitlines() or ["no output"])[-1]
    if done.returncode:
        raise Red(last)
    return f"tests/sweeps/engines/test_ray.py -k '{RAY_TESTS}': " + last.partition(" in ")[0]


FAULTS = (
    Fault("worker", "a worker of --jobs 2 killed", local, 3),
    Fault("ray_worker", "a worker or a node of a Ray cluster killed", ray, 1),
)
