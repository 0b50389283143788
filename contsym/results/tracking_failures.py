"""What went wrong with a tracking store, in words that hold no password."""

from __future__ import annotations

import re

FAILURES = (
    ("refused|timed out|timeout=|failed to resolve", "no answer", "start the server or correct the address"),
    ("error code 40[13]|unauthorized", "not allowed", "give the right user and password"),
    ("out-of-date|locate revision", "the database is of another MLflow version",
     "back it up and run mlflow db upgrade, or move it away"),
    ("not a database|malformed", "the database is damaged", "move it away and a new one is made"),
    ("disk is full|no space left", "its disk is full", "free some space"),
    ("readonly|read-only|permission|unable to open", "it cannot be written", "give a place that can be written"),
)  # fmt: skip
"""Messages of MLflow and of the libraries below it, their meaning, and the remedy."""


def display_uri(uri: str) -> str:
    """The URI without user and password.

    >>> display_uri("https://ada:secret@example.org/mlflow")
    'https://***@example.org/mlflow'
    """
    masked = re.sub(r"(?<=://)[^/\s]*@", "***@", uri)
    return re.sub(r"(?i)((?:password|passwd|pwd|token|secret|key)=)[^&\s]+", r"\1***", masked)


def reason_and_remedy(error: Exception, uri: str) -> tuple[str, str]:
    """Why a store failed, and what to do, without user and password."""
    shown = display_uri(uri)
    text = " ".join(display_uri(str(error).replace(uri, shown)).split())
    without_path = text.replace(shown, "")  # a path may be named like a failure
    matching = [each for each in FAILURES if re.search(each[0], without_path, re.IGNORECASE)]
    _, reason, remedy = matching[0] if matching else ("", text[:200] or repr(error), "mend that")
    return reason, remedy
