"""Files and folders that appear complete or not at all, and cells of CSV that are text."""

from __future__ import annotations

import glob
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError, SettingError

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def shield(text: str) -> str:
    """The text for a cell.

    >>> shield("=1+1"), shield("P26/Q1/Q2"), shield("'=1")
    ("'=1+1", 'P26/Q1/Q2', "''=1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unshield(cell: str) -> str:
    """The text that a cell was made of.

    >>> unshield("'=1+1"), unshield("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


STALE_SECONDS = 3600
OS_ERROR = re.compile(r"(?:os error|code:) (\d+)")
"""How safetensors says the number of an error of the system."""


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


def to_json(value: object) -> str:
    # allow_nan=False: NaN is no JSON, and no result of ours.
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def visible_folders(folder: Path, skip: Skip = tell_skipped) -> list[Path]:
    """The whole folders in a folder by name, without what a killed process has left."""
    return [path for path in entries(folder, skip) if not path.name.startswith(".")]


def entries(folder: Path, skip: Skip) -> list[Path]:
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


def gib_from_environment(variable: str, default: float, what: str) -> int:
    """The bytes that an environment variable allows for `what`, in GiB; 0 keeps none. Raises SettingError."""
    given = os.environ.get(variable, "").strip()
    try:
        gib = float(given) if given else default
    except ValueError:
        gib = math.nan
    if not 0 <= gib < 2**20:
        raise SettingError(
            f"{variable}={given} is no size; expected GiB for {what}, as 4 or 0.5, or 0 to keep none"
        )
    return int(gib * 2**30)


def bound(folder: Path, limit: int, file: str) -> None:
    """Delete the entries that have not been used for longest, until what is left takes at most `limit` bytes.

    An entry is a folder; it was last used when its `file` was last touched. Safe beside other processes: an
    entry goes whole by being renamed, and a file that somebody has opened or mapped can be read until it is closed.
    """
    clear_partial(folder)
    found = []
    for entry in visible_folders(folder):
        try:
            size = sum(path.stat().st_size for path in entry.iterdir())
            found.append(((entry / file).stat().st_mtime_ns, entry, size))
        except FileNotFoundError:
            continue  # another process has just deleted it
    excess = sum(size for _, _, size in found) - limit
    for _, entry, size in sorted(found):
        if excess <= 0:
            return
        drop(entry)
        excess -= size


def drop(entry: Path) -> None:
    """Delete a folder that others may be reading, whole or not at all."""
    gone = entry.with_name(f".partial-{entry.name}-{secrets.token_hex(4)}")
    try:
        entry.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    except FileNotFoundError:
        pass  # another process has deleted it, which helps as much
    except BaseException:
        # A signal came between the two, or while it was half deleted.
        shutil.rmtree(gone, ignore_errors=True)
        raise
