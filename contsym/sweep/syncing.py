"""What MLflow does not have yet: counted, and sent run by run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contsym.checked import Skip, tell_skipped
from contsym.errors import TrackingError
from contsym.results import store
from contsym.results.tracking import answers, log_run, untracked_seeds
from contsym.sweep.stored import stored_sweeps
from contsym.sweep.tracking import log_sweep, untracked_cells

CANNOT_WRITE = "its disk is full|it cannot be written|was moved, and"
"""Errors of a store that answers and yet takes nothing."""


@dataclass(frozen=True)
class _Unsent:
    """A run or a sweep with results that the store may lack."""

    name: str
    count: Callable[[], int]
    send: Callable[[], object]


def _unsent(output: Path, uri: str, skip: Skip) -> Iterator[_Unsent]:
    for run in store.stored_runs(output, skip):
        count = partial(_count, partial(untracked_seeds, run, uri, skip))
        yield _Unsent(run.name, count, partial(log_run, run, output, uri, skip=skip))
    for sweep in stored_sweeps(output, skip):
        count = partial(_count, partial(untracked_cells, sweep, uri))
        yield _Unsent(f"sweep {sweep.id}", count, partial(log_sweep, sweep, uri, skip=skip))


def _count(untracked: Callable[[], list]) -> int:
    return len(untracked())


def pending(output: Path, uri: str, skip: Skip = tell_skipped) -> int:
    """Number of stored seeds and cells that were not sent to this URI; asks no server."""
    return sum(each.count() for each in _unsent(output, uri, skip))


def sync(output: Path, uri: str, on_run: Callable[[str, int], None], skip: Skip = tell_skipped) -> int:
    """Send all that was not sent to this URI; gives the number of seeds and cells.

    `on_run` is told each run's or sweep's name and number of results once they are sent; `skip` what
    cannot be read, and what the store refuses of one run alone. Raises TrackingError where the store
    itself fails, since the next run would wait as long.
    """
    n_sent = 0
    for each in _unsent(output, uri, skip):
        n_before = each.count()
        if not n_before:
            continue
        try:
            each.send()
        except TrackingError as error:
            if re.search(CANNOT_WRITE, str(error)) or not answers(output, uri):
                raise
            skip(error)
        if n := n_before - each.count():
            on_run(each.name, n)
            n_sent += n
    return n_sent
