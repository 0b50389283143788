"""`contsym data build` against a plain Python loop that does the same, on many triples, interleaved.

    python benchmarks/data_build.py ../shared/data/codex/triples.tsv --lines 20000000

The file is repeated until it has that many lines. Each repeat runs both in a process of its own,
one after the other, and the pairs that they write are compared. Prints the lines per second of
each, the ratio of the medians, and the most memory that each held.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from contsym.data.wikidata.relations import registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("triples", type=Path, help="tab-separated triples of ids, as CoDEx's")
    parser.add_argument("--lines", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.triples, *options.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        big = Path(folder) / "big.tsv"
        n_lines = repeat(options.triples, big, options.lines)
        found: dict[str, list[dict]] = {"engine": [], "loop": []}
        for i in range(options.repeats):
            for name in found:
                out = Path(folder) / f"{name}-{i}"
                command = [sys.executable, __file__, str(big), "--worker", name, str(out)]
                found[name].append(json.loads(subprocess.check_output(command, text=True)))
                shutil.rmtree(out, ignore_errors=True)
        if found["engine"][0]["pairs"] != found["loop"][0]["pairs"]:
            sys.exit("the two wrote different pairs")
        print(f"{n_lines:,} lines, {big.stat().st_size / 2**20:,.0f} MiB; {platform.machine()}, Python "
              f"{platform.python_version()}, {len(os.sched_getaffinity(0))} cores")  # fmt: skip
    for name, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        each = ", ".join(f"{s:.2f}" for s in seconds)
        speed = n_lines / statistics.median(seconds) / 1e6
        most, before = max(run["peak_mib"] for run in runs), min(run["before_mib"] for run in runs)
        print(
            f"{name:>6}: {each} s; {speed:.2f} million lines a second; peak memory {most:,.0f} MiB "
            f"({before:,.0f} MiB of it before the first line)"
        )
    medians = {name: statistics.median(run["seconds"] for run in runs) for name, runs in found.items()}
    print(f"ratio loop / engine: {medians['loop'] / medians['engine']:.1f}")


def repeat(source: Path, target: Path, n_lines: int) -> int:
    text = source.read_bytes()
    lines = text.splitlines(keepends=True)
    whole, rest = divmod(n_lines, len(lines))
    with target.open("wb") as file:
        for _ in range(whole):
            file.write(text)
        file.writelines(lines[:rest])
    return n_lines


def work(triples: Path, name: str, out: str) -> None:
    import duckdb  # noqa: F401 - imports are not what is measured
    import pyarrow.parquet  # noqa: F401

    before = peak_mib()
    started = time.perf_counter()
    pairs = {"engine": by_engine, "loop": by_loop}[name](triples, Path(out))
    seconds = time.perf_counter() - started
    digest = hashlib.sha256("\n".join(sorted(pairs)).encode()).hexdigest()
    print(json.dumps({"seconds": seconds, "before_mib": before, "peak_mib": peak_mib(), "pairs": digest}))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def by_engine(triples: Path, out: Path) -> set[str]:
    import pyarrow.parquet as pq

    from contsym.data.wikidata.build import BuildOptions, build

    build(BuildOptions(triples, out, form="delexicalised", bare=True))
    return {
        name
        for part in ("train", "test")
        for name in ids_of(pq.read_table(out / f"{part}.parquet")["id"].to_pylist())
    }


def ids_of(names: list[str]) -> list[str]:
    """A symmetric pair is the same pair whichever entity is drawn to come first."""
    known = registry().relations
    found = []
    for name in names:
        relation, a, b = name.split("/")
        found.append(
            "/".join((relation, *(sorted((a, b)) if known[relation].kind == "symmetric" else (a, b))))
        )
    return found


def by_loop(triples: Path, out: Path) -> set[str]:
    """The same build as a person would write it: a loop over the lines, dicts and sets.

    It checks each line, counts what is registered and what is not, drops repeats and pairs that
    contradict their kind, shares them out by a hash of the two entities, and writes Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    relations = registry().relations
    digest = hashlib.sha256()
    n_of: Counter[tuple[str, str, str]] = Counter()
    skipped: Counter[str] = Counter()
    n_bad = 0
    with triples.open("rb") as file:
        for raw in file:
            digest.update(raw)
            cells = raw.decode("utf-8").rstrip("\r\n").split("\t")
            if len(cells) != 3 or not all(cells):
                n_bad += 1
                continue
            subject, property_, object_ = (cell.strip() for cell in cells)
            if property_ in relations:
                n_of[subject, property_, object_] += 1
            else:
                skipped[property_] += 1
    rows: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    found = set()
    for s, p, o in n_of:
        relation = relations[p]
        is_mutual = (o, p, s) in n_of
        if s == o or (is_mutual and (relation.kind == "antisymmetric" or s > o)):
            continue
        draw = hashlib.sha256("\x1f".join(sorted((s, o))).encode()).digest()
        part = "test" if int.from_bytes(draw[:8], "big") < 0.2 * 2**64 else "train"
        rows[part].append(
            {
                "id": f"{p}/{s}/{o}",
                "premise": relation.sentence(0, s, o),
                "hypothesis": relation.sentence(0, o, s),
                "label": "entailment" if relation.kind == "symmetric" else "contradiction",
                "relation": p,
            }
        )
        found.add(f"{p}/{s}/{o}")
    out.mkdir()
    for part, pairs in rows.items():
        pq.write_table(pa.Table.from_pylist(pairs), out / f"{part}.parquet")
    return set(ids_of(sorted(found)))


if __name__ == "__main__":
    main()
