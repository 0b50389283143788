"""Several processes at one output folder and one tracking database, and a clock that runs backwards."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.faults import checks
from benchmarks.faults.bench import Bench, Fault, Red
from benchmarks.faults.kill import reference
from contsym.results import store
from contsym.results.schema import SeedResult
from contsym.sweeps.runs import runs_folder, stored_runs, write_run

N_WRITERS, N_METRICS = 4, 500


def writers(bench: Bench, rng: random.Random) -> str:
    """Four processes that each send a run with 500 losses to one SQLite database, which none has made yet."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output(with_database=rng.random() < 0.75) as output:
        uri = f"sqlite:///{output / 'mlflow.db'}"
        losses = {}
        for n in range(N_WRITERS):
            losses[f"writer-{n}"] = [rng.random() for _ in range(N_METRICS)]
            _stored(output / f"writer-{n}", n, losses[f"writer-{n}"], next(iter(known.stored.values())))
        children = [
            bench.start(["sync", "--output", str(output / f"writer-{n}"), "--tracking-uri", uri])
            for n in range(N_WRITERS)
        ]
        for child in children:
            child.expect(0)
            if "locked" in child.err:
                raise Red(f"said of a lock: {child.err[-300:]}")
        runs, metrics = checks.tracked(output / "mlflow.db")
        if len(runs) != 2 * N_WRITERS or any(status != "FINISHED" for _, status in runs):
            raise Red(f"runs in MLflow: {runs}")
        for n, (name, expected) in enumerate(losses.items()):
            found = [metrics.get((f"seed-{n}", "loss/mnli", step)) for step in range(1, N_METRICS + 1)]
            if found != [(1, loss) for loss in expected]:
                raise Red(f"{name}: losses are lost, double or others")
    return f"{N_WRITERS} x {N_METRICS} metrics, each once"


def _stored(output: Path, n: int, losses: list[float], like: dict) -> None:
    """A stored run of one seed with these losses."""
    each = [{"training_seconds": 1.0, **cost} for cost in like["cost"]["experiences"]]
    cost = {**like["cost"], "experiences": each, "trajectory_seconds": 0.0, "peak_memory_bytes": 1}
    started = "2026-01-02T03:04:05+00:00"
    own = {"seed": n, "key": f"{n:064x}", "loss": [losses, []], "threads": 1, "seconds": 1.0}
    own |= {"started_at": started, "cost": cost, "git_commit": None}
    made = {name: value for name, value in like.items() if name != "files"} | own
    result = SeedResult.model_validate(made)
    rows = [{"task": "mnli", "id": "0", "label": "entailment", "row_0": "neutral"}]
    store.write_result(output, result, rows, {})
    cell = {"key": result.key, "first_task": None, "strategy": result.strategy, "seed": n, "shots": 8}
    cell |= {"settings": {}, "scenario": result.scenario, "reading": "", "n_steps": [0, 1]}
    config = {"strategies": [result.strategy], "scenario": result.scenario, "shots": [8], "seeds": [n]}
    config |= {"settings": {}}
    record = {"command": "run", "created": started, "config": config, "cells": [cell]}
    write_run(runs_folder(output) / f"fine_tune-mnli_then_wikidata-{n:012x}", record)


def two_runs(bench: Bench, rng: random.Random) -> str:
    """The same command twice at the same time, in one folder whose database none has made yet."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output(with_database=rng.random() < 0.5) as output:
        children = [bench.start(bench.run_words(output)) for _ in range(2)]
        codes = sorted(child.wait() for child in children)
        if codes not in ([0, 0], [0, 2]):
            raise Red(f"exit codes {codes}: {children[0].err[-300:]} {children[1].err[-300:]}")
        if codes == [0, 2]:
            next(child for child in children if child.code == 2).expect_one_line(2)
        if len(stored_runs(output)) != 1:
            raise Red(f"{len(stored_runs(output))} runs are stored, expected one")
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_nothing_left(output)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return "one did it; the other was told so, or found it done"


def clock(bench: Bench, rng: random.Random) -> str:
    """A run whose clock shows at each look an earlier time than before; killed once and resumed."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output() as output:
        words = bench.run_words(output)
        back = {"clock_runs_back": rng.choice([0.001, 1.0, 3600.0, 86400.0])}
        event = {"n": rng.randint(1, known.n_events), "below": str(output), "what": "kill"}
        bench.run(words, {**back, "at_file_event": event})
        checks.expect_part_of(checks.stored_results(output), known.stored)
        bench.run(words, back).expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        bench.run(["sync", "--output", str(output)], back).expect(0)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return "stored, resumed and tracked as with a clock that runs forwards"


FAULTS = (
    Fault("writers", f"{N_WRITERS} processes x {N_METRICS} metrics into one SQLite store", writers, 10),
    Fault("two_runs", "the same command twice at the same time", two_runs, 5),
    Fault("clock", "a clock that runs backwards", clock, 10),
)
