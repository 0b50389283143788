"""Stored runs and sweeps: one folder each, `OUTPUT/runs/NAME`, with a record that lists the keys of its results.

A run is a sweep with one row. Reading a record runs no code and looks no name up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym import checked
from contsym.checked import Skip, tell_skipped
from contsym.config import LEAST
from contsym.errors import ContsymError
from contsym.files import to_json, unreadable, visible_folders, write_file
from contsym.results import store
from contsym.sweeps.readings import in_place, reading_name
from contsym.sweeps.schema import RunFile

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.sweeps.config import SweepConfig
    from contsym.sweeps.schema import Command, StoredCell, StoredSettings


FORMAT = 2
"""2: runs and sweeps have one record, under a name that ends in a hash of the keys."""
RECORD = "run.json"
FAILED = "failed"
TABLE = "table.txt"
"""The file of a run with its tables as text, which MLflow shows."""


def write_failure(folder: Path, key: str, name: str, error: str) -> None:
    """Note in a record's folder that the result with this key failed."""
    (folder / FAILED).mkdir(parents=True, exist_ok=True)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_file(folder / FAILED / f"{key}.json", to_json({"name": name, "error": error, "time": now}))


@dataclass(frozen=True)
class StoredRun:
    """The settings as typed, and the cells that follow from them. Plug-ins and strategies are only names here."""

    output: Path
    name: str
    command: Command
    created: str
    last_started: str
    config: StoredSettings
    cells: tuple[StoredCell, ...]

    @property
    def id(self) -> str:
        """The hash at the end of the name."""
        return self.name.rpartition("-")[2]

    @property
    def folder(self) -> Path:
        return runs_folder(self.output) / self.name

    @property
    def is_sweep(self) -> bool:
        return self.command == "sweep"

    @cached_property
    def scenarios(self) -> tuple[str, ...]:
        """The scenario of its cells, or each of its orders."""
        return tuple(dict.fromkeys(cell.scenario for cell in self.cells))

    @property
    def varied(self) -> tuple[str, ...]:
        """Settings with more than one value, which the names of variants show."""
        return tuple(name for name, values in self.config.settings.items() if len(values) > 1)

    @cached_property
    def _readings(self) -> dict[str, str]:
        return {cell.key: cell.reading for cell in self.cells}

    def row_of(self, result: SeedResult) -> tuple[str, int]:
        """What the results of one row have in common: variant, order and reading in words, and the number of shots.

        A search for the least beside other shots has `least` among its words, since the most that it may try can be one
        of them.
        """
        least = LEAST if result.search and len(self.config.shots) > 1 else ""
        words = (result.variant_in_order(self.varied), least, self._readings.get(result.key, ""))
        return " ".join(filter(None, words)), int(result.shots_group)

    def n_seeds(self, result: SeedResult) -> int:
        """Seeds of the row of a result: a reading may be screened with fewer."""
        reading = self._readings.get(result.key, "")
        return len({cell.seed for cell in self.cells if cell.reading == reading})

    def parts(self) -> dict[str, StoredRun]:
        """By the name of each reading, the sweep that its cells are; the whole sweep, under "", without readings."""
        if not self.config.readings:
            return {"": self}
        parts = {}
        for reading in self.config.readings:
            if (changes := in_place(self.config, reading)) is None:
                continue
            name = reading_name(reading.options, reading.settings)
            cells = tuple(cell for cell in self.cells if cell.reading == name)
            seeds = list(dict.fromkeys(cell.seed for cell in cells))
            # Lists, as a record has them.
            plain = json.loads(json.dumps({**changes, "seeds": seeds}))
            config = self.config.model_copy(update=plain)
            parts[name] = replace(self, config=config, cells=cells)
        return parts

    def results_by_reading(self, skip: Skip = tell_skipped) -> dict[str, list[SeedResult]]:
        """By the name of each reading, its stored results; empty in a sweep without readings."""
        if not self.config.readings:
            return {}
        return {name: part.results(skip) for name, part in self.parts().items()}

    def is_done(self, cell: StoredCell) -> bool:
        return store.is_stored(self.output, cell.key)

    @property
    def n_done(self) -> int:
        return sum(map(self.is_done, self.cells))

    def done(self) -> dict[str, Path]:
        """The folders of its stored results by key, in the order of the cells."""
        return {c.key: store.result_folder(self.output, c.key) for c in self.cells if self.is_done(c)}

    def results(self, skip: Skip = tell_skipped) -> list[SeedResult]:
        """Its stored results, in the order of the cells."""
        return list(store.read_results(self.done().values(), skip).values())

    def failures(self, skip: Skip = tell_skipped) -> dict[str, dict[str, str]]:
        """Name and error of each cell whose last attempt failed, by its key."""
        failures = {}
        for cell in self.cells:
            path = self.folder / FAILED / f"{cell.key}.json"
            if self.is_done(cell) or not path.is_file():
                continue
            try:
                failure = checked.read_json(path, "delete it")
            except ContsymError as error:
                skip(error)
                continue
            if isinstance(failure, dict) and all(isinstance(failure.get(k), str) for k in ("name", "error")):
                failures[cell.key] = failure
            else:
                skip(ContsymError(f"{path}: expected name and error of a failed cell; delete it"))
        return failures

    def live(self) -> SweepConfig:
        """The sweep to resume, with plug-ins and strategies loaded. Raises ContsymError."""
        from contsym.sweeps.config import SweepConfig

        return SweepConfig(**self.config.model_dump(), output=self.output)


def runs_folder(output: Path) -> Path:
    return output / "runs"


def read_run(folder: Path) -> StoredRun:
    """The record of a run or a sweep. Raises ContsymError unless contsym wrote the file."""
    path = folder / RECORD
    content = checked.read_json(path, "start the run again")
    checked.check_format(content, FORMAT, path)
    file = checked.check(RunFile, content, path)
    if len(folder.parts) < 2 or folder.name == "..":
        folder = folder.resolve()
    last_started = file.last_started or file.created
    return StoredRun(
        folder.parent.parent,
        folder.name,
        file.command,
        file.created,
        last_started,
        file.config,
        tuple(file.cells),
    )


def write_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run or a sweep. Raises ContsymError for one that could not be read again."""
    path = folder / RECORD
    content = {"format": FORMAT, **record}
    checked.check(RunFile, content, path)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(path, to_json(content))


def stored_runs(output: Path, skip: Skip = tell_skipped) -> list[StoredRun]:
    """The runs and sweeps of an output folder, the one that was started last first; `skip` receives the error of each
    unreadable one."""
    runs = []
    for folder in visible_folders(runs_folder(output), skip):
        try:
            # The record is written before the first job starts, so a folder without it is not a run.
            if (folder / RECORD).is_symlink() or (folder / RECORD).exists():
                runs.append(read_run(folder))
        except ContsymError as error:
            skip(error)
        except OSError as error:
            skip(unreadable(folder, error))
    return sorted(runs, key=lambda run: run.last_started, reverse=True)


def stored_sweeps(output: Path, skip: Skip = tell_skipped) -> list[StoredRun]:
    return [run for run in stored_runs(output, skip) if run.is_sweep]


def latest_sweep(output: Path, skip: Skip = tell_skipped) -> StoredRun:
    """Raises ContsymError if there is none."""
    errors: list[ContsymError] = []
    sweeps = stored_sweeps(output, errors.append)
    for error in errors:
        skip(error)
    if not sweeps:
        problem = "none of the sweeps there can be read" if errors else "no sweep there yet"
        raise ContsymError(f"--output {output}: {problem}; contsym sweep --strategies ... makes one")
    return sweeps[0]
