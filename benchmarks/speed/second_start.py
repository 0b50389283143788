"""The second start of a run on large data, to its first batch, against the first start.

Both are `contsym run` on the same 392,702 + 400,000 pairs (large.py) in a process of its own; before the first, the
cache of checked data is empty. child.py says where a start ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speed import large
from speed.ratios import Comparison, Options

AIM = 10.0


def measure(options: Options) -> list[Comparison]:
    numbers = (200, 200) if options.smoke else (large.N_MNLI, large.N_WIKIDATA)
    first: list[float] = []
    second: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = zip(("mnli", "wikidata"), (options.mnli, options.wikidata), numbers, strict=True)
        sources = [word for task, source, n in tasks
                   for word in (f"--{task}", large.write(task, source, n, folder / task))]  # fmt: skip
        for i in range(1 if options.smoke else options.repeats):
            for found in (first, second):
                found.append(seconds_to_first_batch(options, sources, folder / "out", folder / str(i)))
    return [
        Comparison(
            measure="second_start",
            name=f"{numbers[0]:,} + {numbers[1]:,} pairs / the first start",
            ours=second,
            theirs=first,
            agrees=True,
            agreement="that cached data are the same is a test (tests/data/test_cache.py)",
            aim=AIM,
        )
    ]


def seconds_to_first_batch(options: Options, sources: list[str], output: Path, cache: Path) -> float:
    command = [sys.executable, str(Path(__file__).with_name("child.py")), "run", "--strategy", "knn_fixed"]
    command += ["--scenario", "mnli_then_wikidata", "--protocol", "sequential", "--encoder", options.encoder]
    command += [*sources, "--output", str(output)]
    began = time.perf_counter()
    subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
        env={**os.environ, "CONTSYM_CACHE": str(cache)},
    )
    return time.perf_counter() - began
