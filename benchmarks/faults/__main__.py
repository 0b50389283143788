"""The command: draws the trials, prints the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

from benchmarks.faults.bench import Bench, Fault, Red, Skipped
from benchmarks.faults.every import FAULTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--only", help="names of faults, comma-separated; default: all")
    parser.add_argument(
        "--trials", type=int, help="of each fault; default: as many as the table in the docs has"
    )
    parser.add_argument("--seed", type=int, default=0, help="of every random moment")
    parser.add_argument("--json", type=Path, help="write what happened to this file too")
    given = parser.parse_args()
    known = {fault.name: fault for fault in FAULTS}
    names = given.only.split(",") if given.only else list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no fault {unknown[0]!r}; expected of {', '.join(known)}")
    found = []
    with tempfile.TemporaryDirectory(prefix="contsym-faults-") as folder, Bench(Path(folder)) as bench:
        for name in names:
            found.append(inject(bench, known[name], given.trials or known[name].n_trials, given.seed))
            print_row(found[-1])
    told = {
        "date": time.strftime("%Y-%m-%d"), "platform": platform.platform(),
        "python": platform.python_version(), "cores": os.cpu_count(), "seed": given.seed, "faults": found,
    }  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    n_red = sum(len(entry["red"]) for entry in found)
    print(f"\n{told['date']}, {told['platform']}, {told['cores']} cores; "
          f"{sum(entry['trials'] for entry in found)} trials, {n_red} red")  # fmt: skip
    sys.exit(1 if n_red else 0)


def inject(bench: Bench, fault: Fault, n_trials: int, seed: int) -> dict[str, Any]:
    """All trials of a fault; a trial that is red does not keep the next from being made."""
    happened: Counter[str] = Counter()
    red: list[str] = []
    began = time.monotonic()
    for i in range(n_trials):
        try:
            happened[fault.trial(bench, random.Random(f"{seed}/{fault.name}/{i}"))] += 1
        except Skipped as reason:
            happened[f"left out: {reason}"] += 1
            break
        except Red as error:
            red.append(f"trial {i}: {error}")
            print(f"RED {fault.name}: {red[-1]}", file=sys.stderr, flush=True)
    n_done = sum(n for what, n in happened.items() if not what.startswith("left out"))
    return {
        "name": fault.name, "about": fault.about, "trials": n_done + len(red), "happened": dict(happened),
        "red": red, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def print_row(entry: dict[str, Any]) -> None:
    """A row of a Markdown table."""
    happened = sorted(entry["happened"].items(), key=lambda item: -item[1])
    words = "; ".join(f"{n} {what}" if len(happened) > 1 else what for what, n in happened)
    verdict = "RED" if entry["red"] else "green" if entry["trials"] else "left out"
    print(f"| {entry['about']} | {entry['trials']} | {words} | {verdict} |", flush=True)


if __name__ == "__main__":
    main()
