"""Finds stored results by the user's names: a run, a sweep, a row of a sweep, or a folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError, nearest
from contsym.models.encoders.presets import PRESETS
from contsym.results import store
from contsym.results.compare import StoredRow
from contsym.sweeps.config import shots_text
from contsym.sweeps.runs import RECORD, StoredRun, latest_sweep, read_run, runs_folder, stored_runs
from contsym.training.trained_file import CARD, read_file

if TYPE_CHECKING:
    from contsym.sweeps.schema import StoredCell


LATEST = "latest"
"""Stands for the name of the latest run or sweep."""


def find(name: str, output: Path, skip: Skip = tell_skipped) -> StoredRun | Path | None:
    """The run or sweep with this name, id or folder, or the folder of a result; None if there is none.

    `latest` is the latest of all.
    The first letters of a name or an id are enough if they are unique. Raises ContsymError if they are not.
    """
    typed = Path(name)
    if typed.name in (RECORD, store.RESULT) and typed.is_file():
        typed = typed.parent
    for folder in (typed, runs_folder(output) / name, store.result_folder(output, name)):
        if not name or not folder.is_dir():
            continue
        if (folder / RECORD).is_file():
            return read_run(folder)
        if (folder / store.RESULT).is_symlink() or (folder / store.RESULT).exists():
            return folder
    stored = stored_runs(output, skip)
    if name == LATEST:
        return stored[0] if stored else None
    runs = [run for run in stored if run.name.startswith(name) or run.id.startswith(name)]
    # What failed and was mended since has left a record without a result.
    runs = [run for run in runs if run.n_done] or runs
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs)
        raise ContsymError(f"{name!r} begins more than one name: {names}; give more of it")
    return runs[0] if runs else None


def is_row(name: str) -> bool:
    """Whether a name is STRATEGY@SHOTS of the latest sweep, or SWEEP:STRATEGY@SHOTS, and not a path with such a sign."""
    # Of a name that is too long for a file, `Path.exists` raises an error.
    return "@" in name and not os.path.exists(name)


def nothing_there(name: str, output: Path, skip: Skip, takes_rows: bool = True) -> ContsymError:
    """The error for a name of which `find` finds nothing; `takes_rows` says whether it may name a row of a sweep."""
    if name in PRESETS:
        return ContsymError(
            f"{name!r} is an encoder's name; expected a stored run, or a model saved by --save-model"
        )
    others = {
        "config.json": "a checkpoint: contsym diff compares two",
        "report.html": "a page: open its report.html",
    }
    for file, what in others.items():
        if (Path(name) / file).is_file():
            return ContsymError(f"{name!r} is not a run but {what}")
    stored = stored_runs(output, skip)
    if not takes_rows and is_row(name):
        return ContsymError(
            f"{name!r} is a row of a sweep; expected a whole run or sweep, as latest (contsym runs lists them)"
        )
    named = f"{name!r} is not there; expected latest, a run or sweep of {output}"
    expected = (
        f"{named}, the folder of one or of a result, or STRATEGY@SHOTS of its latest sweep"
        if takes_rows
        else f"{named}, or the folder of one"
    )
    if not stored:
        return ContsymError(f"{expected}; there is none yet; contsym run or sweep makes one")
    rows = next((rows_of(run) for run in stored if run.is_sweep and takes_rows), [])
    names = [LATEST, *(run.name for run in stored), *rows]
    # A name of 30 letters is near no strategy's name alone.
    short = {each.partition(sign)[0]: each for sign in "-@" for each in reversed(names)}
    near = get_close_matches(name, [*names, *short], n=1)
    found = (
        f"did you mean {short.get(near[0], near[0])!r}?"
        if near
        else f"among them are {', '.join(names[1:6])}"
    )
    return ContsymError(f"{expected}; {found}")


def no_result_yet(name: str, run: StoredRun) -> ContsymError:
    """The error for a run or sweep of which nothing is stored."""
    return ContsymError(
        f"{name!r}: none of its {len(run.cells)} results is stored yet; the same command resumes it"
    )


def rows_named(name: str, output: Path, skip: Skip) -> list[str]:
    """The rows of a sweep, as they can be typed; none where there is no sweep of this name."""
    if is_row(name) or not isinstance(run := find(name, output, skip), StoredRun) or not run.is_sweep:
        return []
    is_latest = run.id == latest_sweep(output, skip).id
    rows = [row if is_latest else f"{run.id[:8]}:{row}" for row in rows_of(run)]
    return [f"'{row}'" if " " in row else row for row in rows]


def rows_of(run: StoredRun) -> list[str]:
    """The rows of a sweep as STRATEGY@SHOTS."""
    return list(dict.fromkeys(f"{_variant(cell)}@{shots_text(cell.shots)}" for cell in run.cells))


def find_model(
    name: str,
    output: Path,
    seed: int | None = None,
    by_folder: bool = False,
) -> Path:
    """The folder of a saved model: that folder itself, that of a run's seed, or OWNER/NAME[@REVISION] from the Hub.

    `seed` chooses among several seeds; `by_folder` says that the caller takes no seed but a folder. Raises ContsymError
    where there is no model.
    """
    folder = Path(name)
    if (folder / CARD).is_file():
        return folder
    is_hub_id = name.partition("@")[0].count("/") == 1 and not name.startswith((".", "/", "~"))
    if is_hub_id and not folder.exists():
        from contsym.training.trained_hub import fetch_model

        return fetch_model(name)
    if folder.is_dir() and not any((folder / record).is_file() for record in (RECORD, store.RESULT)):
        read_file(folder)  # says what it lacks
    row = find_row(name, output)
    models = {s: path / store.MODEL for s, path in row.folders.items() if (path / store.MODEL).is_dir()}
    if not models:
        raise ContsymError(
            f"{name!r} has no saved model; the same command with --save-model trains it again and stores one"
        )
    if seed is None and len(models) > 1:
        folders = ", ".join(f"{path} (seed {s})" for s, path in models.items())
        remedy = f"name one by its folder: {folders}" if by_folder else "choose one with --seed"
        raise ContsymError(f"{name!r} has models of the seeds {_listed(models)}; {remedy}")
    if seed is not None and seed not in models:
        raise ContsymError(
            f"--seed {seed}: {name!r} has models of the seeds {_listed(models)}; expected one of them"
        )
    return models[next(iter(models)) if seed is None else seed]


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def find_row(name: str, output: Path, skip: Skip = tell_skipped) -> StoredRow:
    """The results of a run, of one row of a sweep ([SWEEP:]STRATEGY@SHOTS), or of a folder, by seed.

    `skip` receives the errors of other results and records that cannot be read. Raises ContsymError if no result is
    found.
    """
    if is_row(name):
        sweep = name.partition("@")[0].rpartition(":")[0]
        run = _sweep_named(sweep, output, skip) if sweep else latest_sweep(output, skip)
        cells = _cells_of_row(name.removeprefix(f"{sweep}:"), run)
    else:
        target = find(name, output, skip)
        if target is None:
            raise nothing_there(name, output, skip)
        if isinstance(target, Path):
            return StoredRow.of(name, {target: store.read_result(target)})
        run, cells = target, target.cells
        rows = list(dict.fromkeys((_variant(c), c.shots, c.scenario, c.reading) for c in cells))
        if len(rows) > 1:
            row = f"{' or '.join(rows_named(name, output, skip)[:3])}, or " if run.is_sweep else ""
            raise ContsymError(f"{name!r} has {len(rows)} rows; expected one, as {row}the folder of a result")
    done = run.done()
    folders = [done[cell.key] for cell in cells if cell.key in done]
    if not folders:
        of_seeds = (
            "its result is not stored" if len(cells) == 1 else f"none of its {len(cells)} results is stored"
        )
        raise ContsymError(f"{name!r}: {of_seeds} yet, or no longer; the same command makes what is missing")
    return StoredRow.of(name, store.read_readable(folders, skip))


def _sweep_named(name: str, output: Path, skip: Skip) -> StoredRun:
    run = find(name, output, skip)
    if not isinstance(run, StoredRun) or not run.is_sweep:
        raise ContsymError(f"{name!r} is no sweep of {output}; contsym runs lists them")
    return run


def _cells_of_row(name: str, sweep: StoredRun) -> Sequence[StoredCell]:
    """The cells of STRATEGY@SHOTS, STRATEGY@SHOTS:ORDER or STRATEGY@SHOTS:READING. Raises ContsymError unless all are
    stored."""
    strategy, _, shots = name.rpartition("@")
    shots, _, order = shots.partition(":")
    in_sweep = f"{name!r} is not in the sweep {sweep.id}"
    choices = list(dict.fromkeys(shots_text(cell.shots) for cell in sweep.cells))
    if shots not in choices:
        named = " or ".join(f"'{strategy}@{each}'" for each in choices[:3])
        raise ContsymError(f"{in_sweep}: its shots are {', '.join(choices)}; expected {named}")
    variants = dict.fromkeys(map(_variant, sweep.cells))
    matching = [v for v in variants if v == strategy] or [v for v in variants if _is_named(v, strategy)]
    if not matching:
        raise ContsymError(f"{in_sweep}: {nearest(strategy, variants)}")
    if len(matching) > 1:
        choices = [f"'{variant}@{shots}'" for variant in matching]
        raise ContsymError(f"{name!r} could be any of {', '.join(choices)}; name one of them")
    cells = [c for c in sweep.cells if (_variant(c), shots_text(c.shots)) == (matching[0], shots)]
    if sweep.config.readings:
        reading = _reading_of(name, order, {cell.reading for cell in cells})
        cells = [cell for cell in cells if cell.reading == reading]
    else:
        scenario = _scenario_of(name, order, sweep)
        cells = [cell for cell in cells if cell.scenario == scenario]
    if missing := [str(cell.seed) for cell in cells if not sweep.is_done(cell)]:
        raise ContsymError(
            f"{name!r}: the seeds {','.join(missing)} of the sweep {sweep.id} are not done; contsym sweep --resume "
            "does them"
        )
    return cells


def _is_named(variant: str, name: str) -> bool:
    """Whether a variant has the strategy of a name and its settings, whatever others it has.

    >>> _is_named("ridge steps=30 ridge=1.0", "ridge ridge=1"), _is_named("ridge ridge=10", "ridge ridge=1")
    (True, False)
    """
    (strategy, *settings), (asked, *others) = variant.split(" "), name.split(" ")
    return strategy == asked and all(any(_is_same(each, other) for each in settings) for other in others)


def _is_same(setting: str, other: str) -> bool:
    if setting == other:
        return True
    (name, _, value), (asked, _, wanted) = setting.partition("="), other.partition("=")
    try:
        return name == asked and float(value) == float(wanted)
    except ValueError:
        return False


def _scenario_of(name: str, order: str, sweep: StoredRun) -> str:
    """The sweep's scenario in this order; without an order its only scenario."""
    scenario = f"{sweep.config.scenario}:{order}" if order else sweep.config.scenario
    if scenario in sweep.scenarios:
        return scenario
    if len(sweep.scenarios) == 1:
        raise ContsymError(
            f"{name!r}: scenario {sweep.config.scenario} has one order only; leave ':{order}' out"
        )
    without_order = name.removesuffix(f":{order}") if order else name
    choices = [f"'{without_order}:{scenario.rpartition(':')[2]}'" for scenario in sweep.scenarios]
    raise ContsymError(f"{name!r}: the sweep {sweep.id} has every order; expected {' or '.join(choices)}")


def _reading_of(name: str, words: str, readings: Collection[str]) -> str:
    """The only one of these readings that has all of the words."""
    matching = sorted(each for each in readings if set(words.split()) <= set(each.split()))
    if len(matching) == 1:
        return matching[0]
    without = name.removesuffix(f":{words}") if words else name
    choices = " or ".join(f"'{without}:{each}'" for each in matching or sorted(readings))
    raise ContsymError(
        f"{name!r}: the sweep has {len(matching) or 'other'} readings of it; expected {choices}"
    )


def _variant(cell: StoredCell) -> str:
    return cell.strategy + "".join(f" {name}={value}" for name, value in cell.settings.items())
