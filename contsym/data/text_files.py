"""Text files of any size, packed or not: their lines and bytes within limits, and errors of one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from contsym.errors import DataError, first_line

_T = TypeVar("_T")

OPENERS: Mapping[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""Errors of the openers for a file that is cut off, damaged or not packed as its name says."""
_PACKED = re.compile(rb"\x1f\x8b|PK\x03\x04|\xfd7zXZ|\x28\xb5\x2f\xfd|BZh[1-9]1AY&SY")
"""The first bytes of gzip, zip, xz, Zstandard and bzip2."""
_POINTER = b"version https://git-lfs.github.com/spec/"
"""The first bytes of what Git leaves in place of a large file that was not fetched."""
MAX_LINE = 64 << 20
"""Most bytes of a line; the largest entity of a Wikidata dump has some 4 MB."""
MIN_UNPACKED, RATIO = 1 << 30, 200
"""Most bytes that a packed file may unpack to: MIN_UNPACKED, or RATIO times its size if that is more. The ratio
of Wikidata's dumps is 10 to 20, that of a decompression bomb a thousand and more."""


class MixedLineEnds(DataError):
    """The engine's parser expects the line end of the first line throughout, and stopped at another one."""


def scanned(path: Path, workspace: Path, scan: Callable[[Path], _T]) -> _T:
    """The result of `scan` on the file, or on a copy with one kind of line end if the file mixes them."""
    source = plain(path, workspace)
    try:
        return scan(source)
    except MixedLineEnds:
        return scan(with_one_line_end(source, workspace))


def unreadable(path: Path, error: Exception) -> DataError:
    reason = first_line(error).replace(f": {path}", "")[:200].rstrip(". ")
    if "state machine" in reason:
        return MixedLineEnds(f"{path}: line ends of more than one kind; convert them to one")
    line, is_broken = _last_line(path)
    if not is_broken:
        return DataError(f"{path}: cannot be read ({reason})")
    problem = f"cannot be read to its end ({reason}); is it complete?"
    return DataError(f"{path}:{line}: {problem} fetch or pack it again")


def _last_line(path: Path) -> tuple[int, bool]:
    """The number of the last line that can be unpacked, and whether the file is broken there."""
    n_ends = 0
    try:
        with _open(path) as file:
            # In small steps, since an error discards the data unpacked in its step.
            while chunk := file.read(1 << 10):
                n_ends += chunk.count(b"\n")
    except BROKEN:
        return n_ends + 1, True
    return n_ends, False


def plain(path: Path, workspace: Path) -> Path:
    """A path that the engine can read: .bz2 and .xz are first unpacked to a file, within the limits of `chunks`."""
    if path.suffix.lower() == ".gz":
        # The engine unpacks .gz itself, but without a limit.
        for _ in chunks(path):
            pass
    if path.suffix.lower() not in (".bz2", ".xz"):
        _check_name(path)
        return path
    unpacked = workspace / f"{path.stem}.unpacked"
    with unpacked.open("wb") as file:
        file.writelines(chunks(path))
    return unpacked


def with_one_line_end(path: Path, workspace: Path) -> Path:
    """A copy whose lines all end with LF; a CR inside a line becomes a space."""
    copy = workspace / f"{path.stem}.lines"
    last_cr = b""
    with copy.open("wb") as file:
        for chunk in chunks(path):
            # The LF after a CR at the end of a chunk is in the next chunk.
            text = last_cr + chunk
            last_cr = b"\r" if text.endswith(b"\r") else b""
            file.write(text[: len(text) - len(last_cr)].replace(b"\r\n", b"\n").replace(b"\r", b" "))
    return copy


def chunks(path: Path) -> Iterator[bytes]:
    return _pieces(path, lambda file: file.read(1 << 20))


def bytes_lines(path: Path, max_bytes: int | None = None) -> Iterator[bytes]:
    most = max_bytes or MAX_LINE
    for number, line in enumerate(_pieces(path, lambda file: file.readline(most + 1)), 1):
        if len(line) > most:
            raise DataError(f"{path}:{number}: more than {most:,} bytes; expected a shorter line")
        yield line


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line), with a replacement character for bytes that are not UTF-8."""
    for number, raw in enumerate(bytes_lines(path), 1):
        yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")


def _pieces(path: Path, read: Callable[[IO[bytes]], bytes]) -> Iterator[bytes]:
    """The unpacked file in pieces. Raises DataError for a broken file, and for one that unpacks to far too much."""
    _check_name(path)
    n_packed, n_bytes = path.stat().st_size, 0
    most = max(MIN_UNPACKED, RATIO * n_packed)
    is_packed = path.suffix.lower() in OPENERS
    try:
        with _open(path) as file:
            while piece := read(file):
                n_bytes += len(piece)
                if is_packed and n_bytes > most:
                    raise DataError(
                        f"{path}: unpacks to more than {most:,} bytes out of {n_packed:,}; expected triples or labels; "
                        "if they are, unpack the file first"
                    )
                yield piece
    except BROKEN as error:
        raise unreadable(path, error) from None


def check_is_there(path: Path, head: bytes) -> None:
    """Raise DataError for a pointer in place of the file, by its first bytes."""
    if head.startswith(_POINTER):
        raise DataError(f"{path}: a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`")


def _check_name(path: Path) -> None:
    """Raise DataError for a packed file whose name does not say so, and for a pointer."""
    with path.open("rb") as file:
        head = file.read(len(_POINTER))
    check_is_there(path, head)
    if path.suffix.lower() not in OPENERS and _PACKED.match(head):
        raise DataError(f"{path}: a packed file (such as gzip or zip); expected text: unpack it")


def _open(path: Path) -> IO[bytes]:
    return OPENERS.get(path.suffix.lower(), open)(path, "rb")
