"""Files and folders that are written atomically, and text cells of CSV."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import Skip, tell_skipped
from contsym.errors import ContsymError, SettingError

if TYPE_CHECKING:
    from torch import Tensor

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def shield(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula.

    >>> shield("=1+1"), shield("P26/Q1/Q2"), shield("'=1")
    ("'=1+1", 'P26/Q1/Q2', "''=1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unshield(cell: str) -> str:
    """The inverse of `shield`.

    >>> unshield("'=1+1"), unshield("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def home_path(text: str | Path) -> Path:
    """The path with `~` as the user's home. Raises ContsymError where there is no such user, and for no path at all."""
    if "\0" in str(text):
        raise ContsymError(f"{str(text)!r}: no file can have a name with a NUL in it; expected a path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        name = str(text).partition("/")[0]
        raise ContsymError(f"{text}: no user has the home {name}; expected ~/ for your own") from None


STALE_SECONDS = 3600
OS_ERROR = re.compile(r"(?:os error|code:) (\d+)")
"""The error number of the system in an error of safetensors."""


def write_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Write `folder` atomically: fill a temporary one beside it and rename it. Raises OSError.

    The remains of a killed process start with a dot, and nothing reads them.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_partial(folder.parent, of=folder.name)
    partial = _partial(folder)
    try:
        # Inside `try`, because a signal may raise as soon as the folder exists.
        partial.mkdir()
        fill(partial)
        # Libraries write a file by a temporary one, which nobody else may read: as the folder, so its files.
        mode = partial.stat().st_mode & 0o666
        for path in [*partial.rglob("*"), partial]:
            if path.is_file() and not path.is_symlink():
                path.chmod(mode)
            _sync(path)
        partial.rename(folder)
        _sync(folder.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        # safetensors raises its own class for a full disk.
        if type(error).__name__ == "SafetensorError" and (match := OS_ERROR.search(str(error))):
            raise OSError(int(match[1]), os.strerror(int(match[1])), str(folder)) from None
        raise


def _partial(path: Path) -> Path:
    """A new name beside `path`, which also names this process."""
    return path.with_name(f".partial-{path.name}-{_machine()}.{os.getpid()}-{secrets.token_hex(4)}")


@cache
def _machine() -> str:
    """The machine and the namespace of its process numbers: containers of one name may share a disk."""
    namespace = Path("/proc/self/ns/pid")
    number = namespace.stat().st_ino if namespace.exists() else 0
    return hashlib.blake2b(f"{platform.node()} {number}".encode(), digest_size=4).hexdigest()


def _is_orphan(partial: Path) -> bool:
    """Whether the process that began it was on this machine and has ended."""
    machine, _, pid = partial.name.rsplit("-", 2)[-2].partition(".")
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it runs, as another user
    return False


def clear_partial(folder: Path, older_than: float = STALE_SECONDS, of: str | None = None) -> None:
    """Delete the remains of killed processes: those of this machine, and any that are older than an hour by default.

    `of` limits them to one name.
    """
    for partial in folder.glob(f".partial-{glob.escape(of)}-*" if of else ".partial-*"):
        try:
            is_recent = older_than and time.time() - partial.stat().st_mtime <= older_than
            if is_recent and not _is_orphan(partial):
                continue
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink()
        except (FileNotFoundError, PermissionError):
            continue  # its process has just finished it, or it is another user's


def write_file(path: Path, text: str) -> None:
    """Write a small file atomically. Raises OSError."""
    clear_partial(path.parent, of=path.name)
    partial = _partial(path)
    try:
        partial.write_text(text, encoding="utf-8")
        _sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors. Raises OSError, and SafetensorError for a full disk.

    Rows of a result that are the same come as one tensor under several names, which safetensors refuses: each is written.
    """
    from safetensors.torch import save_file

    storages: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        tensor = tensor.contiguous()
        storage = tensor.untyped_storage().data_ptr()
        own[name] = tensor.clone() if storage in storages else tensor
        storages.add(storage)
    save_file(own, path)


def to_json(value: object) -> str:
    # NaN is not JSON.
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def visible_folders(folder: Path, skip: Skip = tell_skipped) -> list[Path]:
    """The folders in a folder by name, without the remains of killed processes; `skip` receives the unreadable ones."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        skip(unreadable(folder, error))
        return []
    folders = []
    for path in paths:
        try:
            if path.is_symlink() and not path.exists():
                skip(ContsymError(f"{path}: a link to {path.readlink()}, which is not there; delete it"))
            elif path.is_dir():
                os.scandir(path).close()  # raises where permission is missing
                folders.append(path)
        except OSError as error:
            skip(unreadable(path, error))
    return folders


def unreadable(path: Path, error: OSError) -> ContsymError:
    return ContsymError(f"{error.filename or path}: cannot be read ({error.strerror or error})")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def gib_from_environment(variable: str, default: float, what: str) -> int:
    """The limit in bytes for `what`, from an environment variable in GiB; 0 turns it off. Raises SettingError."""
    text = os.environ.get(variable, "").strip()
    try:
        gib = float(text) if text else default
    except ValueError:
        gib = math.nan
    if not 0 <= gib < 2**20:
        raise SettingError(
            f"{variable}={text} is not a size; expected GiB for {what}, as 4 or 0.5, or 0 to keep none"
        )
    return int(gib * 2**30)


def bound(folder: Path, limit: int, file: str) -> None:
    """Delete the least recently used entries until the others take at most `limit` bytes.

    An entry is a folder; the time of its last use is that of its `file`. Safe beside other processes: entries
    are deleted atomically, and open or mapped files stay readable.
    """
    clear_partial(folder)
    entries_by_use = []
    for entry in visible_folders(folder):
        try:
            size = sum(path.stat().st_size for path in entry.iterdir())
            entries_by_use.append(((entry / file).stat().st_mtime_ns, entry, size))
        except FileNotFoundError:
            continue  # another process has just deleted it
    excess = sum(size for _, _, size in entries_by_use) - limit
    for _, entry, size in sorted(entries_by_use):
        if excess <= 0:
            return
        drop(entry)
        excess -= size


def drop(entry: Path) -> None:
    """Delete a folder atomically; others may be reading it."""
    trash = _partial(entry)
    try:
        entry.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
    except (FileNotFoundError, NotADirectoryError):
        pass  # another process has deleted it, or it never was
    except BaseException:
        # A signal may come before the folder is deleted.
        shutil.rmtree(trash, ignore_errors=True)
        raise
