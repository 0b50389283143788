"""Runs and sweeps from their config to the stored and tracked results: the one road of Python and the command line."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from contsym.errors import ContsymError, TrackingError
from contsym.files import write_file
from contsym.training.progress import Progress, Silent

if TYPE_CHECKING:
    from contsym.config import RunConfig
    from contsym.results.schema import SeedResult
    from contsym.sweeps.plan import Sweep
    from contsym.sweeps.runs import StoredRun
    from contsym.training.plan import Plan


class RunViewer(Protocol):
    """Shows a run while it is made."""

    def planning(self) -> AbstractContextManager[object]:
        """Around the time in which data and encoder are looked at."""
        ...

    def planned(self, plan: Plan, stored: StoredRun, uri: str) -> None:
        """Before the seeds of a plan are trained."""
        ...

    def training(self) -> AbstractContextManager[Progress]:
        """Around the training of a plan's seeds."""
        ...

    def table(self, found: Sequence[list[SeedResult]]) -> str:
        """The results as text, for MLflow; those of each order of the scenario."""
        ...


class QuietRun:
    """A RunViewer with nothing but a progress bar, if it is given one."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress or Silent()

    def planning(self) -> AbstractContextManager[object]:
        return nullcontext()

    def planned(self, plan: Plan, stored: StoredRun, uri: str) -> None:
        pass

    def training(self) -> AbstractContextManager[Progress]:
        return nullcontext(self._progress)

    def table(self, found: Sequence[list[SeedResult]]) -> str:
        from contsym.api.frames import figures_frame

        return figures_frame([result for results in found for result in results]).to_string()


@dataclass(frozen=True)
class MadeRun:
    """A run that is done."""

    stored: StoredRun
    found: list[list[SeedResult]]
    """The results of each order of the scenario, by seed."""
    run_ids: dict[str, str]
    """The MLflow run of each result, by its key; empty if the store could not be used."""
    warning: str | None
    """Why the store could not be used."""


@contextmanager
def without_collections() -> Iterator[None]:
    """Without Python's search for circles of garbage, which takes a tenth of the time of importing large libraries."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class PlannedRun:
    """A run that is looked up and checked, with nothing trained or stored."""

    plans: list[Plan]
    """One per order of the scenario."""
    sweep: Sweep


def plan_only(config: RunConfig, viewer: RunViewer, *, is_run: bool = False) -> PlannedRun:
    """Look up and check everything that a run needs; with `is_run`, also import what trains it, which takes seconds.

    Raises ContsymError for whatever the user can mend.
    """
    from contsym import plugins
    from contsym.scenarios.catalog import scenario_runs
    from contsym.sweeps.config import SweepConfig
    from contsym.sweeps.plan import plan_run
    from contsym.training.parts import Shared
    from contsym.training.plan import prepare

    # A run is stored as a sweep of one row, whose checks come before anything is looked up.
    SweepConfig.of_run(config)
    shared = Shared()
    with viewer.planning(), without_collections():
        # All orders, where the scenario means all, before the first of them is run.
        runs = scenario_runs(config.scenario, plugins.read(config.plugins))
        plans = [prepare(replace(config, scenario=each), shared) for each in runs]
        planned = PlannedRun(plans, plan_run(config, plans))
        if is_run:
            # These import torch, which prepare() does while large data are parsed, and Avalanche.
            from contsym.results import tracking  # noqa: F401
            from contsym.training import run  # noqa: F401

            if planned.sweep.n_done < len(planned.sweep.cells):
                from contsym.training import loop  # noqa: F401 - run_seeds imports it without a word to the viewer
        return planned


def make_run(config: RunConfig, viewer: RunViewer) -> MadeRun:
    """Train what is not stored yet, store it, and send it to MLflow.

    Raises ContsymError for whatever the user can mend; finished seeds stay stored. A tracking store that cannot be used
    is a warning.
    """
    from contsym.sweeps.plan import check_complete, claimed
    from contsym.sweeps.runs import TABLE

    planned = plan_only(config, viewer, is_run=True)
    from contsym.results.tracking import resolve_uri
    from contsym.training.run import run_seeds

    uri = resolve_uri(config.output, config.tracking_uri)
    with claimed(planned.sweep) as stored:
        found = []
        for plan in planned.plans:
            viewer.planned(plan, stored, uri)
            try:
                with viewer.training() as progress:
                    found.append(run_seeds(plan, progress))
            except Exception as error:
                _note_failure(planned.sweep, error)
                raise
        write_file(stored.folder / TABLE, viewer.table(found))
        run_ids, warning = _track(stored, uri)
    check_complete(stored)
    return MadeRun(stored, found, run_ids, warning)


def _note_failure(sweep: Sweep, error: Exception) -> None:
    """Store why the first result that is missing could not be made; the plug-in's line also ends the traceback."""
    from contsym.sweeps.engines.base import one_line
    from contsym.sweeps.job import is_done, note_place
    from contsym.sweeps.runs import write_failure

    job = next((cell.job for cell in sweep.cells if not is_done(cell.job)), None)
    if job is None:
        return
    note_place(error, job.config)
    # The run's own error is shown even where it cannot be stored, as on a full disk.
    with suppress(OSError):
        write_failure(sweep.folder, job.key, job.name, one_line(error))


def _track(stored: StoredRun, uri: str) -> tuple[dict[str, str], str | None]:
    from contsym.sweeps.tracking import log_run

    try:
        return log_run(stored, uri), None
    except TrackingError as error:
        return {}, str(error)


def failed_cells(failed: dict[str, str], stored: StoredRun) -> ContsymError:
    """What to raise where cells of a sweep failed; the others are stored."""
    name, error = next(iter(failed.items()))
    return ContsymError(
        f"{len(failed)} of the {len(stored.cells)} cells failed, the first of them {name}: {error}; the same call tries "
        "them again"
    )
