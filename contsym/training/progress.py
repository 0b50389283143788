"""Where a run says what it is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    pass


class Silent:
    """Progress that nobody looks at."""

    def phase(self, description: str, total: int | None) -> None:
        pass

    def advance(self, loss: float | None = None) -> None:
        pass


class Progress(Protocol):
    """Where a run says what it is doing; the terminal's is in display.py."""

    def phase(self, description: str, total: int | None) -> None: ...

    def advance(self, loss: float | None = None) -> None: ...
