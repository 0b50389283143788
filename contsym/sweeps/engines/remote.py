"""Runs a job on another machine: in the same folder, with its error as one line."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from contsym.errors import ContsymError
from contsym.sweeps.engines.base import error_of
from contsym.sweeps.job import Job, is_done, run_job

ARRIVAL_SECONDS = 30.0
"""A network file system may show what another machine wrote only after its caches expire."""


def run_job_there(job: Job, folder: str) -> str | None:
    """Run a job in `folder`, where the sweep was started; returns its error as text, or None.

    Relative paths (of the output, the data, an encoder) are relative to that folder.
    """
    node = platform.node()
    try:
        os.chdir(folder)
    except OSError as error:
        return (
            f"{node} cannot enter {folder}, where the sweep was started ({error.strerror}); "
            "expected a file system that all nodes share"
        )
    message = error_of(run_job, job)
    return f"{message} (on {node})" if message else None


def not_arrived(job: Job, seconds: float = ARRIVAL_SECONDS) -> ContsymError | None:
    """None once this machine sees the job's output, or an error if it does not within the time.

    Otherwise results on a worker's local disk would be missing without a message.
    """
    until = time.monotonic() + seconds
    while not is_done(job):
        if time.monotonic() >= until:
            return ContsymError(
                f"a worker finished it, but nothing of it is in {Path(job.config.output).absolute()}; "
                "expected a file system that all nodes share"
            )
        time.sleep(0.2)
    return None
