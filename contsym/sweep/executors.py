"""What runs the pieces of a sweep: local processes here, Ray and SLURM in files of their own.

An engine is an Executor: it is given pieces of work, at most `n_slots` at a time, and says which
have ended. All else (order, results, failures) is the sweep's.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from contsym import allocation
from contsym.config import DEFAULT_OUTPUT
from contsym.cores import n_cores, waiting
from contsym.errors import ContsymError, SettingError, nearest
from contsym.sweep.work import Work, perform

BACKENDS = ("local", "ray", "slurm")


class Lost(Exception):
    """The worker of a piece is gone, not the piece's own fault: worth another try."""


class Executor(Protocol):
    @property
    def n_slots(self) -> int:
        """Pieces that may be under way at a time; it may change while a sweep runs."""
        ...

    def submit(self, work: Work) -> Any:
        """Start a piece; gives a hashable handle."""
        ...

    def wait(self, handles: Collection[Any], seconds: float) -> list[tuple[Any, BaseException | None]]:
        """The handles that have ended within the time, each with what went wrong or None."""
        ...

    def close(self) -> None:
        """End all workers at once, finished or not."""
        ...


class LocalExecutor:
    """n processes of this machine, each with its share of the cores as threads.

    Each has a pool of its own: a process that dies (memory, a signal) takes one piece with it, and
    it is known which. With `gpus`, as CUDA_VISIBLE_DEVICES names them, each process sees one, that
    with the fewest processes so far.
    """

    def __init__(self, n_jobs: int, gpus: Sequence[str] = ()) -> None:
        self.n_slots, self.gpus = n_jobs, tuple(gpus)
        self._gpu_of: dict[ProcessPoolExecutor, str] = {}
        self.n_threads = threads_each(n_jobs)
        self._free: list[ProcessPoolExecutor] = []
        self._busy: dict[Future, ProcessPoolExecutor] = {}

    def submit(self, work: Work) -> Future:
        pool = self._free.pop() if self._free else self._new_pool()
        gpu = self._gpu_of.get(pool)
        seen = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        # A new process is started here. OpenMP reads its threads once, when torch is loaded, and
        # the program that a spawned process imports first may do that before any code of ours.
        with changed_environment(worker_environment(self.n_threads) | seen):
            future = pool.submit(perform, work)
        self._busy[future] = pool
        return future

    def _new_pool(self) -> ProcessPoolExecutor:
        import multiprocessing

        # Not forked: torch and DuckDB have threads, which a fork does not take along.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, context, initializer=begin_worker, initargs=(os.getpid(),))
        if self.gpus:
            taken = list(self._gpu_of.values())
            self._gpu_of[pool] = min(self.gpus, key=taken.count)
        return pool

    def wait(self, handles: Collection[Future], seconds: float) -> list[tuple[Future, BaseException | None]]:
        found: list[tuple[Future, BaseException | None]] = []
        for future in wait(handles, seconds, FIRST_COMPLETED).done:
            pool, error = self._busy.pop(future), future.exception()
            if isinstance(error, BrokenProcessPool):
                pool.shutdown(wait=False)
                self._gpu_of.pop(pool, None)
                error = Lost("its process died (out of memory, or killed)")
            else:
                self._free.append(pool)
            found.append((future, error))
        return found

    def close(self) -> None:
        for pool in self._free:
            pool.shutdown()
        for pool in self._busy.values():
            for process in list((pool._processes or {}).values()):  # the public way would wait for the work
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
        self._free, self._busy = [], {}


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
    return {"OMP_NUM_THREADS": str(n_threads), **waiting(), **allocation.variables()}


@contextmanager
def changed_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables with these values, and what was there before afterwards."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def begin_worker(parent: int) -> None:
    """What a local process does first: signals, and an eye on the one that started it."""
    # Ctrl-C goes to every process of the terminal; the sweep ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A worker whose parent was killed would work on beside the one of the next start."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def make_executor(
    backend: str,
    n_jobs: int | None,
    address: str | None = None,
    options: Mapping[str, str] | None = None,
    output: Path = Path(DEFAULT_OUTPUT),
    device: str = "auto",
) -> Executor:
    """The engine of that name. Without `n_jobs`, it takes what it finds: this machine does one piece at a
    time, SLURM too, a Ray cluster one for each GPU or node.

    Raises ContsymError where it is not installed or cannot be reached, SettingError for an option
    that it has not.
    """
    options = options or {}
    check_engine(backend, n_jobs, address, options)
    if backend == "local":
        return LocalExecutor(n_jobs or 1, gpus=several_gpus(device))
    try:
        if backend == "ray":
            from contsym.sweep.ray_executor import RayExecutor

            return RayExecutor(n_jobs, address, options)
        from contsym.sweep.slurm_executor import SlurmExecutor

        return SlurmExecutor(n_jobs, output, options)
    except ModuleNotFoundError as error:
        raise ContsymError(
            f"--backend {backend}: {error.name} is not installed; pip install 'contsym[{backend}]'"
        ) from None


def several_gpus(device: str) -> list[str]:
    """The GPUs that processes share out among them, as CUDA_VISIBLE_DEVICES names them.

    None where there are less than two, or a device was named that is not all of them.
    """
    if device not in ("auto", "cuda"):
        return []
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(i) for i in range(n_gpus)] if named is None else named.split(",")[:n_gpus]
    return gpus if len(gpus) > 1 else []


def check_engine(backend: str, n_jobs: int | None, address: str | None, options: Mapping[str, str]) -> None:
    """Raises SettingError for what can be told without the engine itself, before anything is loaded."""
    if n_jobs is not None and n_jobs < 1:
        raise SettingError(f"--jobs {n_jobs}: expected at least 1")
    if address and backend != "ray":
        raise SettingError(f"--address goes with --backend ray, not {backend}")
    if options and backend == "local":
        raise SettingError(f"--engine-option {next(iter(options))}: --backend local has none")


def read_options(pairs: Sequence[str]) -> dict[str, str]:
    """What --engine-option was given, by name. Raises SettingError for what is not NAME=VALUE.

    >>> read_options(["partition=gpu", "gres=gpu:a100=2"])
    {'partition': 'gpu', 'gres': 'gpu:a100=2'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not name or not value:
            raise SettingError(f"--engine-option {pair!r}: expected name=value, as partition=gpu")
        if name in found:
            raise SettingError(f"--engine-option {name} is given twice; give it once")
        found[name] = value
    return found


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
