"""`kill -9` at random moments: of a run, of a sweep, of a data build."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults import checks
from benchmarks.faults.bench import HANGS_AFTER, Bench, Fault, Red, has_ended, phases_of
from contsym.data.schema import file_sha256
from contsym.files import visible_folders
from contsym.results import store

Words = Callable[[Path], list[str]]


@dataclass
class Reference:
    """A command that nobody disturbs: what it leaves, how long its phases take, how often it touches files."""

    stored: checks.Stored = field(default_factory=dict)
    tracked: Any = None
    files: dict[str, str] = field(default_factory=dict)
    phases: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each time that a phase is gone through."""
    n_events: int = 0
    n_bytes: int = 0
    """What its output folder takes of a disk."""


def reference(bench: Bench, name: str, words: Words, hooks: dict[str, Any]) -> Reference:
    """Made once for each command."""
    if name in bench.references:
        return bench.references[name]
    found = Reference()
    with bench.output() as output, phases_of(bench) as (fifo, following):
        count = bench.folder / f"events-{name}"
        events = {"n": 0, "below": str(output), "what": "kill", "count": str(count)}
        child = bench.start(words(output), {**hooks, "at_file_event": events, "tell_phases": fifo})
        began: dict[str, float] = {}
        until = time.monotonic() + HANGS_AFTER
        while child.code is None and time.monotonic() < until:
            line = following(0.2)
            if line is None and has_ended(child.pid):
                child.wait()
            elif line is None:
                continue
            elif line[0] == "+":
                began[line[1:]] = time.monotonic()
            else:
                found.phases.setdefault(line[1:], []).append(time.monotonic() - began[line[1:]])
        child.expect(0)
        found.n_events = int(count.read_text("utf-8"))
        found.stored = checks.stored_results(output)
        found.files = parts(output)
        found.n_bytes = sum(512 * path.stat().st_blocks for path in output.rglob("*"))
        if found.stored:
            checks.expect_nothing_left(output)
            found.tracked = checks.tracked(output / "mlflow.db")
            if left_open := [name for name, status in found.tracked[0] if status != "FINISHED"]:
                raise Red(f"undisturbed, but not ended in MLflow: {left_open}")
    bench.references[name] = found
    return found


def parts(output: Path) -> dict[str, str]:
    """The hashes of a built data set's files."""
    return {path.name: file_sha256(path) for path in sorted((output / "built").glob("*"))}


def disturb(
    bench: Bench,
    rng: random.Random,
    known: Reference,
    words: list[str],
    hooks: dict[str, Any],
    output: Path,
    number: int = signal.SIGKILL,
) -> tuple[Any, str]:
    """Start the command and send it a signal at a random moment: half of the times at a file event (SIGKILL
    only), else at a uniform moment of a phase drawn first, so that short phases get their share.

    Gives the ended child and the phase it was in.
    """
    if number == signal.SIGKILL and rng.random() < 0.5:
        event = {"n": rng.randint(1, known.n_events), "below": str(output), "what": "kill"}
        child = bench.start(words, {**hooks, "at_file_event": event})
        child.wait()
        return child, "a file event"
    phase = rng.choice(sorted(known.phases))
    nth = rng.randrange(len(known.phases[phase]))
    wait = rng.random() * known.phases[phase][nth]
    with phases_of(bench) as (fifo, following):
        child = bench.start(words, {**hooks, "tell_phases": fifo})
        until = time.monotonic() + HANGS_AFTER
        while time.monotonic() < until:
            line = following(0.2)
            if line == f"+{phase}":
                if nth == 0:
                    break
                nth -= 1
            if line is None and has_ended(child.pid):
                break
        time.sleep(wait)
        # What it has told so far is read, so that the rest was told after the signal.
        while following(0) is not None:
            pass
        child.kill(number)
        child.wait()
        child.went_on = following(0) is not None
    return child, phase


def kill_and_start_again(
    bench: Bench, rng: random.Random, name: str, words: Words, hooks: dict[str, Any]
) -> str:
    """One trial: nothing half-written after the kill, and after the next start all as if undisturbed."""
    known = reference(bench, name, words, hooks)
    # Now and then the database is made anew, since a kill may meet that too.
    with bench.output(with_database=rng.random() < 0.75) as output:
        child, phase = disturb(bench, rng, known, words(output), hooks, output)
        if child.code not in (0, -signal.SIGKILL):
            raise Red(f"exit code {child.code}: {child.err[-600:]}")
        checks.expect_part_of(checks.stored_results(output), known.stored)
        stamps = {path: path.stat().st_mtime_ns for path in finished(output)}
        if child.code == 0:
            return "ended before the signal came"
        again = bench.run(words(output), hooks)
        again.expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
        if any(not path.is_file() or path.stat().st_mtime_ns != stamp for path, stamp in stamps.items()):
            raise Red("a finished result was done again")
        if name == "run":
            checks.expect_nothing_left(output)
    return f"killed in: {phase}; next start completed, tables equal"


def finished(output: Path) -> list[Path]:
    """The results that a reader sees."""
    return [folder / store.RESULT for folder in visible_folders(store.results_folder(output))]


def run(bench: Bench, rng: random.Random) -> str:
    return kill_and_start_again(bench, rng, "run", bench.run_words, {})


def sweep(bench: Bench, rng: random.Random) -> str:
    return kill_and_start_again(bench, rng, "sweep", bench.sweep_words, {"in_one_process": None})


def build(bench: Bench, rng: random.Random) -> str:
    """A data build: no folder, or a whole one; the next start gives the same bytes."""

    def words(output: Path) -> list[str]:
        return bench.build_words(output / "built")

    known = reference(bench, "build", words, {})
    with bench.output(with_database=False) as output:
        child, phase = disturb(bench, rng, known, words(output), {}, output)
        if child.code == 0:
            return "ended before the signal came"
        if (output / "built").exists() and parts(output) != known.files:
            raise Red("a half-written data set is there")
        if not (output / "built").exists():
            bench.run(words(output)).expect(0)
        if parts(output) != known.files:
            raise Red("the next start gave other bytes")
    return f"killed in: {phase}; next start gave the same bytes"


FAULTS = (
    Fault("kill_run", "kill -9 of a run", run, 50),
    Fault("kill_sweep", "kill -9 of a sweep (all in one process)", sweep, 50),
    Fault("kill_build", "kill -9 of a data build", build, 20),
)
