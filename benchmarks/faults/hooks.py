"""What is put into a forked contsym before it starts: it tells its phases, or meets a fault."""

from __future__ import annotations

import functools
import itertools
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PHASES = {
    "look": ("contsym.training.plan", "prepare"),
    "build": ("contsym.data.wikidata.build", "build"),
    "train": ("contsym.training.template", "Template.train"),
    "evaluate": ("contsym.training.loop", "SeedRun._evaluate"),
    "store encodings": ("contsym.models.encoders.vector_cache", "UntrainedEncodings._store"),
    "cache a first task": ("contsym.training.first_task", "FirstTaskCache._write"),
    "store": ("contsym.results.store", "write_result"),
    "make the database": ("contsym.results.tracking", "make_database"),
    "track": ("contsym.results.tracking", "send_run"),
}
"""What a phase is the time in."""

FILE_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect")


def tell_phases(fifo: str) -> None:
    """Write `+NAME` to the pipe when a phase begins and `-NAME` when it ends."""
    handle = os.open(fifo, os.O_WRONLY)

    for phase, place in PHASES.items():

        def wrap(function: Callable[..., Any], phase: str = phase) -> Callable[..., Any]:
            @functools.wraps(function)
            def told(*args: Any, **kwargs: Any) -> Any:
                os.write(handle, f"+{phase}\n".encode())
                try:
                    return function(*args, **kwargs)
                finally:
                    os.write(handle, f"-{phase}\n".encode())

            return told

        replace(place, wrap)


def replace(place: tuple[str, str], wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put wrap(f) where f is: in its module or class, and in modules that imported it by name."""
    import importlib

    module, path = place
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    before = getattr(owner, name)
    after = wrap(before)
    setattr(owner, name, after)
    for other in list(sys.modules.values()):
        if getattr(other, "__name__", "").startswith("contsym") and vars(other).get(name) is before:
            setattr(other, name, after)


def at_file_event(fault: dict[str, Any]) -> None:
    """Do the fault's `what` at the n-th time that a file below `below` is opened for writing, made, renamed
    or removed; with n = 0 never, and the number of times is written to `count`."""
    below, count = fault["below"], itertools.count(1)
    state = {"n": 0, "busy": False}

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in FILE_EVENTS or state["busy"] or not is_below(event, args, below):
            return
        state["n"] = next(count)
        if state["n"] == fault["n"]:
            state["busy"] = True
            WHAT[fault["what"]](fault)
            state["busy"] = False

    sys.addaudithook(hook)
    if fault["n"] == 0:
        whole = os._exit

        def leave(code: int) -> None:
            state["busy"] = True
            Path(fault["count"]).write_text(str(state["n"]), "utf-8")
            whole(code)

        os._exit = leave  # type: ignore[assignment]


def is_below(event: str, args: tuple[Any, ...], folder: str) -> bool:
    if event == "open":
        is_written = isinstance(args[1], str) and bool(set(args[1]) & set("wax+"))
        # Low-level opens, as of locks and safetensors, have no mode but flags.
        is_written = is_written or bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if not is_written:
            return False
    return isinstance(args[0], (str, bytes, os.PathLike)) and os.fsdecode(args[0]).startswith(folder)


def kill_itself(fault: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def remove_folder(fault: dict[str, Any]) -> None:
    """Take the output folder away, as another person may."""
    shutil.rmtree(fault["folder"], ignore_errors=True)


WHAT = {"kill": kill_itself, "remove": remove_folder}


def in_one_process(_: object) -> None:
    """Let a sweep do its jobs in the process that drives it, so that killing that kills all of it."""
    import contsym.sweeps.engines.choose
    from contsym.sweeps.job import run_job

    class InProcess:
        n_slots = 1

        def __init__(self, *_: object, **named: object) -> None:
            self.jobs: dict[int, Any] = {}

        def submit(self, job: Any) -> int:
            self.jobs[len(self.jobs)] = job
            return len(self.jobs) - 1

        def wait(self, handles: Any, seconds: float) -> list[tuple[int, BaseException | None]]:
            (handle,) = handles
            try:
                run_job(self.jobs[handle])
            except Exception as error:
                return [(handle, error)]
            return [(handle, None)]

        def close(self) -> None:
            pass

    contsym.sweeps.engines.choose.LocalExecutor = InProcess  # type: ignore[misc,assignment]


def limit_file_size(n_bytes: int) -> None:
    """No file may grow beyond this, as on a full disk or over a quota."""
    # Without this the kernel ends the process, where a full disk only refuses.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def limit_data(n_bytes: int) -> None:
    """Memory that the process may have of its own, beyond what it has; mapped files do not count."""
    status = Path("/proc/self/status").read_text("utf-8")
    (now,) = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:")]
    resource.setrlimit(resource.RLIMIT_DATA, (now + n_bytes, now + n_bytes))


def clock_runs_back(seconds: float) -> None:
    """Each look at the clock shows a time earlier than the one before."""
    import datetime as module

    looks = itertools.count(1)
    began, whole = time.time(), module.datetime

    class Clock(whole):  # type: ignore[valid-type,misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return whole.fromtimestamp(time.time(), tz)

    time.time = lambda: began - seconds * next(looks)  # type: ignore[assignment]
    for name, found in list(sys.modules.items()):
        if name.startswith("contsym") and vars(found).get("datetime") is whole:
            found.datetime = Clock  # type: ignore[attr-defined]


def fail_in_step(fault: dict[str, Any]) -> None:
    """At the n-th training step: `memory` is out, or the loss is `nan` or `inf`."""
    import torch

    from contsym.models.pair_model import PairModel
    from contsym.training.observers import TrainingLog

    count = itertools.count(1)
    forward, look = PairModel.forward, TrainingLog.before_backward

    def forward_without_memory(self: Any, batch: Any) -> Any:
        if self.training and next(count) == fault["n"]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. (simulated)")
        return forward(self, batch)

    def look_at_no_number(self: Any, strategy: Any, **kwargs: Any) -> None:
        if next(count) == fault["n"]:
            strategy.loss.data.fill_(float(fault["what"]))
        look(self, strategy, **kwargs)

    if fault["what"] == "memory":
        PairModel.forward = forward_without_memory  # type: ignore[method-assign]
    else:
        TrainingLog.before_backward = look_at_no_number  # type: ignore[method-assign]
