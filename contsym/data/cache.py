"""Checked data sets, kept as Arrow files so that the next process maps them and parses nothing.

An entry is named by everything that decides what the parser says: the content and the place of every file that it
may read, what was asked for, the code of this package and the libraries under it. It comes and goes whole; one that is
not what was written is made again. The folder is bounded: what has not been used for longest leaves first.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contsym
from contsym.data import hub, sources
from contsym.data.schema import Form, TaskData, arrow_schema, file_sha256
from contsym.data.splits import SplitRule
from contsym.data.wikidata import manifest
from contsym.errors import DataError
from contsym.files import bound, drop, gib_from_environment, write_whole
from contsym.machine import n_cores

if TYPE_CHECKING:
    from datasets import Dataset


FORMAT = 1
FOLDER = "CONTSYM_CACHE"
"""The environment variable with the folder of the cache; without it, the user's."""
LIMIT, DEFAULT_GIB = "CONTSYM_DATA_GIB", 4.0
"""The environment variable with the most that checked data may take, and what it is without."""
SMALL = 1 << 20
"""Bytes: a smaller source is parsed in less time than a person notices, and not kept."""
LARGE = 16 << 20
"""Bytes: a larger source is parsed in a process of its own while this one does something else."""
MAX_FILES = 1000
"""A folder with more is no data set alone; it is not hashed."""

FACTS, PARTS = "facts.json", ("train", "test")
_BESIDE = ("README.md", "dataset_info.json", "dataset_infos.json")
"""Cards that may say, beside the data or above their folder, what the data mean."""
_LIBRARIES = ("datasets", "pyarrow", "duckdb", "scikit-learn", "scipy", "numpy")
MANY = 50_000
"""Pairs: what is computed of fewer is computed again."""
_BATCH = 4096

Asked = tuple[str, str, Form, SplitRule | None]
"""Task, source, form and split, as `load_task` takes them."""
_Stats = list[tuple[str, int, int, int]]


def load_task(
    task_name: str, spec: str, form: Form = "lexicalised", split: SplitRule | None = None
) -> TaskData:
    """The checked parts of a task, as `sources.load_task` gives them and with its errors: kept ones, or parsed
    and kept from now on."""
    limit = gib_from_environment(LIMIT, DEFAULT_GIB, "checked data")
    asked = task_name, spec, form, split
    source = sources.parse_source(task_name, spec, form)
    seen, entry = _entry(source, asked) if limit else ([], None)
    if entry is None:
        return sources.load_task(*asked)
    found = _read(entry)
    if found is None:
        found = sources.load_task(*asked)
        # A file that changed while it was read has not the content that the entry is named by.
        if _stats(_files(source)) == seen:
            _keep(entry, found, limit)
    return found


def remembered(task: TaskData, what: Sequence[object], compute: Callable[[], Any]) -> Any:
    """A value as JSON that is computed of many checked pairs, kept as they are; `what` names it and its options.

    On another machine, or with other threads, it is computed again: sums of floats may differ.
    """
    limit = gib_from_environment(LIMIT, DEFAULT_GIB, "checked data")
    folder = cache_folder() if limit and sum(task.rows.values()) >= MANY else None
    if folder is None:
        return compute()
    on = [platform.machine(), n_cores(), os.environ.get("OMP_NUM_THREADS")]
    entry = folder / _hash([_made_with(), on, task.fingerprint, *what])
    found = _facts(entry)
    if found is None:
        found = {"value": compute()}
        _write_entry(entry, lambda _: found, limit)
    return found["value"]


