"""User errors: one line with the input, the expectation and the remedy."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

LONGEST = 2000
"""Characters of a message; longer ones lose their middle."""


class ContsymError(Exception):
    """A mistake that the user can mend; the command line exits with 2. The message is one printable line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class DataError(ContsymError):
    """A file or row that cannot be used; the message starts with `file:line`."""


class EncoderError(ContsymError):
    """An encoder that is not found, verified or loaded."""


class SettingError(ContsymError):
    """A hyper-parameter or option outside its range."""


class TrackingError(ContsymError):
    """A tracking store that cannot be used; stored results are unharmed."""


def one_line(text: str) -> str:
    r"""The text on one line, with escapes for characters that a terminal would not print.

    >>> print(one_line("label \x1b[2J\n is\u202e unknown"))
    label \x1b[2J is\u202e unknown
    """
    text = " ".join(text.split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 500]} ... {text[-400:]}"
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def first_line(error: BaseException, limit: int = LONGEST) -> str:
    """The first line of a library's error, or its type if it has no message.

    >>> first_line(OSError("no such file\\nin /tmp")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:limit]


def line_in(error: BaseException, path: Path | None) -> str:
    """The last line of a file in the traceback of an error, as `boom.py:49`; empty if the file is not in it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and frame.filename == str(path)]
    return f"{path.name}:{lines[-1]}" if path and lines else ""


def unknown_name(what: str, name: str, names: Iterable[str]) -> ContsymError:
    """The error for a name that is not among `names`, with the nearest ones.

    >>> str(unknown_name("strategy", "knn_fixd", ["knn_fixed", "fine_tune"]))
    "strategy 'knn_fixd' is unknown; did you mean knn_fixed? (contsym list)"
    """
    file = Path(f"{name}{'.py' if what == 'strategy' else '.toml'}")
    # The system raises an error for a longer file name.
    if (
        what in ("strategy", "scenario", "task")
        and name.isidentifier()
        and len(name) <= 60
        and file.is_file()
    ):
        how = f"give --scenario {file}" if what == "scenario" else f"add --plugin {file}"
        return ContsymError(f"{what} {name!r} is unknown; if {file} is meant, {how}")
    return ContsymError(f"{what} {name!r} is unknown; {nearest(name, sorted(names))} (contsym list)")


def nearest(name: str, names: Iterable[str]) -> str:
    """The names most similar to `name`, as a question; all of them if none is similar."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(names)}"
