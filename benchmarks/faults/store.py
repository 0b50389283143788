"""Several processes at one output folder and one tracking database, and a clock that runs backwards."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.faults import checks
from benchmarks.faults.bench import Bench, Fault, Red
from benchmarks.faults.kill import reference
from contsym.results import store
from contsym.results.schema import SeedResult

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
    result = {name: value for name, value in like.items() if name != "files"}
    run = f"20260102T03040{n}-fine_tune-mnli_then_wikidata-{n:06x}"
    each = [{"training_seconds": 1.0, **cost} for cost in like["cost"]["experiences"]]
    cost = {**like["cost"], "experiences": each, "curve_seconds": 0.0, "peak_memory_bytes": 1}
    result |= {"run": run, "seed": n, "key": f"{n:064x}", "loss": [losses, []], "threads": 1, "seconds": 1.0}
    result |= {"started_at": "2026-01-02T03:04:05+00:00", "cost": cost, "git_commit": None}
    rows = [{"task": "mnli", "id": "0", "label": "entailment", "row_0": "neutral"}]
    store.write_seed(store.runs_folder(output) / run, SeedResult.model_validate(result), rows, {})


def two_runs(bench: Bench, rng: random.Random) -> str:
    """The same command twice at the same time, in one folder whose database none has made yet."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output(with_database=rng.random() < 0.5) as output:
        children = [bench.start(bench.run_words(output)) for _ in range(2)]
        for child in children:
            child.expect(0)
        runs = list(store.stored_runs(output))
        if len(runs) != 2:
            raise Red(f"{len(runs)} runs are stored, expected one of each process")
        for run in runs:
            alone = output / "alone" / run.name
            (alone / "results").mkdir(parents=True)
            run.rename(alone / "results" / run.name)
            checks.expect_equal(checks.stored_results(alone), known.stored)
        checks.expect_nothing_left(output)
        found, metrics = checks.tracked(output / "mlflow.db")
        if found != sorted(2 * known.tracked[0]):
            raise Red(f"runs in MLflow: {found}")
        if any(n != 2 for n, _ in metrics.values()) or metrics.keys() != known.tracked[1].keys():
            raise Red("metrics are lost or double")
    return "each stored and tracked its own run"


def clock(bench: Bench, rng: random.Random) -> str:
    """A run whose clock shows at each look an earlier time than before; killed once, to be gone on with."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output() as output:
        words = bench.run_words(output)
        back = {"clock_runs_back": rng.choice([0.001, 1.0, 3600.0, 86400.0])}
        event = {"n": rng.randint(1, known.n_events), "below": str(output), "what": "kill"}
        bench.run(words, {**back, "at_file_event": event})
        checks.expect_part_of(checks.stored_results(output), known.stored)
        if len(checks.stored_results(output)) < len(known.stored) or any(output.glob("begun/*.json")):
            bench.run(words, back).expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        bench.run(["sync", "--output", str(output)], back).expect(0)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return "stored, gone on with and tracked as with a clock that goes on"


FAULTS = (
    Fault("writers", f"{N_WRITERS} processes x {N_METRICS} metrics into one SQLite store", writers, 10),
    Fault("two_runs", "the same command twice at the same time", two_runs, 5),
    Fault("clock", "a clock that runs backwards", clock, 10),
)
