"""A sweep that is to run: its cells with their keys, looked up and checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.config import to_record
from contsym.errors import ContsymError, SettingError, nearest
from contsym.files import clear_partial
from contsym.models.encoders.vector_cache import limit_bytes
from contsym.sweep.config import SweepConfig
from contsym.sweep.job import Work, beginnings_folder, cells_folder, is_done
from contsym.sweep.stored import SWEEP, StoredSweep, read_sweep, sweeps_folder, write_sweep

if TYPE_CHECKING:
    from contsym.data.audit import Overview


@dataclass(frozen=True)
class Cell:
    """One cell, and the beginning that it shares with others, if it does."""

    work: Work
    beginning: Work | None
    n_steps: int
    """Training steps of its own, behind the beginning: what is left of the sweep is told by them."""
    n_beginning_steps: int


@dataclass(frozen=True)
class Sweep:
    """What a sweep is about to do; what its folder remembers of it is a StoredSweep."""

    config: SweepConfig
    cells: tuple[Cell, ...]
    created: str

    @property
    def folder(self) -> Path:
        return sweeps_folder(self.config.output) / self.config.id

    @property
    def n_done(self) -> int:
        return sum(is_done(cell.work) for cell in self.cells)


def plan_sweep(config: SweepConfig) -> tuple[Sweep, dict[str, Overview]]:
    """Every cell with its key, and what the audit found, by task.

    Loads the data and looks everything up, so that a mistake shows before anything is trained.
    Raises ContsymError.
    """
    from contsym.models.encoders.nli_head import kind_of_head
    from contsym.training.first_task import beginning_key, beginning_plan
    from contsym.training.parts import Shared, n_training_pairs
    from contsym.training.plan import key_of, n_training_steps, parse_settings, prepare

    # What every cell would fail with is said before anything is loaded.
    limit_bytes()
    shared, cells = Shared(), []
    audits: dict[str, Overview] = {}
    fields = {name: list(_strategy(name).Settings.model_fields) for name in config.strategies}
    known = sorted(set().union(*fields.values()))
    for name in config.settings:
        if name not in known:
            raise SettingError(f"--set {name}: no strategy of the sweep has it; {nearest(name, known)}")
    for strategy in config.strategies:
        grid = itertools.product(config.grid(fields[strategy]), config.scenarios)
        for settings, scenario in grid:
            parse_settings(_strategy(strategy), settings)
            first = config.cell(strategy, config.seeds[0], max(config.shots), settings, scenario)
            plan = prepare(first, shared)
            audits |= plan.audits
            n_pairs = {
                shots: [n_training_pairs(task, replace(first, shots=shots)) for task in plan.tasks]
                for shots in config.shots
            }
            for seed in config.seeds:
                for shots in config.shots:
                    run = config.cell(strategy, seed, shots, settings, scenario)
                    one = replace(plan, config=run)
                    each = zip(plan.tasks, n_pairs[shots], strict=True)
                    steps = [n_training_steps(plan, task, n) or 1 for task, n in each]
                    before = beginning_plan(one)
                    has_head = config.protocol == "retrain" and kind_of_head(plan.encoder)
                    key = None if has_head else beginning_key(before, seed)
                    cells.append(
                        Cell(
                            Work(key_of(one, seed), run),
                            Work(key, before.config, is_beginning=True) if key else None,
                            sum(steps[1:]) if key else sum(steps),
                            steps[0] if key else 0,
                        )
                    )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Sweep(config, tuple(cells), created), audits


def _strategy(name: str):
    from contsym.strategies.catalog import load_strategy

    return load_strategy(name)


@contextmanager
def claimed(sweep: Sweep) -> Iterator[None]:
    """Hold the sweep: two processes at the same one would do every cell twice.

    Raises ContsymError where another process has it. A killed one holds nothing.
    """
    from filelock import FileLock, Timeout

    sweep.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(sweep.folder / ".running.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ContsymError(
            f"sweep {sweep.config.id} is being run by another process; expected to be the only one; "
            "contsym sweep --status shows how far it is"
        ) from None
    try:
        for folder in (cells_folder, beginnings_folder):
            clear_partial(folder(sweep.config.output))
        yield
    finally:
        lock.release()


def remember(sweep: Sweep) -> StoredSweep:
    """Store the sweep in its folder; one that is there keeps the time it was first made."""
    created = sweep.created
    if (sweep.folder / SWEEP).is_file():
        # One that cannot be read is replaced.
        with suppress(ContsymError):
            created = read_sweep(sweep.folder).created
    cells = [
        {
            "key": cell.work.key,
            "beginning": cell.beginning.key if cell.beginning else None,
            "strategy": cell.work.config.strategy,
            "seed": cell.work.config.seeds[0],
            "shots": cell.work.config.shots,
            "settings": dict(cell.work.config.settings),
            "scenario": cell.work.config.scenario,
            "n_steps": [cell.n_beginning_steps, cell.n_steps],
        }
        for cell in sweep.cells
    ]
    write_sweep(sweep.folder, created, to_record(sweep.config), cells)
    return read_sweep(sweep.folder)
