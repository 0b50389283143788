"""The stored results of evidence.py, packed into one small file per step that git can hold, and back.

A packed step has what `contsym report`, `compare` and `show` read: records of runs, results, predictions and audits; and
what searches for the least shots have tried, so that they resume.
Models, encodings and label vectors are left out: they are much larger, and the same command makes them again.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

PACKED = (
    "runs/*/run.json",
    "results/*/result.json",
    "results/*/predictions.csv",
    "results/*/audit.json",
    "trials/*.json",
)


def pack(folder: Path, archive: Path) -> int:
    """Write the results under `folder` into `archive`; returns how many there are.

    The same results give the same bytes, so git sees a change only where one is.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    n_results = 0
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        # Kind by kind: files that are alike stand together and compress better.
        for pattern in PACKED:
            for path in sorted(folder.glob(pattern)):
                if any(part.startswith(".") for part in path.relative_to(folder).parts):
                    continue  # what a killed process left
                content = path.read_bytes()
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
                n_results += path.name == "result.json"
    return n_results


def unpack(archive: Path, folder: Path) -> int:
    """Write what `pack` wrote into `folder`, over what is there; returns how many results came."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "r:xz") as tar:
        members = list(_files(tar))
        tar.extractall(folder, members, filter="data")
    return sum(member.name.endswith("/result.json") for member in members)


def _files(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        if not member.isfile():
            raise SystemExit(f"{tar.name!r}: {member.name} is not a plain file; expected results alone")
        yield member
