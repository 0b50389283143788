"""The machine and this process: cores, memory, threads, signals, and libraries that talk too much."""

from __future__ import annotations

import errno
import os
import platform
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import NoReturn

LASTING = ("run", "sweep", "pretrain")
"""Commands that go on where they were when they are given again."""

DISK = {
    errno.ENOSPC: "free some space", errno.EDQUOT: "free some of your quota",
    errno.EROFS: "name a folder that can be written", errno.EACCES: "name a folder that you may use",
    errno.EPERM: "name a folder that you may use", errno.EIO: "look at the disk",
    errno.ENOENT: "put it back, or see who removes it", errno.ENOTDIR: "put the folder back",
    errno.ESTALE: "mount it again", errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EMFILE: "raise the limit (ulimit -n)",
}  # fmt: skip
"""What may happen to files while a command works, and what to do."""


class Ended(KeyboardInterrupt):
    """A signal that asks the process to end; what cleans up after Ctrl-C cleans up after it too."""

    def __init__(self, number: int) -> None:
        self.number = number


_asked: int | None = None
"""The signal that has asked this process to end."""


def end_cleanly_on_signals() -> None:
    """Let SIGINT (Ctrl-C), SIGTERM and SIGHUP (a terminal that is closed) end this process in one way."""
    global _asked
    _asked = None
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # A program started by nohup ignores SIGHUP, and goes on to.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    usual = sys.unraisablehook

    def of_no_signal(found: sys.UnraisableHookArgs) -> None:
        # What was raised in a __del__ cannot go further; raise_if_asked_to_stop() raises it again, and the rest is noise.
        if not issubclass(found.exc_type, Ended):
            usual(found)

    sys.unraisablehook = of_no_signal


def raise_if_asked_to_stop() -> None:
    """Raise Ended again where a signal has asked this process to end and it is still here.

    What a signal raises comes wherever Python happens to be, and there are places where it is lost: in a
    `__del__`, or where a library catches everything. So each kind of long work asks here in one place, between two
    steps (`training.progress.Steps`, the loop of a sweep, the `status` of a command), and `main` at its end.
    """
    if _asked is not None:
        raise Ended(_asked)


def _end(number: int, frame: object) -> NoReturn:
    global _asked
    _asked = number
    # Asked again, it ends at once: what cleans up may hang on what is broken.
    signal.signal(number, signal.SIG_DFL)
    raise Ended(number)


def stopped(error: BaseException) -> tuple[str, int]:
    """What is said of a process that was asked to end, and its exit code: 128 and the signal's number."""
    return f"stopped; {_kept()}", exit_code(error)


def exit_code(error: BaseException) -> int:
    """128 and the number of the signal that the error came from; Ctrl-C's where it says none."""
    ended = error if isinstance(error, Ended) else error.__cause__
    return 128 + (ended.number if isinstance(ended, Ended) else signal.SIGINT)


def file_trouble(error: OSError) -> str | None:
    """What is said of a file that was taken away or cannot be written; None for an error of another kind."""
    if error.errno not in DISK:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; {DISK[error.errno]}; {_kept()}"


def _kept() -> str:
    goes_on = "; the same command goes on from there" if sys.argv[1:2] and sys.argv[1] in LASTING else ""
    return f"what is finished is kept{goes_on}"


SPIN_COUNT = "1000"
"""Turns that an OpenMP thread waits awake before it sleeps (benchmarks/waiting.py).

Threads that spin for long make a training step several times slower beside other processes; threads that
sleep at once make it slower on idle cores.
"""


def n_cores() -> int:
    """Those that this process may use: where it was given some of the machine's, only these."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def waiting() -> dict[str, str]:
    """Environment variables that let threads sleep soon, or those by which the user has said how they wait.

    OpenMP reads them once, when torch is first imported.
    """
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    return {name: os.environ[name] for name in names if name in os.environ} or {"GOMP_SPINCOUNT": SPIN_COUNT}


def platform_name() -> str:
    return platform.platform()


def processor_name(device: str) -> str:
    """The GPU, or the CPU and the vector instructions that torch uses of it: its kernels add in their order."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            model = next(names, model)
    except OSError:
        pass  # not Linux
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def n_threads() -> int:
    import torch

    return torch.get_num_threads()


def peak_memory(device: str) -> int:
    """Peak bytes: of the GPU's allocator, or of this process from its start."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    # Linux counts in KiB, macOS in bytes.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def quiet_avalanche() -> None:
    """Call it before Avalanche is imported: it imports qpsolvers for GEM, which contsym does not offer, and GPUtil,
    which still imports distutils."""
    for message in ("no QP solver found", "The distutils package is deprecated"):
        warnings.filterwarnings("ignore", message=message)


def quiet_libraries() -> None:
    """Their progress bars and advice would break up ours; errors still come through."""
    quiet_avalanche()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


VARIABLE = "GLIBC_TUNABLES"
FIRST_GLIBC = (2, 35)
"""The first that asks for huge pages."""
KEPT_BYTES = 2**30
"""Blocks up to this size stay with the process, as do so many free bytes in all."""


def variables() -> dict[str, str]:
    """What a new process should have in its environment; nothing without glibc, or where the user has set it."""
    name, version = platform.libc_ver()
    if name != "glibc" or VARIABLE in os.environ:
        return {}
    if tuple(map(int, version.split(".")[:2])) < FIRST_GLIBC:
        return {}
    settings = {"hugetlb": 1, "mmap_threshold": KEPT_BYTES, "trim_threshold": KEPT_BYTES}
    return {VARIABLE: ":".join(f"glibc.malloc.{name}={value}" for name, value in settings.items())}
