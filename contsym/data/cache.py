"""A cache of checked data in Arrow files, which the next process maps instead of parsing the source again.

The key of an entry covers everything that decides the result of the parser: the content and path of every file that
it may read, the request, the code of this package and its libraries. Entries appear and disappear atomically; a damaged
entry is made again. The cache has a size limit, and the entries unused for longest are deleted first.
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
from typing import Any

import contsym
from contsym.data import hub, sources
from contsym.data.class_names import CARD, INFO, INFOS
from contsym.data.schema import PARTS, Form, TaskData, arrow_schema, file_sha256
from contsym.data.splits import SplitRule
from contsym.data.wikidata import manifest
from contsym.errors import DataError
from contsym.files import bound, drop, gib_from_environment, home_path, write_whole
from contsym.machine import n_cores
from contsym.tasks.catalog import as_task
from contsym.tasks.schema import Task

FORMAT = 3
FOLDER = "CONTSYM_CACHE"
"""Environment variable with the folder of the cache; default: the user's cache folder."""
LIMIT, DEFAULT_GIB = "CONTSYM_DATA_GIB", 4.0
"""Environment variable with the size limit of the cache, and its default."""
SMALL = 1 << 20
"""Bytes of a source below which parsing is too fast to be noticed, and nothing is cached."""
LARGE = 16 << 20
"""Bytes of a source above which a separate process parses it ahead."""
MAX_FILES = 1000
"""A folder with more files holds more than a dataset; it is not hashed."""
FACTS = "facts.json"
MANY = 1000
"""Pairs of a task below which a value is computed again instead of cached."""
_LIBRARIES = ("datasets", "pyarrow", "duckdb", "scikit-learn", "scipy", "numpy")
_BATCH = 4096

Request = tuple[Task, str, Form, SplitRule | None]
"""Task, source, form and split: the arguments of `load_task`."""
_Stats = list[tuple[str, int, int, int]]


def load_task(
    task: Task | str, spec: str, form: Form = "lexicalised", split: SplitRule | None = None
) -> TaskData:
    """The result of `sources.load_task`, with its errors, from the cache where possible."""
    limit = _limit()
    request: Request = as_task(task), spec, form, split
    source = sources.parse_source(*request[:3])
    stats, entry = _entry(source, request) if limit else ([], None)
    if entry is None:
        return sources.load_task(*request)
    data = _read(entry, request[0])
    if data is None:
        data = sources.load_task(*request)
        # The key does not fit the content of a file that changed while it was read.
        if _stats(_files(source)) == stats:
            _keep(entry, data, limit)
    return data


def cached_value(task: TaskData, what: Sequence[object], compute: Callable[[], Any]) -> Any:
    """A JSON value computed from checked pairs, cached where they are not few; `what` names the value and its options.

    On another machine or with another number of threads it is computed again: sums of floats may differ.
    """
    limit = _limit()
    folder = cache_folder() if limit and sum(task.rows.values()) >= MANY else None
    if folder is None:
        return compute()
    machine = [platform.machine(), n_cores(), os.environ.get("OMP_NUM_THREADS")]
    entry = folder / _hash([_versions(), machine, task.fingerprint, *what])
    facts = _facts(entry)
    if facts is None:
        facts = {"value": compute()}
        _write_entry(entry, lambda _: facts, limit)
    return facts["value"]


