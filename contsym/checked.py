"""Files that someone else may have written: JSON, TOML and their models, with errors that name file and place."""

from __future__ import annotations

import json
import math
import re
import sys
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contsym.errors import ContsymError, first_line

if TYPE_CHECKING:
    from torch import Tensor

Share = Annotated[float, Field(ge=0, le=1)]
Gain = Annotated[float, Field(ge=-1, le=1)]
Figure = Annotated[float, Field(ge=-1e300, le=1e300)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[Figure, Field(ge=0)]
# As the names of scenarios' experiences: they become parts of file names and of MLflow's keys.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,59}$")]
# Folders are found by them.
RunName = Annotated[str, StringConstraints(pattern=r"^[\w+\-][\w.+\-]{0,199}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z_\-]{0,127}$")]
Words = Annotated[str, StringConstraints(max_length=10_000)]
Kind = Literal["symmetric", "antisymmetric"]


Model = TypeVar("Model", bound=BaseModel)


def read_tensors(
    path: Path, failure: type[ContsymError] = ContsymError, remedy: str = ""
) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises `failure`, which names the `remedy`, where it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        remedy = remedy or "expected what contsym wrote"
        raise failure(f"{path}: cannot be read ({first_line(error)}); {remedy}") from None


class Strict(BaseModel):
    """No value is turned into another; entries that nothing reads may be anything."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class Written(Strict):
    """What contsym itself writes: never altered, and without an entry that the model does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def is_time(text: str) -> bool:
    try:
        # A time before 1970 or without a zone has no place in MLflow.
        found = datetime.fromisoformat(text)
        return found.tzinfo is not None and found.timestamp() >= 0
    except (ValueError, OverflowError):
        return False


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


def check(model: type[Model], found: object, path: Path, error: type[ContsymError] = ContsymError) -> Model:
    """`found` as the model. Raises `error`, with the place of the first wrong entry, where it is none."""
    try:
        return model.model_validate(found)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=True)[0]
        place = ".".join(map(str, first["loc"]))
        kind = model.model_config.get("title") or model.__name__.removesuffix("File").lower()
        if first["type"] == "missing":
            raise error(f"{path}: {place} is missing; expected a stored {kind}") from None
        if first["type"] == "extra_forbidden":
            raise error(f"{path}: {place} is unknown; expected what a stored {kind} holds") from None
        said = str(first["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        given = f"{place} is {_short(first['input'])}; " if place else ""
        raise error(f"{path}: {given}expected {said}") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


MAX_CHARACTERS = 1 << 20
"""Of a registry, a scenario or a sweep; the largest that comes with contsym has 31,000."""
MAX_DOTS = 200
"""Of a line. The parser's time grows with the square of the parts of a dotted key: 8,000 took it 4 s."""


def read_toml(text: str, where: str, error: type[ContsymError] = ContsymError) -> dict[str, Any]:
    """The tables of a text. Raises `error`, which begins with `where` and the line, for what is not TOML."""
    if len(text) > MAX_CHARACTERS:
        raise error(f"{where}: {len(text):,} characters; expected at most {MAX_CHARACTERS:,}")
    for number, row in enumerate(text.split("\n"), 1):
        if (n_dots := row.count(".")) > MAX_DOTS:
            raise error(f"{where}:{number}: {n_dots:,} dots; expected at most {MAX_DOTS} on a line")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise error(f"{where}: not TOML (nested too deeply)") from None
    except ValueError as wrong:
        said = re.search(r"at line (\d+)", str(wrong))
        line = int(said[1]) if said else text.count("\n") + 1
        # Python's own, of a number with thousands of digits, goes on about itself behind a semicolon.
        reason = str(wrong).partition(" (at")[0].partition(";")[0]
        raise error(f"{where}:{line}: not TOML ({reason})") from None


def is_number(text: str) -> bool:
    """Whether a text is a count that a person writes; of thousands of digits Python makes no number."""
    return text.isdecimal() and len(text) <= 18
