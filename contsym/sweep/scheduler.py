"""Runs a sweep: beginnings before the cells that go on from them, failures remembered, nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from contsym.files import to_json, write_file
from contsym.machine import raise_if_asked_to_stop
from contsym.sweep.engines.base import Executor, Lost, one_line
from contsym.sweep.job import Work, beginnings_folder, is_done
from contsym.sweep.plan import Cell, Sweep
from contsym.sweep.stored import FAILED
from contsym.training.first_task import Beginnings

MAX_TRIES = 3
"""Of a piece whose worker is lost; one that raises by itself is not tried again in the same start."""


class Watcher(Protocol):
    """Who is told how far a sweep is; the terminal's is in display_sweep.py."""

    def started(self, work: Work) -> None: ...

    def ended(self, work: Work, error: str | None) -> None: ...

    def tick(self) -> None:
        """Called about twice a second."""
        ...


@dataclass
class _Queue:
    """What is still to do. A beginning comes when the first of its cells is wanted, and then its cells."""

    cells: list[Cell]
    under_way: set[str] = field(default_factory=set)
    """Keys of beginnings that somebody is at."""

    def next(self) -> Work | None:
        """A piece that can start now. Cells whose beginning is there come first: they free its disk space."""
        for i, cell in enumerate(self.cells):
            if cell.beginning is None or is_done(cell.beginning):
                return self.cells.pop(i).work
        for cell in self.cells:
            if cell.beginning is not None and cell.beginning.key not in self.under_way:
                self.under_way.add(cell.beginning.key)
                return cell.beginning
        return None

    def drop(self, beginning: str) -> list[Cell]:
        """Give up the cells of a beginning that cannot be had."""
        lost = [cell for cell in self.cells if cell.beginning and cell.beginning.key == beginning]
        self.cells = [cell for cell in self.cells if cell not in lost]
        return lost


def drive(
    sweep: Sweep,
    executor: Executor,
    watcher: Watcher,
    on_result: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Do what is missing of a sweep; gives the errors of the cells that failed, by their names.

    `on_result` is called in this process after each finished cell. The executor is closed at the
    end, also when interrupted; what is finished by then is kept.
    """
    todo = list({cell.work.key: cell for cell in sweep.cells if not is_done(cell.work)}.values())
    queue, failed = _Queue(todo), {}
    running: dict[Any, Work] = {}
    tries: dict[str, int] = {}
    by_key = {cell.work.key: cell for cell in sweep.cells}

    def fail(work: Work, error: str) -> None:
        failed[work.name] = error
        _remember_failure(sweep.folder, work, error)
        watcher.ended(work, error)

    try:
        while True:
            raise_if_asked_to_stop()
            while len(running) < executor.n_slots and (work := queue.next()):
                tries[work.key] = tries.get(work.key, 0) + 1
                running[executor.submit(work)] = work
                watcher.started(work)
            if not running:
                break
            for handle, error in executor.wait(list(running), 0.5):
                work = running.pop(handle)
                queue.under_way.discard(work.key)
                if isinstance(error, Lost) and tries[work.key] < MAX_TRIES:
                    if not work.is_beginning:
                        queue.cells.insert(0, by_key[work.key])
                    watcher.ended(work, f"{error}; tried again")
                elif error is not None and work.is_beginning:
                    watcher.ended(work, one_line(error))
                    for cell in queue.drop(work.key):
                        fail(cell.work, f"its beginning failed: {one_line(error)}")
                elif error is not None:
                    fail(work, one_line(error))
                else:
                    watcher.ended(work, None)
                    if not work.is_beginning:
                        (sweep.folder / FAILED / f"{work.key}.json").unlink(missing_ok=True)
                        _drop_used(sweep, by_key[work.key].beginning)
                        on_result()
            watcher.tick()
    finally:
        executor.close()
    if not failed:
        # Here too what an earlier start, killed right behind its last cell, has left.
        for cell in {cell.beginning.key: cell for cell in sweep.cells if cell.beginning}.values():
            _drop_used(sweep, cell.beginning)
        _kept(sweep).drop_encodings()
    return failed


def _drop_used(sweep: Sweep, beginning: Work | None) -> None:
    """A beginning goes once all its cells are there: it is as large as the encoder."""
    if beginning is None:
        return
    own = [cell.work for cell in sweep.cells if cell.beginning and cell.beginning.key == beginning.key]
    if all(map(is_done, own)):
        _kept(sweep).drop(beginning.key)


def _kept(sweep: Sweep) -> Beginnings:
    return Beginnings(beginnings_folder(sweep.config.output))


def _remember_failure(folder: Path, work: Work, error: str) -> None:
    (folder / FAILED).mkdir(parents=True, exist_ok=True)
    stored = {"name": work.name, "error": error, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    write_file(folder / FAILED / f"{work.key}.json", to_json(stored))
