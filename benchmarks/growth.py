"""How time and memory grow with the pairs, the stored label embeddings and the experiences.

    python benchmarks/growth.py --json growth.json --picture growth.svg
    python benchmarks/growth.py --only memory --largest 100000

Every point is measured in a process of its own; its memory is the process's peak above what it had taken
before the work began. Printed is the slope of log(cost) against log(size) over all sizes and between the two
largest, where what is the same for every size weighs least: 1 is linear, 0 not at all.

- pairs, 1,000 to 1,000,000: reading, checking and storing a file of pairs, then encoding each distinct text.
  The encoder is made on the spot, with 32 dimensions and random weights, so that a million pairs take minutes; a
  real one costs more a text and the same for each, so it grows alike. The texts are all different.
- memory, 1,000 to 1,000,000 label embeddings of 384 dimensions: building the index and 1,000 queries, exact
  and as --memory-index says; vectors as in benchmarks/speed/queries.py.
- experiences, 2 to 50: 2,000 training and 1,000 test pairs dealt into so many experiences, each trained for
  5 steps and followed by an evaluation of all test pairs; same encoder. The data stay the same, the
  evaluations get more.

The ending of the picture's name says which kind it is, .svg or .png.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speed.ratios import Options

if TYPE_CHECKING:
    from contsym.models.memory import LabelMemory

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
from contsym.machine import waiting

os.environ.update(waiting())

DIM, N_QUERIES = 384, 1000
EXACT = "flat"
"""The memory's index that compares a query with everything stored."""
SIZES = {
    "pairs": (1000, 10_000, 100_000, 1_000_000),
    # auto makes an index of its own from 100,000 on, so the end of its curve needs two sizes above.
    "memory": (1000, 10_000, 100_000, 400_000, 1_000_000),
    "experiences": (2, 5, 10, 20, 50),
}
SMOKE = {"pairs": (50, 100), "memory": (50, 100), "experiences": (2, 3)}

