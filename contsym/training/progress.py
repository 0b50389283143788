"""The progress of a run."""

from __future__ import annotations

from typing import Protocol

from contsym.machine import raise_if_asked_to_stop


class Progress(Protocol):
    """Shows the progress of a run; the terminal's is in commands/views/progress.py."""

    def phase(self, description: str, total: int | None) -> None: ...

    def advance(self, loss: float | None = None) -> None: ...


class Silent:
    """Shows nothing."""

    def phase(self, description: str, total: int | None) -> None:
        pass

    def advance(self, loss: float | None = None) -> None:
        pass


class Steps:
    """Passes progress on, and ends the run at a phase or step if a signal has asked for it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def phase(self, description: str, total: int | None) -> None:
        raise_if_asked_to_stop()
        self._progress.phase(description, total)

    def advance(self, loss: float | None = None) -> None:
        raise_if_asked_to_stop()
        self._progress.advance(loss)
