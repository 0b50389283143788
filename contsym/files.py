"""Folders of entries that are bounded in size: what has not been used for longest leaves first."""

from __future__ import annotations

import math
import os
import secrets
import shutil
from pathlib import Path

from contsym import results
from contsym.errors import SettingError


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
    results.clear_partial(folder)
    found = []
    for entry in results.visible_folders(folder):
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
