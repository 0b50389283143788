"""The source of a class that was defined in a notebook, with all that it uses, as the text of a file."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import re
import sys
from collections.abc import Iterator
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
    summary = ((cls.__doc__ or "").strip() or cls.__name__).split("\n")[0]
    card = {**DEFAULT_CARD, **getattr(cls, "CARD", {})}
    parts = _Parts(cls)
    return (
        "\n".join(
            [
                repr(summary),
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
        self._owner, self._module = cls.__name__, cls.__module__
        self._seen = {cls.__name__}
        functions = list(_functions(cls))
        if not functions:
            raise ContsymError(
                f"strategy: class {cls.__name__} has no method; expected one with build and objective"
            )
        # A decorator that does not say what it wraps leaves a function of its own module.
        own = [function for function in functions if function.__module__ == cls.__module__]
        self._scope = (own or functions)[0].__globals__
        self._add(cls)

    def _add(self, thing: Any) -> None:
        source, names = _source_of(thing)
        for name in names:
            if name not in self._seen and name in self._scope and not _is_builtin(name, self._scope[name]):
                self._seen.add(name)
                self._add_global(name, self._scope[name])
        self.sources.append(source)

    def _add_global(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType):
            self.imports.append(f"import {value.__name__} as {name}")
        elif getattr(value, "__module__", None) == self._module and _is_defined(value):
            self._add(value)
        elif attribute := self._attribute(name, value):
            self.imports.append(f"from {value.__module__} import {attribute} as {name}")
        elif _is_literal(value):
            self.sources.append(f"{name} = {value!r}")
        else:
            raise ContsymError(
                f"strategy {self._owner} uses {name}, a {type(value).__name__}; expected modules, functions, classes and "
                "plain values; write it into a file and give its path in plugins="
            )

    def _attribute(self, name: str, value: Any) -> str | None:
        """The name under which the module of a value has it; None where it cannot be imported."""
        module = getattr(value, "__module__", None)
        if not isinstance(module, str) or module == self._module:
            return None
        names = (getattr(value, "__qualname__", None), getattr(value, "__name__", None), name)
        there = vars(sys.modules[module]) if module in sys.modules else {}
        return next((each for each in names if isinstance(each, str) and there.get(each) is value), None)


def _is_builtin(name: str, value: Any) -> bool:
    """Whether the name is Python's own, and not that of an import, as `from torch import max`."""
    return hasattr(builtins, name) and getattr(builtins, name) is value


def _is_defined(value: Any) -> bool:
    """Whether a value is a class or a function, also a decorated one, and so has a source."""
    return isinstance(value, type) or isinstance(inspect.unwrap(value), FunctionType)


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


def _source_of(thing: Any) -> tuple[str, list[str]]:
    """(source, names that it uses) of a class or function at module level."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    for file in _files_of(thing):
        lines = linecache.getlines(file)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue  # a cell with a line of IPython's
        nodes = [each for each in tree.body if isinstance(each, kinds) and each.name == thing.__qualname__]
        if nodes:
            node = nodes[-1]
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
            return "".join(lines[first - 1 : node.end_lineno]).rstrip(), list(dict.fromkeys(names))
    raise ContsymError(
        f"strategy {thing.__qualname__}: its source cannot be found; define it at the top level of a cell or file, or "
        "give a file in plugins="
    )


def _files_of(thing: Any) -> Iterator[str]:
    """The files that may have the source of a class or function, the likeliest first.

    inspect.getsource finds no class of a notebook, whose module has no file. Its functions know their cell; a class
    without any, as a dataclass, is looked for in the file of its module and in all cells, the latest first.
    """
    yield from (function.__code__.co_filename for function in _functions(thing))
    if file := getattr(sys.modules.get(thing.__module__), "__file__", None):
        yield file
    # Of text that is no file's, linecache has no time of change.
    cells = [name for name, entry in linecache.cache.items() if len(entry) > 1 and entry[1] is None]
    yield from reversed(cells)


def _functions(thing: Any) -> Iterator[FunctionType]:
    """A function, or those of a class, without decorators that say what they wrap."""
    for value in vars(thing).values() if isinstance(thing, type) else [thing]:
        function = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)))
        if isinstance(function, FunctionType):
            yield function
