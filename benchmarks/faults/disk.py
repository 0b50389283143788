"""A disk that is full or read-only, and a folder that somebody removes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults import checks
from benchmarks.faults.bench import Bench, Fault, Red, Skipped
from benchmarks.faults.kill import reference

ENOUGH = 64 * 2**20


@contextmanager
def small_disk(folder: Path, n_bytes: int) -> Iterator[Path]:
    """A file system of that size. Raises Skipped where this process may not mount one."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "none", str(folder)],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if done.returncode:
        folder.rmdir()
        raise Skipped("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607
        folder.rmdir()


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)  # noqa: S607


def full(bench: Bench, rng: random.Random) -> str:
    """A disk that fills up at some moment of a run, or that temporary files fill; with room again it completes."""
    known = reference(bench, "run", bench.run_words, {})
    # From hardly more than the empty database to what a whole run takes.
    size = rng.randint(bench.database.stat().st_size + 4096, known.n_bytes)
    with small_disk(bench.folder / f"disk-{bench.n_started}", size) as disk:
        output = disk / "out"
        output.mkdir()
        shutil.copy(bench.database, output / "mlflow.db")
        words = bench.run_words(output)
        with_temporary = rng.random() < 0.5
        child = bench.start(words, {}, {"TMPDIR": str(disk)} if with_temporary else {})
        code = child.wait()
        checks.expect_part_of(checks.stored_results(output), known.stored)
        if code == 2:
            child.expect_one_line(2)
            told = "one line"
        else:
            child.expect(0)
            told = "a warning that MLflow was not reached" if "warning: " in child.err else "room enough"
        remount(disk, f"size={ENOUGH}")
        if code == 2:
            bench.run(words).expect(0)
        else:
            bench.run(["sync", "--output", str(output)]).expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return f"{told}; complete once there was room"


def too_large(bench: Bench, rng: random.Random) -> str:
    """A limit to the size of a file, as a quota sets it: met by the stored vectors or by MLflow's database."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output() as output:
        words = bench.run_words(output)
        child = bench.run(words, {"limit_file_size": rng.choice([1, 4, 16, 64, 400]) * 1024})
        checks.expect_part_of(checks.stored_results(output), known.stored)
        if child.code == 2:
            child.expect_one_line(2)
            bench.run(words).expect(0)
        else:
            child.expect(0)
            bench.run(["sync", "--output", str(output)]).expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return f"exit code {child.code} with a line; complete without the limit"


def read_only(bench: Bench, rng: random.Random) -> str:
    """An output folder that cannot be written: said before anything is trained."""
    if os.geteuid() == 0:
        with small_disk(bench.folder / f"disk-{bench.n_started}", ENOUGH) as disk:
            remount(disk, "ro")
            return _refused(bench, disk / "out" if rng.random() < 0.5 else disk)
    with bench.output() as output:
        output.chmod(0o555)
        try:
            return _refused(bench, output)
        finally:
            output.chmod(0o755)


def _refused(bench: Bench, output: Path) -> str:
    child = bench.run(bench.run_words(output))
    child.expect_one_line(2, f"--output {output} cannot be written", "name another with --output")
    if "training" in child.err:
        raise Red("it trained first")
    return "one line before anything was trained"


def removed(bench: Bench, rng: random.Random) -> str:
    """The output folder removed at a random moment: a line, no result said to be stored that is not."""
    known = reference(bench, "run", bench.run_words, {})
    with bench.output() as output:
        words = bench.run_words(output)
        event = {
            "n": rng.randint(1, known.n_events),
            "below": str(output),
            "what": "remove",
            "folder": str(output),
        }
        child = bench.run(words, {"at_file_event": event})
        stored = checks.stored_results(output)
        checks.expect_part_of(stored, known.stored)
        if child.code == 0:
            child.expect(0)
            if event["n"] >= known.n_events:
                # At the very end it lets go of the record; all is checked before.
                return "removed as it ended"
            if stored.keys() != known.stored.keys():
                raise Red("exit code 0, and results are gone")
            return "removed before anything was stored; all of it is there"
        child.expect_one_line(2)
        bench.run(words).expect(0)
        checks.expect_equal(checks.stored_results(output), known.stored)
        checks.expect_tracked(output / "mlflow.db", known.tracked)
    return "one line; the same command made all of it again"


FAULTS = (
    Fault("disk_full", "a disk that fills up (tmpfs)", full, 20),
    Fault("file_limit", "a limit to the size of files", too_large, 10),
    Fault("read_only", "a read-only output folder", read_only, 4),
    Fault("folder_removed", "the output folder removed under a run", removed, 20),
)
