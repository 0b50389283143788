"""SIGINT, SIGTERM and SIGHUP at random moments: a clean stop, what is finished kept, a line on how to go on."""

from __future__ import annotations

import random
import signal
from functools import partial

from benchmarks.faults import checks
from benchmarks.faults.bench import Bench, Fault, Red
from benchmarks.faults.kill import disturb, reference

GOES_ON = "stopped; finished results are stored; the same command resumes from there"


def end(bench: Bench, rng: random.Random, number: signal.Signals) -> str:
    """One trial; of a sweep one time in three."""
    is_sweep = rng.random() < 1 / 3
    name, words = ("sweep", bench.sweep_words) if is_sweep else ("run", bench.run_words)
    hooks = {"in_one_process": None} if is_sweep else {}
    known = reference(bench, name, words, hooks)
    with bench.output() as output:
        child, phase = disturb(bench, rng, known, words(output), hooks, output, number)
        before = checks.stored_results(output)
        checks.expect_part_of(before, known.stored)
        if child.code == 0:
            if child.went_on:
                raise Red(f"asked to end in {phase}, it went on to its end")
            # Its work was done: Python no longer hears signals once it takes itself down.
            checks.expect_equal(before, known.stored)
            checks.expect_tracked(output / "mlflow.db", known.tracked)
            return "had done its work before; all there"
        child.expect(128 + number, GOES_ON)
        if not child.err.rstrip().endswith(GOES_ON):
            raise Red(f"more was said behind it: {child.err[-400:]}")
        left = [path for path in output.rglob(".partial-*") if "mlflow.db" not in path.name]
        if left:
            raise Red(f"left behind: {left[0].name}")
        again = bench.run(words(output), hooks)
        again.expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return "stopped with a line; the same command completed it, tables equal"


FAULTS = tuple(
    Fault(name.lower(), f"{name} to a run or a sweep", partial(end, number=signal.Signals[name]), 20)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
)
