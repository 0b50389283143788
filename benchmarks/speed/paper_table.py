"""The paper's table, each pair seen once until 0.99: its four methods, two seeds per round, against the cells one by one.

whole_sweep.py says what is timed. The whole table has ten seeds, over which the start-up of a sweep counts less.
"""

from __future__ import annotations

from speed.ratios import Comparison, Options
from speed.whole_sweep import STRATEGIES, compared

AIM = 5.0


def measure(options: Options) -> list[Comparison]:
    strategies = STRATEGIES[:1] if options.smoke else STRATEGIES
    words = ["--one-pass", "--until", "0.99", "--shots", "16" if options.smoke else "1024"]
    cells = [["--strategy", name] for name in strategies]
    grid = ["--strategies", ",".join(strategies)]
    name = "the paper's table, one pass until 0.99"
    return [compared("paper_table", name, options, cells, grid, *words, n_seeds=2, aim=AIM)]
