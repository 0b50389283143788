"""Where tables and figures stand on the page: each module lists its own in `PLACEMENTS`, and the page finds them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from contsym.report.collect import Collected


@dataclass(frozen=True)
class Placement:
    section: str
    """The id of the section, as `render.py` has it."""
    make: Callable[..., Any]
    """Makes the table out of `Measures`, or the figure out of a `Canvas`; with `each`, and the task."""
    each: Callable[[Collected], Iterable[str]] | None = None
    """The tasks for which to make one each; None: one for all tasks."""
    is_open: bool = False
    """Whether a table is unfolded; such tables come first in their section."""


def make_all(package: str, source: Any) -> Iterator[tuple[Placement, Any]]:
    """Make what the modules of a package list, in the order of the modules; `source` is what `make` takes."""
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        for placement in getattr(module, "PLACEMENTS", ()):
            tasks = [(task,) for task in placement.each(source.collected)] if placement.each else [()]
            for task in tasks:
                yield placement, placement.make(source, *task)
