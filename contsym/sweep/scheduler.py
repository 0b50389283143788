"""Runs the jobs of a sweep: shared first tasks before their cells; failures are stored, nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from contsym.files import to_json, write_file
from contsym.machine import raise_if_asked_to_stop
from contsym.sweep.engines.base import Executor, Lost, one_line
from contsym.sweep.job import Job, is_done
from contsym.sweep.plan import Cell, Sweep
from contsym.sweep.runs import FAILED
from contsym.training.first_task import FirstTaskCache, first_tasks_folder

MAX_TRIES = 3
"""Of a job whose worker is lost; one that raises by itself is not tried again in the same start."""


class Watcher(Protocol):
    """Who is told how far a sweep is; the terminal's is in commands/views/progress.py."""

    def started(self, job: Job) -> None: ...

    def ended(self, job: Job, error: str | None) -> None: ...

    def tick(self) -> None:
        """Called about twice a second."""
        ...


@dataclass
class _Queue:
    """Jobs that are left. A first-task job is queued just before the first cell that needs it."""

    cells: list[Cell]
    under_way: set[str] = field(default_factory=set)
    """Keys of first tasks that a worker is training."""

    def next(self) -> Job | None:
        """A job that can start now. Cells whose first task is cached come first: they free its disk space."""
        for i, cell in enumerate(self.cells):
            if cell.first_task is None or is_done(cell.first_task):
                return self.cells.pop(i).job
        for cell in self.cells:
            if cell.first_task is not None and cell.first_task.key not in self.under_way:
                self.under_way.add(cell.first_task.key)
                return cell.first_task
        return None

    def drop(self, first_task: str) -> list[Cell]:
        """Give up the cells of a first task that failed."""
        lost = [cell for cell in self.cells if cell.first_task and cell.first_task.key == first_task]
        self.cells = [cell for cell in self.cells if cell not in lost]
        return lost


def run_sweep(
    sweep: Sweep,
    executor: Executor,
    watcher: Watcher,
    on_result: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Do what is missing of a sweep; gives the errors of the cells that failed, by their names.

    `on_result` is called in this process after each finished cell. The executor is closed at the
    end, also when interrupted; what is finished by then is kept.
    """
    todo = list({cell.job.key: cell for cell in sweep.cells if not is_done(cell.job)}.values())
    queue, failed = _Queue(todo), {}
    running: dict[Any, Job] = {}
    tries: dict[str, int] = {}
    by_key = {cell.job.key: cell for cell in sweep.cells}

    def fail(job: Job, error: str) -> None:
        failed[job.name] = error
        _store_failure(sweep.folder, job, error)
        watcher.ended(job, error)

    try:
        while True:
            raise_if_asked_to_stop()
            while len(running) < executor.n_slots and (job := queue.next()):
                tries[job.key] = tries.get(job.key, 0) + 1
                running[executor.submit(job)] = job
                watcher.started(job)
            if not running:
                break
            for handle, error in executor.wait(list(running), 0.5):
                job = running.pop(handle)
                queue.under_way.discard(job.key)
                if isinstance(error, Lost) and tries[job.key] < MAX_TRIES:
                    if not job.is_first_task:
                        queue.cells.insert(0, by_key[job.key])
                    watcher.ended(job, f"{error}; tried again")
                elif error is not None and job.is_first_task:
                    watcher.ended(job, one_line(error))
                    for cell in queue.drop(job.key):
                        fail(cell.job, f"its first task failed: {one_line(error)}")
                elif error is not None:
                    fail(job, one_line(error))
                else:
                    watcher.ended(job, None)
                    if not job.is_first_task:
                        (sweep.folder / FAILED / f"{job.key}.json").unlink(missing_ok=True)
                        _drop_used(sweep, by_key[job.key].first_task)
                        on_result()
            watcher.tick()
    finally:
        executor.close()
    if not failed:
        # Here too what an earlier start, killed right behind its last cell, has left.
        for cell in {cell.first_task.key: cell for cell in sweep.cells if cell.first_task}.values():
            _drop_used(sweep, cell.first_task)
        _cache_of(sweep).drop_encodings()
    return failed


def _drop_used(sweep: Sweep, first_task: Job | None) -> None:
    """A cached first task is deleted once all its cells are stored: it is as large as the encoder."""
    if first_task is None:
        return
    own = [cell.job for cell in sweep.cells if cell.first_task and cell.first_task.key == first_task.key]
    if all(map(is_done, own)):
        _cache_of(sweep).drop(first_task.key)


def _cache_of(sweep: Sweep) -> FirstTaskCache:
    return FirstTaskCache(first_tasks_folder(sweep.config.output))


def _store_failure(folder: Path, job: Job, error: str) -> None:
    (folder / FAILED).mkdir(parents=True, exist_ok=True)
    stored = {"name": job.name, "error": error, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    write_file(folder / FAILED / f"{job.key}.json", to_json(stored))
