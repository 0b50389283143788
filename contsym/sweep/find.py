"""Stored results by what the user calls them: a run or a sweep, a row of a sweep, a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError, nearest
from contsym.results import store
from contsym.results.compare import FoundRun
from contsym.sweep.config import shots_text
from contsym.sweep.runs import RECORD, StoredRun, latest_sweep, read_run, runs_folder, stored_runs

if TYPE_CHECKING:
    from contsym.results.schema import SeedResult
    from contsym.sweep.schema import StoredCell


def find(given: str, output: Path, skip: Skip = tell_skipped) -> StoredRun | Path | None:
    """The run or sweep of that name, id or folder, or the folder of a result; None where there is none.

    Of a name or an id the first letters are enough, where no other begins so. Raises ContsymError where several do.
    """
    for folder in (Path(given), runs_folder(output) / given, store.result_folder(output, given)):
        if not given or not folder.is_dir():
            continue
        if (folder / RECORD).is_file():
            return read_run(folder)
        if (folder / store.RESULT).is_symlink() or (folder / store.RESULT).exists():
            return folder
    runs = [
        run for run in stored_runs(output, skip) if run.name.startswith(given) or run.id.startswith(given)
    ]
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs)
        raise ContsymError(f"{given!r} begins more than one name: {names}; give more of it")
    return runs[0] if runs else None


def nothing_there(given: str, output: Path, skip: Skip) -> ContsymError:
    names = [run.name for run in stored_runs(output, skip)][:10]
    near = nearest(given, names) if names else "there is none yet; contsym run or sweep makes one"
    return ContsymError(
        f"{given!r} is not there; expected a run or sweep of {output}, the folder of one or of a result, or "
        f"STRATEGY@SHOTS of its latest sweep; {near}"
    )


def find_row(given: str, output: Path, skip: Skip = tell_skipped) -> FoundRun:
    """The results of a run, of one row of a sweep (STRATEGY@SHOTS), or of a folder, by seed.

    Other results and records that cannot be read are told to `skip`. Raises ContsymError where there are none.
    """
    found = None if "@" in given else find(given, output, skip)
    if isinstance(found, Path):
        return _row(given, {found: store.read_result(found)})
    if isinstance(found, StoredRun):
        return _only_row(given, found, skip)
    if "@" in given:
        return _row_of_sweep(given, latest_sweep(output, skip), skip)
    raise nothing_there(given, output, skip)


def _only_row(given: str, run: StoredRun, skip: Skip) -> FoundRun:
    rows = dict.fromkeys((_variant(c), c.shots, c.scenario) for c in run.cells)
    if len(rows) > 1:
        first = next(iter(rows))
        raise ContsymError(
            f"{given!r} has {len(rows)} rows; expected one, as '{first[0]}@{shots_text(first[1])}' of the latest "
            "sweep, or the folder of a result"
        )
    return _read(given, run, list(run.cells), skip)


def _read(given: str, run: StoredRun, cells: list[StoredCell], skip: Skip) -> FoundRun:
    done = run.done()
    folders = [done[cell.key] for cell in cells if cell.key in done]
    if not folders:
        raise ContsymError(
            f"{given!r}: none of its {len(cells)} results is stored yet; the same command resumes"
        )
    errors: list[ContsymError] = []
    found = store.read_results(folders, errors.append)
    if not found:
        raise errors[0]
    for error in errors:
        skip(error)
    return _row(given, found)


def _row_of_sweep(given: str, sweep: StoredRun, skip: Skip) -> FoundRun:
    name, _, shots = given.rpartition("@")
    shots, _, order = shots.partition(":")
    in_sweep = f"{given!r} is not in the sweep {sweep.id}"
    known = [shots_text(n) for n in sweep.config.shots]
    if shots not in known:
        raise ContsymError(f"{in_sweep}: its shots are {', '.join(known)}")
    variants = dict.fromkeys(map(_variant, sweep.cells))
    matching = [v for v in variants if v == name] or [v for v in variants if v.split()[0] == name]
    if not matching:
        raise ContsymError(f"{in_sweep}: {nearest(name, variants)}")
    if len(matching) > 1:
        choices = ", ".join(f"'{variant}@{shots}'" for variant in matching)
        raise ContsymError(f"{given!r} could be any of {choices}; name one of them")
    scenario = _scenario_of(given, order, sweep)
    cells = [
        cell
        for cell in sweep.cells
        if _variant(cell) == matching[0] and shots_text(cell.shots) == shots and cell.scenario == scenario
    ]
    if missing := [cell.seed for cell in cells if not sweep.is_done(cell)]:
        raise ContsymError(
            f"{given!r}: the seeds {','.join(map(str, missing))} of the sweep {sweep.id} are not "
            "done; contsym sweep --resume does them"
        )
    return _read(given, sweep, cells, skip)


def _scenario_of(given: str, order: str, sweep: StoredRun) -> str:
    """Which of the sweep's orders is meant; the only scenario where it has no orders."""
    scenario = sweep.config.scenario
    if len(sweep.scenarios) == 1 and not order:
        return scenario
    if (wanted := f"{scenario}:{order}") in sweep.scenarios:
        return wanted
    if len(sweep.scenarios) == 1:
        raise ContsymError(f"{given!r}: scenario {scenario} has one order only; leave ':{order}' out")
    orders = [each.rpartition(":")[2] for each in sweep.scenarios]
    plain = given.removesuffix(f":{order}") if order else given
    choices = " or ".join(f"'{plain}:{each}'" for each in orders)
    raise ContsymError(f"{given!r}: the sweep {sweep.id} has every order; expected {choices}")


def _row(given: str, found: Mapping[Path, SeedResult]) -> FoundRun:
    paths = sorted(found, key=lambda path: found[path].seed)
    return FoundRun(given, {found[p].seed: p for p in paths}, {found[p].seed: found[p] for p in paths})


def _variant(cell: StoredCell) -> str:
    return cell.strategy + "".join(f" {name}={value}" for name, value in cell.settings.items())
