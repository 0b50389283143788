"""User errors: one line that says what was given, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 2000
"""Characters of a message; of a longer one the middle is left out."""


class ContsymError(Exception):
    """A mistake that the person at the keyboard can mend; the command line exits with 2.

    Its message is one line that a terminal can show, whatever input it quotes.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class DataError(ContsymError):
    """A file or row that cannot be used; the message starts with `file:line`."""


class EncoderError(ContsymError):
    """An encoder that cannot be found, verified or loaded."""


class SettingError(ContsymError):
    """A hyper-parameter or option outside its range."""


class TrackingError(ContsymError):
    """A tracking store that cannot be used; stored results are unharmed."""


def one_line(text: str) -> str:
    r"""The text without line ends; what a terminal would obey or not show is written as its escape.

    >>> print(one_line("label \x1b[2J\n is\u202e unknown"))
    label \x1b[2J is\u202e unknown
    """
    text = " ".join(text.split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 500]} ... {text[-400:]}"
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def first_line(error: BaseException, limit: int = LONGEST) -> str:
    """The first line of an error that a library raised, for a message; its type where it says nothing.

    >>> first_line(OSError("no such file\\nin /tmp")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:limit]


def unknown_name(what: str, given: str, known: Iterable[str]) -> ContsymError:
    """An error for a name that nobody registered; it names the nearest known ones.

    >>> str(unknown_name("strategy", "knn_fixd", ["knn_fixed", "fine_tune"]))
    "strategy 'knn_fixd' is unknown; did you mean knn_fixed? (contsym list)"
    """
    return ContsymError(f"{what} {given!r} is unknown; {nearest(given, sorted(known))} (contsym list)")


def nearest(given: str, known: Iterable[str]) -> str:
    """The known names most like the one given, as a question; all of them where none is like it."""
    known = list(known)
    near = difflib.get_close_matches(given, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
