"""The default run: its time beside a busy process against that on idle cores, and its peak memory.

`contsym run --strategy knn_fixed --scenario mnli_then_wikidata` in a process of its own, on all cores; the busy process
is one endless loop. Figures mean nothing where other processes are at work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from contsym.results import store
from speed.ratios import Comparison, Options, interleaved

AIM, PEAK_AIM = 1.6, 1.2


def measure(options: Options) -> list[Comparison]:
    peaks: list[float] = []
    words = ["run", "--strategy", "knn_fixed", "--scenario", "mnli_then_wikidata", "--mnli", options.mnli]
    words += ["--wikidata", options.wikidata]
    if options.smoke:
        words += [
            "--protocol",
            "sequential",
            "--encoder",
            options.encoder,
            "--set",
            "steps=2",
            "--limit",
            "40",
        ]

    def run() -> tuple[float, str]:
        with tempfile.TemporaryDirectory() as output:
            began = time.perf_counter()
            child = subprocess.Popen(
                [sys.executable, "-m", "contsym", *words, "--output", output, "--json"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(child.pid, 0)
            took = time.perf_counter() - began
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise RuntimeError(f"contsym {' '.join(words)} ended with {child.returncode}")
            (result,) = store.results_folder(Path(output)).glob(f"*/{store.RESULT}")
            # Linux counts in KiB.
            peaks.append(usage.ru_maxrss * 1024 / 1e9)
            return took, result.parent.name

    def beside() -> tuple[float, str]:
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            return run()
        finally:
            busy.kill()
            busy.wait()

    repeats = 1 if options.smoke else options.long_repeats
    seconds, keys = interleaved({"idle": run, "beside": beside}, repeats, warm_up=False)
    same = {"agrees": keys["idle"] == keys["beside"], "agreement": "both have one key"}
    return [
        Comparison(
            measure="default_run",
            name="beside a busy process / on idle cores",
            ours=seconds["idle"],
            theirs=seconds["beside"],
            aim=AIM,
            at_most=True,
            **same,
        ),
        Comparison(
            measure="default_run",
            name="peak memory, GB",
            ours=peaks,
            theirs=[],
            aim=PEAK_AIM,
            at_most=True,
            **same,
        ),
    ]
