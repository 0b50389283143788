"""Many documents to one reader: what it did with them, and the first that it could not stand."""

from __future__ import annotations

import gc
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.readers import READERS, read_document

SECONDS = 30
"""A document that takes a reader longer is a hang. Idle, the slowest takes half a second."""
MEGABYTES = 700
"""What a trial may add to the peak memory of the process; the engine alone may hold 600 MB."""
MAX_LINE = 20_000
"""Characters of an error's message."""


class Hang(BaseException):
    """Not an Exception: no reader must be able to catch it."""


@dataclass
class Trial:
    """What came of it."""

    name: str
    n: int = 0
    n_taken: int = 0
    """Documents that the reader could read; the others were refused with a line."""
    seconds: float = 0.0
    slowest: float = 0.0
    grown: int = 0
    """Bytes that the peak of the process grew by."""
    refusals: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[bytes, str]] = field(default_factory=list)
    """Documents that led to anything else than a line, each kind once, and what happened."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_document(trial: Trial, document: bytes, folder: Path) -> None:
    """Read one document and note what came of it."""
    started = time.perf_counter()
    wrong = ""
    try:
        with at_most(SECONDS):
            said = read_document(trial.name, document, folder)
        if said is None:
            trial.n_taken += 1
        elif not said.strip() or len(said) > MAX_LINE:
            wrong = f"an error of {len(said):,} characters: {said[:100]!r}"
        else:
            trial.refusals[_kind_of(said, folder)] += 1
    except (Exception, Hang) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/contsym/" in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        wrong = f"{type(error).__name__} at {where}: {str(error)[:160]}"
    trial.n += 1
    trial.slowest = max(trial.slowest, time.perf_counter() - started)
    kinds = {was.partition(": ")[0] for _, was in trial.failures}
    if wrong and wrong.partition(": ")[0] not in kinds:
        trial.failures.append((document, wrong))


def _kind_of(message: str, folder: Path) -> str:
    """A message without what differs from document to document."""
    words = message.replace(str(folder), "").split()
    return " ".join(word for word in words if word.isalpha())[:60]


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def try_reader(name: str, n: int, number: int) -> Trial:
    """n documents, drawn with the seed `number`, to one reader."""
    trial = Trial(name)
    with tempfile.TemporaryDirectory(prefix="contsym-fuzz-") as there:
        folder = Path(there).resolve()
        _warm_up(name, folder)
        before, started = peak_bytes(), time.perf_counter()

        @seed(number)
        @settings(
            max_examples=n,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(READERS[name].documents)
        def run(document: bytes) -> None:
            try_document(trial, document, folder)

        run()
        trial.seconds = time.perf_counter() - started
        trial.grown = peak_bytes() - before
    if trial.grown > MEGABYTES << 20:
        trial.failures.append((b"", f"peak memory grew by {trial.grown >> 20:,} MB"))
    gc.collect()
    return trial


def _warm_up(name: str, folder: Path) -> None:
    """Libraries are loaded once; what they take is not the reader's."""
    try:
        read_document(name, b"", folder)
    except Exception:
        return
