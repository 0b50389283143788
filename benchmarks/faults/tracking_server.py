"""A tracking server that is down, goes down, is slow or answers errors: bounded waiting, sent later once."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

from benchmarks.faults import checks, mlflow_server
from benchmarks.faults.bench import Bench, Fault, Red, phases_of
from benchmarks.faults.kill import reference
from benchmarks.faults.mlflow_server import Behaviour, Proxy, Server
from contsym.sweeps.runs import StoredRun, stored_runs

N_REQUESTS = 40
"""Of sending one run of two seeds, about."""
BOUND = 2 * 10 + 80
"""Seconds: one request with its second try, and what a busy machine takes on top."""


def server(bench: Bench, store: str) -> Server:
    """Started once for each store and kept to the end; that it cannot be had is found out once too."""
    if store not in bench.references:
        context = mlflow_server.with_postgres if store == "postgres" else mlflow_server.with_sqlite
        try:
            bench.references[store] = bench.closing.enter_context(context(bench))
        except Exception as error:
            bench.references[store] = error
    if isinstance(bench.references[store], Exception):
        raise bench.references[store]
    return bench.references[store]


def through(bench: Bench, rng: random.Random, behaviour: Behaviour, store: str, what: str) -> str:
    """A run past a proxy that behaves like that, and `contsym sync` past the same one once it is well."""
    known = reference(bench, "run", bench.run_words, {})
    real = server(bench, store)
    real.forget()
    with mlflow_server.proxy(real) as proxy, bench.output(with_database=False) as output:
        proxy.behave(behaviour)
        said = run_past(bench, output, proxy, known)
        proxy.behave(lambda n: ("pass", 0))
        for _ in range(2):
            bench.run(["sync", "--output", str(output), "--tracking-uri", proxy.uri]).expect(0)
        (run,) = stored_runs(output)
        expect_once(real, run, known)
    return f"{what}{said}; all there exactly once after contsym sync"


def run_past(bench: Bench, output: Path, proxy: Proxy, known) -> str:
    """The run: results stored, at most a warning, and no longer wait than is stated."""
    with phases_of(bench) as (fifo, following):
        words = [*bench.run_words(output), "--tracking-uri", proxy.uri]
        child = bench.start(words, {"tell_phases": fifo})
        began = ended = 0.0
        while not ended:
            line = following(600)
            if line is None:
                break
            began, ended = (time.monotonic(), 0.0) if line == "+track" else (began, ended)
            ended = time.monotonic() if line == "-track" else ended
    child.expect(0)
    checks.expect_equal(checks.stored_results(output), known.stored)
    if ended - began > BOUND:
        raise Red(f"it waited {ended - began:.0f} s")
    if "warning: MLflow store" not in child.err:
        return ": no harm"
    if "contsym sync" not in child.err:
        raise Red(f"no word on how to send it later: {child.err[-300:]}")
    return ": a warning"


def expect_once(real: Server, run: StoredRun, known) -> None:
    found = real.tracked(run.name)
    names = sorted(name for name, _ in found[0])
    if names != sorted(name for name, _ in known.tracked[0]):
        raise Red(f"runs on the server: {found[0]}")
    if any(status != "FINISHED" for _, status in found[0]):
        raise Red(f"left open on the server: {found[0]}")
    if found[1] != known.tracked[1]:
        differing = [
            key
            for key in found[1].keys() | known.tracked[1].keys()
            if found[1].get(key) != known.tracked[1].get(key)
        ]
        raise Red(f"{len(differing)} metrics are lost, double or others, such as {differing[0]}")


def down(bench: Bench, rng: random.Random, store: str) -> str:
    return through(bench, rng, lambda n: ("drop", 0), store, "nobody answers")


def goes_down(bench: Bench, rng: random.Random, store: str) -> str:
    """Well up to a random request, and gone from then on."""
    last = rng.randrange(N_REQUESTS)
    return through(bench, rng, lambda n: ("pass" if n <= last else "drop", 0), store, "gone in the middle")


def slow(bench: Bench, rng: random.Random, store: str) -> str:
    """Answers that come in time, or later than a request waits."""
    seconds = rng.choice([0.2, 25.0])
    return through(bench, rng, lambda n: ("wait", seconds), store, f"{seconds:g} s an answer")


def errors(bench: Bench, rng: random.Random, store: str) -> str:
    """Errors or a page of another server, for all requests or for some."""
    share, what = rng.choice([0.1, 1.0]), rng.choice(["status", "garbage", "drop"])
    code = rng.choice([400, 401, 404, 429, 500, 503])
    draws = random.Random(rng.random())
    kind = f"{code}" if what == "status" else what

    def behaviour(n: int) -> tuple[str, float]:
        return (what, code) if draws.random() < share else ("pass", 0)

    return through(bench, rng, behaviour, store, f"{kind} to {share:.0%}")


KINDS = {
    "down": ("down from the start", down, 3, 3),
    "goes_down": ("going down in the middle", goes_down, 20, 10),
    "slow": ("slow", slow, 6, 3),
    "errors": ("answering errors or nonsense", errors, 20, 10),
}
FAULTS = tuple(
    Fault(f"server_{name}{suffix}", f"an MLflow server ({title}) {about}", partial(trial, store=store), n[i])
    for i, (store, suffix, title) in enumerate(
        (("sqlite", "", "SQLite"), ("postgres", "_postgres", "PostgreSQL"))
    )
    for name, (about, trial, *n) in KINDS.items()
)
