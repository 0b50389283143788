"""What Python code has at hand (tables, classes, dicts) as the files and texts of a config.

Tables, scenarios and classes become files in `OUTPUT/inputs`, named by their content: a run can be repeated from them, and
worker processes read them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contsym.api.class_source import module_text, strategy_file_name
from contsym.data.pair_rows import rows_in_memory
from contsym.errors import SettingError, nearest
from contsym.files import write_file
from contsym.tasks.schema import FIRST

FOLDER = "inputs"


def config_options(given: Mapping[str, Any], known: Sequence[str], output: Path) -> dict[str, Any]:
    """Options as a config takes them: `mnli=` and `mnli_size=` become entries of `sources` and `sizes`, as do those of
    `tasks={"rte": ...}` and `sizes={"rte": 500}`.

    Raises SettingError for an option that is not known.
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
            names = [*known, "tasks", "sizes", *FIRST, *(f"{task}_size" for task in FIRST)]
            raise SettingError(f"option {name!r} is unknown; {nearest(name, names)}")
    return {name: value for name, value in options.items() if value is not None}


def seeds(given: int | Iterable[int]) -> tuple[int, ...]:
    """A number of seeds, or the seeds themselves.

    >>> seeds(3), seeds([7])
    ((0, 1, 2), (7,))
    """
    if isinstance(given, int):
        if given < 1:
            raise SettingError(f"seeds {given}: expected at least one, or a list of them, as [{given}]")
        return tuple(range(given))
    # A text is left to the config, which refuses it.
    return given if isinstance(given, str) else tuple(given)  # type: ignore[return-value]


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
    text = module_text(given)
    path = _folder(output, text) / strategy_file_name(given)
    write_file(path, text)
    return path.stem, (str(path),)


def scenario(given: str | Path | Mapping[str, Any], output: Path) -> str:
    """The name or file of a scenario; a dict has the entries of a scenario's file, and `name`."""
    if not isinstance(given, Mapping):
        return str(given)
    entries = {key: value for key, value in given.items() if key != "name"}
    name = str(given.get("name", "scenario"))
    if not name.isidentifier():
        raise SettingError(f"scenario: name {name!r}; expected letters, digits and _")
    try:
        text = "".join(_toml(entries))
    except TypeError as error:
        raise SettingError(
            f"scenario {name}: {error}; expected texts, numbers, True, False and lists"
        ) from None
    path = _folder(output, text) / f"{name}.toml"
    write_file(path, text)
    return str(path)


def _text(value: Any) -> str:
    # JSON's texts, numbers, booleans and lists are TOML's too, but for characters written as two escapes.
    return json.dumps(value, ensure_ascii=False)


def _toml(entries: Mapping[str, Any]) -> Iterator[str]:
    tables = {k: v for k, v in entries.items() if k in ("experience", "task")}
    for key, value in entries.items():
        if key not in tables:
            yield f"{key} = {_text(value)}\n"
    for name, task in tables.get("task", {}).items():
        yield f"\n[task.{_text(name)}]\n"
        for key, value in task.items():
            if not isinstance(value, Mapping):
                yield f"{key} = {_text(value)}\n"
        for key, value in task.items():
            if isinstance(value, Mapping):
                yield f"[task.{_text(name)}.{key}]\n"
                yield from (f"{_text(str(k))} = {_text(v)}\n" for k, v in value.items())
    for experience in tables.get("experience", ()):
        yield "\n[[experience]]\n"
        if isinstance(experience, str):
            experience = {"task": experience}
        for key, value in experience.items():
            yield f"{key} = {_text(value)}\n"


def source(task: str, given: Any, output: Path) -> str:
    """A source as `--mnli` takes it; pairs in memory are written down.

    `given`: a text or path; a DataFrame, a `datasets.Dataset` or a list of dicts; or a dict of these by part.
    """
    if isinstance(given, str | Path):
        return str(given)
    if isinstance(given, Mapping):
        texts = {str(part): _json_lines(task, pairs) for part, pairs in given.items()}
        folder = _folder(output, json.dumps(texts, sort_keys=True)) / task
        folder.mkdir(exist_ok=True)
        for part, text in texts.items():
            write_file(folder / f"{part}.jsonl", text)
        return str(folder)
    text = _json_lines(task, given)
    path = _folder(output, text) / f"{task}.jsonl"
    write_file(path, text)
    return str(path)


def _json_lines(task: str, pairs: Any) -> str:
    rows = [{name: _plain(value) for name, value in row.items()} for row in _rows(task, pairs)]
    lines = [
        json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False)
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _rows(task: str, pairs: Any) -> list[Mapping[str, Any]]:
    is_table = hasattr(pairs, "columns") or hasattr(pairs, "column_names")
    if is_table or (isinstance(pairs, Sequence) and all(isinstance(row, Mapping) for row in pairs)):
        return list(rows_in_memory(pairs))
    raise SettingError(
        f"{task}: {type(pairs).__name__}; expected a path, a DataFrame, a datasets.Dataset, a list of dicts, or a dict of "
        "these by part"
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _folder(output: Path, text: str) -> Path:
    folder = output / FOLDER / hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
