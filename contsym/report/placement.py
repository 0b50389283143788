"""Where tables and figures stand on the page: each module lists its own in `PLACEMENTS`, and the page finds them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from contsym.report.collect import Collected
from contsym.report.measures import Measures


@dataclass(frozen=True)
class Placement:
    section: str
    """The id of the section, as `render.py` has it."""
    make: Callable[..., Any]
    """Makes the table or the figure out of `Measures` and, with `each`, a task."""
    each: Callable[[Collected], Iterable[str]] | None = None
    """The tasks for which to make one each; None: one for all tasks."""
    is_open: bool = False
    """Whether a table is unfolded; such tables come first in their section."""


def make_all(package: str, measures: Measures) -> Iterator[tuple[Placement, Any]]:
    """Make what the modules of a package list, in the order of the modules."""
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        for placement in getattr(module, "PLACEMENTS", ()):
            tasks = [(task,) for task in placement.each(measures.collected)] if placement.each else [()]
            for task in tasks:
                yield placement, placement.make(measures, *task)
