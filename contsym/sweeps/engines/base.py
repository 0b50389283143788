"""The interface of an engine, which runs jobs and reports which have ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from contsym.checked import is_number
from contsym.errors import ContsymError, SettingError, nearest
from contsym.machine import n_cores, run_environment, variables
from contsym.sweeps.job import Job


def one_line(error: BaseException) -> str:
    """The message of an error; with its type unless the error is contsym's, and with its notes, as `run_job` adds one."""
    text = " ".join(str(error).split())
    if isinstance(error, (ContsymError, Lost)):
        # Long enough for any text that this function has given before.
        return text[:800]
    text = text[:500]
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    notes = " ".join(", ".join(getattr(error, "__notes__", ())).split())[:200]
    return f"{text} ({notes})" if notes else text


def error_of(do: Callable[[Job], None], job: Job) -> str | None:
    """Do a job in a worker; gives its error as text, or None.

    The error itself is not sent: another process may not be able to rebuild it, as one whose class is in a plug-in.
    """
    try:
        do(job)
    except Exception as error:
        return one_line(error)
    return None


class Lost(Exception):
    """The worker of a job is gone; the job can be tried again."""


class Executor(Protocol):
    @property
    def n_slots(self) -> int:
        """The most jobs that run at the same time; may change during a sweep."""
        ...

    def submit(self, job: Job) -> Any:
        """Start a job; returns a hashable handle."""
        ...

    def wait(self, handles: Collection[Any], seconds: float) -> list[tuple[Any, BaseException | None]]:
        """The handles that have ended within the time, each with its error or None."""
        ...

    def close(self) -> None:
        """End all workers at once, finished or not."""
        ...


def threads_each(n_jobs: int) -> int:
    """The threads of each of n processes: its share of the cores, or fewer if OMP_NUM_THREADS is smaller.

    Never more: with more threads than cores every process waits for the others.
    """
    cores = n_cores()
    # A list, "4,2", is of nested levels; the first is that of a process.
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    limit = int(text) if text.isascii() and is_number(text) and int(text) > 0 else cores
    return max(1, min(limit, cores // n_jobs))


def worker_environment(n_threads: int) -> dict[str, str]:
    """Variables of a worker: its threads, how they wait, and its memory."""
    return {"OMP_NUM_THREADS": str(n_threads), **run_environment(), **variables()}


def parse_options(backend: str, texts: Mapping[str, str], kinds: Mapping[str, type]) -> dict[str, Any]:
    """Options of an engine as values; a `-` in a name counts as `_`. Numbers are above 0.

    >>> parse_options("slurm", {"cpus-per-task": "4"}, {"cpus_per_task": int})
    {'cpus_per_task': 4}
    """
    values: dict[str, Any] = {}
    for option, text in texts.items():
        name = option.replace("-", "_")
        if name not in kinds:
            raise SettingError(
                f"--engine-option {option}: {backend} has no such option; {nearest(name, kinds)}"
            )
        kind = kinds[name]
        try:
            values[name] = kind(text)
        except ValueError:
            values[name] = 0
        if kind is not str and not 0 < values[name] < 1e9:
            expected = "a whole number" if kind is int else "a number"
            raise SettingError(f"--engine-option {option}={text}: expected {expected} above 0")
    return values
