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
    parser.add_argument("--json", type=Path, help="keep what happened in this file; other faults in it stay")
    parser.add_argument("--into", type=Path, help="with --json: put the table of that file into this page")
    given = parser.parse_args()
    known = {fault.name: fault for fault in FAULTS}
    names = given.only.split(",") if given.only else list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no fault {unknown[0]!r}; expected of {', '.join(known)}")
    if given.into and not given.json:
        parser.error("--into goes with --json")
    found = []
    with tempfile.TemporaryDirectory(prefix="contsym-faults-") as folder, Bench(Path(folder)) as bench:
        for name in names:
            found.append(inject(bench, known[name], given.trials or known[name].n_trials, given.seed))
            print(row(found[-1]), flush=True)
            if given.json:
                keep(given.json, found[-1])
            if given.into:
                put_into(given.into, given.json, list(known))
    n_red = sum(len(entry["red"]) for entry in found)
    print(f"{sum(entry['trials'] for entry in found)} trials, {n_red} red; {MACHINE}")
    sys.exit(1 if n_red else 0)


MACHINE = f"{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->\n"


def keep(file: Path, entry: dict[str, Any]) -> None:
    """Put the entry in the place of an earlier one."""
    entries = json.loads(file.read_text("utf-8")) if file.is_file() else []
    entries = [each for each in entries if each["name"] != entry["name"]]
    file.write_text(json.dumps([*entries, entry], indent=1, ensure_ascii=False) + "\n", "utf-8")


def put_into(page: Path, file: Path, order: list[str]) -> None:
    """Put the table of all kept entries between the two marks of a page."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{page}: expected the marks {BEGIN.strip()} and {END.strip()}")
    entries = sorted(json.loads(file.read_text("utf-8")), key=lambda entry: order.index(entry["name"]))
    machines = "; ".join(sorted({entry["machine"] for entry in entries}))
    lines = [
        "| fault | trials | what happened | |",
        "|---|---|---|---|",
        *map(row, entries),
        "",
        f"({machines})",
    ]
    page.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after, "utf-8")


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
            red.append(f"trial {i}: {' '.join(str(error).split())[-400:]}")
            print(f"RED {fault.name}: {red[-1]}", file=sys.stderr, flush=True)
    n_done = sum(n for what, n in happened.items() if not what.startswith("left out"))
    return {
        "name": fault.name, "about": fault.about, "trials": n_done + len(red), "happened": dict(happened),
        "red": red, "seconds": round(time.monotonic() - began, 1), "seed": seed, "machine": MACHINE,
    }  # fmt: skip


def row(entry: dict[str, Any]) -> str:
    """A row of a Markdown table."""
    happened = sorted(entry["happened"].items(), key=lambda item: -item[1])
    words = "; ".join(f"{n} {what}" if len(happened) > 1 else what for what, n in happened)
    verdict = "RED" if entry["red"] else "green" if entry["trials"] else "left out"
    red = "".join(f"; {len(entry['red'])} RED: {entry['red'][0]}" for _ in entry["red"][:1])
    return f"| {entry['about']} | {entry['trials']} | {words}{red} | {verdict} |"


if __name__ == "__main__":
    main()
