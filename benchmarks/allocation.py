"""Training steps with the memory settings of contsym/machine.py, and as the C library comes.

    OMP_NUM_THREADS=1 python benchmarks/allocation.py --mnli ../shared/data/mnli --repeats 3

Steps of fine_tune on MNLI pairs at the device's own precision, in fresh processes by turns; the ratio is that of
the seconds, above 1 contsym's settings are faster. The losses must be equal to the bit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

from contsym.machine import VARIABLE, variables, waiting

os.environ.update(waiting())
N_UNCOUNTED = 4
"""Steps until the process has what it needs of memory."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--mnli", default="bundled", metavar="SOURCE")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.steps <= N_UNCOUNTED or given.repeats < 1:
        parser.error(f"--steps and --repeats: expected more than {N_UNCOUNTED} and at least 1")
    if given.child:
        print(json.dumps(steps(given.mnli, given.steps)))
        return
    os.environ.pop(VARIABLE, None)
    ways = {"contsym": variables(), "as it comes": {}}
    if not ways["contsym"]:
        sys.exit("error: this C library has no such settings; expected glibc 2.35 or later")
    found: dict[str, list[dict]] = {name: [] for name in ways}
    for _ in range(given.repeats):
        for name, settings in ways.items():
            command = [sys.executable, "-W", "ignore", __file__, "--child", "--mnli", given.mnli]
            done = subprocess.run(
                [*command, "--steps", str(given.steps)],
                env={**os.environ, **settings},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    for name, runs in found.items():
        middle = {what: statistics.median(run[what] for run in runs) for what in runs[0] if what != "losses"}
        print(
            f"{name:<12} {middle['seconds']:.3f} s a step   {middle['page_faults']:,.0f} page faults   "
            f"at most {middle['peak_bytes'] / 2**20:,.0f} MiB"
        )
    pairs = zip(found["as it comes"], found["contsym"], strict=True)
    ratios = sorted(theirs["seconds"] / ours["seconds"] for theirs, ours in pairs)
    losses = [run["losses"] for runs in found.values() for run in runs]
    equal = all(each == losses[0] for each in losses)
    print(
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), losses equal: {equal}"
    )
    sys.exit(not equal)


def steps(mnli: str, n_steps: int) -> dict:
    from speed.step import contsym_steps

    from contsym.config import RunConfig
    from contsym.training.plan import prepare

    plan = prepare(
        RunConfig(
            strategy="fine_tune",
            scenario="mnli_only",
            sources={"mnli": mnli},
            settings={"steps": str(n_steps)},
            device="cpu",
            audit=False,
            curve=False,
        )
    )
    marks, losses = contsym_steps(plan)
    used = resource.getrusage(resource.RUSAGE_SELF)
    n_counted = n_steps - N_UNCOUNTED
    return {
        "seconds": (marks.ends[-1] - marks.ends[N_UNCOUNTED - 1]) / n_counted,
        "page_faults": used.ru_minflt,
        # Linux counts in KiB; there is no other system with these settings.
        "peak_bytes": used.ru_maxrss * 1024,
        "losses": losses,
    }


if __name__ == "__main__":
    main()
