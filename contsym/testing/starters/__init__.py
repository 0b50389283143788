"""The files that `contsym new` writes: a first strategy, scenario or task, to change."""

from __future__ import annotations

import keyword
from importlib import resources
from pathlib import Path
from string import Template

from contsym.errors import ContsymError
from contsym.plugins import Kind
from contsym.scenarios.catalog import scenarios
from contsym.strategies.catalog import addons, strategies
from contsym.tasks.catalog import tasks

FILES: dict[Kind, dict[str, str]] = {
    "strategy": {"{name}.py": "strategy.py.txt", "test_{name}.py": "test_strategy.py.txt"},
    "scenario": {"{name}.toml": "scenario.toml.txt"},
    "task": {"{name}.toml": "task.toml.txt", "{name}.csv": "task.csv.txt"},
}


def write(kind: Kind, name: str, folder: Path) -> list[Path]:
    """Write a new strategy, scenario or task into a folder; returns its files.

    Raises ContsymError for an invalid or existing name, and for an existing file.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise ContsymError(f"{kind} {name!r}: expected lower-case letters, digits and _, as my_{kind}")
    names = {"strategy": {*strategies(), *addons()}, "scenario": {*scenarios()}, "task": {*tasks()}}[kind]
    if name in names:
        raise ContsymError(f"{kind} {name!r} is there already (contsym list); choose another name")
    paths = {folder / file.format(name=name): text for file, text in FILES[kind].items()}
    for path in paths:
        if path.exists():
            raise ContsymError(f"{path} is there already and stays as it is; name another with --to DIR")
    words = {"name": name, "class_name": "".join(part.capitalize() for part in name.split("_"))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            starter = resources.files("contsym.testing.starters").joinpath(text).read_text("utf-8")
            # "x" never overwrites a file, even one that has appeared since the check.
            with path.open("x", encoding="utf-8") as file:
                file.write(Template(starter).substitute(words))
    except OSError as error:
        raise ContsymError(f"--to {folder}: cannot be written ({error.strerror})") from None
    return list(paths)
