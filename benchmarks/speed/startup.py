"""`contsym --help` and `contsym list`, against importing Avalanche.

Each is a process of its own, timed from its start to its end, as someone at a terminal would. Avalanche's
import is what a command would take at least that loaded its training library before it answers. Equal results:
every call must print, to the letter, what the first one printed, and exit with 0; and that
`--help` and `list` import none of the heavy libraries is a test (tests/test_walls.py).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from speed.ratios import Comparison, Options, clocked, interleaved

AIM = 10.0


def measure(options: Options) -> list[Comparison]:
    commands = {
        "contsym --help": ["-m", "contsym", "--help"],
        "contsym list": ["-m", "contsym", "list"],
        "import avalanche": ["-W", "ignore", "-c", "import avalanche; print(avalanche.__version__)"],
    }
    printed: dict[str, set[str]] = {name: set() for name in commands}

    def way(name: str, command: Sequence[str]):
        def call() -> None:
            done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
            printed[name].add(done.stdout)

        return clocked(call)

    repeats = 1 if options.smoke else options.repeats
    seconds, _ = interleaved({name: way(name, c) for name, c in commands.items()}, repeats)
    other = seconds.pop("import avalanche")
    return [
        Comparison(
            measure="startup",
            name=f"{name} / import avalanche",
            ours=took,
            theirs=other,
            agrees=len(printed[name]) == 1 and all(printed[name]),
            agreement=f"{len(printed[name])} different outputs in {repeats + 1} calls; expected 1",
            aim=AIM,
        )
        for name, took in seconds.items()
    ]
