"""The default run: its time beside a busy process against that on idle cores, and its peak memory.

`contsym run --strategy knn_fixed --scenario mnli_then_wikidata` on the bundled pairs, in a process of its own, on all
cores; the busy process is one endless loop. Figures mean nothing where other processes are at work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from contsym.config import RunConfig
from contsym.results import store
from speed.ratios import Comparison, Options, interleaved

AIM, PEAK_AIM = 1.6, 1.2


STRATEGY, SCENARIO, TOY_STEPS = "knn_fixed", "mnli_then_wikidata", "2"


def default_words(options: Options) -> list[str]:
    """The first command of the README; with toy sizes the same on the toy tasks."""
    words = ["run", "--strategy", STRATEGY, "--scenario", SCENARIO, "--device", options.device]
    if options.smoke:
        words += ["--encoder", options.encoder, "--mnli", options.mnli, "--wikidata", options.wikidata]
        words += ["--set", f"steps={TOY_STEPS}", "--precision", "fp32"]
    return words


def default_config(options: Options) -> RunConfig:
    """The same, for Python."""
    if not options.smoke:
        return RunConfig(STRATEGY, SCENARIO, device=options.device)
    sources = {"mnli": options.mnli, "wikidata": options.wikidata}
    return RunConfig(
        STRATEGY,
        SCENARIO,
        encoder=options.encoder,
        sources=sources,
        settings={"steps": TOY_STEPS},
        precision="fp32",
        device=options.device,
    )


def measure(options: Options) -> list[Comparison]:
    peaks: list[float] = []
    words = default_words(options)

    def run() -> tuple[float, str]:
        with tempfile.TemporaryDirectory() as output:
            began = time.perf_counter()
            child = subprocess.Popen(
                [sys.executable, "-m", "contsym", *words, "--output", f"{output}/runs", "--json"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Leaks and shortcuts are looked for each time.
                env={**os.environ, "CONTSYM_CACHE": f"{output}/cache"},
            )
            _, status, usage = os.wait4(child.pid, 0)
            took = time.perf_counter() - began
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise RuntimeError(f"contsym {' '.join(words)} ended with {child.returncode}")
            (result,) = store.results_folder(Path(output) / "runs").glob(f"*/{store.RESULT}")
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
