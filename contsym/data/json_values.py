"""The values of a JSON text one by one: the items of one array, or values one after another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SEPARATOR = re.compile(r"[\s,]*")


class Repeated(dict[str, Any]):
    """An object with a key that comes twice, of which Python would take the last value."""

    key: str = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = Repeated(found)
    keys = [key for key, _ in pairs]
    twice.key = next(key for key in keys if keys.count(key) > 1)
    return twice


DECODER = json.JSONDecoder(object_pairs_hook=_object)
"""One for all lines: `json.loads` would make another for each."""


def reason_of(error: ValueError | RecursionError) -> str:
    """A JSON error in a few words."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    # Python's message for a number of thousands of digits continues with advice after a semicolon.
    return getattr(error, "msg", None) or str(error).partition(";")[0]


def json_values(text: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of each value; of an array each item, so that only one item is in Python objects at a time.

    Raises ValueError or RecursionError where the text is not JSON.

    >>> list(json_values('[{"a": 1},\\n {"a": 2}]'))
    [(1, {'a': 1}), (2, {'a': 2})]
    """
    place = _skip_separators(text, 0)
    is_array = text.startswith("[", place)
    line, counted = 1, 0
    place = _skip_separators(text, place + is_array)
    while place < len(text) and not (is_array and text[place] == "]"):
        line, counted = line + text.count("\n", counted, place), place
        value, end = DECODER.raw_decode(text, place)
        yield line, value
        place = _skip_separators(text, end)
    if is_array and place >= len(text):
        raise ValueError("the array has no end")
    if is_array and _skip_separators(text, place + 1) < len(text):
        raise ValueError("text after the array")


def _skip_separators(text: str, place: int) -> int:
    return _SEPARATOR.match(text, place).end()  # type: ignore[union-attr]
