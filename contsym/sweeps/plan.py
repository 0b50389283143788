"""A sweep that is to run: its cells with their keys, looked up and checked."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym import plugins
from contsym.config import RunConfig, Shots, to_record
from contsym.errors import ContsymError, SettingError, nearest
from contsym.files import clear_partial
from contsym.machine import quiet_avalanche
from contsym.models.encoders.vector_cache import limit_bytes
from contsym.results import paper, store
from contsym.results.schema import as_typed
from contsym.scenarios.catalog import find_scenario
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.job import Job, is_done
from contsym.sweeps.runs import RECORD, StoredRun, read_run, runs_folder, write_run

if TYPE_CHECKING:
    from contsym.data.audit import Overview
    from contsym.strategies.base import Strategy
    from contsym.sweeps.schema import Command
    from contsym.training.parts import Shared
    from contsym.training.plan import Plan


@dataclass(frozen=True)
class Cell:
    """One cell, and the first task that it shares with others, if it does."""

    job: Job
    first_task: Job | None
    n_steps: int
    """Training steps after the first task where that is shared or known, else of all tasks."""
    n_first_task_steps: int
    reading: str = ""
    """The name of its reading."""
    n_encodings: float = 0
    """Texts that it encodes after the shared first task, with those of training steps as workload.py counts them."""
    n_first_task_encodings: float = 0


@dataclass(frozen=True)
class Sweep:
    """What a run or a sweep is about to do; its folder keeps a StoredRun of it."""

    config: SweepConfig
    cells: tuple[Cell, ...]
    created: str
    command: Command = "sweep"
    n_planned: int | None = None
    """Cells before more seeds were added to a reading; None: all."""

    @cached_property
    def id(self) -> str:
        """The same for the same results, whatever the command's words and the output folder."""
        keys = "".join(sorted(cell.job.key for cell in self.cells[: self.n_planned]))
        return hashlib.sha256(keys.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """A folder name: what is run, in words, and the id."""
        what = self.config.strategies[0] if self.command == "run" else "sweep"
        scenario = Path(self.config.scenario.partition(":")[0]).stem
        words = re.sub(r"[^\w.+-]+", "-", f"{what}-{scenario}")[:150]
        return f"{words}-{self.id}"

    @property
    def folder(self) -> Path:
        return runs_folder(self.config.output) / self.name

    @property
    def distinct(self) -> list[Cell]:
        """The cells that are trained: two readings may have one in common."""
        return list({cell.job.key: cell for cell in self.cells}.values())

    @property
    def n_done(self) -> int:
        return sum(is_done(cell.job) for cell in self.cells)


def plan_run(config: RunConfig, plans: Sequence[Plan]) -> Sweep:
    """A run as a sweep of one row: a cell per seed of each of its plans, one per order of the scenario."""
    cells = tuple(_cell_of_run(plan, seed) for plan in plans for seed in config.seeds)
    # Every order of a scenario has the same encoder and protocol.
    resolved = replace(config, encoder=plans[0].config.encoder, protocol=plans[0].config.protocol)
    return Sweep(SweepConfig.of_run(resolved), cells, _now(), "run")


def _cell_of_run(plan: Plan, seed: int) -> Cell:
    """A seed of a run. It trains its start itself, if protocol retrain has one that is not stored."""
    from contsym.training.first_task import FirstTaskCache, first_task_plan, first_tasks_folder
    from contsym.training.keys import key_of
    from contsym.training.parts import n_training_pairs
    from contsym.training.plan import n_steps_of, n_training_steps
    from contsym.training.workload import n_encodings

    is_retrained = plan.config.protocol == "retrain"
    n_pairs = [n_training_pairs(task, plan.config) for task in plan.tasks]
    n_steps, n_texts = 0, n_encodings(plan, n_pairs, known_first=is_retrained)
    key = _trained_start(plan, seed) if is_retrained else None
    if key and not FirstTaskCache(first_tasks_folder(plan.config.output)).has(key):
        start = first_task_plan(plan)
        n_steps = n_training_steps(start, 0, n_pairs)
        n_texts += n_encodings(start, n_pairs, first_only=True)
    job = Job(key_of(plan, seed), replace(plan.config, seeds=(seed,)))
    return Cell(job, None, n_steps_of(plan), n_steps, n_encodings=n_texts)


def _trained_start(plan: Plan, seed: int) -> str | None:
    """The key of the state after the first experience, where that is trained and kept for others."""
    from contsym.models.encoders.nli_head import kind_of_head
    from contsym.training.first_task import first_task_plan
    from contsym.training.keys import first_task_key

    if plan.config.protocol == "retrain" and kind_of_head(plan.encoder):
        return None
    return first_task_key(first_task_plan(plan), seed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def plan_sweep(config: SweepConfig, shared: Shared | None = None) -> tuple[Sweep, dict[str, Overview]]:
    """Every cell with its key, and what the audit found, by task.

    Loads the data and looks everything up, so that a mistake shows before anything is trained; `shared` keeps what it
    loads. Raises ContsymError.
    """
    from contsym.training.parts import Shared

    quiet_avalanche()
    # Every cell would fail with this, so it comes before anything is loaded.
    limit_bytes()
    shared, cells = Shared() if shared is None else shared, []
    audits: dict[str, Overview] = {}
    if not config.readings:
        config = _with_defaults(config)
    _check_settings(config)
    _check_screen(config)
    for reading, part in config.parts():
        cells += _cells(_with_defaults(part), reading.name if config.readings else "", shared, audits)
    return Sweep(config, tuple(cells), _now()), audits


def as_plain(sweep: Sweep, seconds: float) -> dict[str, Any]:
    """What a run or sweep is about to do, as `--dry-run --json` prints it; `seconds`: how long at most, 0 if unknown."""
    cells = [
        {
            "key": cell.job.key,
            "strategy": cell.job.config.strategy,
            "scenario": cell.job.config.scenario,
            "seed": cell.job.config.seeds[0],
            "shots": cell.job.config.shots,
            "settings": dict(cell.job.config.settings),
            "reading": cell.reading,
            "steps": cell.n_first_task_steps + cell.n_steps,
            "stored": is_done(cell.job),
        }
        for cell in sweep.cells
    ]
    return {"name": sweep.name, "seconds_left": round(seconds, 1) or None, "cells": cells}


def _with_defaults(config: SweepConfig) -> SweepConfig:
    """The sweep, or one of its readings, with a protocol and an encoder where it names none."""
    from contsym.strategies.catalog import load_strategy
    from contsym.training.protocol import with_defaults

    named = plugins.read(config.plugins)
    classes = {name: load_strategy(name, named) for name in config.strategies}
    return with_defaults(config, find_scenario(config.scenario, named), classes)


def seconds_left(sweep: Sweep, shared: Shared | None = None, n_jobs: int = 1) -> float:
    """How long the cells that are not stored take in so many processes, by a trial of the encoder on this machine.

    An upper bound where a target may end a training earlier; 0 where nothing is left to do.
    """
    from contsym.sweeps.engines.base import threads_each
    from contsym.training.plan import prepare
    from contsym.training.workload import seconds_per_text

    todo = [cell for cell in sweep.distinct if not is_done(cell.job)]
    if not todo:
        return 0.0
    first_tasks = {
        cell.first_task.key: cell.n_first_task_encodings
        for cell in todo
        if cell.first_task and not is_done(cell.first_task)
    }
    n = sum(cell.n_encodings for cell in todo) + sum(first_tasks.values())
    plan = prepare(replace(todo[0].job.config, audit=False), shared)
    return n * seconds_per_text(plan, threads_each(n_jobs)) / min(n_jobs, len(todo))


def with_all_seeds(sweep: Sweep, reading: str) -> Sweep:
    """The sweep with all seeds for one of its readings; the same sweep where the reading has them."""
    from contsym.training.parts import Shared

    readings = [replace(each, is_main=True) for each in sweep.config.readings if each.name == reading]
    if not readings:
        return sweep
    ((_, part),) = replace(sweep.config, readings=tuple(readings)).parts()
    keys = {cell.job.key for cell in sweep.cells}
    more = [cell for cell in _cells(_with_defaults(part), reading, Shared(), {}) if cell.job.key not in keys]
    return replace(sweep, cells=(*sweep.cells, *more), n_planned=len(sweep.cells)) if more else sweep


def _check_screen(config: SweepConfig) -> None:
    """Raises SettingError where readings are screened for the one nearest to the paper, and the tasks are others."""
    tasks = list(find_scenario(config.scenario, plugins.read(config.plugins)).names)
    if config.screen is not None and tasks != paper.TASKS:
        raise SettingError(
            f"screen {config.screen}: it is for the reading nearest to the paper's table, which is of "
            f"{' and '.join(paper.TASKS)}; scenario {config.scenario} has {', '.join(tasks)}; leave screen out"
        )


def _check_settings(config: SweepConfig) -> None:
    """Raises SettingError for a setting that no strategy of the sweep has, or none of the reading that names it."""
    from contsym.strategies.catalog import load_strategy

    named = plugins.read(config.plugins)
    fields = {name: set(load_strategy(name, named).Settings.model_fields) for name in config.strategies}
    groups = [("the sweep", config.strategies, config.settings.keys())]
    groups += [
        (f"the reading {reading.name}", part.strategies, reading.settings.keys())
        for reading, part in config.parts()
    ]
    for whose, strategies, names in groups:
        known = sorted(set().union(*(fields[strategy] for strategy in strategies)))
        for name in names:
            if name not in known:
                raise SettingError(f"--set {name}: no strategy of {whose} has it; {nearest(name, known)}")


def _cells(config: SweepConfig, reading: str, shared: Shared, audits: dict[str, Overview]) -> list[Cell]:
    """The cells of one reading; adds what the audits found, by task."""
    from contsym.strategies.catalog import load_strategy
    from contsym.training.first_task import first_task_plan
    from contsym.training.keys import key_of
    from contsym.training.parts import n_training_pairs
    from contsym.training.plan import check_sources, n_training_steps, prepare
    from contsym.training.workload import n_encodings

    cells = []
    named = plugins.read(config.plugins)
    classes = {name: load_strategy(name, named) for name in config.strategies}
    fields = {name: list(strategy.Settings.model_fields) for name, strategy in classes.items()}
    for strategy in config.strategies:
        grid = _in_one_spelling(config.grid(fields[strategy]), classes[strategy], config.one_pass)
        for settings, scenario in itertools.product(grid, config.scenarios):
            first = config.cell(strategy, config.seeds[0], _most(config.shots), settings, scenario)
            plan = prepare(first, shared)
            for shots in config.shots:
                check_sources(replace(first, shots=shots), plan.scenario)
            audits.update(plan.audits)
            n_pairs = {
                shots: [n_training_pairs(task, replace(first, shots=shots)) for task in plan.tasks]
                for shots in config.shots
            }
            for shots, pairs in n_pairs.items():
                if isinstance(shots, int) and pairs == n_pairs.get(None):
                    raise SettingError(
                        f"--shots {shots},all: there are {shots:,} training pairs, so both are the same; expected one of them"
                    )
            for seed in config.seeds:
                for shots in config.shots:
                    run = config.cell(strategy, seed, shots, settings, scenario)
                    one = replace(plan, config=run)
                    steps = [n_training_steps(plan, i, n_pairs[shots]) for i in range(len(plan.tasks))]
                    before = first_task_plan(one)
                    key = _trained_start(one, seed)
                    known_first = bool(key) or config.protocol == "retrain"
                    cells.append(
                        Cell(
                            Job(key_of(one, seed), run),
                            Job(key, before.config, is_first_task=True) if key else None,
                            sum(steps[1:] if known_first else steps),
                            n_training_steps(before, 0, n_pairs[shots]) if key else 0,
                            reading,
                            n_encodings(one, n_pairs[shots], known_first=known_first),
                            n_encodings(before, n_pairs[shots], first_only=True) if key else 0,
                        )
                    )
    return cells


def _in_one_spelling(
    grid: Iterator[dict[str, str]], strategy: type[Strategy], one_pass: bool
) -> list[dict[str, str]]:
    """The grid as results have it, `k=5` for `k=05`: a row is named by it.

    Raises SettingError for values that the strategy does not take, and for two that come to the same, as `epochs` beside
    `steps` does.
    """
    from contsym.training.plan import parse_settings

    typed_as: dict[str, dict[str, str]] = {}
    rows = []
    for typed in grid:
        settings = parse_settings(strategy, typed)
        parsed = settings.model_dump(mode="json")
        row = {name: as_typed(parsed[name]) for name in typed}
        other = typed_as.setdefault(json.dumps(settings.effective(one_pass), sort_keys=True), typed)
        if other is not typed:
            both = " and ".join(",".join(f"{n}={v}" for n, v in each.items()) for each in (other, typed))
            raise SettingError(f"--set {both} come to the same; expected values that differ")
        rows.append(row)
    return rows


def _most(shots: Sequence[Shots]) -> int | None:
    numbers = [n for n in shots if isinstance(n, int)]
    return max(numbers) if len(numbers) == len(shots) else None


@contextmanager
def claimed(sweep: Sweep) -> Iterator[StoredRun]:
    """Write the record and hold it: two processes at the same run would do every cell twice.

    Raises ContsymError where another process holds it. A killed one holds nothing.
    """
    from filelock import FileLock, Timeout

    from contsym.training.first_task import first_tasks_folder

    sweep.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(sweep.folder / ".running.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ContsymError(f"{sweep.name} is being run by another process; wait for it, or stop it") from None
    try:
        output = sweep.config.output
        for folder in (store.results_folder(output), first_tasks_folder(output), *sweep.folder.glob("**/")):
            clear_partial(folder)
        yield write_record(sweep)
    finally:
        lock.release()


def write_record(sweep: Sweep) -> StoredRun:
    """Store the record in the sweep's folder; one that is there keeps the time at which it was first made."""
    created = sweep.created
    if (sweep.folder / RECORD).is_file():
        # One that cannot be read is replaced.
        with suppress(ContsymError):
            created = read_run(sweep.folder).created
    cells = [
        {
            "key": cell.job.key,
            "first_task": cell.first_task.key if cell.first_task else None,
            "strategy": cell.job.config.strategy,
            "seed": cell.job.config.seeds[0],
            "shots": cell.job.config.shots,
            "settings": dict(cell.job.config.settings),
            "scenario": cell.job.config.scenario,
            "reading": cell.reading,
            "n_steps": [cell.n_first_task_steps, cell.n_steps],
        }
        for cell in sweep.cells
    ]
    config = to_record(sweep.config)
    # The folder may be moved.
    del config["output"]
    times = {"created": created, "last_started": sweep.created}
    write_run(sweep.folder, {"command": sweep.command, **times, "config": config, "cells": cells})
    return read_run(sweep.folder)


def check_complete(run: StoredRun) -> None:
    """Raises ContsymError where results that were stored are not there any more."""
    failed = run.failures()
    # By key: two readings may have a cell in common.
    if n := len({cell.key for cell in run.cells if not run.is_done(cell) and cell.key not in failed}):
        raise ContsymError(
            f"{n} of the {len(run.cells)} results in {store.results_folder(run.output)} were stored and are gone; "
            "see who removes them; the same command makes them again"
        )
