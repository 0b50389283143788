"""Results on disk: one folder for a run, one inside it for each seed, whole or not at all."""

from __future__ import annotations

import csv
import glob
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from contsym import stored
from contsym.cells import shield
from contsym.errors import ContsymError
from contsym.stored import Skip, tell_skipped

FORMAT = 2
"""2: one record of costs per experience."""
RESULT = "result.json"
PREDICTIONS = "predictions.csv"
TENSORS = "label_vectors.safetensors"
TRACKED = "tracked.json"
STALE_SECONDS = 3600
OS_ERROR = re.compile(r"(?:os error|code:) (\d+)")
"""How safetensors says the number of an error of the system."""
_SEED = re.compile(r"seed-[0-9]{1,10}")


def runs_folder(output: Path) -> Path:
    """Where the runs of an output folder (`mlruns`) are kept."""
    return output / "results"


def check_writable(output: Path) -> None:
    """Make the output folder, or raise ContsymError before any work is done."""
    try:
        folder = runs_folder(output)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{secrets.token_hex(4)}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ContsymError(
            f"--output {output} cannot be written ({error.strerror}); expected a folder that you "
            "may write to; name another with --output"
        ) from None


def new_run_name(strategy: str, scenario: str) -> str:
    """A folder name that sorts by time and never repeats."""
    # A stored run's name has at most 200 signs.
    words = re.sub(r"[^\w.+-]+", "-", f"{strategy}-{scenario}")[:150]
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{words}-{secrets.token_hex(3)}"


def write_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make `folder` by filling a temporary one beside it and renaming it.

    A reader sees the folder with everything in it, or no folder; what a killed process leaves
    starts with a dot and is never read. Raises OSError where it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_partial(folder.parent, of=folder.name)
    partial = folder.parent / f".partial-{folder.name}-{secrets.token_hex(4)}"
    try:
        # Inside, since a signal that comes while a folder is made raises as soon as it is there.
        partial.mkdir()
        fill(partial)
        for path in [*partial.iterdir(), partial]:
            _sync(path)
        partial.rename(folder)
        _sync(folder.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        # safetensors has a class of its own for a disk that is full.
        if type(error).__name__ == "SafetensorError" and (found := OS_ERROR.search(str(error))):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(folder)) from None
        raise


def clear_partial(folder: Path, older_than: float = STALE_SECONDS, of: str | None = None) -> None:
    """Delete what killed processes have left half-written, by default more than an hour ago; `of` is the
    name of the one thing whose remains are meant."""
    for partial in folder.glob(f".partial-{glob.escape(of)}-*" if of else ".partial-*"):
        try:
            if older_than and time.time() - partial.stat().st_mtime <= older_than:
                continue
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink()
        except FileNotFoundError:
            continue  # its owner has just finished it


def write_file(path: Path, text: str) -> None:
    """Replace a small file by renaming a finished one over it. Raises OSError."""
    clear_partial(path.parent, of=path.name)
    partial = path.with_name(f".partial-{path.name}-{secrets.token_hex(4)}")
    try:
        partial.write_text(text, encoding="utf-8")
        _sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_seed(
    run: Path,
    result: Mapping[str, Any],
    predictions: Sequence[Mapping[str, object]],
    tensors: Mapping[str, Any],
) -> Path:
    """Store one seed's result, predictions and tensors; gives its folder.

    Raises ContsymError where it cannot be written, as on a full disk.
    """
    folder = seed_folder(run, result["seed"])
    try:
        write_result(folder, result, predictions, tensors)
    except OSError as error:
        raise ContsymError(
            f"{folder}: cannot be written ({error.strerror or error}); seeds stored before are kept; mend that, "
            "then the same command goes on"
        ) from None
    return folder


def seed_folder(run: Path, seed: int) -> Path:
    return run / f"seed-{seed}"


