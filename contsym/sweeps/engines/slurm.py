"""Runs jobs on a SLURM cluster, through submitit."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError
from submitit.helpers import clean_env

from contsym.errors import ContsymError
from contsym.machine import changed_environment, run_environment
from contsym.sweeps.engines.base import Lost, parse_options
from contsym.sweeps.engines.remote import not_arrived, run_job_there
from contsym.sweeps.job import Job

LOGS = "slurm-logs"
DEFAULT_MINUTES = 240
"""submitit's default of 5 minutes would end most cells."""
POLL_SECONDS = 0.2

OPTIONS = {
    **dict.fromkeys(("account", "comment", "constraint", "exclude", "gres", "mem", "mem_per_cpu"), str),
    **dict.fromkeys(("nodelist", "partition", "qos", "wckey"), str),
    **dict.fromkeys(("time", "cpus_per_task", "gpus_per_node"), int),
}
"""sbatch's long options that --engine-option sets; time in minutes."""


class SlurmExecutor:
    """Runs each job as a SLURM job. All nodes need contsym, and the output folder and the data at the same paths.

    submitit's files are in OUTPUT/slurm-logs. It sends jobs and outcomes by pickle through these files, so everyone
    who can write to that folder can run code as this user.

    With cluster="local", the jobs are processes of this machine, for tests.
    """

    def __init__(
        self, n_jobs: int | None, output: Path, options: Mapping[str, str], cluster: str = "slurm"
    ) -> None:
        values = {"time": DEFAULT_MINUTES, **parse_options("slurm", options, OPTIONS)}
        self.n_slots = n_jobs or 1
        self._folder = os.getcwd()
        self._minutes = values.pop("time")
        if cluster == "slurm":
            for command in ("sbatch", "srun", "scancel"):
                if shutil.which(command) is None:
                    raise ContsymError(
                        f"--backend slurm: this machine has no {command}; start the sweep on a login node of a "
                        "SLURM cluster"
                    )
        self._executor = submitit.AutoExecutor(folder=output.absolute() / LOGS, cluster=cluster)
        self._executor.update_parameters(
            timeout_min=self._minutes, **{f"slurm_{name}": value for name, value in values.items()}
        )
        self._submitted: dict[str, tuple[Any, Job]] = {}

    def submit(self, job: Job) -> str:
        config = job.config
        size = "first-task" if job.is_first_task else config.shots or "all"
        self._executor.update_parameters(name=f"contsym-{config.strategy}-{size}-{config.seeds[0]}")
        try:
            with outside_of_job():
                submitted = self._executor.submit(run_slurm_job, job, self._folder)
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            causes = [line for line in lines if "error:" in line]
            reason = (causes or lines or [type(error).__name__])[-1].strip()
            raise ContsymError(f"--backend slurm: a job cannot be submitted ({reason[:300]})") from None
        self._submitted[submitted.job_id] = submitted, job
        return submitted.job_id

    def wait(self, handles: Collection[str], seconds: float) -> list[tuple[str, BaseException | None]]:
        until = time.monotonic() + seconds
        while not (done := [handle for handle in handles if self._submitted[handle][0].done()]):
            if time.monotonic() >= until:
                return []
            time.sleep(POLL_SECONDS)
        return [(handle, self._error(*self._submitted.pop(handle))) for handle in done]

    def _error(self, submitted: Any, job: Job) -> BaseException | None:
        try:
            message = submitted.result()
        except FailedJobError as error:
            if "timed-out" in str(error):
                return ContsymError(
                    f"job {submitted.job_id} reached its limit of {self._minutes} minutes; give it more with "
                    "--engine-option time=MINUTES"
                )
            # An error of the job: the last line of its traceback is the cause, before two lines about logs.
            trace = str(error).partition("\n----------------------\nYou can")[0].splitlines()
            return ContsymError(f"job {submitted.job_id}: {trace[-1].strip()[:300]}")
        except UncompletedJobError:
            return Lost(f"job {submitted.job_id} ended without a result ({submitted.state})")
        return ContsymError(message) if message else not_arrived(job)

    def close(self) -> None:
        for submitted, _ in self._submitted.values():
            submitted.cancel(check=False)
        self._submitted = {}


CLIENT_SETTINGS = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SBATCH_")
"""Prefixes of the user's variables for sbatch; all others belong to the surrounding job."""
JOB_SETTINGS = ("SBATCH_CPU_BIND", "SBATCH_MEM_BIND")
"""Variables of the surrounding job with one of these prefixes."""


@contextmanager
def outside_of_job() -> Iterator[None]:
    """Hide the SLURM job that this process runs in, if any.

    sbatch and srun would read the surrounding job's memory, cores and tasks as options of the user: the new job would
    inherit them, or be refused because they contradict its own (SLURM_MEM_PER_CPU beside SLURM_MEM_PER_NODE).
    """
    if not {"SLURM_JOB_ID", "SLURM_JOBID"} & os.environ.keys():
        yield
        return
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(CLIENT_SETTINGS) and not name.startswith(JOB_SETTINGS)
    }
    with clean_env(), changed_environment(settings):
        yield


def run_slurm_job(job: Job, folder: str) -> str | None:
    """`run_job_there` with one thread per core of the SLURM job, if SLURM names their number."""
    if cores := os.environ.get("SLURM_CPUS_PER_TASK"):
        # By default torch counts the cores of the whole node.
        os.environ["OMP_NUM_THREADS"] = cores
    os.environ.update(run_environment())
    return run_job_there(job, folder)
