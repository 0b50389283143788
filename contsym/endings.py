"""How the program ends where it cannot go on: by a signal, or by what happens to its files; in one line."""

from __future__ import annotations

import errno
import signal
import sys
from typing import NoReturn

LASTING = ("run", "sweep")
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
        # What was raised in a __del__ cannot go further; heed() raises it again, and the rest is noise.
        if not issubclass(found.exc_type, Ended):
            usual(found)

    sys.unraisablehook = of_no_signal


def heed() -> None:
    """Raise Ended again where a signal has asked this process to end and it is still here.

    What a signal raises comes wherever Python happens to be, and there are places where it is lost: in a
    `__del__`, or where a library catches everything. So whatever takes long asks here between two steps.
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
