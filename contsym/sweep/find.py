"""Stored runs by what the user calls them: a folder, a run's name, or STRATEGY@SHOTS of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError, nearest
from contsym.results import store
from contsym.results.compare import FoundRun

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.sweep.schema import SweepCell
    from contsym.sweep.stored import StoredSweep


EXPECTED = "expected a run of {output}, the folder of a run or a cell, or STRATEGY@SHOTS of its latest sweep"


def find_run(given: str, output: Path, skip: Skip = tell_skipped) -> FoundRun:
    """The folders that a name or path stands for. Raises ContsymError where there are none.

    Seeds and other sweeps that cannot be read are told to `skip`.
    """
    for folder in (Path(given), store.runs_folder(output) / given, output / "cells" / given):
        if folder.is_dir():
            return _in_folder(given, folder, skip)
    if "@" in given:
        return _in_sweep(given, output, skip)
    known = [folder.name for folder in store.stored_runs(output, skip)]
    near = f"; {nearest(given, known[-10:])}" if known else ""
    raise ContsymError(f"run {given!r} is not there; {EXPECTED.format(output=output)}{near}")


def _in_folder(given: str, folder: Path, skip: Skip) -> FoundRun:
    found = store.read_run(folder, skip)
    if not found:
        raise ContsymError(f"run {given!r}: no result in {folder}; expected {store.RESULT} or seed folders")
    return _found(given, found)


def _in_sweep(given: str, output: Path, skip: Skip) -> FoundRun:
    from contsym.sweep.stored import find_sweep

    name, _, shots = given.rpartition("@")
    shots, _, order = shots.partition(":")
    sweep = find_sweep(output, None, skip)
    in_sweep = f"run {given!r} is not in the sweep {sweep.id}"
    if shots not in map(str, sweep.config.shots):
        raise ContsymError(f"{in_sweep}: its shots are {', '.join(map(str, sweep.config.shots))}")
    variants = dict.fromkeys(map(_variant, sweep.cells))
    matching = [v for v in variants if v == name] or [v for v in variants if v.split()[0] == name]
    if not matching:
        raise ContsymError(f"{in_sweep}: {nearest(name, variants)}")
    if len(matching) > 1:
        choices = ", ".join(f"'{variant}@{shots}'" for variant in matching)
        raise ContsymError(f"run {given!r} could be any of {choices}; name one of them")
    scenario = _scenario_of(given, order, sweep)
    cells = [
        cell
        for cell in sweep.cells
        if _variant(cell) == matching[0] and str(cell.shots) == shots and sweep.scenario_of(cell) == scenario
    ]
    if missing := [cell.seed for cell in cells if not sweep.is_done(cell)]:
        raise ContsymError(
            f"run {given!r}: the seeds {','.join(map(str, missing))} of the sweep {sweep.id} are not "
            "done; contsym sweep --resume goes on with it"
        )
    found = store.read_seeds([sweep.done()[cell.key] for cell in cells], skip)
    if not found:
        raise ContsymError(f"run {given!r}: none of its results in the sweep {sweep.id} can be read")
    return _found(given, found)


def _scenario_of(given: str, order: str, sweep: StoredSweep) -> str:
    """Which of the sweep's orders is meant; the only scenario where it has no orders."""
    scenario = sweep.config.scenario
    if len(sweep.scenarios) == 1 and not order:
        return scenario
    if (wanted := f"{scenario}:{order}") in sweep.scenarios:
        return wanted
    if len(sweep.scenarios) == 1:
        raise ContsymError(f"run {given!r}: scenario {scenario} has one order only; leave ':{order}' out")
    orders = [each.rpartition(":")[2] for each in sweep.scenarios]
    plain = given.removesuffix(f":{order}") if order else given
    choices = " or ".join(f"'{plain}:{each}'" for each in orders)
    raise ContsymError(f"run {given!r}: the sweep {sweep.id} has every order; expected {choices}")


def _found(given: str, found: Mapping[Path, SeedResult]) -> FoundRun:
    paths = sorted(found, key=lambda path: found[path].seed)
    return FoundRun(given, {found[p].seed: p for p in paths}, {found[p].seed: found[p] for p in paths})


def _variant(cell: SweepCell) -> str:
    return cell.strategy + "".join(f" {name}={value}" for name, value in cell.settings.items())
