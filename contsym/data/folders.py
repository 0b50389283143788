"""The files of a folder of pairs, and the part that each of them is."""

from __future__ import annotations

import re
from pathlib import Path

from contsym.data.class_names import METADATA
from contsym.data.readers import READERS
from contsym.data.schema import Part
from contsym.data.shards import missing_shards, some
from contsym.data.text_files import OPENERS
from contsym.errors import DataError
from contsym.tasks.schema import Task

_NOT_FOR_TRAINING = ("test", "validation", "dev", "dev_matched", "dev_mismatched", "validation_matched")
"""Parts of a file's name by which a folder with that file alone lacks its training pairs."""


def readable_files(folder: Path, task: Task) -> list[Path]:
    """The data files of a folder. Raises DataError where they cannot be all of a task's."""
    paths = [path for path in sorted(folder.iterdir()) if path.name not in METADATA and path.is_file()]
    files = [path for path in paths if path.suffix.lower() in READERS]
    if not files and any((folder / name).is_file() for name in METADATA):
        raise DataError(f"{folder}: written by save_to_disk; expected each part by to_parquet or to_json")
    if not files:
        raise DataError(f"{folder}: no data files; expected train and test as {', '.join(READERS)}")
    if packed := [path for path in paths if path.suffix in OPENERS and Path(path.stem).suffix in READERS]:
        raise DataError(f"{packed[0]}: a packed file, and pairs are read from unpacked ones: unpack it")
    is_part = len(files) == 1 and any(_is_part(files[0].stem, name) for name in _NOT_FOR_TRAINING)
    if is_part and not task.test_only:
        raise DataError(
            f"{folder}: no file for train, only {files[0].name}; give that file to divide it into parts"
        )
    for path in files:
        check_inside(path, folder)
    if missing := [name for name in missing_shards(folder, "*") if Path(name).suffix.lower() in READERS]:
        raise DataError(f"{folder}: incomplete, {some(missing)} missing; copy or download all of its files")
    return files


def check_inside(path: Path, folder: Path) -> None:
    """Raise DataError for a link out of its folder, since the folder's maker may have no right to its target.

    The files of a snapshot in the Hub cache are links to the cache's own store, which are allowed.
    """
    root = folder.resolve()
    roots = [root, root.parents[1] / "blobs"] if root.parent.name == "snapshots" else [root]
    target = path.resolve()
    if not any(target.is_relative_to(each) for each in roots):
        raise DataError(f"{path}: a link out of {folder}, to {target}; give that path, or copy the data")


def files_of_part(files: list[Path], task: Task, part: Part, folder: Path) -> list[Path]:
    """The files of a part; none for a folder without a validation part."""
    present = {name for name in task.part_names if any(_is_part(path.stem, name) for path in files)}
    names = task.names_of(part, present)
    paths = [path for path in files if any(_is_part(path.stem, name) for name in names)]
    formats = {path.suffix.lower() for path in paths}
    if formats == {".jsonl", ".txt"}:
        # MultiNLI 1.0 has each part in both formats.
        return [path for path in paths if path.suffix.lower() == ".jsonl"]
    if len(formats) > 1:
        raise DataError(f"{folder}: {', '.join(p.name for p in paths)} are the same part twice; keep one")
    if not paths and part != "validation" and not (part == "train" and task.test_only):
        expected = " or ".join("+".join(names) for names in task.alternatives[part])
        listed = ", ".join(path.name for path in files)
        if not expected:
            raise DataError(
                f"{folder}: the folder has {listed}, and task {task.name} has one part, which is divided; give that file"
            )
        raise DataError(f"{folder}: no file for {expected}; the folder has {listed}")
    return paths


def _is_part(stem: str, name: str) -> bool:
    """`train`, `multinli_1.0_train` and `train-00000-of-00001` are all the part `train`."""
    stem = re.sub(r"-\d{5}-of-\d{5}.*$", "", stem)
    return stem == name or stem.endswith(f"_{name}") or stem.endswith(f".{name}")
