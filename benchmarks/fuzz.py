"""Many documents to every reader, for a night: python -m benchmarks.fuzz --inputs 100000 [--only jsonl,csv]

Rounds of 2,000, each with a seed of its own, so that any can be run again (--inputs 2000 --seed S). What a reader
could not stand is kept in --failures, to be tried again with --replay FILE. Exit code 1 where there is any.
--coverage adds which share of the lines of each reader's modules was reached (needs `pip install coverage`);
--guided S lets atheris look for new lines for S seconds a reader in place of the rounds (needs `pip install atheris`,
which has wheels for Linux and Python 3.11 to 3.13).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import contsym
from tests.fuzz.readers import READERS
from tests.fuzz.trial import Trial, try_document, try_reader

ROUND = 2000
ROOT = Path(contsym.__file__).parent


def keep(folder: Path, name: str, document: bytes, said: str) -> Path:
    """Write a document that a reader could not stand, and what happened."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(document).hexdigest()[:12]}"
    path.write_bytes(document)
    path.with_suffix(".txt").write_text(said + "\n", encoding="utf-8")
    return path


def replay(path: Path) -> int:
    """Try a kept document again; the reader is named by the file."""
    name = path.name.rpartition("-")[0]
    trial = Trial(name)
    with tempfile.TemporaryDirectory() as folder:
        try_document(trial, path.read_bytes(), Path(folder).resolve())
    print(trial.failures[0][1] if trial.failures else "read, or refused with a line")
    return len(trial.failures)


def guided(name: str, seconds: float, folder: Path) -> int:
    """Let atheris look for documents that reach new lines, in a process of its own; gives the number of failures."""
    found = 0
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return int(os.waitstatus_to_exitcode(status) != 0)
    import atheris

    with tempfile.TemporaryDirectory() as there, atheris.instrument_imports(include=["contsym"]):
        place = Path(there).resolve()
        trial = Trial(name)

        def one(data: bytes) -> None:
            nonlocal found
            try_document(trial, data, place)
            if len(trial.failures) > found:
                found = len(trial.failures)
                print(
                    f"{name}: {trial.failures[-1][1]} ({keep(folder, name, *trial.failures[-1])})", flush=True
                )

        corpus = place / "corpus"
        corpus.mkdir()
        for i, document in enumerate(examples(name, 200)):
            (corpus / str(i)).write_bytes(document)
        atheris.instrument_all()
        atheris.Setup(
            ["fuzz", f"-max_total_time={seconds:.0f}", "-max_len=4096", "-verbosity=0", str(corpus)], one
        )
        atheris.Fuzz()
    os._exit(int(found > 0))


def examples(name: str, n: int) -> list[bytes]:
    """The first n documents of a reader, for others to begin from."""
    from hypothesis import HealthCheck, Phase, given, settings

    found: list[bytes] = []

    @settings(max_examples=n, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(READERS[name].documents)
    def run(document: bytes) -> None:
        found.append(document)

    run()
    return found


def covered(measure: Any, names: list[str]) -> dict[str, float]:
    """Share of the lines of each module that the readers are in."""
    measure.stop()
    shares = {}
    for module in sorted({module for name in names for module in READERS[name].modules}):
        _, statements, _, missing, _ = measure.analysis2(str(ROOT / module))
        shares[module] = 1 - len(missing) / max(1, len(statements))
    return shares


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--inputs", type=int, default=100_000, help="to each reader")
    words.add_argument("--only", help="readers, as jsonl,csv; default: all")
    words.add_argument("--seed", type=int, default=1, help="of the first round")
    words.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    words.add_argument("--replay", type=Path, help="a kept document")
    words.add_argument("--coverage", action="store_true")
    words.add_argument("--guided", type=float, metavar="S", help="seconds a reader with atheris")
    words.add_argument("--json", type=Path, help="write the figures here")
    given = words.parse_args()
    # Before any reader loads what reads them.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore")
    if given.replay:
        sys.exit(replay(given.replay))
    names = given.only.split(",") if given.only else list(READERS)
    if unknown := [name for name in names if name not in READERS]:
        sys.exit(f"no reader {', '.join(unknown)}; expected {', '.join(READERS)}")
    if given.guided:
        sys.exit(sum(guided(name, given.guided, given.failures) for name in names) > 0)
    measure = None
    if given.coverage:
        import coverage

        measure = coverage.Coverage(  # type: ignore[attr-defined,unused-ignore]
            data_file=None, include=[f"{ROOT}/*"]
        )
        measure.start()
    n_failures, figures = 0, []
    print("reader               documents      read   refused  kinds   seconds  slowest   grown  failures")
    for name in names:
        started, n_read, slowest, grown, kinds, n = time.perf_counter(), 0, 0.0, 0, set(), 0
        failures: dict[str, tuple[bytes, str]] = {}
        number = given.seed
        while n < given.inputs:
            trial = try_reader(name, min(ROUND, given.inputs - n), number)
            n, n_read, number = n + trial.n, n_read + trial.n_taken, number + 1
            slowest, grown = max(slowest, trial.slowest), max(grown, trial.grown)
            kinds |= set(trial.refusals)
            for document, said in trial.failures:
                if said.partition(": ")[0] not in failures:
                    failures[said.partition(": ")[0]] = document, said
                    print(f"{name}, seed {number - 1}: {said} ({keep(given.failures, name, document, said)})")
        seconds = time.perf_counter() - started
        n_failures += len(failures)
        refused = n - n_read - len(failures)
        figures.append({"reader": name, "documents": n, "read": n_read, "kinds": len(kinds), "seconds": round(seconds, 1),
                        "slowest": round(slowest, 3), "grown_mb": grown >> 20, "failures": len(failures),
                        "seeds": [given.seed, number - 1]})  # fmt: skip
        print(
            f"{name:<18} {n:>11,} {n_read:>9,} {refused:>9,} {len(kinds):>6,} {seconds:>9.1f} {slowest:>7.2f}s "
            f"{grown >> 20:>5,}MB {len(failures):>9,}",
            flush=True,
        )
    shares = covered(measure, names) if measure else {}
    for module, share in shares.items():
        print(f"{module:<24} {share:>6.1%} of its lines")
    if given.json:
        given.json.write_text(
            json.dumps({"figures": figures, "coverage": shares}, indent=1) + "\n", encoding="utf-8"
        )
    print(f"{sum(figure['documents'] for figure in figures):,} documents, {n_failures} kinds of failure")
    sys.exit(n_failures > 0)


if __name__ == "__main__":
    main()
