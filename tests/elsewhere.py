"""Programs in processes of their own, forked off one that has imported the libraries: a new Python does so for seconds.

`python -m tests.elsewhere` is that process. It reads what `be` takes, as JSON, a line, and answers with the exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.command import environment

ROOT = Path(__file__).resolve().parents[1]


class Elsewhere:
    """The process that others are forked off, started with the first of them; use it as a context."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self.process is not None:
            with self.process:
                self.process.kill()
            self.process = None

    def contsym(self, *words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """As tests.command.contsym, but for what the start alone decides: PYTHONPATH, warnings, the Hub."""
        arguments = ["contsym", *map(str, words)]
        return self._done("from contsym.cli import main; main()", arguments, cwd, variables)

    def run(self, command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        """In place of subprocess.run, for who runs [python, "-c", program, *words] in the present folder."""
        _, _, program, *words = command
        return self._done(program, ["-c", *words], Path.cwd(), {})

    def _done(
        self, program: str, arguments: Sequence[str], cwd: Path, variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.elsewhere"],
                cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert self.process.stdin and self.process.stdout
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            request = [program, arguments, str(cwd), {**environment(), **variables}, out.name, err.name]
            try:
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                answer = self.process.stdout.readline()
                assert answer, "the process that others are forked off has ended"
            except BaseException:
                # Interrupted, as by a time limit: its answer must not be the next program's.
                self._end()
                raise
            code = int(answer)
            said = (file.read().decode() for file in (out, err))
            return subprocess.CompletedProcess(arguments, code, *said)


def main() -> None:
    # None of it may start a thread, which a fork would not take along. A module that only these import, and that a
    # program forgets to import, is not missed here: tests/commands/test_model.py reads a saved model in a new process.
    import contsym.cli
    import contsym.results.tracking
    import contsym.training.loop
    import contsym.training.trained

    with contsym.results.tracking._quiet_mlflow():
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    assert threading.active_count() == 1
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            be(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def be(
    program: str, arguments: list[str], cwd: str, variables: Mapping[str, str], out: str, err: str
) -> None:
    """Be the process of a program, to its end."""
    code = 1
    try:
        for fd, path in ((0, os.devnull), (1, out), (2, err)):
            os.dup2(os.open(path, os.O_RDWR), fd)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(variables)
        sys.argv = arguments
        exec(program, {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
