"""The files of a folder of pairs, and the part that each of them is."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from contsym.data.class_names import METADATA
from contsym.data.part_columns import named_part, part_of
from contsym.data.readers import READERS
from contsym.data.schema import PARTS, Part
from contsym.data.shards import missing_shards, some
from contsym.data.text_files import OPENERS
from contsym.errors import DataError
from contsym.tasks.schema import Task

_DOCUMENTS = ("readme", "license")
"""Text files beside the data, as in MultiNLI 1.0."""
_SHARD = re.compile(r"-\d{5}(-of-\d{5}).*$")
"""The end of a shard's name, as of `train-00000-of-00002`."""


def readable_files(folder: Path, task: Task) -> list[Path]:
    """The data files of a folder. Raises DataError where they cannot be all of a task's."""
    paths = [path for path in sorted(folder.iterdir()) if path.name not in METADATA and path.is_file()]
    files = [path for path in paths if _is_data(path)]
    if not files and any((folder / name).is_file() for name in METADATA):
        raise DataError(f"{folder}: written by save_to_disk; expected each part by to_parquet or to_json")
    if not files:
        deeper = itertools.chain(folder.glob("*/*"), folder.glob("*/*/*"))
        inside = sorted({path.parent.relative_to(folder).as_posix() for path in deeper if _is_data(path)})
        where = f"no data files here, but in {some(inside, 5)} inside" if inside else "no data files"
        raise DataError(f"{folder}: {where}; expected train and test as {', '.join(READERS)} in one folder")
    if packed := [path for path in paths if path.suffix in OPENERS and Path(path.stem).suffix in READERS]:
        raise DataError(f"{packed[0]}: a packed file, and pairs are read from unpacked ones: unpack it")
    if len(files) == 1 and not task.test_only and not _may_train(files[0], task):
        raise DataError(
            f"{folder}: no file for train, only {files[0].name}; give that file to divide it into parts"
        )
    for path in files:
        check_inside(path, folder)
    if missing := [name for name in missing_shards(folder, "*") if Path(name).suffix.lower() in READERS]:
        raise DataError(f"{folder}: incomplete, {some(missing)} missing; copy or download all of its files")
    return files


def _is_data(path: Path) -> bool:
    # macOS writes `._train.jsonl` beside `train.jsonl` where a disk is not its own.
    is_hidden = path.name.startswith(".")
    return path.suffix.lower() in READERS and path.stem.lower() not in _DOCUMENTS and not is_hidden


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
    """The files of a part; none for a folder without a validation part.

    Raises DataError for a missing part, and for one with several files that are not its shards.
    """
    named = _by_name(files, task)
    names = task.names_of(part, named)
    for name in names:
        if len({_SHARD.sub(r"\1", path.stem) for path in named[name]}) > 1:
            listed = some([path.name for path in named[name]], 5)
            raise DataError(
                f"{folder}: {listed} are all the part {name}; expected one file or its shards: move the others away, or "
                "name those that are meant under [parts] of a task, as a+b"
            )
    paths = sorted(path for name in names for path in named[name])
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


def remarks(folder: Path, task: Task) -> list[str]:
    """A remark on the data files of a folder that are in no part of the task, if there are any."""
    files = readable_files(folder, task)
    named = _by_name(files, task)
    parts = ("test",) if task.test_only else PARTS
    used = {name for part in parts for name in task.names_of(part, named)}
    unused = [path.name for name, paths in named.items() if name not in used for path in paths]
    return [f"files that are not used: {some(unused, 5)}"] if unused and len(files) > 1 else []


def _may_train(path: Path, task: Task) -> bool:
    """Whether the only file of a folder may be divided into parts: its name is of no part, or of the training part."""
    (name,) = _by_name([path], task)
    part = next(filter(None, map(part_of, _tails(path))), "train")
    return part.startswith("train") or any(name in names for names in task.alternatives["train"])


def _by_name(files: list[Path], task: Task) -> dict[str, list[Path]]:
    """The files by the name of a part of the task that ends theirs; those of no part under an empty name."""
    named: dict[str, list[Path]] = {}
    for path in files:
        known = (named_part(tail, task) for tail in _tails(path))
        named.setdefault(next(filter(None, known), ""), []).append(path)
    # Of two spellings of one name the exact one counts.
    for name, paths in list(named.items()):
        exact = [path for path in paths if name in _tails(path)]
        if 0 < len(exact) < len(paths):
            named[name] = exact
            named.setdefault("", []).extend(path for path in paths if path not in exact)
    return named


def _tails(path: Path) -> list[str]:
    """The name without its ending, and what of it follows each separator: of `a_train.csv` `a_train` and `train`."""
    stem = _SHARD.sub("", path.stem)
    return [stem[sign.end() :] for sign in re.finditer(r"^|[ _.-]", stem)]