def write_result(
    folder: Path,
    result: Mapping[str, Any],
    predictions: Sequence[Mapping[str, object]],
    tensors: Mapping[str, Any],
) -> None:
    """Make the folder of a result, atomically. Raises ContsymError for a result that could not be read again."""

    text = checked_json(result, folder / RESULT)

    def fill(folder: Path) -> None:
        (folder / RESULT).write_text(text, encoding="utf-8")
        with (folder / PREDICTIONS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(predictions[0]))
            writer.writeheader()
            # Ids come from data, which may be anyone's.
            writer.writerows({name: shield(str(v)) for name, v in row.items()} for row in predictions)
        if tensors:
            from safetensors.torch import save_file

            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, folder / TENSORS)

    write_whole(folder, fill)


def checked_json(result: Mapping[str, Any], path: Path, kind: Literal["result", "facts"] = "result") -> str:
    """The text of a result.json, after the check that every reader makes. Raises ContsymError.

    `facts` are the part that is known before training.
    """
    try:
        text = to_json(result)
    except (TypeError, ValueError) as error:
        raise ContsymError(f"{path}: cannot be stored ({error}); expected finite numbers and texts") from None
    stored.check(kind, json.loads(text), path)
    return text


def to_json(value: object) -> str:
    # allow_nan=False: NaN is no JSON, and no result of ours.
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_seed(folder: Path) -> dict[str, Any]:
    """One stored seed. Raises ContsymError where the file is not what contsym wrote."""
    return read_result(folder / RESULT)


def read_result(path: Path) -> dict[str, Any]:
    """One stored result, wherever its file is. Raises as `read_seed`."""
    result = stored.read_json(path, "expected a stored result")
    stored.check_format(result, FORMAT, path)
    stored.check("result", result, path)
    return result


def read_seeds(folders: Iterable[Path], skip: Skip = tell_skipped) -> dict[Path, dict[str, Any]]:
    """The results in these folders; those that cannot be read are told to `skip`."""
    found = {}
    for folder in folders:
        try:
            found[folder] = read_seed(folder)
        except ContsymError as error:
            skip(error)
    return found


def read_run(folder: Path, skip: Skip = tell_skipped) -> dict[Path, dict[str, Any]]:
    """The results of a folder that was named: a seed or a cell, which must be readable, or those of a run.

    Empty where the folder holds no result. Raises ContsymError where none of them can be read.
    """
    if not folder.is_dir() or (folder / RESULT).is_symlink() or (folder / RESULT).exists():
        return {folder: read_seed(folder)}
    errors: list[ContsymError] = []
    found = read_seeds(stored_seeds(folder, errors.append), errors.append)
    if errors and not found:
        raise errors[0]
    for error in errors:
        skip(error)
    return found


def stored_runs(output: Path, skip: Skip = tell_skipped) -> list[Path]:
    """The run folders of an output folder, oldest first."""
    return visible_folders(runs_folder(output), skip)


def visible_folders(folder: Path, skip: Skip = tell_skipped) -> list[Path]:
    """The whole folders in a folder by name, without what a killed process has left."""
    return [path for path in _entries(folder, skip) if not path.name.startswith(".")]


def stored_seeds(run: Path, skip: Skip = tell_skipped) -> list[Path]:
    """The seed folders of a run, in order of the seed."""
    found = []
    for path in _entries(run, skip):
        if not _SEED.fullmatch(path.name):
            continue
        # The folder appears with its result in it.
        if (path / RESULT).is_file():
            found.append(path)
        else:
            skip(ContsymError(f"{path}: holds no {RESULT}; expected a seed that contsym stored"))
    return sorted(found, key=lambda p: int(p.name.removeprefix("seed-")))


def _entries(folder: Path, skip: Skip) -> list[Path]:
    """The folders in a folder; what cannot be looked into is told to `skip`."""
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        skip(unreadable(folder, error))
        return []
    found = []
    for path in paths:
        try:
            if path.is_symlink() and not path.exists():
                skip(ContsymError(f"{path}: a link to {path.readlink()}, which is not there; delete it"))
            elif path.is_dir():
                # A folder that must not be looked into shows here.
                os.scandir(path).close()
                found.append(path)
        except OSError as error:
            skip(unreadable(path, error))
    return found


def unreadable(path: Path, error: OSError) -> ContsymError:
    return ContsymError(f"{error.filename or path}: cannot be read ({error.strerror or error})")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
