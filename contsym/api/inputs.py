"""What Python code has at hand (tables, classes, dicts) as the files and texts of a config.

Tables, scenarios and classes become files in `OUTPUT/inputs`, named by their content: a run can be repeated from them, and
worker processes read them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contsym.api.class_source import module_text, strategy_file_name
from contsym.checked import model_from
from contsym.config import several, whole_number
from contsym.data.part_columns import named_part
from contsym.errors import ContsymError, DataError, SettingError, nearest
from contsym.files import write_file
from contsym.sweeps.readings import Reading, ReadingEntry, distinct
from contsym.tasks.catalog import own_tasks
from contsym.tasks.schema import FIRST, located
from contsym.training.trained_file import is_missing, table_rows

FOLDER = "inputs"


def config_options(
    given: Mapping[str, Any], known: Sequence[str], output: Path, arguments: Iterable[str] = ()
) -> dict[str, Any]:
    """Options as a config takes them: `mnli=` and `mnli_size=` become entries of `sources` and `sizes`, as do those of
    `tasks={"rte": ...}` and `sizes={"rte": 500}`.

    Raises SettingError for an option that is not known, which may be one of the caller's own `arguments`, misspelt.
    """
    options: dict[str, Any] = {"sources": {}, "sizes": {}}
    for name, value in given.items():
        if name in FIRST:
            options["sources"][name] = source(name, value, output)
        elif name.removesuffix("_size") in FIRST:
            options["sizes"][name.removesuffix("_size")] = value
        elif name in ("tasks", "sizes"):
            if not isinstance(value, Mapping):
                raise SettingError(f"{name}: {type(value).__name__}; expected a dict by the name of a task")
            more = (
                {task: source(task, each, output) for task, each in value.items()}
                if name == "tasks"
                else value
            )
            options["sources" if name == "tasks" else "sizes"].update(more)
        elif name in known:
            options[name] = value
        else:
            names = [*known, *arguments, "tasks", "sizes", *FIRST, *(f"{task}_size" for task in FIRST)]
            raise SettingError(f"option {name!r} is unknown; {nearest(name, names)}")
    return {name: value for name, value in options.items() if value is not None}


def seeds(given: int | Iterable[int]) -> tuple[int, ...]:
    """A number of seeds, or the seeds themselves.

    >>> seeds(3), seeds([7])
    ((0, 1, 2), (7,))
    """
    # By its type, a number of torch could be iterated.
    if isinstance(given, Iterable) and getattr(given, "shape", None) != ():
        # A text is left to the config, which refuses it.
        return given if isinstance(given, str) else tuple(given)  # type: ignore[return-value]
    n = whole_number("seeds", given)
    if n < 1:
        raise SettingError(f"seeds {n}: expected at least one, or a list of them, as [{n}]")
    return tuple(range(n))


def readings(given: Any) -> tuple[Reading, ...]:
    """Readings, or dicts with the entries of a [[reading]] of a sweep file, each list of which multiplies it.

    >>> [each.name for each in readings([{"draw": ["balanced", "natural"], "one_pass": True}])]
    ['one_pass=true draw=balanced', 'one_pass=true draw=natural']
    """
    found: list[Reading] = []
    for number, each in enumerate(several(given), 1):
        is_one = isinstance(each, Reading)
        found += [each] if is_one else model_from(each, ReadingEntry, f"reading {number}").readings()
    return distinct(found)


def settings_of(given: Any) -> dict[str, Any]:
    """Hyper-parameters: a dict, or a Settings object of a strategy, whose given fields count."""
    if given is None:
        return {}
    if hasattr(given, "model_dump"):
        return given.model_dump(mode="json", exclude_unset=True)
    if isinstance(given, Mapping):
        return dict(given)
    raise SettingError(f"settings: {type(given).__name__}; expected a dict, or the Settings of a strategy")


def strategy(given: str | type, output: Path) -> tuple[str, tuple[str, ...]]:
    """The name of a strategy, and the file that it needs as a plug-in, if it does."""
    if isinstance(given, str):
        return given, ()
    if not isinstance(given, type):
        raise SettingError(
            f"strategy: {type(given).__name__}; expected a name or a subclass of contsym.Strategy"
        )
    if given.__module__.startswith("contsym.strategies."):
        return given.__module__.rpartition(".")[2], ()
    file = strategy_file_name(given)
    path = _written(output, {file: module_text(given)}) / file
    return path.stem, (str(path),)


def scenario(given: str | Path | Mapping[str, Any], output: Path) -> str:
    """The name or file of a scenario; a dict has the entries of a scenario's file, and `name`.

    An experience may also be the name of its task. None stands for an entry that is not given.
    """
    if not isinstance(given, Mapping):
        return str(given)
    name = str(given.get("name", "scenario"))
    if not name.isidentifier():
        raise SettingError(f"scenario: name {name!r}; expected letters, digits and _")
    try:
        text = "".join(_toml({key: value for key, value in given.items() if key != "name"}))
    except TypeError as error:
        raise SettingError(
            f"scenario {name}: {error}; expected texts, numbers, True, False and lists"
        ) from None
    file = f"{name}.toml"
    return str(_written(output, {file: text}) / file)


def _text(value: Any) -> str:
    # JSON's texts, numbers, booleans and lists are TOML's too, but for characters written as two escapes.
    return json.dumps(value, ensure_ascii=False)


def _toml(entries: Mapping[str, Any]) -> Iterator[str]:
    tables = ("experience", "task")
    yield from _lines({key: value for key, value in entries.items() if key not in tables})
    for name, task in _table(entries.get("task") or {}, "task").items():
        own = dict(_table(task, f"task {name}"))
        if isinstance(own.get("source"), str | Path):
            # Seen from here, and not from the folder of the file that this becomes.
            own["source"] = located(str(own["source"]), Path.cwd())
        heading = f"task.{_text(str(name))}"
        yield f"\n[{heading}]\n"
        yield from _lines({key: value for key, value in own.items() if not isinstance(value, Mapping)})
        for key, value in own.items():
            if isinstance(value, Mapping):
                yield f"[{heading}.{key}]\n"
                yield from _lines({_text(str(k)): v for k, v in value.items()})
    for number, experience in enumerate(several(entries.get("experience", ())), 1):
        yield "\n[[experience]]\n"
        named = {"task": experience} if isinstance(experience, str) else experience
        yield from _lines(_table(named, f"experience {number}"))


def _lines(entries: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key} = {_text(value)}\n" for key, value in entries.items() if value is not None)


def _table(given: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise SettingError(f"scenario: {what} is {given!r}; expected a dict, as a table of a scenario's file")
    return given


def source(task: str, given: Any, output: Path) -> str:
    """A source as `--mnli` takes it; pairs in memory are written down.

    `given`: a text or path; a table, as a DataFrame, a `datasets.Dataset` or a list of dicts; or a dict of tables by part.
    Raises SettingError for anything else, and for a part that contsym's own task of this name does not have.
    """
    if isinstance(given, str | Path):
        return str(given)
    if isinstance(given, Mapping):
        own = own_tasks().get(task)
        for part in map(str, given if own else ()):
            if own and not named_part(part, own):
                raise SettingError(f"{task}: {part!r} is no part; {nearest(part, sorted(own.part_names))}")
        if paths := [str(part) for part, pairs in given.items() if isinstance(pairs, str | Path)]:
            raise SettingError(
                f"{task}: {paths[0]} is a path; expected a table for each part, or the path of a folder with their files"
            )
        texts = {f"{task}/{part}.jsonl": _json_lines(task, pairs) for part, pairs in given.items()}
        return str(_written(output, texts) / task)
    file = f"{task}.jsonl"
    return str(_written(output, {file: _json_lines(task, given)}) / file)


def _json_lines(task: str, pairs: Any) -> str:
    lines = []
    for number, row in enumerate(_rows(task, pairs), 1):
        where = f"{task}: row {number}"
        plain = {str(name): _plain(value, name, where) for name, value in row.items()}
        lines.append(json.dumps(plain, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def _rows(task: str, pairs: Any) -> Sequence[Mapping[str, Any]]:
    is_list = isinstance(pairs, Sequence) and not isinstance(pairs, str)
    rows: Sequence[Any] | None = pairs if is_list else table_rows(pairs)
    if rows is not None and all(isinstance(row, Mapping) for row in rows):
        return rows
    raise SettingError(
        f"{task}: {type(pairs).__name__}; expected a path, a DataFrame, a datasets.Dataset, a list of dicts, or a dict of "
        "such tables by part"
    )


def _plain(value: Any, name: str, where: str) -> Any:
    """The value as JSON has it: a list stays a list, as in a file. Raises DataError for bytes, which Parquet refuses too."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if is_missing(value):
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        raise DataError(
            f"{where}: {name} is {type(value).__name__}; expected text, a number or a list of these"
        )
    if isinstance(value, Mapping):
        return {str(key): _plain(each, name, where) for key, each in value.items()}
    if hasattr(value, "tolist"):  # an array
        value = value.tolist()
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return [_plain(each, name, where) for each in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def _written(output: Path, texts: Mapping[str, str]) -> Path:
    """The folder of files with these texts by name. Raises ContsymError where it cannot be written."""
    # Half a surrogate pair as JSON spells it: the file's reader refuses it with its line.
    texts = {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}
    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        digest.update(f"{name}\0{text}\0".encode())
    folder = output / FOLDER / digest.hexdigest()[:12]
    try:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, text)
    except OSError as error:
        raise ContsymError(
            f"--output {output} cannot be written ({error.strerror}); expected a folder that you may write to"
        ) from None
    return folder
