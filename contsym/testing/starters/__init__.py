"""The files that `contsym new` writes: a first strategy, scenario or task, to change."""

from __future__ import annotations

import json
import keyword
import os
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template

from contsym.data.describe import Described, describe
from contsym.errors import ContsymError
from contsym.plugins import INSTALLED, Kind, Plugins
from contsym.scenarios.catalog import scenarios
from contsym.scenarios.schema import read_scenario
from contsym.strategies.catalog import addons, strategies
from contsym.tasks.catalog import tasks
from contsym.tasks.schema import NAME

FILES: dict[Kind, dict[str, str]] = {
    "strategy": {"{name}.py": "strategy.py.txt", "test_{name}.py": "test_strategy.py.txt"},
    "scenario": {"{name}.toml": "scenario.toml.txt"},
    "task": {"{name}.toml": "task.toml.txt", "{name}.csv": "task.csv.txt"},
}


def write(kind: Kind, name: str, folder: Path) -> list[Path]:
    """Write a new strategy, scenario or task into a folder; returns its files.

    Raises ContsymError for an invalid or existing name, and for an existing file.
    """
    return _write(kind, name, folder, _of_tasks(["mnli", "wikidata"], INSTALLED))


def write_scenario(name: str, folder: Path, plugins: Plugins) -> Path:
    """Write a scenario of the tasks in these plug-ins, which pairs learn after MNLI; returns its file.

    Raises ContsymError as `write`, where there is no task, and for tasks that cannot be in one scenario.
    """
    own = [plugin.name for plugin in plugins.named if plugin.kind == "task"]
    if not own:
        raise ContsymError("--plugin: no task; expected a task's .toml, which contsym new task writes")
    names = ["mnli", *own] if tasks(plugins)[own[0]].inputs == "pair" else own
    words = _of_tasks(names, plugins)
    read_scenario(name, _text("scenario.toml.txt", words), f"scenario {name}", plugins, folder)
    (file,) = _write("scenario", name, folder, words)
    return file


def _of_tasks(names: Sequence[str], plugins: Plugins) -> dict[str, str]:
    """What the starter of a scenario says of its tasks."""
    first, *others = (f"{task.words} {task.examples}" for task in (tasks(plugins)[name] for name in names))
    summary = (
        f"{first.rpartition(' ')[0]} first, then {', then '.join(others)}." if others else f"{first} alone."
    )
    entries = "\n\n".join(f'[[experience]]\ntask = "{name}"' for name in names)
    return {"summary": json.dumps(summary, ensure_ascii=False), "experiences": entries}


def _write(kind: Kind, name: str, folder: Path, words: Mapping[str, str]) -> list[Path]:
    check_name(kind, name)
    paths = {folder / file.format(name=name): text for file, text in FILES[kind].items()}
    for path in paths:
        check_new(path, data=kind == "task" and path.suffix == ".csv")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    words = {**words, "name": name, "class_name": class_name}
    write_new({path: _text(text, words) for path, text in paths.items()})
    return list(paths)


def _text(starter: str, words: Mapping[str, str]) -> str:
    starters = resources.files("contsym.testing.starters")
    return Template(starters.joinpath(starter).read_text("utf-8")).substitute(words)


def write_task(name: str, folder: Path, data: Path, columns: Mapping[str, str]) -> tuple[Path, Described]:
    """Write the file of a task whose examples are in `data`; returns it, and what is in it.

    Raises ContsymError as `write` and `describe`.
    """
    check_name("task", name)
    path = folder / f"{name}.toml"
    check_new(path)
    described = describe(data, columns)
    # Seen from the task's file, as every source in it.
    write_new({path: described.toml(Path(os.path.relpath(data, folder)).as_posix())})
    return path, described


def check_name(kind: Kind, name: str) -> None:
    is_name = name.isidentifier() and name.isascii() and re.fullmatch(NAME, name)
    if not is_name or keyword.iskeyword(name) or name != name.lower():
        raise ContsymError(
            f"{kind} {name!r}: expected at most 40 lower-case letters, digits and _, a letter first, and no keyword of "
            f"Python, as my_{kind}"
        )
    names = {"strategy": {*strategies(), *addons()}, "scenario": {*scenarios()}, "task": {*tasks()}}[kind]
    if name in names:
        raise ContsymError(f"{kind} {name!r} is there already (contsym list); choose another name")


def check_new(path: Path, data: bool = False) -> None:
    if path.exists():
        own = f"describe your own with --from {path}, or " if data else ""
        raise ContsymError(
            f"{path} is there already and stays as it is; {own}name another folder with --to DIR"
        )


def write_new(texts: Mapping[Path, str]) -> None:
    folder = next(iter(texts)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            # "x" never overwrites a file, even one that has appeared since the check.
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise ContsymError(f"--to {folder}: cannot be written ({error.strerror})") from None
