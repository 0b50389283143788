"""One job of a sweep, done in any process on any machine: a pure function of its key.

A job trains a cell, which leaves a result under its key, or the first task that several cells share, which leaves
a state. Both appear atomically; doing a job twice gives the same.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from dataclasses import dataclass
from functools import cache

from contsym import plugins
from contsym.config import RunConfig
from contsym.errors import ContsymError, line_in


@dataclass(frozen=True)
class Job:
    """What a worker is given; small and plain, so that any engine can send it."""

    key: str
    """Of the result, or of the first task's state."""
    config: RunConfig
    is_first_task: bool = False

    @property
    def name(self) -> str:
        """For people.

        >>> Job("k", RunConfig("knn_fixed", "mnli_then_wikidata", shots=8)).name
        'knn_fixed, 8 shots, seed 0'
        """
        config = self.config
        values = "".join(f", {name}={value}" for name, value in config.settings.items())
        part = "first task" if self.is_first_task else f"{config.shots or 'all'} shots"
        order = f", {config.scenario.rpartition(':')[2]}" if ":" in config.scenario else ""
        return f"{config.strategy}{values}{order}, {part}, seed {config.seeds[0]}"


def is_done(job: Job) -> bool:
    from contsym.training import run
    from contsym.training.first_task import first_tasks_folder

    if job.is_first_task:
        return (first_tasks_folder(job.config.output) / job.key).is_dir()
    return run.is_done(job.config, job.key)


@cache
def _shared():
    """What this worker has loaded for earlier jobs."""
    from contsym.training.parts import Shared

    return Shared()


def run_job(job: Job) -> None:
    """Do a job unless it is done; raises whatever went wrong. For a process that does nothing else.

    Raises ContsymError where this process would make something else than was asked for: another
    version of contsym or a library, or other data.
    """
    from contsym.training.first_task import FirstTaskCache, first_tasks_folder
    from contsym.training.keys import first_task_key, key_of
    from contsym.training.plan import prepare
    from contsym.training.progress import Silent
    from contsym.training.run import stored_seed

    if is_done(job):
        return
    (seed,) = job.config.seeds
    plan = prepare(job.config, _shared())
    key = first_task_key(plan, seed) if job.is_first_task else key_of(plan, seed)
    if key != job.key:
        raise ContsymError(
            "this worker has other data, another contsym, other libraries, or another kind of device or processor than "
            "the one that planned the sweep; make them the same (docs/clusters.md), or start the sweep again"
        )
    first_tasks = FirstTaskCache(first_tasks_folder(job.config.output))
    try:
        if job.is_first_task:
            first_tasks.make(plan, seed, Silent())
        else:
            stored_seed(plan, seed, Silent(), first_tasks)
    except Exception as error:
        # The traceback does not leave this process; a note does.
        note_place(error, plan.config)
        raise
    finally:
        return_memory()


def note_place(error: Exception, config: RunConfig) -> None:
    """Add a note with the line of the strategy's plug-in where an error arose, if it did so there."""
    plugin = plugins.read(config.plugins).find("strategy", config.strategy)
    if place := line_in(error, plugin.path if plugin else None):
        error.add_note(place)


def return_memory() -> None:
    """Give what a job has freed back to the system; without glibc nothing happens.

    The allocator keeps up to machine.RETAINED_BYTES for the next step. Over many jobs what it keeps is scattered, and the
    worker would grow.
    """
    gc.collect()  # a model and Avalanche's plugins hang together in a circle
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
