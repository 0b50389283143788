"""Progress in Python: tqdm's bars."""

from __future__ import annotations

import sys
from typing import Any

from contsym.training.progress import Progress, Silent


class Bars:
    """A tqdm bar per phase; in a notebook its widget."""

    def __init__(self) -> None:
        self._bar: Any = None

    def phase(self, description: str, total: int | None) -> None:
        from tqdm.auto import tqdm

        self.close()
        if total:
            self._bar = tqdm(total=total, desc=description, leave=False)

    def advance(self, loss: float | None = None) -> None:
        if self._bar is None:
            return
        if loss is not None:
            self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def default_progress() -> Progress:
    """Bars where someone looks: in a notebook or a terminal."""
    in_notebook = "ipykernel" in sys.modules
    return Bars() if in_notebook or sys.stderr.isatty() else Silent()
