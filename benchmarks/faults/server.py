"""The process that trials are forked off: loads torch, Avalanche and MLflow once, and nothing else.

Reads one JSON request a line: {"run": {...}} forks a contsym and answers with its pid, {"wait": pid}
answers with its exit code, negative for a signal. Whoever sends the requests kills the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from typing import Any


def main() -> None:
    load()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "run" in request:
            answer = {"pid": fork(request["run"])}
        else:
            _, status = os.waitpid(request["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        print(json.dumps(answer), flush=True)


def load() -> None:
    """What a command would import; none of it may start a thread, which a fork would not take along."""

    import contsym.cli
    import contsym.commands.views.sweep
    import contsym.data.audit
    import contsym.data.wikidata.build
    import contsym.results.tracking
    import contsym.strategies.fine_tune
    import contsym.strategies.knn_fixed
    import contsym.sweeps.scheduler
    import contsym.training.first_task
    import contsym.training.loop
    from contsym.machine import quiet_libraries
    from contsym.training.fingerprint import code_sha256

    quiet_libraries()
    # Trials are compared with one another: an edit in the middle is for the next start.
    code_sha256("contsym.training.run", "contsym.strategies.fine_tune", "contsym.strategies.knn_fixed")
    with contsym.results.tracking._quiet_mlflow():
        import mlflow.store.tracking.rest_store
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def fork(run: dict[str, Any]) -> int:
    """Start a contsym; gives its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = contsym(run)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 1
        os._exit(code)
    raise AssertionError("not reached")


def contsym(run: dict[str, Any]) -> int:
    """Be the command line with these words, in this folder, with these hooks."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Whoever started this under nohup ignores it, and so would a command.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for fd, path in ((0, os.devnull), (1, run["stdout"]), (2, run["stderr"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, fd)
        os.close(opened)
    os.chdir(run["cwd"])
    tempfile.tempdir = None  # it was found out before there was TMPDIR
    os.environ.update(run["environment"])
    sys.argv = ["contsym", *run["words"]]
    from benchmarks.faults import hooks
    from contsym.cli import main

    for name, value in run["hooks"].items():
        getattr(hooks, name)(value)
    main()
    return 0


if __name__ == "__main__":
    main()
