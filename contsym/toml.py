"""TOML that someone else may have written: of a size that a person writes, and one line where it is wrong."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from contsym.errors import ContsymError

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
