"""A process of its own up to its first batch: `run WORDS...`, as contsym run has it, or `plan ENCODER MNLI WIKIDATA`.

`run` ends where everything is looked up and loaded, and the first batch of texts would be encoded. `plan` prints the
seconds of planning 48 cells, imports included.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

STRATEGIES = ("random_labels", "knn_fixed", "knn_learned", "fine_tune")
SHOTS = (8, 16, 32, 64)
SEEDS = (0, 1, 2)


class End:
    """A run's progress that ends the process where it would begin."""

    def phase(self, description: str, total: int | None) -> None:
        if description == "before any training":
            # At once: what Python and torch do at their end is no part of the start.
            os._exit(0)

    def advance(self, loss: float | None = None) -> None:
        pass


def run(words: list[str]) -> None:
    from contsym.cli import main
    from contsym.commands.run import _Viewer

    viewer: Any = _Viewer
    viewer.training = lambda self: nullcontext(End())
    sys.argv = ["contsym", "run", *words]
    main()


def plan(encoder: str, mnli: str, wikidata: str, output: str) -> None:
    began = time.perf_counter()
    from contsym.api.running import without_collections
    from contsym.machine import run_environment

    os.environ.update(run_environment())
    from contsym.sweeps.config import SweepConfig
    from contsym.sweeps.plan import plan_sweep

    config = SweepConfig(
        strategies=STRATEGIES,
        scenario="mnli_then_wikidata",
        protocol="sequential",
        encoder=encoder,
        shots=SHOTS,
        seeds=SEEDS,
        sources={"mnli": mnli, "wikidata": wikidata},
        output=Path(output),
    )
    with without_collections():
        sweep, _ = plan_sweep(config)
    assert len(sweep.cells) == len(STRATEGIES) * len(SHOTS) * len(SEEDS)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    {"run": lambda: run(sys.argv[2:]), "plan": lambda: plan(*sys.argv[2:])}[sys.argv[1]]()
