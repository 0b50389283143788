"""Runs jobs in processes of this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType

from contsym.errors import ContsymError
from contsym.machine import changed_environment
from contsym.sweeps.engines.base import Lost, error_of, threads_each, worker_environment
from contsym.sweeps.job import Job, run_job


class LocalExecutor:
    """n processes of this machine, each with its share of the cores as threads.

    Each process is a pool, so that the death of a process (memory, a signal) names the one job that it ran. With
    `gpus`, as CUDA_VISIBLE_DEVICES names them, each process sees the GPU with the fewest processes so far.
    """

    def __init__(self, n_jobs: int, gpus: Sequence[str] = ()) -> None:
        self.n_slots, self.gpus = n_jobs, tuple(gpus)
        self._gpu_of: dict[ProcessPoolExecutor, str] = {}
        self.n_threads = threads_each(n_jobs)
        self._free: list[ProcessPoolExecutor] = []
        self._busy: dict[Future, ProcessPoolExecutor] = {}

    def submit(self, job: Job) -> Future:
        while True:
            pool = self._free.pop() if self._free else self._new_pool()
            gpu = self._gpu_of.get(pool)
            seen = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
            # May start a process. OpenMP reads its threads once, when torch is loaded.
            with changed_environment(worker_environment(self.n_threads) | seen), _without_main_program():
                try:
                    future = pool.submit(error_of, run_job, job)
                except BrokenProcessPool:
                    # Its process died while it waited, and nothing of it is lost.
                    self._drop(pool)
                    continue
            self._busy[future] = pool
            return future

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        pool.shutdown(wait=False)
        self._gpu_of.pop(pool, None)

    def _new_pool(self) -> ProcessPoolExecutor:
        import multiprocessing

        # Not forked: torch and DuckDB have threads, which a fork does not copy.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, context, initializer=begin_worker, initargs=(os.getpid(),))
        if self.gpus:
            self._gpu_of[pool] = min(self.gpus, key=list(self._gpu_of.values()).count)
        return pool

    def wait(self, handles: Collection[Future], seconds: float) -> list[tuple[Future, BaseException | None]]:
        ended: list[tuple[Future, BaseException | None]] = []
        for future in wait(handles, seconds, FIRST_COMPLETED).done:
            pool, error = self._busy.pop(future), future.exception()
            if isinstance(error, BrokenProcessPool):
                self._drop(pool)
                error = Lost("its process died (out of memory, or killed)")
            else:
                self._free.append(pool)
                if error is None and (message := future.result()):
                    error = ContsymError(message)
            ended.append((future, error))
        return ended

    def close(self) -> None:
        for pool in self._free:
            pool.shutdown()
        for pool in self._busy.values():
            for process in list((pool._processes or {}).values()):  # the public way would wait for the job
                process.terminate()
            # Not left to the end of the process, which would warn of semaphores.
            pool.shutdown(cancel_futures=True)
        self._free, self._busy = [], {}


@contextmanager
def _without_main_program() -> Iterator[None]:
    """Keep a process that is started here from running the main program.

    A spawned process imports it first, so a script that calls `contsym.sweep` without a guard would start the sweep again
    in each worker. A job needs nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def begin_worker(parent: int) -> None:
    """Ignore Ctrl-C, and end with the process that started the worker."""
    # Ctrl-C goes to every process of the terminal; the sweep ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End if the parent was killed: otherwise the worker would run beside those of the next start."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
