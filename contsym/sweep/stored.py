"""A sweep as its folder remembers it: plain data. Reading one looks nothing up and runs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym import checked
from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError
from contsym.files import to_json, unreadable, visible_folders, write_file
from contsym.results import store
from contsym.sweep.job import cell_folder
from contsym.sweep.schema import SweepFile

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.sweep.config import SweepConfig
    from contsym.sweep.schema import SweepCell, SweepSettings


FORMAT = 1
SWEEP = "sweep.json"
FAILED = "failed"


@dataclass(frozen=True)
class StoredSweep:
    """What was asked for, and the cells that this means. Plug-ins and strategies are names here."""

    output: Path
    id: str
    created: str
    config: SweepSettings
    cells: tuple[SweepCell, ...]

    @property
    def folder(self) -> Path:
        return sweeps_folder(self.output) / self.id

    @property
    def run_name(self) -> str:
        """For MLflow: another one where other cells are wanted, as after a change of the code."""
        keys = "".join(cell.key for cell in self.cells)
        return f"sweep-{self.id}-{hashlib.sha256(keys.encode()).hexdigest()[:8]}"

    @cached_property
    def scenarios(self) -> tuple[str, ...]:
        """What its cells run: the scenario, or each order of it where all are meant."""
        return tuple(dict.fromkeys(map(self.scenario_of, self.cells)))

    @property
    def varied(self) -> tuple[str, ...]:
        """Settings with more than one value: they belong to the name of what is compared."""
        return tuple(name for name, values in self.config.settings.items() if len(values) > 1)

    def scenario_of(self, cell: SweepCell) -> str:
        return cell.scenario or self.config.scenario

    def is_done(self, cell: SweepCell) -> bool:
        return (cell_folder(self.output, cell.key) / store.RESULT).is_file()

    @property
    def n_done(self) -> int:
        return sum(map(self.is_done, self.cells))

    def done(self) -> dict[str, Path]:
        """The folders of its finished cells by key, in the order of the cells."""
        return {c.key: cell_folder(self.output, c.key) for c in self.cells if self.is_done(c)}

    def results(self, skip: Skip = tell_skipped) -> list[SeedResult]:
        """The stored results of its finished cells, in the order of the cells."""
        return list(store.read_seeds(self.done().values(), skip).values())

    def failures(self, skip: Skip = tell_skipped) -> dict[str, dict[str, str]]:
        """Name and error of each cell that failed when it was last tried, by its key."""
        found = {}
        for cell in self.cells:
            path = self.folder / FAILED / f"{cell.key}.json"
            if self.is_done(cell) or not path.is_file():
                continue
            try:
                found[cell.key] = _failure(path)
            except ContsymError as error:
                skip(error)
        return found

    def live(self) -> SweepConfig:
        """The sweep to run again: its plug-ins are read and its strategies looked up. Raises ContsymError."""
        from contsym.sweep.config import SweepConfig

        return SweepConfig(**self.config.model_dump(), output=self.output)


def _failure(path: Path) -> dict[str, str]:
    said = checked.read_json(path, "delete it")
    if not isinstance(said, dict) or not all(isinstance(said.get(k), str) for k in ("name", "error")):
        raise ContsymError(f"{path}: expected name and error of a failed cell; delete it")
    return said


def sweeps_folder(output: Path) -> Path:
    return output / "sweeps"


def read_sweep(folder: Path) -> StoredSweep:
    """A remembered sweep. Raises ContsymError where the file is not what contsym wrote."""
    path = folder / SWEEP
    found = checked.read_json(path, "start the sweep again")
    checked.check_format(found, FORMAT, path)
    file = checked.check(SweepFile, found, path)
    if len(folder.parts) < 2 or folder.name == "..":
        folder = folder.resolve()
    return StoredSweep(folder.parent.parent, folder.name, file.created, file.config, tuple(file.cells))


def write_sweep(folder: Path, created: str, config: Mapping[str, Any], cells: list[dict[str, Any]]) -> None:
    """Remember a sweep in its folder. Raises ContsymError for one that could not be read again."""
    path = folder / SWEEP
    made = {"format": FORMAT, "created": created, "config": config, "cells": cells}
    checked.check(SweepFile, made, path)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(path, to_json(made))


def stored_sweeps(output: Path, skip: Skip = tell_skipped) -> list[StoredSweep]:
    """The sweeps of an output folder, the latest first; those that cannot be read are told to `skip`."""
    found = []
    for folder in visible_folders(sweeps_folder(output), skip):
        try:
            # A sweep is remembered before it is begun, so a folder without the file was never one.
            if (folder / SWEEP).is_symlink() or (folder / SWEEP).exists():
                found.append(read_sweep(folder))
        except ContsymError as error:
            skip(error)
        except OSError as error:
            skip(unreadable(folder, error))
    return sorted(found, key=lambda sweep: sweep.created, reverse=True)


def find_sweep(output: Path, given: str | None, skip: Skip = tell_skipped) -> StoredSweep:
    """The sweep whose id begins as given, or the latest. Raises ContsymError where there is none."""
    unread: list[ContsymError] = []
    known = stored_sweeps(output, unread.append)
    for error in unread:
        skip(error)
    if not known:
        what = "none of the sweeps there can be read" if unread else "no sweep there yet"
        raise ContsymError(f"--output {output}: {what}; contsym sweep --strategies ... makes one")
    matching = [sweep for sweep in known if sweep.id.startswith(given or "")]
    if not matching:
        ids = ", ".join(sweep.id for sweep in known[:10])
        raise ContsymError(f"sweep {given!r} is not in {output}; there are {ids}")
    return matching[0]
