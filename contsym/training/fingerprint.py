"""The code and the libraries, which decide a result beside its settings."""

from __future__ import annotations

import ast
import hashlib
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import contsym

LIBRARIES = (
    *("torch", "transformers", "tokenizers", "avalanche-lib", "datasets", "faiss-cpu", "numpy", "scipy"),
    *("peft", "scikit-learn"),
)
IRRELEVANT = re.compile(
    r"contsym(\.(errors|files|checked|plugins|avalanche|models\.encoders\.saved|training\.trained\w*|data(?!\.(shots|shortcuts|joining|schema|audit|wikidata\.pairs)$).*|results\.(store|equality|schema|schema_training)))?$"
)
"""Imported modules that do not decide a figure: they read, check and write. The effect of the data modules is in the
fingerprint of the data."""


@cache
def library_versions() -> Mapping[str, str]:
    versions = {"contsym": contsym.__version__, "python": platform.python_version()}
    return {**versions, **{name: metadata.version(name) for name in LIBRARIES}}


def library_facts() -> dict[str, str]:
    """The versions that decide a result: all but contsym's own, whose code is hashed."""
    return {name: version for name, version in library_versions().items() if name != "contsym"}


def git_commit() -> str | None:
    """The commit of contsym's checkout, with `+` if it has changes; None outside of a checkout."""
    root = Path(contsym.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    # Without a tag: the complete hash.
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - no shell
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def code_sha256(*modules: str) -> str:
    """SHA-256 over the source of these modules of contsym and of all that they import, directly or not."""
    digest = hashlib.sha256()
    for name in sorted(closure(modules)):
        digest.update(f"{name}\0".encode() + _file(name).read_bytes())
    return digest.hexdigest()


def closure(modules: Iterable[str]) -> set[str]:
    """These modules and all of contsym that they import, also inside functions, without the irrelevant ones."""
    names: set[str] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name not in names and not IRRELEVANT.fullmatch(name):
            names.add(name)
            queue += _imports(_file(name))
    return names


@cache
def imported_by(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The modules of contsym that a plug-in's source texts import."""
    names: set[str] = set()
    for text in texts:
        # A package may have files that are templates, or for another Python.
        with suppress(SyntaxError, ValueError):
            names.update(_imports_in(ast.parse(text)))
    return tuple(sorted(name for name in names if _path(name).exists()))


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """The modules of contsym that a file imports; read once, since strategies share most of them."""
    return tuple(_imports_in(ast.parse(path.read_text("utf-8"))))


def _imports_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "contsym")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "contsym":
            assert node.module
            yield node.module
            # `from contsym.models import losses` imports a module, `from contsym.errors import one_line` does not.
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in names if _path(name).exists())


def _path(name: str) -> Path:
    """The file of a module or the folder of a package."""
    root = Path(contsym.__file__).resolve().parent
    path = root.joinpath(*name.split(".")[1:])
    return path if path.is_dir() else path.with_suffix(".py")


def _file(name: str) -> Path:
    path = _path(name)
    return path / "__init__.py" if path.is_dir() else path
