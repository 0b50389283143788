"""Untrusted files: JSON, TOML and their pydantic models, with errors that name the file and the place."""

from __future__ import annotations

import json
import math
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
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
# Such names become parts of file names and of MLflow's keys.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,59}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z_\-]{0,127}$")]
Words = Annotated[str, StringConstraints(max_length=10_000)]

Model = TypeVar("Model", bound=BaseModel)


def read_tensors(
    path: Path, failure: type[ContsymError] = ContsymError, remedy: str = ""
) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises `failure`, with the `remedy`, where it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        remedy = remedy or "expected a file that contsym wrote"
        raise failure(f"{path}: cannot be read ({first_line(error)}); {remedy}") from None


class Strict(BaseModel):
    """A model without conversion of values; unknown entries are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class Written(Strict):
    """A model of contsym's own files: immutable, without unknown entries."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Closed(Strict):
    """A model of a user's file: an unknown entry is an error. The description of a field completes "expected ..."."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], IsStrict(False)]
"""A list in a file, as a tuple; the items are not converted."""


class OneOf:
    """Marks a text as one of some names that are computed, so that `Literal` cannot list them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.names))


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def different(expected: str) -> AfterValidator:
    """For a list in a file: it has a value, and none twice."""

    def validate(values: tuple[Item, ...]) -> tuple[Item, ...]:
        expect(0 < len(set(values)) == len(values), expected)
        return values

    return AfterValidator(validate)


def is_time(text: str) -> bool:
    try:
        # MLflow takes no time before 1970 or without a zone.
        time = datetime.fromisoformat(text)
        return time.tzinfo is not None and time.timestamp() >= 0
    except (ValueError, OverflowError):
        return False


Skip = Callable[[ContsymError], None]
"""Receives the error of a stored file that cannot be read and is skipped."""


def tell_skipped(error: ContsymError) -> None:
    """Print the error of a skipped file, in one line on stderr."""
    print(f"skipped: {error}", file=sys.stderr)


class Skipped:
    """Prints the error of each skipped file once, and stores it."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def __call__(self, error: ContsymError) -> None:
        if str(error) not in self.errors:
            self.errors.append(str(error))
            tell_skipped(error)


def read_json(path: Path, remedy: str, error: type[ContsymError] = ContsymError) -> Any:
    """The JSON of a file, with finite numbers alone. Raises `error`, which ends with the remedy."""
    try:
        return json.loads(path.read_text("utf-8"), parse_float=_finite, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else _reason(wrong)
        raise error(f"{path}: cannot be read ({reason}); {remedy}") from None


def check_format(content: Any, expected: int, path: Path, error: type[ContsymError] = ContsymError) -> None:
    """Raise `error`, with the remedy, where a file has another format than expected."""
    number = content.get("format") if isinstance(content, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        remedy = "expected a file that contsym wrote"
    elif number == expected:
        return
    elif number > expected:
        remedy = "a newer contsym wrote it: update this one"
    else:
        remedy = "an older contsym wrote it: run it again with this one"
    shown = _short(number) if isinstance(content, dict) else type(content).__name__
    raise error(f"{path}: format {shown}; this version reads format {expected}; {remedy}")


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split(";")[0]


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a finite number")


def check(model: type[Model], content: object, path: Path, error: type[ContsymError] = ContsymError) -> Model:
    """The content of a stored file as the model. Raises `error`, with the place of the first wrong entry."""
    try:
        return model.model_validate(content)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=True)[0]
        place = ".".join(map(str, first["loc"]))
        kind = model.model_config.get("title") or model.__name__.removesuffix("File").lower()
        value, expected = _short(first["input"]), first["msg"]
        if first["type"] == "missing":
            value, expected = "missing", f"a stored {kind}"
        elif first["type"] == "extra_forbidden":
            value, expected = "unknown", f"what a stored {kind} holds"
        expected = expected.removeprefix("Value error, ").removeprefix("Input should be ")
        raise error(f"{path}: {f'{place} is {value}; ' if place else ''}expected {expected}") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


MAX_CHARACTERS = 1 << 20
"""Of a TOML file; contsym's largest has 31,000."""
MAX_DOTS = 200
"""On a line. The parser's time grows with the square of the parts of a dotted key: 8,000 parts took 4 s."""


