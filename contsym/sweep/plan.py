"""A sweep's cells with their keys, and the folder that remembers them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym import results, stored
from contsym.beginnings import beginning_config
from contsym.encodings import limit_bytes
from contsym.errors import ContsymError, SettingError, nearest
from contsym.sweep.config import SweepConfig, from_dict
from contsym.sweep.work import Work, beginnings_folder, cell_folder, cells_folder, is_done

if TYPE_CHECKING:
    from contsym.data.audit import Overview

FORMAT = 1
SWEEP = "sweep.json"
FAILED = "failed"


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
    """All that is known of a sweep before and after it ran."""

    config: SweepConfig
    cells: tuple[Cell, ...]
    created: str

    @property
    def folder(self) -> Path:
        return sweeps_folder(self.config.output) / self.config.id

    @property
    def run_name(self) -> str:
        """For MLflow: another one where other cells are wanted, as after a change of the code."""
        keys = "".join(cell.work.key for cell in self.cells)
        return f"sweep-{self.config.id}-{hashlib.sha256(keys.encode()).hexdigest()[:8]}"

    def done(self) -> dict[str, Path]:
        """The folders of its finished cells by key, in the order of the cells."""
        output = self.config.output
        return {c.work.key: cell_folder(output, c.work.key) for c in self.cells if is_done(c.work)}

    def results(self) -> list[dict[str, Any]]:
        """The stored results of its finished cells, in the order of the cells."""
        return [results.read_seed(folder) for folder in self.done().values()]

    def failures(self) -> dict[str, dict[str, str]]:
        """Name and error of each cell that failed when it was last tried, by its key."""
        found = {}
        for cell in self.cells:
            path = self.folder / FAILED / f"{cell.work.key}.json"
            if not is_done(cell.work) and path.is_file():
                said = stored.read_json(path, "delete it")
                if not isinstance(said, dict) or not all(
                    isinstance(said.get(k), str) for k in ("name", "error")
                ):
                    raise ContsymError(f"{path}: expected name and error of a failed cell; delete it")
                found[cell.work.key] = said
        return found

    @property
    def n_done(self) -> int:
        return sum(is_done(cell.work) for cell in self.cells)


def sweeps_folder(output: Path) -> Path:
    return output / "sweeps"


def plan_sweep(config: SweepConfig) -> tuple[Sweep, dict[str, Overview]]:
    """Every cell with its key, and what the audit found, by task.

    Loads the data and looks everything up, so that a mistake shows before anything is trained.
    Raises ContsymError.
    """
    from contsym.beginnings import beginning_key, beginning_plan
    from contsym.run import Shared, key_of, n_training_steps, parse_settings, prepare
    from contsym.starts import kind_of_head
    from contsym.training_parts import n_training_pairs

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
    from contsym.registry import load_strategy

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
            results.clear_partial(folder(sweep.config.output))
        yield
    finally:
        lock.release()


def write_sweep(sweep: Sweep) -> Sweep:
    """Remember the sweep in its folder; one that is there keeps the time it was first made."""
    path = sweep.folder / SWEEP
    if path.is_file():
        sweep = replace(sweep, created=read_sweep(sweep.folder).created)
    sweep.folder.mkdir(parents=True, exist_ok=True)
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
    made = {"format": FORMAT, "created": sweep.created, "config": sweep.config.as_dict(), "cells": cells}
    results.write_file(path, results.to_json(made))
    return sweep


def read_sweep(folder: Path) -> Sweep:
    """A remembered sweep. Raises ContsymError where the file is not what contsym wrote."""
    path = folder / SWEEP
    found = stored.read_json(path, "start the sweep again")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        given = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise ContsymError(f"{path}: format {given!r}; this version reads format {FORMAT}")
    stored.check("sweep", found, path)
    try:
        config = from_dict(found["config"], folder.parent.parent)
        cells = tuple(_cell(config, entry) for entry in found["cells"])
    except (TypeError, KeyError) as error:
        raise ContsymError(f"{path}: cannot be read ({error}); start the sweep again") from None
    return Sweep(config, cells, found["created"])


def _cell(config: SweepConfig, entry: Mapping[str, Any]) -> Cell:
    strategy, seed, shots = entry["strategy"], entry["seed"], entry["shots"]
    run = config.cell(strategy, seed, shots, entry["settings"], entry.get("scenario"))
    key = entry["beginning"]
    beginning = Work(key, beginning_config(run), is_beginning=True) if key else None
    return Cell(Work(entry["key"], run), beginning, entry["n_steps"][1], entry["n_steps"][0])


def stored_sweeps(output: Path) -> Iterator[Sweep]:
    """The sweeps of an output folder, the latest first."""
    folder = sweeps_folder(output)
    if folder.is_dir():
        found = [read_sweep(path.parent) for path in folder.glob(f"*/{SWEEP}")]
        yield from sorted(found, key=lambda sweep: sweep.created, reverse=True)


def find_sweep(output: Path, given: str | None) -> Sweep:
    """The sweep whose id begins as given, or the latest. Raises ContsymError where there is none."""
    known = list(stored_sweeps(output))
    if not known:
        raise ContsymError(f"--output {output}: no sweep there yet; contsym sweep --strategies ... makes one")
    matching = [sweep for sweep in known if sweep.config.id.startswith(given or "")]
    if not matching:
        ids = ", ".join(sweep.config.id for sweep in known[:10])
        raise ContsymError(f"sweep {given!r} is not in {output}; there are {ids}")
    return matching[0]
