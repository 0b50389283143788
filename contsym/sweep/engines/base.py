"""What an engine is: it is given jobs and says which have ended."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from contsym.errors import ContsymError, SettingError, nearest
from contsym.machine import n_cores, run_environment, variables
from contsym.sweep.job import Job


def one_line(error: BaseException) -> str:
    """What went wrong, as a person reads it; the type too where it is no user's mistake."""
    text = " ".join(str(error).split())[:500]
    known = isinstance(error, (ContsymError, Lost))
    return text if known else f"{type(error).__name__}: {text}" if text else type(error).__name__


class Lost(Exception):
    """The worker of a piece is gone, not the piece's own fault: worth another try."""


class Executor(Protocol):
    @property
    def n_slots(self) -> int:
        """Pieces that may be under way at a time; it may change while a sweep runs."""
        ...

    def submit(self, job: Job) -> Any:
        """Start a piece; gives a hashable handle."""
        ...

    def wait(self, handles: Collection[Any], seconds: float) -> list[tuple[Any, BaseException | None]]:
        """The handles that have ended within the time, each with what went wrong or None."""
        ...

    def close(self) -> None:
        """End all workers at once, finished or not."""
        ...


def threads_each(n_jobs: int) -> int:
    """What each of n processes may take of the cores; fewer where OMP_NUM_THREADS asks for fewer.

    Never more: with more threads than cores every process waits for the others.
    """
    cores = n_cores()
    # A list, "4,2", is of nested levels; the first is that of a process.
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    limit = int(asked) if asked.isascii() and asked.isdecimal() and int(asked) > 0 else cores
    return max(1, min(limit, cores // n_jobs))


def worker_environment(n_threads: int) -> dict[str, str]:
    """Variables of a worker: its threads, how they wait, and its memory."""
    return {"OMP_NUM_THREADS": str(n_threads), **run_environment(), **variables()}


def parse_options(backend: str, given: Mapping[str, str], known: Mapping[str, type]) -> dict[str, Any]:
    """Options of an engine as values; a `-` in a name counts as `_`. Numbers are above 0.

    >>> parse_options("slurm", {"cpus-per-task": "4"}, {"cpus_per_task": int})
    {'cpus_per_task': 4}
    """
    found: dict[str, Any] = {}
    for option, text in given.items():
        name = option.replace("-", "_")
        if name not in known:
            raise SettingError(
                f"--engine-option {option}: {backend} has no such option; {nearest(name, known)}"
            )
        kind = known[name]
        try:
            found[name] = kind(text)
        except ValueError:
            found[name] = 0
        if kind is not str and not 0 < found[name] < 1e9:
            what = "a whole number" if kind is int else "a number"
            raise SettingError(f"--engine-option {option}={text}: expected {what} above 0")
    return found
