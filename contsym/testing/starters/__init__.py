"""What `contsym new` writes: a first strategy or scenario, to be changed."""

from __future__ import annotations

import keyword
from importlib import resources
from pathlib import Path
from string import Template

from contsym.errors import ContsymError
from contsym.plugins import Kind
from contsym.scenarios.catalog import scenarios
from contsym.strategies.catalog import addons, strategies

FILES: dict[Kind, dict[str, str]] = {
    "strategy": {"{name}.py": "strategy.py.txt", "test_{name}.py": "test_strategy.py.txt"},
    "scenario": {"{name}.toml": "scenario.toml.txt"},
}


def write(kind: Kind, name: str, folder: Path) -> list[Path]:
    """The files of a new strategy or scenario, written into a folder; none of them may be there.

    Raises ContsymError for a name that is no module's or that is taken, and for a file in the way.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise ContsymError(f"{kind} {name!r}: expected lower-case letters, digits and _, as my_{kind}")
    known = {*strategies(), *addons()} if kind == "strategy" else scenarios()
    if name in known:
        raise ContsymError(f"{kind} {name!r} is there already (contsym list); choose another name")
    paths = {folder / file.format(name=name): text for file, text in FILES[kind].items()}
    for path in paths:
        if path.exists():
            raise ContsymError(f"{path} is there already and stays as it is; name another with --out DIR")
    words = {"name": name, "class_name": "".join(part.capitalize() for part in name.split("_"))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            starter = resources.files("contsym.testing.starters").joinpath(text).read_text("utf-8")
            # "x": between the look and this, nobody's file is overwritten either.
            with path.open("x", encoding="utf-8") as file:
                file.write(Template(starter).substitute(words))
    except OSError as error:
        raise ContsymError(f"--out {folder}: cannot be written ({error.strerror})") from None
    return list(paths)