Cost = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--only", default=",".join(SIZES), metavar="LIST")
    parser.add_argument("--largest", type=int, metavar="N", help="leave out larger sizes")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="rounds; the median is taken")
    parser.add_argument("--memory-index", default=Options().memory_index, metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    parser.add_argument("--smoke", action="store_true", help="toy sizes, to see that everything runs")
    parser.add_argument("--point", nargs=3, metavar=("WHAT", "VARIANT", "SIZE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.point:
        what, variant, size = given.point
        print(json.dumps(POINTS[what](int(size), variant, is_small=given.smoke)))
        return
    wanted = given.only.split(",")
    if unknown := [name for name in wanted if name not in SIZES]:
        parser.error(f"--only {unknown[0]}: expected some of {', '.join(SIZES)}")
    if given.repeats < 1:
        parser.error(f"--repeats {given.repeats}: expected at least 1")
    sizes = {name: within(name, given.largest, SMOKE if given.smoke else SIZES) for name in wanted}
    if short := [name for name, values in sizes.items() if len(values) < 2]:
        parser.error(f"--largest {given.largest}: leaves fewer than two sizes of {short[0]}")
    curves = [
        curve
        for name in wanted
        for variant in variants(name, given.memory_index)
        for curve in measured(name, variant, sizes[name], given.repeats, is_small=given.smoke)
    ]
    if given.json:
        given.json.write_text(
            json.dumps({**machine(), "smoke": given.smoke, "curves": curves}, indent=1) + "\n"
        )
    if given.picture:
        draw(curves, given.picture)


def within(name: str, largest: int | None, sizes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(size for size in sizes[name] if largest is None or size <= largest)


def variants(name: str, memory_index: str) -> tuple[str, ...]:
    """What is measured of each kind of growth."""
    return {
        "pairs": ("random encoder",),
        "memory": tuple(dict.fromkeys((EXACT, memory_index))),
        "experiences": ("knn_fixed", "fine_tune"),
    }[name]


def measured(
    name: str, variant: str, sizes: Sequence[int], repeats: int, *, is_small: bool
) -> list[dict[str, Any]]:
    """The curves of one variant, printed as they come."""
    costs: dict[int, list[Cost]] = {size: [] for size in sizes}
    for _ in range(repeats):
        for size in sizes:
            costs[size].append(in_process(name, variant, size, is_small=is_small))
            shown = "  ".join(f"{what} {cost:,.4g}" for what, cost in costs[size][-1].items())
            print(f"{name} {size:,}, {variant}: {shown}", flush=True)
    found = []
    for what in costs[sizes[0]][0]:
        values = [statistics.median(cost[what] for cost in costs[size]) for size in sizes]
        slopes = {"over_all": slope(sizes, values), "at_the_end": slope(sizes[-2:], values[-2:])}
        found.append(
            {"against": name, "variant": variant, "cost": what, "sizes": list(sizes), "values": values}
            | {"slope": slopes}
        )
        said = ", ".join(f"{s:.2f} {place.replace('_', ' ')}" for place, s in slopes.items() if s is not None)
        print(
            f"  {what} against {name}, {variant}: slope {said or 'none, too little to measure'}", flush=True
        )
    return found


def in_process(name: str, variant: str, size: int, *, is_small: bool) -> Cost:
    command = [sys.executable, "-W", "ignore", __file__, "--point", name, variant, str(size)]
    command += ["--smoke"] if is_small else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def slope(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The least-squares slope of log(value) against log(size); None where fewer than two values are above 0."""
    import numpy as np

    points = [(size, value) for size, value in zip(sizes, values, strict=True) if value > 0]
    if len(points) < 2:
        return None
    x, y = np.log(np.asarray(points, dtype=float)).T
    return float(np.polyfit(x, y, 1)[0])


# -- The points; each is called once, in a process of its own, and begins with a little of the same work, so
# that imports are no part of the cost. --


def pairs_point(n: int, variant: str, *, is_small: bool) -> Cost:
    from contsym.data.sources import load_task
    from contsym.machine import quiet_libraries
    from contsym.models.encoders import checkpoints
    from contsym.models.encoders.load import load
    from contsym.testing.toy import save_encoder

    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder) / "few", 4, 4)
        write_pairs(Path(folder) / "pairs", n, max(2, n // 10))
        encoder = load(checkpoints.locate(str(save_encoder(Path(folder) / "encoder"))))
        encoder.encode(load_task("wikidata", f"{folder}/few").train["premise"][:])
        forget_peak()
        before = peak_bytes()
        load_seconds, task = seconds_of(lambda: load_task("wikidata", f"{folder}/pairs"))
        texts = [*task.train["premise"][:], *task.train["hypothesis"][:]]
        encode_seconds, vectors = seconds_of(lambda: encoder.encode(texts))
        # A tenth of the pairs is for validation.
        assert len(vectors) == len(texts) and sum(task.rows.values()) >= n
    return {"load, s": load_seconds, "encode, s": encode_seconds, "peak, bytes": peak_bytes() - before}


def memory_point(n: int, variant: str, *, is_small: bool) -> Cost:
    import torch
    from speed.queries import N_LABELS, clustered, new_memory

    vectors = clustered(n + N_QUERIES, DIM, seed=0)
    stored, queries = vectors[:n], vectors[n:]

    def built(n: int) -> LabelMemory:
        memory = new_memory(DIM, variant)
        memory.add(stored[:n], torch.arange(n) % N_LABELS)
        memory.nearest(queries[:1])  # the index is made for the first query
        return memory

    built(10)
    forget_peak()
    before = peak_bytes()
    build_seconds, memory = seconds_of(lambda: built(n))
    query_seconds, _ = seconds_of(lambda: memory.nearest(queries))
    return {
        "build, s": build_seconds,
        "1,000 queries, s": query_seconds,
        "stored, bytes": memory.n_bytes,
        "peak, bytes": peak_bytes() - before,
    }


def experiences_point(n: int, variant: str, *, is_small: bool) -> Cost:
    from contsym.config import RunConfig
    from contsym.machine import quiet_libraries
    from contsym.testing.toy import save_encoder
    from contsym.training.plan import prepare
    from contsym.training.progress import Silent
    from contsym.training.run import run_seed

    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder) / "pairs", *((100, 50) if is_small else (2000, 1000)))
        scenario = Path(folder) / "stream.toml"
        scenario.write_text(
            f'summary = "{n} parts"\n\n[[experience]]\ntask = "wikidata"\nparts = {n}\nby = "pair"\n'
        )
        plan = prepare(
            RunConfig(
                strategy=variant,
                scenario=str(scenario),
                encoder=str(save_encoder(Path(folder) / "encoder")),
                sources={"wikidata": f"{folder}/pairs"},
                settings={"steps": "5"},
                device="cpu",
                precision="fp32",
                audit=False,
                curve=False,
                output=Path(folder) / "runs",
            )
        )
        forget_peak()
        before = peak_bytes()
        seconds, (result, _, _) = seconds_of(lambda: run_seed(plan, 0, Silent()))
        assert len(result.matrix) == n + 1
    return {"run, s": seconds, "peak, bytes": peak_bytes() - before}


POINTS: dict[str, Callable[..., Cost]] = {
    "pairs": pairs_point,
    "memory": memory_point,
    "experiences": experiences_point,
}


def write_pairs(folder: Path, n_train: int, n_test: int) -> None:
    """Mirrored pairs over numbered names, half of each label, no text twice."""
    from contsym.testing.toy import NAMES, PHRASES

    folder.mkdir()
    phrases = list(PHRASES.items())
    for part, first, n in (("test", 0, n_test), ("train", n_test, n_train)):
        with (folder / f"{part}.jsonl").open("w", encoding="utf-8") as file:
            for i in range(first, first + n):
                phrase, kind = phrases[i % len(phrases)]
                a, b = f"{NAMES[i % len(NAMES)]} {i}", f"{NAMES[i // 7 % len(NAMES)]} {i}"
                row = {
                    "id": f"pair-{i}",
                    "premise": f"{a} {phrase} the {b}",
                    "hypothesis": f"the {b} {phrase} {a}",
                    "label": "entailment" if kind == "symmetric" else "contradiction",
                    "relation": phrase,
                }
                file.write(json.dumps(row) + "\n")


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def forget_peak() -> None:
    """On Linux, let the peak begin anew from what is in memory now: making the data may have taken more."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def peak_bytes() -> int:
    """The most that this process has had in memory so far, or since `forget_peak`."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    # Other systems count in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine() -> dict[str, Any]:
    from contsym.machine import n_threads, platform_name
    from contsym.training.fingerprint import git_commit, library_versions

    return {
        "date": time.strftime("%Y-%m-%d"),
        "platform": platform_name(),
        "threads": n_threads(),
        "commit": git_commit(),
        "versions": library_versions(),
    }


def draw(curves: Sequence[dict[str, Any]], picture: Path) -> None:
    """Seconds above, bytes below, a column for each kind of growth; both axes logarithmic."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        sys.exit("error: matplotlib is not installed; install it with: pip install -e '.[bench]'")
    matplotlib.use("agg")
    from matplotlib import pyplot

    columns = list(dict.fromkeys(curve["against"] for curve in curves))
    figure, axes = pyplot.subplots(2, len(columns), figsize=(4.2 * len(columns), 6.4), squeeze=False)
    for curve in curves:
        unit = curve["cost"].rpartition(", ")[2]
        panel = axes[0 if unit == "s" else 1][columns.index(curve["against"])]
        end = curve["slope"]["at_the_end"]
        label = f"{curve['variant']}: {curve['cost'].rpartition(', ')[0]}" + (
            "" if end is None else f", slope {end:.2f}"
        )
        panel.plot(curve["sizes"], curve["values"], marker="o", markersize=3, label=label)
        panel.set(xscale="log", yscale="log", xlabel=curve["against"])
        panel.set_ylabel("seconds" if unit == "s" else "bytes")
        if max(curve["sizes"]) < 100:
            # Between 2 and 50 a logarithmic axis would write labels over one another.
            panel.set_xticks(curve["sizes"], [f"{size}" for size in curve["sizes"]])
            panel.set_xticks([], minor=True)
    for panel in axes.flat:
        panel.grid(alpha=0.3)
        panel.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main()
