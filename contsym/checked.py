"""Files that someone else may have written: JSON, TOML and their models, with errors that name file and place."""

from __future__ import annotations

import json
import math
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import Strict as IsStrict
from pydantic_core import ErrorDetails, core_schema

from contsym.errors import ContsymError, first_line, nearest

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


class Closed(Strict):
    """What a person writes: an unknown entry is a mistake. A field's description says what errors say is expected."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], IsStrict(False)]
"""A list of a file, as a tuple; the items are not turned into anything."""


class OneOf:
    """Marks a text as one of some names that only the running program knows, where `Literal` cannot list them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.names))


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


def read_model(text: str, model: type[Model], where: str, error: type[ContsymError] = ContsymError) -> Model:
    """The model that a TOML text describes. Raises `error` with the file, the line and the entry of a mistake."""
    return model_from(read_toml(text, where, error), model, where, error, text)


def model_from(
    found: object,
    model: type[Model],
    where: str,
    error: type[ContsymError] = ContsymError,
    text: str | None = None,
) -> Model:
    """What a person wrote, as the model; the message begins with `where`, and a line of the TOML `text` if there is one."""
    try:
        return model.model_validate(found)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        # A misspelt entry is the reason why another one is missing.
        first = next((each for each in errors if each["type"] in _UNKNOWN), errors[0])
        line = _line(text, first) if text else None
        raise error(f"{where}:{line or ''}".rstrip(":") + f": {_told(first, model)}") from None


_UNKNOWN = ("extra_forbidden", "invalid_key")
_EXPECTED = {
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "string_unicode": "valid Unicode text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "tuple_type": "a list",
    "model_type": "a table",
}
"""What is said of a value of the wrong type, where its field has no description and pydantic's words are no help."""


def _told(wrong: ErrorDetails, model: type[BaseModel]) -> str:
    """One of pydantic's errors: the place in the file, what was given, what was expected."""
    tables, owner, name = _place(model, wrong["loc"])
    fields = owner.model_fields
    value, kind, said = wrong["input"], wrong["type"], wrong["msg"].removeprefix("Value error, ")
    description = fields[name].description if name in fields else None
    if kind in _UNKNOWN:
        what = f"{name!r} is unknown; {nearest(name, fields)}"
    elif kind == "literal_error" and isinstance(value, str):
        allowed = re.findall(r"'([^']*)'", wrong["ctx"]["expected"])
        what = f"{name} {value!r} is unknown; {nearest(value, allowed)}"
    elif kind == "missing":
        required = [field for field, info in fields.items() if info.is_required()]
        what = f"{name} is missing; expected {description or ', '.join(required)}"
    elif kind == "value_error" and not name:
        # The check of a whole table, or of its name, says it all.
        what = said
    else:
        # An error without a place is about a key itself, such as one with half a surrogate pair.
        of = name or (tables.pop() if tables else "a key")
        expected = description or _EXPECTED.get(kind, said.removeprefix("Input should be "))
        what = f"{of} is {_short(value)}; expected {expected}"
    return ": ".join([*tables, what])


def _place(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[list[str], type[BaseModel], str]:
    """The tables around an entry, as "experience 1"; the model of the innermost one; the entry's name there, if any."""
    tables: list[str] = []
    rest = [part for part in loc if part != "[key]"]
    while rest:
        name, field = str(rest[0]), model.model_fields.get(str(rest[0]))
        models = [kind for kind in get_args(field and field.annotation) if hasattr(kind, "model_fields")]
        if len(rest) == 1 or not models:
            return tables, model, name
        tables.append(f"{name} {rest[1] + 1}" if isinstance(rest[1], int) else f"{name}.{rest[1]}")
        model, rest = models[0], rest[2:]
    return tables, model, ""


def _line(text: str, wrong: ErrorDetails) -> int | None:
    path = [part for part in wrong["loc"] if part != "[key]"]
    if wrong["type"] == "missing":
        path.pop()
    elif isinstance(wrong["input"], str):
        path.append(wrong["input"])
    return line_of(text, *path) if path else None


def line_of(text: str, *path: str | int) -> int | None:
    r"""The line of the first place that names each of `path` in turn; TOML keeps no line numbers.

    The first is a table by its name or number, or an entry of the file; comments that name it do not count.

    >>> line_of("[a.P3]\n[a.P36]\nkind = 1", "a", "P36", "kind"), line_of("[[a]]\n[[a]]\nkind = 1", "a", 1)
    (3, 2)
    """
    head, *rest = path
    n = rest.pop(0) if rest and isinstance(rest[0], int) else 0
    if rest and (places := _heads(text, f"{head}.{rest[0]}")):
        rest.pop(0)
    else:
        places = _heads(text, str(head))
    if not places:
        return None
    position = places[min(int(n), len(places) - 1)]
    for name in (part for part in rest if isinstance(part, str)):
        whole = rf"(?<![\w-]){re.escape(name)}(?![\w-])" if re.fullmatch(r"[\w-]+", name) else re.escape(name)
        found = re.compile(whole).search(text, position)
        position = found.start() if found else position
    return text.count("\n", 0, position) + 1


def _heads(text: str, head: str) -> list[int]:
    # A whole name: P3 is not in P36, and `kind` is not in `kind_source`.
    place = rf"^[ \t]*\[*[ \t]*{re.escape(head)}(?![\w-])"
    return [found.end() for found in re.finditer(place, text, re.MULTILINE)]


def is_number(text: str) -> bool:
    """Whether a text is a count that a person writes; of thousands of digits Python makes no number."""
    return text.isdecimal() and len(text) <= 18
