"""One piece of a sweep, done in any process on any machine: a pure function of its key.

A piece is a cell, which leaves a result under its key, or a beginning, which leaves a state. Both
appear whole or not at all; doing one twice gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contsym.config import RunConfig
from contsym.errors import ContsymError
from contsym.results import store


@dataclass(frozen=True)
class Work:
    """What a worker is told; small and plain, so that any engine can send it."""

    key: str
    """Of the cell, or of the beginning."""
    config: RunConfig
    is_beginning: bool = False

    @property
    def name(self) -> str:
        """For people.

        >>> Work("k", RunConfig("knn_fixed", "mnli_then_wikidata", shots=8)).name
        'knn_fixed, 8 shots, seed 0'
        """
        config = self.config
        values = "".join(f", {name}={value}" for name, value in config.settings.items())
        shots = "beginning" if self.is_beginning else f"{config.shots} shots"
        order = f", {config.scenario.rpartition(':')[2]}" if ":" in config.scenario else ""
        return f"{config.strategy}{values}{order}, {shots}, seed {config.seeds[0]}"


def cells_folder(output: Path) -> Path:
    return output / "cells"


def cell_folder(output: Path, key: str) -> Path:
    """Where the result of a cell is kept, by whichever sweep it was made."""
    return cells_folder(output) / key


def beginnings_folder(output: Path) -> Path:
    return output / "beginnings"


def is_done(work: Work) -> bool:
    if work.is_beginning:
        return (beginnings_folder(work.config.output) / work.key).is_dir()
    return (cell_folder(work.config.output, work.key) / store.RESULT).is_file()


_shared = None
"""What this process has loaded for earlier pieces."""


def perform(work: Work) -> None:
    """Do a piece of work, if it is not done; raises whatever went wrong.

    Raises ContsymError where this process would make something else than was asked for: another
    version of contsym or a library, or other data.
    """
    from contsym.training.first_task import Beginnings, beginning_key
    from contsym.training.parts import Shared
    from contsym.training.plan import key_of, prepare
    from contsym.training.progress import Silent
    from contsym.training.run import run_seed

    global _shared
    _shared = _shared or Shared()
    if is_done(work):
        return
    (seed,) = work.config.seeds
    plan = prepare(work.config, _shared)
    key = beginning_key(plan, seed) if work.is_beginning else key_of(plan, seed)
    if key != work.key:
        raise ContsymError(
            "this worker has other data, another contsym or other libraries than the one that planned the sweep; "
            "make them the same, or start the sweep again"
        )
    beginnings = Beginnings(beginnings_folder(work.config.output))
    if work.is_beginning:
        beginnings.make(plan, seed, Silent())
        return
    result, predictions, tensors = run_seed(plan, seed, Silent(), beginnings)
    folder = cell_folder(work.config.output, work.key)
    try:
        store.write_result(folder, result, predictions, tensors)
    except OSError as error:
        # Another worker was faster; its result is the same.
        if not is_done(work):
            raise ContsymError(f"{folder}: cannot be written ({error.strerror or error})") from None