@contextmanager
def parsed_ahead(requests: Iterable[Request]) -> Iterator[set[Request]]:
    """While the block runs (for example while it imports torch), parse large uncached sources in separate processes.

    The block gets the requests that are being parsed; after it, `load_task` finds them in the cache, and parses the
    sources that could not be cached.
    """
    is_possible = _limit() > 0 and n_cores() > 1
    # The processes find modules where this process finds them, and in no other folder.
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    processes, parsed = [], set()
    try:
        for request in dict.fromkeys(requests if is_possible else ()):
            _, entry = _entry(sources.parse_source(*request[:3]), request, LARGE)
            if entry and not entry.is_dir():
                process = subprocess.Popen(  # noqa: S603 - this Python with our own module, no shell
                    [sys.executable, "-P", "-m", "contsym.data.cache", json.dumps(_written(request))],
                    env={**os.environ, "PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                processes.append(process)
                parsed.add(request)
        yield parsed
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
            process.wait()


def cache_folder() -> Path | None:
    """The folder of checked data; None for a user without a home."""
    if folder := os.environ.get(FOLDER, "").strip():
        return home_path(folder) / "data"
    try:
        home = os.environ.get("XDG_CACHE_HOME", "").strip() or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(home) / "contsym" / "data"


def _limit() -> int:
    return gib_from_environment(LIMIT, DEFAULT_GIB, "checked data")


def _entry(source: sources.Source, request: Request, floor: int | None = None) -> tuple[_Stats, Path | None]:
    """The present state of the files of a source, and the folder of its entry; None if it is not cached."""
    folder = cache_folder()
    try:
        files = _files(source) if folder else []
        stats = _stats(files)
        n_bytes = sum(size for _, size, _, _ in stats)
        if folder is None or len(files) > MAX_FILES or n_bytes < (floor or SMALL):
            return stats, None
        # The resolved path too: the reader may refuse a link to a file of the same content.
        content = [(str(path), str(path.resolve()), file_sha256(path)) for path in files]
        return stats, folder / _hash([_versions(), _written(request), source.name, content])
    except (OSError, DataError):
        return [], None  # the reader reports the error


def _written(request: Request) -> list[Any]:
    """A request as JSON has it."""
    task, *others = request
    return [task.model_dump(mode="json", exclude_defaults=True), *others]


def _files(source: sources.Source) -> list[Path]:
    """Every file that may affect the pairs of a source; none for bundled data, which are small."""
    if isinstance(source, hub.Hub):
        roots = [hub.resolve(each).snapshot.folder for each in source.named]
    elif isinstance(source, manifest.Built):
        roots = [source.folder]
    else:
        roots = [source.path] if isinstance(source, sources.Files) else []
    files: list[Path] = []
    for root in roots:
        # Only a snapshot has data below its folder; below a user's may be the results of this very run.
        within = root.rglob("*") if isinstance(source, hub.Hub) else root.iterdir()
        inside = [root] if root.is_file() else sorted(within)
        above = root.parent, root.parent.parent
        cards = [folder / name for folder in above for name in (CARD, INFO, INFOS)]
        files += [path for path in (*inside, *cards) if path.is_file()]
    return files


def _stats(files: Sequence[Path]) -> _Stats:
    stats = ((path, path.stat()) for path in files)
    return [(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in stats]


def _versions() -> list[object]:
    libraries = [[name, metadata.version(name)] for name in _LIBRARIES]
    return [FORMAT, contsym.__version__, _code_sha256(), platform.python_version(), libraries]


def _hash(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _code_sha256() -> str:
    """SHA-256 of the code of the rooms that read data."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(p for folder in ("data", "tasks") for p in (root / folder).rglob("*")):
        if path.suffix in (".py", ".toml"):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _keep(entry: Path, task: TaskData, limit: int) -> None:
    import pyarrow as pa

    def fill(folder: Path) -> dict[str, Any]:
        parts = {}
        for name, part in task.parts.items():
            path = folder / f"{name}.arrow"
            with pa.ipc.new_stream(path, arrow_schema()) as writer:
                for batch in part.with_format("arrow").iter(batch_size=_BATCH):
                    # A selection of rows is read as one chunk per row, which would be a record batch each.
                    writer.write_table(batch.cast(arrow_schema()).combine_chunks())
            parts[name] = {"rows": len(part), "sha256": file_sha256(path)}
        known = {"spec", *PARTS}
        others = {field.name: getattr(task, field.name) for field in fields(task) if field.name not in known}
        return {"parts": parts, "task": others}

    if sum(part.data.nbytes for part in task.parts.values()) <= limit:
        _write_entry(entry, fill, limit)


def _write_entry(entry: Path, fill: Callable[[Path], dict[str, Any]], limit: int) -> None:
    """Make an entry of the files that `fill` writes and the facts that it returns."""

    def write(folder: Path) -> None:
        folder.chmod(0o700)  # the pairs may be confidential
        facts = {**fill(folder), "key": entry.name}
        (folder / FACTS).write_text(json.dumps({**facts, "sha256": _hash(facts)}), encoding="utf-8")

    # If another process is faster, or the disk is full or read-only, the entry is made again next time.
    with suppress(OSError):
        write_whole(entry, write)
        bound(entry.parent, limit, FACTS)


def _read(entry: Path, spec: Task) -> TaskData | None:
    """The cached task; None if there is none."""
    from datasets import Dataset

    if (facts := _facts(entry)) is None:
        return None
    with _deleted_if_damaged(entry):
        for name in PARTS:
            if file_sha256(entry / f"{name}.arrow") != facts["parts"][name]["sha256"]:
                raise ValueError("damaged")
        parts = {name: Dataset.from_file(str(entry / f"{name}.arrow")) for name in PARTS}
        # JSON has lists where a task has tuples.
        others: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in facts["task"].items()}
        return TaskData(spec=spec, **others, **parts)
    return None


def _facts(entry: Path) -> dict[str, Any] | None:
    """The facts of an entry; None if it is missing or damaged. A damaged entry is deleted."""
    if not entry.is_dir():
        return None
    with _deleted_if_damaged(entry):
        facts = json.loads((entry / FACTS).read_text("utf-8"))
        if facts.pop("sha256") != _hash(facts) or facts["key"] != entry.name:
            raise ValueError("damaged")
        # Records the last use; many file systems do not record the time of reading.
        os.utime(entry / FACTS)
        return facts
    return None


@contextmanager
def _deleted_if_damaged(entry: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError, pa.ArrowException):
        with suppress(OSError):  # the entry may belong to another user
            drop(entry)


if __name__ == "__main__":
    written, *request = json.loads(sys.argv[1])
    load_task(Task.model_validate(written), *request)
