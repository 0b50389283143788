"""The few-shot sweep of 4 strategies and 4 numbers of shots, a seed per round, against its cells one by one.

whole_sweep.py says what is timed.
"""

from __future__ import annotations

import itertools

from speed.ratios import Comparison, Options
from speed.whole_sweep import STRATEGIES, compared

AIM = 4.0
SHOTS = (8, 16, 32, 64)


def measure(options: Options) -> list[Comparison]:
    strategies, shots = (STRATEGIES[:1], SHOTS[:2]) if options.smoke else (STRATEGIES, SHOTS)
    cells = [["--strategy", name, "--shots", str(n)] for name, n in itertools.product(strategies, shots)]
    grid = ["--strategies", ",".join(strategies), "--shots", ",".join(map(str, shots))]
    toy = ("--set", "steps=2") if options.smoke else ()
    return [compared("sweep", "a few-shot sweep", options, cells, grid, *toy, n_seeds=1, aim=AIM)]
