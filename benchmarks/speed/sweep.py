"""A sweep over four numbers of shots on mnli_then_wikidata, against the same cells one by one.

By default these are 4 cells, of one strategy and seed, and take most of an hour on two cores. The sweep of 4
strategies, 4 numbers of shots and 3 seeds is `--sweep-strategies random_labels,knn_fixed,knn_learned,fine_tune
--sweep-seeds 3`; it takes a night, and beginnings are shared over the shots only, so its ratio is nearly the same.

This calls benchmarks/sweep_sharing.py, which see: its sharing part does every cell alone and as a sweep does it
(the experiences that cells have in common once), by turns and on one thread, and asserts that every accuracy
and every loss is the same to the bit; its parallel part puts the same cells through one worker and through
two, on two cores. A sweep with `--jobs 2` has both gains. Their product is printed, but nothing times it as
one; the aim is for that product. Whole commands, with their start-up: benchmarks/sweep_whole.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from speed.ratios import Comparison, Options

AIM = 4.0


def measure(options: Options) -> list[Comparison]:
    command = [sys.executable, str(Path(__file__).parent.parent / "sweep_sharing.py")]
    command += ["--encoder", options.encoder, "--mnli", options.mnli, "--wikidata", options.wikidata]
    if options.smoke:
        command += ["--strategies", "random_labels", "--shots", "8,16", "--seeds", "1", "--mnli-size", "30"]
        command += ["--set", "steps=2", "--part", "sharing"]
    else:
        command += ["--strategies", options.sweep_strategies, "--seeds", options.sweep_seeds]
        command += ["--repeats", str(options.repeats)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=None, text=True, check=True)
    return comparisons(json.loads(done.stdout.splitlines()[-1]))


def comparisons(found: dict[str, Any]) -> list[Comparison]:
    """Those of what sweep_sharing.py printed."""
    seconds, n_cells = found["seconds"], found["n_cells"]
    sharing = seconds["alone"] / seconds["shared"]
    facts: dict[str, Any] = {}
    both = []
    if "parallel_seconds" in found:
        one, two = (found["parallel_seconds"][n] for n in ("1", "2"))
        both.append(
            Comparison(
                measure="sweep",
                name="two workers / one",
                ours=two,
                theirs=one,
                agrees=True,
                agreement="not compared here: tests/sweeps compares a sweep's results with those of single runs",
            )
        )
        facts["with --jobs 2, sharing x workers"] = f"{sharing * both[0].ratio:.2f}x, aim {AIM:g}"
    alone = Comparison(
        measure="sweep",
        name=f"{n_cells} cells sharing / one by one",
        ours=[seconds["shared"]],
        theirs=[seconds["alone"]],
        agrees=True,  # sweep_sharing.py asserts it, and would not have come here
        agreement=f"accuracies and losses of all {n_cells} cells are the same to the bit",
        facts=facts,
    )
    return [alone, *both]
