"""An executor for tests that look at what drives a sweep, or at its results, and not at its workers."""

from __future__ import annotations

import pickle
from contextlib import contextmanager

import pytest

from contsym.sweeps import job as jobs
from contsym.sweeps.job import run_job


class Here:
    """Runs jobs in this process by `do`, with faults on demand: errors by the name of the job, one for each try."""

    def __init__(self, do=run_job, n_slots=1, faults=None):
        self.n_slots, self.faults, self.do, self.done = n_slots, faults or {}, do, []
        self.works, self.is_closed = {}, False

    def submit(self, job):
        # As a worker gets it.
        self.works[job.key] = pickle.loads(pickle.dumps(job))
        return job.key

    def wait(self, handles, seconds):
        ended = []
        for key in handles:
            job = self.works[key]
            self.done.append(job)
            faults = self.faults.get(job.name, [])
            error = faults.pop(0) if faults else None
            if error is None:
                try:
                    self.do(job)
                except Exception as raised:  # as an engine gives it back
                    error = raised
            ended.append((key, error))
        return ended

    def close(self):
        self.is_closed = True


@contextmanager
def cells_here():
    """Inside, the cells of a local sweep are trained in this process: each worker imports torch first, for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contsym.sweeps.engines.choose.LocalExecutor", lambda *_, **__: Here())
        # What a worker keeps of its data is kept for a process that does nothing else.
        jobs._shared.cache_clear()
        yield
    jobs._shared.cache_clear()
