"""Text files of any size, packed or not: their lines and bytes within limits, and one line for what is wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from contsym.errors import DataError, first_line

_T = TypeVar("_T")

OPENERS: Mapping[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What the openers raise for a file that is cut off, damaged or not packed as its name says."""
MAX_LINE = 64 << 20
"""Bytes of a line, above all of a dump: its largest entity has some 4 MB."""
MIN_UNPACKED, RATIO = 1 << 30, 200
"""Bytes that a packed file may unpack to: up to the first whatever its size, above it at most so many for each of
its own. Wikidata's dumps have 10 to 20, a bomb a thousand and more."""


class MixedLineEnds(DataError):
    """The engine's parser takes one kind of line end, that of the first line, and gave up at another."""


def scanned(path: Path, workspace: Path, scan: Callable[[Path], _T]) -> _T:
    """What `scan` gives of the file, or of a copy with one kind of line end where it mixes them."""
    source = plain(path, workspace)
    try:
        return scan(source)
    except MixedLineEnds:
        return scan(one_line_end(source, workspace))


def unreadable(path: Path, error: Exception) -> DataError:
    reason = first_line(error).replace(f": {path}", "")[:200].rstrip(". ")
    if "state machine" in reason:
        return MixedLineEnds(f"{path}: line ends of more than one kind; convert them to one")
    line, is_broken = _last_line(path)
    if not is_broken:
        return DataError(f"{path}: cannot be read ({reason})")
    return DataError(
        f"{path}:{line}: cannot be read to its end ({reason}); is it whole? fetch or pack it again"
    )


def _last_line(path: Path) -> tuple[int, bool]:
    """The number of the last line that can be unpacked, and whether the file ends badly there."""
    n_ends = 0
    try:
        with OPENERS.get(path.suffix.lower(), open)(path, "rb") as file:
            # In small steps: what is unpacked before the error is lost with it.
            while chunk := file.read(1 << 10):
                n_ends += chunk.count(b"\n")
    except BROKEN:
        return n_ends + 1, True
    return n_ends, False


def plain(path: Path, workspace: Path) -> Path:
    """A path that the engine can read: .bz2 and .xz are unpacked to a file first, within the limits of `chunks`."""
    if path.suffix.lower() == ".gz":
        # The engine unpacks it itself, and would do so without an end.
        for _ in chunks(path):
            pass
    if path.suffix.lower() not in (".bz2", ".xz"):
        return path
    unpacked = workspace / f"{path.stem}.unpacked"
    with unpacked.open("wb") as file:
        file.writelines(chunks(path))
    return unpacked


def one_line_end(path: Path, workspace: Path) -> Path:
    """A copy whose lines all end with LF; a CR that ends no line is a space, as in any name."""
    copy = workspace / f"{path.stem}.lines"
    held = b""
    with copy.open("wb") as file:
        for chunk in chunks(path):
            # The LF of a CR at the end of one chunk is in the next.
            text = held + chunk
            held = b"\r" if text.endswith(b"\r") else b""
            file.write(text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b" "))
    return copy


def chunks(path: Path) -> Iterator[bytes]:
    check = _limit(path)
    try:
        with OPENERS.get(path.suffix.lower(), open)(path, "rb") as file:
            while chunk := file.read(1 << 20):
                check(len(chunk))
                yield chunk
    except BROKEN as error:
        raise unreadable(path, error) from None


def bytes_lines(path: Path) -> Iterator[bytes]:
    check = _limit(path)
    try:
        with OPENERS.get(path.suffix.lower(), open)(path, "rb") as file:
            lines = iter(lambda: file.readline(MAX_LINE + 1), b"")
            for number, line in enumerate(lines, 1):
                if len(line) > MAX_LINE:
                    raise DataError(f"{path}:{number}: more than {MAX_LINE:,} bytes; expected a shorter line")
                check(len(line))
                yield line
    except BROKEN as error:
        raise unreadable(path, error) from None


def _limit(path: Path) -> Callable[[int], None]:
    """To be told of each part that a file gives: raises DataError once a packed one gives far more than it has."""
    n_packed, n_bytes = path.stat().st_size, 0
    most = max(MIN_UNPACKED, RATIO * n_packed)
    is_packed = path.suffix.lower() in OPENERS

    def check(n: int) -> None:
        nonlocal n_bytes
        n_bytes += n
        if is_packed and n_bytes > most:
            raise DataError(
                f"{path}: unpacks to more than {most:,} bytes out of {n_packed:,}; expected triples or labels; "
                "if they are, unpack the file first"
            )

    return check


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(bytes_lines(path), 1):
        yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")
