"""Jobs as processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from contsym.machine import changed_environment
from contsym.sweep.engines.base import Lost, threads_each, worker_environment
from contsym.sweep.job import Job, run_job


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

    def submit(self, job: Job) -> Future:
        pool = self._free.pop() if self._free else self._new_pool()
        gpu = self._gpu_of.get(pool)
        seen = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        # A new process is started here. OpenMP reads its threads once, when torch is loaded, and
        # the program that a spawned process imports first may do that before any code of ours.
        with changed_environment(worker_environment(self.n_threads) | seen):
            future = pool.submit(run_job, job)
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