def read_toml(text: str, where: str, error: type[ContsymError] = ContsymError) -> dict[str, Any]:
    """The tables of a TOML text. Raises `error`, which begins with `where` and the line."""
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
        match = re.search(r"at line (\d+)", str(wrong))
        line = int(match[1]) if match else text.count("\n") + 1
        # After a semicolon Python's message about a huge number explains its own limit.
        reason = str(wrong).partition(" (at")[0].partition(";")[0]
        raise error(f"{where}:{line}: not TOML ({reason})") from None


def read_model(
    text: str, model: type[Model], where: str, error: type[ContsymError] = ContsymError, known: Any = None
) -> Model:
    """The model of a TOML text. Raises `error` with the file, the line and the entry of a mistake.

    Validators find `known` as their context.
    """
    return model_from(read_toml(text, where, error), model, where, error, text, known)


def model_from(
    content: object,
    model: type[Model],
    where: str,
    error: type[ContsymError] = ContsymError,
    text: str | None = None,
    known: Any = None,
) -> Model:
    """A user's content as the model. Raises `error`, which begins with `where` and the line in the TOML `text`, if any."""
    try:
        return model.model_validate(content, context=known)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        # A misspelt entry explains a missing one.
        first = next((each for each in errors if each["type"] in _UNKNOWN), errors[0])
        line = _line(text, first) if text else None
        raise error(f"{where}:{line or ''}".rstrip(":") + f": {_message(first, model)}") from None


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
"""Expectations by the type of pydantic's error, for fields without a description."""


def _message(wrong: ErrorDetails, model: type[BaseModel]) -> str:
    """A pydantic error as a message: the place in the file, the value, the expectation."""
    tables, owner, name = _place(model, wrong["loc"])
    fields = owner.model_fields
    value, kind, reason = wrong["input"], wrong["type"], wrong["msg"].removeprefix("Value error, ")
    description = fields[name].description if name in fields else None
    if kind in _UNKNOWN:
        what = f"{name!r} is unknown; {nearest(name, fields)}"
    elif kind == "literal_error" and isinstance(value := wrong["ctx"].get("one", value), str):
        allowed = re.findall(r"'([^']*)'", wrong["ctx"]["expected"])
        what = f"{name} {value!r} is unknown; {nearest(value, allowed)}"
    elif kind == "missing":
        required = [field for field, info in fields.items() if info.is_required()]
        what = f"{name} is missing; expected {description or ', '.join(required)}"
    elif kind == "value_error" and not name:
        # The check of a whole table has a complete message.
        what = reason
    else:
        # An error without a place is about a key, such as one with half a surrogate pair.
        of = name or (tables.pop() if tables else "a key")
        expected = description or _EXPECTED.get(kind, reason.removeprefix("Input should be "))
        what = f"{of} is {_short(value)}; expected {expected}"
    return ": ".join([*tables, what])


def _place(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[list[str], type[BaseModel], str]:
    """The tables around an entry, such as "experience 1"; the model of the innermost; the name of the entry, if any."""
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
    r"""The first line that names each part of `path` in turn, since tomllib gives no line numbers.

    The first part is a table by its name or number, or an entry of the file; comments do not count.

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
        match = re.compile(whole).search(text, position)
        position = match.start() if match else position
    return text.count("\n", 0, position) + 1


def _heads(text: str, head: str) -> list[int]:
    # Whole names alone: P3 is not in P36, nor `kind` in `kind_source`.
    place = rf"^[ \t]*\[*[ \t]*{re.escape(head)}(?![\w-])"
    return [match.end() for match in re.finditer(place, text, re.MULTILINE)]


def is_number(text: str) -> bool:
    """Whether a text is a count of at most 18 digits; Python refuses thousands of digits."""
    return text.isdecimal() and len(text) <= 18
