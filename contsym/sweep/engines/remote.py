"""A piece of a sweep done on another machine: the same folder, and what goes wrong told in a line."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from contsym.errors import ContsymError
from contsym.sweep.job import Work, is_done, perform

ARRIVAL_SECONDS = 30.0
"""A network file system may show what another machine wrote only after its caches expire."""


def perform_there(work: Work, folder: str) -> str | None:
    """Do a piece in `folder`, where the sweep was started; gives what went wrong, or None.

    Relative paths (of the output, the data, an encoder) are part of what is hashed into keys, so
    they are not rewritten: the worker goes to the folder that they are relative to. An exception
    does not travel, as the machine that waits might not be able to rebuild it.
    """
    from contsym.sweep.engines.base import one_line

    node = platform.node()
    try:
        os.chdir(folder)
    except OSError as error:
        return (
            f"{node} cannot enter {folder}, where the sweep was started ({error.strerror}); "
            "expected a file system that all nodes share"
        )
    try:
        perform(work)
    except Exception as error:
        return f"{one_line(error)} (on {node})"
    return None


def not_arrived(work: Work, seconds: float = ARRIVAL_SECONDS) -> ContsymError | None:
    """None once what a piece made can be seen from here, or the error if it cannot within the time.

    Without this, a worker with a disk of its own would do pieces that never count.
    """
    until = time.monotonic() + seconds
    while not is_done(work):
        if time.monotonic() >= until:
            return ContsymError(
                f"a worker finished it, but nothing of it is in {Path(work.config.output).absolute()}; "
                "expected a file system that all nodes share"
            )
        time.sleep(0.2)
    return None
