"""`contsym run` on bundled data to its first batch, against importing Avalanche.

A process each. Avalanche's import is part of contsym's time too, so that 1 would mean that all else is free. Leaks and
shortcuts of the pairs are in the cache after the first round, which is not counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from speed.ratios import Comparison, Options, clocked, interleaved
from speed.second_start import seconds_to_first_batch

AIM = 1.0
IMPORT = [sys.executable, "-W", "ignore", "-c", "import avalanche"]


def measure(options: Options) -> list[Comparison]:
    with tempfile.TemporaryDirectory() as name:
        output, cache = Path(name) / "out", Path(name) / "cache"
        sources = ["--mnli", options.mnli, "--wikidata", options.wikidata]
        seconds, _ = interleaved(
            {
                "contsym": lambda: (seconds_to_first_batch(options, sources, output, cache), None),
                "avalanche": clocked(lambda: subprocess.run(IMPORT, check=True) and None),
            },
            1 if options.smoke else options.repeats,
            warm_up=not options.smoke,
        )
    return [
        Comparison(
            measure="first_batch",
            name="contsym run to its first batch / import avalanche",
            ours=seconds["contsym"],
            theirs=seconds["avalanche"],
            agrees=True,
            agreement="nothing to compare",
            aim=AIM,
        )
    ]
