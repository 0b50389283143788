"""Pieces of a sweep as jobs of a SLURM cluster, through submitit."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Any

import submitit

from contsym.errors import ContsymError
from contsym.sweep.executors import Lost
from contsym.sweep.work import Work, perform

CLUSTER_VARIABLE = "CONTSYM_SLURM"
"""Options for sbatch, as `partition=gpu,gpus_per_node=1,timeout_min=120`."""
POLL_SECONDS = 5.0


class SlurmExecutor:
    """One job a piece. All nodes need contsym and see the output folder and the data at the same paths."""

    def __init__(self, n_jobs: int, cluster: str = "slurm") -> None:
        self.n_slots = n_jobs
        try:
            self._executor = submitit.AutoExecutor(
                folder=os.path.abspath("contsym-slurm-logs"), cluster=cluster
            )
            self._executor.update_parameters(name="contsym", **_options())
        except (RuntimeError, TypeError, ValueError, NameError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ContsymError(
                f"--backend slurm: {reason}; run it where sbatch is, with {CLUSTER_VARIABLE} set"
            ) from None
        self._jobs: dict[str, Any] = {}

    def submit(self, work: Work) -> str:
        job = self._executor.submit(perform, work)
        self._jobs[job.job_id] = job
        return job.job_id

    def wait(self, handles: Collection[str], seconds: float) -> list[tuple[str, BaseException | None]]:
        until = time.monotonic() + max(seconds, POLL_SECONDS)
        while not (done := [handle for handle in handles if self._jobs[handle].done()]):
            if time.monotonic() >= until:
                return []
            time.sleep(0.2)
        return [(handle, _error(self._jobs.pop(handle))) for handle in done]

    def close(self) -> None:
        for job in self._jobs.values():
            job.cancel()
        self._jobs = {}


def _error(job: Any) -> BaseException | None:
    try:
        error = job.exception()
    except Exception as lost:
        return Lost(f"job {job.job_id} is gone ({type(lost).__name__})")
    if isinstance(error, submitit.core.utils.FailedJobError):
        # Raised in the job: its traceback ends with what went wrong.
        return ContsymError(str(error).strip().splitlines()[-1])
    return (
        Lost(f"job {job.job_id} left no result")
        if isinstance(error, submitit.core.utils.UncompletedJobError)
        else error
    )


def _options() -> dict[str, Any]:
    pairs = [pair.partition("=") for pair in os.environ.get(CLUSTER_VARIABLE, "").split(",") if pair]
    return {
        name.strip(): int(value) if value.strip().isdecimal() else value.strip() for name, _, value in pairs
    }
