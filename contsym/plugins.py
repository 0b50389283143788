"""Plug-ins: strategies, scenarios and tasks out of a file that the user names, or of an installed package.

Nothing of a plug-in runs before it is used: names and cards are read from source text. What runs then,
runs with the user's rights; no file is looked for that was not named or installed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Literal, TypeVar

from contsym.errors import ContsymError
from contsym.files import home_path

Kind = Literal["strategy", "scenario", "task"]
GROUPS: dict[Kind, str] = {
    "strategy": "contsym.strategies",
    "scenario": "contsym.scenarios",
    "task": "contsym.tasks",
}
"""The entry points by which an installed package offers its own."""


@dataclass(frozen=True)
class Plugin:
    """A strategy, a scenario or a task that is not contsym's own."""

    kind: Kind
    name: str
    origin: str
    """For people: the file as it was named, or the package and its version."""
    path: Path
    text: str
    module: str | None = None
    """What an installed strategy is imported by; None for a file."""
    attribute: str | None = None
    """The class, where the entry point names it."""

    @property
    def sha256(self) -> str:
        """Of the file; of an installed strategy all Python files of its package, since it may use them."""
        if self._package is None:
            return hashlib.sha256(self.text.encode()).hexdigest()
        return _package_sha256(self._package)

    @property
    def texts(self) -> tuple[str, ...]:
        """What `sha256` is of, as source text."""
        return (self.text,) if self._package is None else _package_texts(self._package)

    @property
    def _package(self) -> Path | None:
        """The folder of an installed strategy's package; None for a file and for a single module."""
        is_package = self.path.name == "__init__.py"
        if self.module is None or ("." not in self.module and not is_package):
            return None
        return self.path.parents[self.module.count(".") - (not is_package)]

    def record(self) -> dict[str, str]:
        """Its entry in a result."""
        return {"kind": self.kind, "name": self.name, "origin": self.origin, "sha256": self.sha256}


Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Plugins:
    """The plug-ins of one command or call: the files that were named, and the installed ones."""

    named: tuple[Plugin, ...] = ()

    def of(self, kind: Kind) -> Iterator[Plugin]:
        """Raises ContsymError where an installed one cannot be read."""
        yield from (plugin for plugin in self.named if plugin.kind == kind)
        yield from _installed(kind)

    def find(self, kind: Kind, name: str) -> Plugin | None:
        """The plug-in of a strategy (without its add-ons) or a scenario (without its order), if there is one."""
        return next(
            (plugin for plugin in self.of(kind) if plugin.name == re.split("[+:]", name)[0].strip()), None
        )

    def of_run(self, strategy: str, scenario: str, tasks: Iterable[str] = ()) -> list[Plugin]:
        """The plug-ins that a run is made with."""
        found = [self.find("strategy", strategy), self.find("scenario", scenario)]
        found += [self.find("task", task) for task in dict.fromkeys(tasks)]
        return [plugin for plugin in found if plugin]

    def with_own(
        self,
        kind: Kind,
        own: Mapping[str, Entry],
        read: Callable[[Plugin], Entry],
        taken: Mapping[str, object] = {},
    ) -> Mapping[str, Entry]:
        """contsym's own entries and those of the plug-ins. Raises ContsymError for a name that comes twice."""
        entries = dict(own)
        for plugin in self.of(kind):
            if plugin.name in entries or plugin.name in taken:
                same = (p.origin for p in self.of(kind) if p.name == plugin.name and p != plugin)
                raise ContsymError(
                    f"plug-in {plugin.origin}: {kind} {plugin.name!r} is already that of {next(same, 'contsym')}; "
                    "give it another name"
                )
            entries[plugin.name] = read(plugin)
        return entries


INSTALLED = Plugins()
"""Where no file is named."""


def read(files: Iterable[str | Path]) -> Plugins:
    """The plug-ins of these files; none of them runs yet.

    Raises ContsymError for a file that cannot be read, and for two of the same name.
    """
    named: dict[tuple[Kind, str], Plugin] = {}
    for file in files:
        plugin = _read(str(file))
        before = named.setdefault((plugin.kind, plugin.name), plugin)
        if before.path != plugin.path:
            raise ContsymError(
                f"--plugin {file}: {plugin.kind} {plugin.name!r} is already that of {before.origin}; "
                "expected names that differ; rename one of the files"
            )
    return Plugins(tuple(named.values()))


def _read(file: str) -> Plugin:
    path = home_path(file)
    if path.suffix not in (".py", ".toml"):
        raise ContsymError(
            f"--plugin {file}: expected a strategy's .py file, or the .toml file of a scenario or a task"
        )
    if not path.stem.isidentifier():
        raise ContsymError(
            f"--plugin {file}: the file's name is that of the strategy, scenario or task; expected letters, digits and _, "
            f"as my_own{path.suffix}"
        )
    text = _text(path, file)
    kind = _kind_of(path, text)
    return Plugin(kind, path.stem, file, path.resolve(), text)


def _kind_of(path: Path, text: str) -> Kind:
    """A TOML file with labels and without experiences is a task; one that cannot be read is refused as a scenario."""
    if path.suffix == ".py":
        return "strategy"
    is_task = re.search(r"^labels\s*=", text, re.MULTILINE) and not re.search(
        r"^\[+experience\b", text, re.MULTILINE
    )
    return "task" if is_task else "scenario"


def _text(path: Path, origin: str) -> str:
    try:
        # Windows editors put a byte-order mark on the first line.
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ContsymError(
            f"plug-in {origin}: cannot be read ({reason}); expected a .py or .toml file"
        ) from None


@cache
def _installed(kind: Kind) -> tuple[Plugin, ...]:
    return tuple(_of_entry_point(kind, entry) for entry in metadata.entry_points(group=GROUPS[kind]))


def _of_entry_point(kind: Kind, entry: metadata.EntryPoint) -> Plugin:
    """The plug-in behind an entry point, found without importing anything of its package.

    A strategy is `package.module` or `package.module:Class`, a scenario or a task `package:file.toml`.
    """
    origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    path = _module_file(entry.module)
    if path is not None and kind != "strategy":
        path = path.parent / (entry.attr if entry.attr.endswith(".toml") else f"{entry.attr}.toml")
    if path is None or not path.is_file():
        raise ContsymError(
            f"plug-in {entry.name} of {origin}: {entry.value} is not there; mend its entry point in "
            f"{GROUPS[kind]}, or uninstall the package"
        )
    module = entry.module if kind == "strategy" else None
    return Plugin(kind, entry.name, origin, path, _text(path, origin), module, entry.attr or None)


def _module_file(module: str) -> Path | None:
    """A module's source file; util.find_spec of a dotted name would import the package around it."""
    top, *below = module.split(".")
    try:
        spec = util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not below and spec.origin and Path(spec.origin).suffix == ".py":
        return Path(spec.origin)
    for location in spec.submodule_search_locations or ():
        place = Path(location, *below)
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path
    return None


@cache
def _package_sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def _package_texts(folder: Path) -> tuple[str, ...]:
    return tuple(path.read_text("utf-8", "replace") for path in sorted(folder.rglob("*.py")))
