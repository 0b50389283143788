"""Runs the jobs of a sweep: each shared first task before its cells, each job once; stores failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from contsym.errors import ContsymError
from contsym.machine import raise_if_asked_to_stop
from contsym.sweeps.engines.base import Executor, Lost, one_line
from contsym.sweeps.job import Job, is_done
from contsym.sweeps.plan import Cell, Sweep
from contsym.sweeps.runs import FAILED, write_failure
from contsym.training.first_task import FirstTaskCache, first_tasks_folder

MAX_TRIES = 3
"""Attempts at a job whose worker is lost; a job that raises an error gets one."""


class Watcher(Protocol):
    """Shows the progress of a sweep; the terminal's is in commands/views/progress.py."""

    def started(self, job: Job) -> None: ...

    def ended(self, job: Job, error: str | None) -> None: ...

    def tick(self) -> None:
        """Called about twice a second."""
        ...

    def note(self, text: str) -> None:
        """What is done beside the jobs."""
        ...


@dataclass
class _Queue:
    """The cells that are not started. A first-task job is started just before the first cell that needs it."""

    cells: list[Cell]
    in_training: set[str] = field(default_factory=set)
    """Keys of first tasks that a worker is training."""

    def next(self) -> Job | None:
        """A job that can start now. Cells whose first task is cached come first: they free its disk space."""
        for i, cell in enumerate(self.cells):
            if cell.first_task is None or is_done(cell.first_task):
                return self.cells.pop(i).job
        for cell in self.cells:
            if cell.first_task is not None and cell.first_task.key not in self.in_training:
                self.in_training.add(cell.first_task.key)
                return cell.first_task
        return None

    def drop(self, first_task: str) -> list[Cell]:
        """Remove the cells of a failed first task."""
        dropped = [cell for cell in self.cells if cell.first_task and cell.first_task.key == first_task]
        self.cells = [cell for cell in self.cells if cell not in dropped]
        return dropped


def run_sweep(
    sweep: Sweep, executor: Executor, watcher: Watcher, on_result: Callable[[], None] = lambda: None
) -> dict[str, str]:
    """Run the missing jobs of a sweep; returns the errors of the failed cells, by their names.

    `on_result` is called in this process after each finished cell. The executor is closed at the end, also after an
    interrupt; finished results stay stored.
    """
    todo = list({cell.job.key: cell for cell in sweep.cells if not is_done(cell.job)}.values())
    queue, failed = _Queue(todo), {}
    running: dict[Any, Job] = {}
    attempts: dict[str, int] = {}
    by_key = {cell.job.key: cell for cell in sweep.cells}

    def fail(job: Job, error: str) -> None:
        # Two readings may have a cell of one name.
        failed[f"{job.name} ({job.key[:12]})" if job.name in failed else job.name] = error
        write_failure(sweep.folder, job.key, job.name, error)
        watcher.ended(job, error)

    def put_back(job: Job) -> None:
        queue.in_training.discard(job.key)
        if not job.is_first_task:
            queue.cells.insert(0, by_key[job.key])

    is_refused = False
    try:
        while True:
            raise_if_asked_to_stop()
            while not is_refused and len(running) < executor.n_slots and (job := queue.next()):
                try:
                    handle = executor.submit(job)
                except ContsymError:
                    # As by a full queue: the jobs that run are not to end with it, and may make room.
                    if not running:
                        raise
                    is_refused = True
                    put_back(job)
                    break
                attempts[job.key] = attempts.get(job.key, 0) + 1
                running[handle] = job
                watcher.started(job)
            if not running:
                break
            for handle, error in executor.wait(list(running), 0.5):
                is_refused = False
                job = running.pop(handle)
                queue.in_training.discard(job.key)
                if isinstance(error, Lost) and attempts[job.key] < MAX_TRIES:
                    put_back(job)
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
                        if first_task := by_key[job.key].first_task:
                            _drop_if_used(sweep, first_task.key)
                        on_result()
            watcher.tick()
    finally:
        executor.close()
    if not failed:
        # Also the first tasks of an earlier start that was killed right after its last cell.
        for key in {cell.first_task.key for cell in sweep.cells if cell.first_task}:
            _drop_if_used(sweep, key)
        _cache_of(sweep).drop_encodings()
    return failed


def _drop_if_used(sweep: Sweep, key: str) -> None:
    """Delete a cached first task if all its cells are stored: it is as large as the encoder."""
    cells = [cell for cell in sweep.cells if cell.first_task and cell.first_task.key == key]
    if all(is_done(cell.job) for cell in cells):
        _cache_of(sweep).drop(key)


def _cache_of(sweep: Sweep) -> FirstTaskCache:
    return FirstTaskCache(first_tasks_folder(sweep.config.output))
