"""A sweep from its config to the stored and tracked results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from contsym.checked import Skip, tell_skipped
from contsym.errors import TrackingError

if TYPE_CHECKING:
    from contsym.data.audit import Overview
    from contsym.sweeps.config import SweepConfig
    from contsym.sweeps.job import Job
    from contsym.sweeps.plan import Sweep
    from contsym.sweeps.runs import StoredRun
    from contsym.sweeps.scheduler import Watcher
    from contsym.training.progress import Progress

SEND_SECONDS = 30
"""Finished cells go to MLflow at most this often while others run."""


@dataclass(frozen=True)
class Engine:
    """Where the cells of a sweep are run."""

    backend: str = "local"
    jobs: int | None = None
    address: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class SweepViewer(Protocol):
    """Shows a sweep while it is made."""

    def planning(self) -> AbstractContextManager[object]: ...

    def planned(self, sweep: Sweep, audits: Mapping[str, Overview], uri: str, seconds: float) -> None:
        """Before the first cell; `seconds` is how long it takes at most, 0 if that is unknown."""
        ...

    def running(self, sweep: Sweep) -> AbstractContextManager[Watcher]: ...

    def extended(self, reading: str) -> None:
        """Before the other seeds of the reading that came nearest to the paper."""
        ...


class QuietSweep:
    """A SweepViewer with nothing but a bar of the cells, if it is given a progress."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress

    def planning(self) -> AbstractContextManager[object]:
        return nullcontext()

    def planned(self, sweep: Sweep, audits: Mapping[str, Overview], uri: str, seconds: float) -> None:
        pass

    @contextmanager
    def running(self, sweep: Sweep) -> Iterator[Watcher]:
        from contsym.sweeps.job import is_done

        yield _CellBar(self._progress, sum(not is_done(cell.job) for cell in sweep.distinct))

    def extended(self, reading: str) -> None:
        pass


class _CellBar:
    def __init__(self, progress: Progress | None, n_cells: int) -> None:
        self._progress = progress
        if progress:
            progress.phase("cells", n_cells)

    def started(self, job: Job) -> None:
        pass

    def ended(self, job: Job, error: str | None) -> None:
        if self._progress and not job.is_first_task:
            self._progress.advance()

    def tick(self) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@dataclass(frozen=True)
class MadeSweep:
    """A sweep whose cells are done or failed."""

    stored: StoredRun
    failed: dict[str, str]
    """The error of each failed cell, by its name."""
    warning: str
    """Why the tracking store could not be used; empty if it could."""


def plan_only(
    config: SweepConfig, engine: Engine, viewer: SweepViewer
) -> tuple[Sweep, Mapping[str, Overview], float]:
    """The cells of a sweep, what the audits found by task, and the seconds that it takes at most, 0 where that is unknown.

    Nothing is trained or stored. Raises ContsymError for what makes every cell fail.
    """
    from contsym.api.running import without_collections
    from contsym.sweeps.plan import plan_sweep, seconds_left
    from contsym.training.parts import Shared

    with viewer.planning(), without_collections():
        shared = Shared()
        planned, audits = plan_sweep(config, shared)
        is_local = engine.backend == "local"
        return planned, audits, seconds_left(planned, shared, engine.jobs or 1) if is_local else 0.0


def make_sweep(
    config: SweepConfig,
    engine: Engine,
    tracking_uri: str | None,
    viewer: SweepViewer,
    skip: Skip = tell_skipped,
) -> MadeSweep:
    """Run the cells that are not stored yet and send them to MLflow, while others run too.

    With readings and a screen, the reading nearest to the paper is then run with all seeds. Raises ContsymError for what
    makes every cell fail; a cell that fails alone is in the answer.
    """
    from contsym.results.paper_readings import nearest, readings_of
    from contsym.results.tracking import resolve_uri
    from contsym.sweeps.engines.choose import make_executor
    from contsym.sweeps.plan import check_complete, claimed, with_all_seeds, write_record
    from contsym.sweeps.scheduler import run_sweep
    from contsym.sweeps.tracking import log_run

    planned, audits, seconds = plan_only(config, engine, viewer)
    uri = resolve_uri(config.output, tracking_uri)
    viewer.planned(planned, audits, uri, seconds)
    sent_at, warning = time.monotonic(), ""

    def send(*, is_last: bool = False) -> None:
        nonlocal sent_at, warning
        if not warning and (is_last or time.monotonic() - sent_at > SEND_SECONDS):
            try:
                log_run(made, uri, skip, is_running=not is_last)
            except TrackingError as error:
                warning = str(error)
            sent_at = time.monotonic()

    def run(sweep: Sweep) -> dict[str, str]:
        executor = make_executor(
            engine.backend,
            engine.jobs,
            engine.address,
            engine.options,
            config.output,
            device=config.device,
        )
        with viewer.running(sweep) as watcher:
            failed = run_sweep(sweep, executor, watcher, send)
            watcher.note("logging to MLflow")
            send(is_last=True)
        return failed

    with claimed(planned) as made:
        failed = run(planned)
        readings = readings_of(made.results_by_reading(skip))
        if config.screen and readings and not failed:
            best = nearest(readings)
            extended = with_all_seeds(planned, best.name)
            # Also where they are stored already: the record has the cells of the first readings alone so far.
            made = write_record(extended)
            if extended.n_done < len(extended.cells):
                viewer.extended(best.name)
                failed = run(extended)
            else:
                send(is_last=True)
    check_complete(made)
    return MadeSweep(made, failed, warning)
