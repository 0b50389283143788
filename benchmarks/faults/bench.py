"""What all faults need: toy data, a process to fork trials off, and the results of a run nobody disturbs."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from contsym.data.wikidata.relations import registry
from contsym.testing import toy

ROOT = Path(__file__).resolve().parents[2]
HANGS_AFTER = 600.0
"""Seconds after which a command that takes a few is said to hang, however busy the machine is."""

SEEDS = (0, 1)
OPTIONS = (
    *("--scenario", "mnli_then_wikidata", "--set", "learning_rate=0.003", "--set", "steps=6"),
    *("--protocol", "sequential", "--no-audit", "--device", "cpu", "--precision", "fp32"),
)


class Red(Exception):
    """What was lost, double, half-written or not said; a trial without it is green."""


@dataclass(frozen=True)
class Fault:
    """A fault and how it is met: `trial` gives what happened in a few words, or raises Red."""

    name: str
    about: str
    trial: Callable[[Bench, random.Random], str]
    n_trials: int = 5
    """In the table of docs/reliability.md, where nothing else is asked for."""


class Skipped(Exception):
    """Why this machine cannot show the fault."""


@dataclass
class Child:
    """A contsym that runs."""

    bench: Bench
    pid: int
    stdout: Path
    stderr: Path
    code: int | None = None
    """Its exit code once it has ended, negative for a signal."""
    went_on: bool = False
    """Whether it told of a phase that began or ended after it was sent a signal."""

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code. Raises Red where it does not end."""
        if self.code is None:
            until = time.monotonic() + HANGS_AFTER
            while not has_ended(self.pid):
                if time.monotonic() > until:
                    self.kill()
                    self.bench.ask({"wait": self.pid})
                    raise Red(f"it hangs: no end in {HANGS_AFTER:.0f} s")
                time.sleep(0.005)
            self.code = int(self.bench.ask({"wait": self.pid})["code"])
        return self.code

    @property
    def out(self) -> str:
        return self.stdout.read_text("utf-8")

    @property
    def err(self) -> str:
        return self.stderr.read_text("utf-8")

    def expect(self, code: int, *words: str) -> None:
        """Raises Red where it ended otherwise, without these words, or with a traceback."""
        found = self.wait()
        if found != code:
            raise Red(f"exit code {found}, expected {code}: {self.err[-600:]}")
        if "Traceback" in self.err:
            raise Red(f"a traceback: {self.err[-600:]}")
        for word in words:
            if word not in self.err:
                raise Red(f"{word!r} was not said: {self.err[-600:]}")

    def expect_one_line(self, code: int, *words: str) -> str:
        """The one line that begins with `error:`; raises Red as `expect`, and for more lines behind it."""
        self.expect(code, *words)
        said = [line for line in self.err.splitlines() if line.startswith("error: ")]
        if len(said) != 1 or not self.err.rstrip().endswith(said[0]):
            raise Red(f"expected one line: {self.err[-600:]}")
        return said[0]


def has_ended(pid: int) -> bool:
    """Whether the process is a zombie; its parent has not waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] in ("Z", "X")
    except FileNotFoundError:
        return True


@dataclass
class Bench:
    """A folder with toy data, a tiny encoder and an empty tracking database, and the process to fork off.

    Use it as a context; everything it made is gone at its end.
    """

    folder: Path
    n_started: int = 0
    n_outputs: int = 0
    server: subprocess.Popen[str] | None = None
    references: dict[str, Any] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack)
    """What is ended with it."""

    def __enter__(self) -> Bench:
        toy.write_tasks(self.folder)
        toy.save_encoder(self.folder / "encoder")
        write_triples(self.folder / "triples.tsv")
        self.environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        self.server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.faults.server"],
            cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()
        assert self.server and self.server.stdin and self.server.stdout
        self.server.stdin.close()
        self.server.wait(60)
        self.server.stdout.close()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.server and self.server.stdin
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.server and self.server.stdout
        line = self.server.stdout.readline()
        if not line:
            raise RuntimeError("the process to fork off has ended")
        return json.loads(line)

    def start(
        self, words: list[str], hooks: dict[str, Any] | None = None, environment: dict[str, str] | None = None
    ) -> Child:
        """Start a command in the bench's folder."""
        self.n_started += 1
        out, err = (self.folder / "said" / f"{self.n_started}.{kind}" for kind in ("out", "err"))
        out.parent.mkdir(exist_ok=True)
        run = {
            "words": words, "cwd": str(self.folder), "environment": environment or {}, "hooks": hooks or {},
            "stdout": str(out), "stderr": str(err),
        }  # fmt: skip
        return Child(self, self.ask({"run": run})["pid"], out, err)

    def run(self, words: list[str], hooks: dict[str, Any] | None = None) -> Child:
        """A command that is waited for."""
        child = self.start(words, hooks)
        child.wait()
        return child

    @contextmanager
    def output(self, with_database: bool = True) -> Iterator[Path]:
        """An output folder for a trial. Making MLflow's database takes seconds, a copy none."""
        self.n_outputs += 1
        folder = self.folder / f"out-{self.n_outputs}"
        folder.mkdir()
        if with_database:
            shutil.copy(self.database, folder / "mlflow.db")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @cached_property
    def database(self) -> Path:
        """An empty tracking database."""
        from contsym.results import tracking

        path = self.folder / "template" / "mlflow.db"
        with tracking._quiet_mlflow():
            tracking.make_database(path, path.parent)
        return path

    def run_words(self, output: Path) -> list[str]:
        """A run of both toy tasks."""
        words = ["run", "--strategy", "fine_tune", *OPTIONS, "--shots", "32", "--mnli-size", "48"]
        words += ["--seeds", "".join(f"{seed}," for seed in SEEDS), "--encoder", "encoder", "--mnli", "mnli"]
        return [*words, "--wikidata", "wikidata", "--no-curve", "--output", str(output)]

    def sweep_words(self, output: Path) -> list[str]:
        """A sweep of eight cells, with two first tasks per strategy."""
        words = ["sweep", "--strategies", "fine_tune,knn_fixed", *OPTIONS, "--shots", "8,16", "--seeds", "2"]
        words += ["--encoder", "encoder", "--mnli", "mnli", "--mnli-size", "48", "--wikidata", "wikidata"]
        return [*words, "--output", str(output)]

    def build_words(self, out: Path) -> list[str]:
        """A build of a data set."""
        return ["data", "build", "--triples", "triples.tsv", "--to", str(out), "--neutral"]


def write_triples(path: Path) -> None:
    """Triples of every bundled relation, a few thousand in all."""
    names = list(registry().relations)
    lines = [f"subject {i} of {name}\t{name}\tobject {i} of {name}\n" for name in names for i in range(60)]
    path.write_text("".join(lines), "utf-8")


@contextmanager
def phases_of(bench: Bench) -> Iterator[tuple[str, Callable[[float], str | None]]]:
    """A pipe for `tell_phases`, and a function that waits for its next line, None after so many seconds."""
    path = bench.folder / f"phases-{bench.n_started}"
    os.mkfifo(path)
    # Read and write: opening it for reading alone would wait for a writer.
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    waiting: list[str] = []

    def following(seconds: float) -> str | None:
        if not waiting:
            if not select.select([handle], [], [], seconds)[0]:
                return None
            waiting.extend(os.read(handle, 65536).decode().split("\n")[:-1])
        return waiting.pop(0)

    try:
        yield str(path), following
    finally:
        os.close(handle)
        path.unlink()
