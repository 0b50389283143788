"""The source of a class that was defined in a notebook, with all that it uses, as the text of a file."""

from __future__ import annotations

import ast
import builtins
import linecache
import re
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from contsym.errors import ContsymError

DEFAULT_CARD = {"source": "defined in Python", "trains": "see its source", "stores": "see its source"}


def strategy_file_name(cls: type) -> str:
    """
    >>> strategy_file_name(type("MyMethod", (), {}))
    'my_method.py'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower() + ".py"


def module_text(cls: type) -> str:
    """A strategy's plug-in file: the class, and every function, class, import and plain value that it names.

    Its card is the attribute CARD of the class, if it has one. Raises ContsymError where the source cannot be found, and
    for a global of another kind, such as a table.
    """
    summary = (cls.__doc__ or cls.__name__).strip().split("\n")[0].replace('"""', "'''").replace("\\", "/")
    card = {**DEFAULT_CARD, **getattr(cls, "CARD", {})}
    parts = _Parts(cls)
    return (
        "\n".join(
            [
                f'"""{summary}"""',
                "",
                "from __future__ import annotations",
                "",
                *parts.imports,
                "",
                f"CARD = {card!r}",
            ]
            + [f"\n\n{source}" for source in parts.sources]
        )
        + "\n"
    )


class _Parts:
    """The imports, and the sources in the order in which they are needed."""

    def __init__(self, cls: type) -> None:
        self.imports: list[str] = []
        self.sources: list[str] = []
        self._owner = cls.__name__
        self._seen = {cls.__name__}
        self._add(cls)

    def _add(self, thing: Any) -> None:
        source, names, scope = _source_of(thing)
        for name in names:
            if name not in self._seen and name in scope and not hasattr(builtins, name):
                self._seen.add(name)
                self._add_global(name, scope[name], thing.__module__)
        self.sources.append(source)

    def _add_global(self, name: str, value: Any, module: str) -> None:
        if isinstance(value, ModuleType):
            self.imports.append(f"import {value.__name__} as {name}")
        elif isinstance(value, type | FunctionType) and value.__module__ == module:
            self._add(value)
        elif hasattr(value, "__module__") and hasattr(value, "__qualname__"):
            self.imports.append(f"from {value.__module__} import {value.__qualname__} as {name}")
        elif getattr(value, "__module__", None) == "typing":
            self.imports.append(f"from typing import {name}")
        elif _is_literal(value):
            self.sources.append(f"{name} = {value!r}")
        else:
            raise ContsymError(
                f"strategy {self._owner} uses {name}, a {type(value).__name__}; expected modules, functions, classes and "
                "plain values; write it into a file and give its path in plugins="
            )


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


def _source_of(thing: type | FunctionType) -> tuple[str, list[str], Mapping[str, Any]]:
    """(source, names that it uses, globals) of a class or function at module level."""
    function = thing if isinstance(thing, FunctionType) else next(_functions(thing), None)
    if function is None:
        raise ContsymError(
            f"strategy: class {thing.__name__} has no method; expected one with build and objective"
        )
    # inspect.getsource finds no class of a notebook, whose module has no file; its functions know their cell.
    lines = linecache.getlines(function.__code__.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        tree = ast.Module([], [])  # a cell with a line of IPython's
    kinds = (ast.ClassDef, ast.FunctionDef)
    nodes = [each for each in tree.body if isinstance(each, kinds) and each.name == thing.__qualname__]
    if not nodes:
        raise ContsymError(
            f"strategy {thing.__qualname__}: its source cannot be found; define it at the top level of a cell or file, or "
            "give a file in plugins="
        )
    node = nodes[-1]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    return (
        "".join(lines[first - 1 : node.end_lineno]).rstrip(),
        list(dict.fromkeys(names)),
        function.__globals__,
    )


def _functions(cls: type) -> Iterator[FunctionType]:
    for value in vars(cls).values():
        value = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(value, FunctionType):
            yield value
