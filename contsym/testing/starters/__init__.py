"""The files that `contsym new` writes: a first strategy, scenario or task, to change."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from contsym.data.describe import describe
from contsym.errors import ContsymError
from contsym.plugins import Kind
from contsym.scenarios.catalog import scenarios
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
    check_name(kind, name)
    paths = {folder / file.format(name=name): text for file, text in FILES[kind].items()}
    for path in paths:
        check_new(path, data=kind == "task" and path.suffix == ".csv")
    words = {"name": name, "class_name": "".join(part.capitalize() for part in name.split("_"))}
    starters = resources.files("contsym.testing.starters")
    write_new(
        {
            path: Template(starters.joinpath(text).read_text("utf-8")).substitute(words)
            for path, text in paths.items()
        }
    )
    return list(paths)


def write_task(name: str, folder: Path, data: Path, columns: Mapping[str, str]) -> Path:
    """Write the file of a task whose examples are in `data`; returns it. Raises ContsymError as `write` and `describe`."""
    check_name("task", name)
    path = folder / f"{name}.toml"
    check_new(path)
    described = describe(data, columns)
    # Seen from the task's file, as every source in it.
    write_new({path: described.toml(Path(os.path.relpath(data, folder)).as_posix())})
    return path


def check_name(kind: Kind, name: str) -> None:
    is_name = name.isidentifier() and name.isascii() and re.fullmatch(NAME, name)
    if not is_name or keyword.iskeyword(name) or name != name.lower():
        raise ContsymError(
            f"{kind} {name!r}: expected at most 40 lower-case letters, digits and _, as my_{kind}"
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
