"""User errors: one line that says what was given, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ContsymError(Exception):
    """A mistake that the person at the keyboard can mend; the command line exits with 2."""


class DataError(ContsymError):
    """A file or row that cannot be used; the message starts with `file:line`."""


class EncoderError(ContsymError):
    """An encoder that cannot be found, verified or loaded."""


class SettingError(ContsymError):
    """A hyper-parameter or option outside its range."""


class TrackingError(ContsymError):
    """A tracking store that cannot be used; stored results are unharmed."""


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
