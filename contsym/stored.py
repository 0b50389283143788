"""What files of contsym's own kinds must hold before anything is made of them: they may come from anyone.

A result, a manifest or a sweep of someone else is as untrusted as any data. Each is checked whole when it is
read, so that what reports, tables and MLflow make of it need not doubt it again, and so that no name in it can
lead out of a folder. Results of older versions of contsym pass: what they lack is optional here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from contsym.errors import ContsymError

Skip = Callable[[ContsymError], None]
"""Told of a stored file that cannot be read, where the others are used without it."""


def tell_skipped(error: ContsymError) -> None:
    """Name what cannot be read, in one line on stderr."""
    print(f"skipped: {error}", file=sys.stderr)


class Skipped:
    """Names each file that cannot be read once, however often it is met, and remembers that there was one."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def __call__(self, error: ContsymError) -> None:
        if str(error) not in self.errors:
            self.errors.append(str(error))
            tell_skipped(error)


FileKind = Literal["result", "facts", "manifest", "sweep"]


def read_json(path: Path, remedy: str, error: type[ContsymError] = ContsymError) -> Any:
    """The JSON of a file, with finite numbers alone. Raises `error`, which ends with the remedy, where it is not that."""
    try:
        return json.loads(path.read_text("utf-8"), parse_float=_finite, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as found:
        reason = found.strerror if isinstance(found, OSError) else _reason(found)
        raise error(f"{path}: cannot be read ({reason}); {remedy}") from None


def check_format(found: Any, expected: int, path: Path) -> None:
    """Raise ContsymError where what was read is of another format, with what to do about it."""
    given = found.get("format") if isinstance(found, dict) else None
    if not isinstance(given, int) or isinstance(given, bool):
        remedy = "expected a file that contsym wrote"
    elif given == expected:
        return
    elif given > expected:
        remedy = "a newer contsym wrote it: update this one"
    else:
        remedy = "an older contsym wrote it: run it again with this one"
    shown = _short(given) if isinstance(found, dict) else type(found).__name__
    raise ContsymError(f"{path}: format {shown}; this version reads format {expected}; {remedy}")


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split(";")[0]


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no finite number")


def check(
    kind: FileKind, found: Mapping[str, Any], path: Path, error: type[ContsymError] = ContsymError
) -> Any:
    """`found` as a model of that kind. Raises `error`, with the place of the first wrong entry, where it is none."""
    # Here, not above: listing names must not load pydantic.
    from pydantic import ValidationError

    from contsym.stored_models import MODELS

    try:
        return MODELS[kind].model_validate(found)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=True)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise error(f"{path}: {place} is missing; expected a stored {kind}") from None
        said = str(first["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        given = f"{place} is {_short(first['input'])}; " if place else ""
        raise error(f"{path}: {given}expected {said}") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