@contextmanager
def parsed_ahead(wanted: Iterable[Asked]) -> Iterator[None]:
    """While the block runs, which imports torch, say, parse large sources that are not kept yet, each in a
    process of its own; `load_task` finds them afterwards, and parses what could not be kept."""
    is_possible = gib_from_environment(LIMIT, DEFAULT_GIB, "checked data") > 0 and n_cores() > 1
    # Modules are looked for where this process finds them, and in no other folder.
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    processes = []
    try:
        for asked in dict.fromkeys(wanted if is_possible else ()):
            _, entry = _entry(sources.parse_source(*asked[:3]), asked, LARGE)
            if entry and not entry.is_dir():
                command = [sys.executable, "-P", "-m", "contsym.data.cache", json.dumps(asked)]
                process = subprocess.Popen(  # noqa: S603 - this Python with our own module, no shell
                    command,
                    env={**os.environ, "PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                processes.append(process)
        yield
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _entry(source: sources.Source, asked: Asked, at_least: int | None = None) -> tuple[_Stats, Path | None]:
    """The files of a source as they are now, and the folder of its entry; None for one that is not kept."""
    folder = cache_folder()
    try:
        files = _files(source) if folder else []
        seen = _stats(files)
        n_bytes = sum(size for _, size, _, _ in seen)
        if folder is None or len(files) > MAX_FILES or n_bytes < (at_least or SMALL):
            return seen, None
        return seen, folder / _key(source, files, asked)
    except (OSError, DataError):
        return [], None  # the reader says what is wrong with a file


def cache_folder() -> Path | None:
    """Where checked data are kept; None for a user without a home."""
    if given := os.environ.get(FOLDER, "").strip():
        return Path(given).expanduser() / "data"
    try:
        home = os.environ.get("XDG_CACHE_HOME", "").strip() or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(home) / "contsym" / "data"


def _files(source: sources.Source) -> list[Path]:
    """Every file that the pairs of a source may depend on; none of bundled data, which are small."""
    if isinstance(source, hub.Hub):
        roots = [hub.find(each).snapshot.folder for each in source.named]
    elif isinstance(source, manifest.Built):
        roots = [source.folder]
    else:
        roots = [source.path] if isinstance(source, sources.Files) else []
    found: list[Path] = []
    for root in roots:
        inside = [root] if root.is_file() else sorted(root.rglob("*"))
        cards = [folder / name for folder in (root.parent, root.parent.parent) for name in _BESIDE]
        found += [path for path in (*inside, *cards) if path.is_file()]
    return found


def _stats(files: Sequence[Path]) -> _Stats:
    found = []
    for path in files:
        stat = path.stat()
        found.append((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return found


def _key(source: sources.Source, files: Sequence[Path], asked: Asked) -> str:
    # A link may lead elsewhere, to a file of the same content that the reader would refuse.
    read = [(str(path), str(path.resolve()), file_sha256(path)) for path in files]
    return _hash([_made_with(), asked, source.name, read])


def _made_with() -> list[object]:
    versions = [[name, metadata.version(name)] for name in _LIBRARIES]
    return [FORMAT, contsym.__version__, _code_sha256(), platform.python_version(), versions]


def _hash(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _code_sha256() -> str:
    """Of this package's code: what parses, checks, splits and names."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in (".py", ".toml"):
            digest.update(f"{path.relative_to(Path(__file__).parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _keep(entry: Path, task: TaskData, limit: int) -> None:
    def fill(folder: Path) -> dict[str, Any]:
        parts = {}
        for name in PARTS:
            part: Dataset = getattr(task, name)
            _write(part, folder / f"{name}.arrow")
            parts[name] = {"rows": len(part), "sha256": file_sha256(folder / f"{name}.arrow")}
        return {
            "parts": parts,
            "task": {f.name: getattr(task, f.name) for f in fields(task) if f.name not in PARTS},
        }

    if sum(part.data.nbytes for part in (task.train, task.test)) <= limit:
        _write_entry(entry, fill, limit)


def _write_entry(entry: Path, fill: Callable[[Path], dict[str, Any]], limit: int) -> None:
    """Make an entry: the files that `fill` writes, and the facts that it gives."""

    def write(folder: Path) -> None:
        folder.chmod(0o700)  # the pairs may be confidential
        facts = {**fill(folder), "key": entry.name}
        (folder / FACTS).write_text(json.dumps({**facts, "sha256": _hash(facts)}), encoding="utf-8")

    # Another process may be faster, or the disk full or not ours: then it is made again.
    with suppress(OSError):
        write_whole(entry, write)
        bound(entry.parent, limit, FACTS)


def _write(part: Dataset, path: Path) -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(path, arrow_schema()) as writer:
        for batch in part.with_format("arrow").iter(batch_size=_BATCH):
            writer.write_table(batch.cast(arrow_schema()))


def _read(entry: Path) -> TaskData | None:
    """The kept parts of a task; None where there are none."""
    import pyarrow as pa
    from datasets import Dataset

    if (facts := _facts(entry)) is None:
        return None
    try:
        for name in PARTS:
            if file_sha256(entry / f"{name}.arrow") != facts["parts"][name]["sha256"]:
                raise ValueError("not what was written")
        parts = {name: Dataset.from_file(str(entry / f"{name}.arrow")) for name in PARTS}
        # JSON has no tuples, and a task's data no lists.
        said: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in facts["task"].items()
        }
        return TaskData(**said, **parts)
    except (OSError, ValueError, KeyError, TypeError, DataError, pa.ArrowException):
        _forget(entry)
        return None


def _facts(entry: Path) -> dict[str, Any] | None:
    """The facts of an entry; None where there is none, or something else than was written, which is deleted."""
    if not entry.is_dir():
        return None
    try:
        facts = json.loads((entry / FACTS).read_text("utf-8"))
        if facts.pop("sha256") != _hash(facts) or facts["key"] != entry.name:
            raise ValueError("not what was written")
        # Says when it was last used. The time of reading would, but many file systems do not keep it.
        os.utime(entry / FACTS)
        return facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        _forget(entry)
        return None


def _forget(entry: Path) -> None:
    with suppress(OSError):  # an entry that is not ours to delete
        drop(entry)


if __name__ == "__main__":
    load_task(*json.loads(sys.argv[1]))
