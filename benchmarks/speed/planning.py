"""Planning a sweep of 48 cells (4 strategies, 4 numbers of shots, 3 seeds) on MNLI in full size.

A process of its own with an empty cache, from its first import to the key of the last cell: reading and checking the
pairs, leaks and shortcuts, subsets, keys. The pairs are those of --mnli repeated (large.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from speed import large
from speed.ratios import Comparison, Options

AIM = 20.0


def measure(options: Options) -> list[Comparison]:
    n = 200 if options.smoke else large.N_MNLI
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mnli = large.write("mnli", options.mnli, n, folder / "mnli")
        seconds = [
            planned(options, mnli, folder / str(i)) for i in range(1 if options.smoke else options.repeats)
        ]
    return [
        Comparison(
            measure="planning",
            name=f"48 cells on {n:,} pairs, seconds",
            ours=seconds,
            theirs=[],
            agrees=True,
            agreement="each plan has its 48 cells",
            aim=AIM,
            at_most=True,
        )
    ]


def planned(options: Options, mnli: str, folder: Path) -> float:
    child = str(Path(__file__).with_name("child.py"))
    command = [sys.executable, child, "plan", options.encoder, mnli, options.wikidata, str(folder / "out")]
    environment = {**os.environ, "CONTSYM_CACHE": str(folder / "cache")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return float(done.stdout.splitlines()[-1])
