"""The machine and this process: cores, memory, threads, signals, and noisy libraries."""

from __future__ import annotations

import errno
import os
import platform
import re
import resource
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

DISK = {
    errno.ENOSPC: "free some space", errno.EDQUOT: "free some of your quota",
    errno.EROFS: "name a folder that can be written", errno.EACCES: "name a folder that you may use",
    errno.EPERM: "name a folder that you may use", errno.EIO: "look at the disk",
    errno.ENOENT: "put it back, or see who removes it", errno.ENOTDIR: "put the folder back",
    errno.ESTALE: "mount it again", errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EMFILE: "raise the limit (ulimit -n)",
}  # fmt: skip
"""Errors of files during a command, and remedies."""


class Ended(KeyboardInterrupt):
    """A signal that asks the process to end, cleaned up after like Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.number = number


_asked: int | None = None
"""The signal that asked this process to end."""


def end_cleanly_on_signals() -> None:
    """Let SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) raise Ended."""
    global _asked
    _asked = None
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # A program under nohup ignores SIGHUP, and must continue to.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    report = sys.unraisablehook

    def report_errors(unraisable: sys.UnraisableHookArgs) -> None:
        # An error in a __del__ goes no further; raise_if_asked_to_stop() raises Ended again.
        if not issubclass(unraisable.exc_type, Ended):
            report(unraisable)

    sys.unraisablehook = report_errors


def raise_if_asked_to_stop() -> None:
    """Raise Ended again where a signal has asked this process to end and it still runs.

    A signal raises wherever Python happens to be, and the error is lost in a `__del__` or in a library that catches
    everything. So each kind of long work calls this between two steps (`training.progress.Steps`, the loop of a
    sweep, the `status` of a command), and `main` calls it at its end.
    """
    if _asked is not None:
        raise Ended(_asked)


def _end(number: int, frame: object) -> NoReturn:
    global _asked
    _asked = number
    # A second signal ends the process at once, because the clean-up may hang.
    signal.signal(number, signal.SIG_DFL)
    raise Ended(number)


def stopped(error: BaseException) -> tuple[str, int]:
    """The last message of a process that a signal ends, and its exit code."""
    return f"stopped; {_progress_message()}", exit_code(error)


def exit_code(error: BaseException) -> int:
    """128 plus the number of the signal behind the error, by default that of Ctrl-C."""
    ended = error if isinstance(error, Ended) else error.__cause__
    return 128 + (ended.number if isinstance(ended, Ended) else signal.SIGINT)


def file_trouble(error: OSError) -> str | None:
    """The message for a file that is gone or cannot be written; None for other errors."""
    if error.errno not in DISK:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; {DISK[error.errno]}; {_progress_message()}"


def _progress_message() -> str:
    resumes = (
        "; the same command resumes from there" if sys.argv[1:2] in (["run"], ["sweep"], ["pretrain"]) else ""
    )
    return f"finished results are stored{resumes}"


SPIN_COUNT = "1000"
"""Turns that an OpenMP thread spins before it sleeps (benchmarks/waiting.py).

Long spinning makes a training step several times slower beside other processes; sleeping at once makes it
slower on idle cores.
"""


def n_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def waiting() -> dict[str, str]:
    """Environment variables that let threads sleep soon, or the user's own. OpenMP reads them when torch is imported."""
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    return {name: os.environ[name] for name in names if name in os.environ} or {"GOMP_SPINCOUNT": SPIN_COUNT}


KERNELS = "32"
"""Products of matrices whose compiled kernels oneDNN keeps, by shape; its own limit is 1024.

Texts have so many lengths that hardly a shape comes again: 1024 took 0.2 GB more in the default run, and no less time
(benchmarks/speed.py --only default_run, on an AMD CPU in bfloat16).
"""


def run_environment() -> dict[str, str]:
    """Environment variables of a process that trains, or the user's own: how threads wait, no threads of the tokenizers,
    which a fork would break, and few compiled kernels. Torch reads some when it is imported."""
    ours = {"TOKENIZERS_PARALLELISM": "false", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": KERNELS}
    return {**waiting(), **{name: os.environ.get(name, value) for name, value in ours.items()}}


@contextmanager
def changed_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables with these values, and what was there before afterwards."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def platform_name() -> str:
    return platform.platform()


def processor_name(device: str) -> str:
    """The GPU, or the CPU with its vector instructions, which decide in what order kernels add."""
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


def is_amd() -> bool:
    """Whether the CPU is AMD's; False where /proc/cpuinfo does not say so, as on other systems than Linux."""
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def n_threads() -> int:
    import torch

    return torch.get_num_threads()


def reset_peak_memory(device: str) -> None:
    """Let `peak_memory` begin anew, where the system can: one process does many runs."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        # Linux; proc(5), clear_refs.
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: str) -> int:
    """Peak bytes of the GPU's allocator, or of this process, since `reset_peak_memory`."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("utf-8")):
            return int(found[1]) * 1024
    # Linux counts in KiB, macOS in bytes.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def quiet_avalanche() -> None:
    """Silence warnings at Avalanche's import: of qpsolvers for GEM, which contsym does not offer, and of GPUtil."""
    for message in ("no QP solver found", "The distutils package is deprecated"):
        warnings.filterwarnings("ignore", message=message)


def quiet_libraries() -> None:
    """Silence progress bars and advice of libraries; errors are still shown."""
    quiet_avalanche()
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


VARIABLE = "GLIBC_TUNABLES"
FIRST_GLIBC = (2, 35)
"""The first version with the tunable for huge pages."""
RETAINED_BYTES = 2**30
"""The process retains blocks up to this size, and so many free bytes in all."""


def variables() -> dict[str, str]:
    """Environment variables for new processes; none without glibc, or where the user has set one."""
    name, version = platform.libc_ver()
    is_old = name != "glibc" or tuple(map(int, version.split(".")[:2])) < FIRST_GLIBC
    if is_old or VARIABLE in os.environ:
        return {}
    settings = {"hugetlb": 1, "mmap_threshold": RETAINED_BYTES, "trim_threshold": RETAINED_BYTES}
    return {VARIABLE: ":".join(f"glibc.malloc.{name}={value}" for name, value in settings.items())}
