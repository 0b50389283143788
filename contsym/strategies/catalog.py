"""Strategies and add-ons by name, with their cards; each is imported only when used."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import sys
import traceback
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, cached_property
from importlib import resources, util
from importlib.abc import ExecutionLoader
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import StringConstraints

from contsym.checked import Closed, OneOf, model_from
from contsym.errors import ContsymError, unknown_name
from contsym.machine import quiet_avalanche
from contsym.plugins import INSTALLED, Plugin, Plugins

if TYPE_CHECKING:
    from contsym.strategies.addons.base import Addon
    from contsym.strategies.base import Strategy


_loaded: dict[Plugin, ModuleType] = {}


def load(plugin: Plugin) -> type[Strategy]:
    """The class of a plug-in strategy. Runs its file; raises ContsymError where it fails."""
    from contsym.strategies.base import Strategy

    try:
        if plugin not in _loaded:
            _loaded[plugin] = _import(plugin)
    except (Exception, SystemExit) as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(plugin.path)
        ]
        where = f"{plugin.origin}:{lines[-1]}" if lines and plugin.module is None else plugin.origin
        raise ContsymError(
            f"plug-in {where}: cannot be imported ({type(error).__name__}: {error}{_hint(error)})"
        ) from error
    classes = [each for each in _classes(_loaded[plugin], plugin.attribute) if issubclass(each, Strategy)]
    if len(classes) != 1:
        raise ContsymError(
            f"plug-in {plugin.origin}: {len(classes)} subclasses of Strategy; expected one, "
            + (f"named {plugin.attribute}" if plugin.attribute else "the method")
        )
    check_class(classes[0], plugin)
    return classes[0]


def _hint(error: BaseException) -> str:
    """The nearest name to one that is not there, as the traceback of a later Python has it."""
    name, known = str(getattr(error, "name", "")), []
    if isinstance(error, NameError):
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        known = [*frame.f_locals, *frame.f_globals, *dir(builtins)]
    elif isinstance(error, AttributeError):
        known = dir(error.obj)
    elif isinstance(error, ImportError) and (found := re.match(r"cannot import name '(\w+)'", str(error))):
        name, known = found[1], dir(sys.modules.get(name))
    near = get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def check_class(strategy: type[Strategy], plugin: Plugin) -> None:
    """Raise ContsymError for a setting without a default, and for a method that is probably a misspelt hook."""
    from contsym.strategies.base import Strategy

    for name, info in strategy.Settings.model_fields.items():
        if info.is_required():
            raise ContsymError(
                f"plug-in {plugin.origin}: setting {name} has no default; expected Field(default, description=...)"
            )
    hooks = {name for name, value in vars(Strategy).items() if _is_method(name, value)}
    called = {node.attr for node in ast.walk(ast.parse(plugin.text)) if isinstance(node, ast.Attribute)}
    for name, value in vars(strategy).items():
        if not _is_method(name, value) or name in hooks or name in called:
            continue
        # A helper beside the hook, as `scores` beside `score`, is no mistake.
        near = [hook for hook in get_close_matches(name, hooks, cutoff=0.8) if hook not in vars(strategy)]
        if near:
            raise ContsymError(
                f"plug-in {plugin.origin}: method {name} of {strategy.__name__} overrides nothing and is not called; did "
                f"you mean {near[0]}?"
            )


def _is_method(name: str, value: object) -> bool:
    return not name.startswith("_") and isinstance(
        value, (FunctionType, property, cached_property, classmethod, staticmethod)
    )


def _import(plugin: Plugin) -> ModuleType:
    if plugin.module is not None:
        return importlib.import_module(plugin.module)
    name = f"contsym_plugin_{plugin.name}"
    spec = util.spec_from_loader(name, _TextLoader(plugin))
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    sys.modules[name] = module  # where pydantic looks annotations up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _TextLoader(ExecutionLoader):
    """Runs the text that was read and hashed: the file may have changed since."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin

    def get_filename(self, fullname: str) -> str:
        return str(self.plugin.path)

    def get_source(self, fullname: str) -> str:
        return self.plugin.text


Growth = Literal["no", "labels", "experiences", "pairs"]
"""What the stored bytes of a strategy grow with, as `contsym check` measures: nothing, the number of labels, the
number of finished experiences whatever their size, or the training pairs."""

FAMILIES = {
    "paper": "of the paper",
    "ablation": "the paper's, with one part changed",
    "continual": "against forgetting",
    "few-shot": "for few examples",
    "frozen": "on frozen features",
    "baseline": "baselines",
    "yours": "your own",
}
"""Headings of `contsym list strategies`, by the `family` of a card."""

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Entries(Closed):
    """The CARD of a strategy's file."""

    source: _Text
    trains: _Text
    stores: _Text
    grows: Growth | None = None
    """None: not declared."""
    family: Annotated[str, OneOf(tuple(name for name in FAMILIES if name != "yours"))] = ""
    """Empty where the card names none."""
    inputs: Annotated[str, StringConstraints(pattern=r"^(pair|single|pair, single)$")] = "pair"
    """What it takes: pairs, single texts, or both."""
    labels: Literal["any", "nli"] = "any"
    """nli: the three of natural language inference alone."""


class Card(_Entries):
    """A strategy as its file describes it, read without importing it."""

    name: str
    summary: str
    """The first line of the file's docstring."""
    origin: str = ""
    """The file or package of a plug-in; empty for contsym's own."""


def strategies(plugins: Plugins = INSTALLED) -> Mapping[str, Card]:
    """The cards of all strategies by name, which is that of the file; plug-ins last.

    Raises ContsymError for a plug-in without a card or with the name of another strategy.
    """
    return plugins.with_own("strategy", _cards("contsym.strategies"), _plugin_card, taken=addons())


@cache
def _cards(package: str) -> Mapping[str, Card]:
    files = sorted(resources.files(package).iterdir(), key=lambda file: file.name)
    return {
        (name := file.name[:-3]): read_card(name, file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".py") and file.name[:-3] not in ("__init__", "base", "catalog")
    }


@cache
def _plugin_card(plugin: Plugin) -> Card:
    card = read_card(plugin.name, plugin.text, f"plug-in {plugin.origin}")
    return card.model_copy(update={"family": "yours", "origin": plugin.origin})


def read_card(name: str, source: str, where: str = "") -> Card:
    """The card of a strategy's source text: its docstring's first line and its CARD.

    CARD is a plain dict literal at module level with the keys source, trains and stores, and optionally
    grows, family, inputs and labels. `where` names the file in errors. Raises ContsymError for anything else.
    """
    where = where or f"strategies/{name}.py"
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ContsymError(
            f"{where}:{line}: not Python ({getattr(error, 'msg', None) or error or 'nested too deeply'})"
        ) from None
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        # ast.unparse would exceed the recursion limit on a target of a thousand attributes.
        if len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == "CARD":
            assert isinstance(node, (ast.Assign, ast.AnnAssign)), "nothing else has these targets"
            entries = _card_entries(node.value, f"{where}:{node.lineno}")
            docstring = (ast.get_docstring(tree) or "").split("\n")[0]
            if not docstring:
                raise ContsymError(f"{where}:1: no docstring; expected one whose first line says what it is")
            return Card(name=name, summary=docstring, **entries.model_dump(exclude_unset=True))
    raise ContsymError(f'{where}: no CARD; expected CARD = {{"source": ..., "trains": ..., "stores": ...}}')


def _card_entries(node: ast.expr | None, where: str) -> _Entries:
    try:
        card = ast.literal_eval(node) if node else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        card = None
    if not isinstance(card, dict):
        raise ContsymError(f"{where}: CARD is not read from a plain dict of texts; expected a literal")
    return model_from(card, _Entries, f"{where}: CARD")


def addons() -> Mapping[str, Card]:
    """The cards of add-ons, by name."""
    return _cards("contsym.strategies.addons")


def split_name(name: str, plugins: Plugins = INSTALLED) -> tuple[str, tuple[str, ...]]:
    """The strategy and the add-ons of a name; an add-on alone goes on top of fine_tune.

    Raises ContsymError for an unknown part or an add-on that is named twice.

    >>> split_name("knn_fixed+replay"), split_name("ewc")
    (('knn_fixed', ('replay',)), ('fine_tune', ('ewc',)))
    """
    base, *on_top = (part.strip() for part in name.split("+"))
    if base in addons() and base not in strategies(plugins):
        base, on_top = "fine_tune", [base, *on_top]
    if base not in strategies(plugins):
        raise unknown_name("strategy", base, [*strategies(plugins), *addons()])
    for part in on_top:
        if part not in addons():
            raise unknown_name("add-on", part, addons())
    if len(set(on_top)) < len(on_top):
        raise ContsymError(f"strategy {name!r} names an add-on twice; name each once")
    return base, tuple(on_top)


def modules_of(name: str, plugins: Plugins = INSTALLED) -> tuple[str, ...]:
    """The modules of a strategy and its add-ons; a plug-in has none in contsym.

    >>> modules_of("fine_tune+ewc")
    ('contsym.strategies.fine_tune', 'contsym.strategies.addons.ewc')
    """
    base, on_top = split_name(name, plugins)
    modules = () if plugins.find("strategy", base) else (f"contsym.strategies.{base}",)
    return (*modules, *(f"contsym.strategies.addons.{each}" for each in on_top))


def find_strategy(name: str, plugins: Plugins = INSTALLED) -> Card:
    """The card of a name. Raises ContsymError, with the nearest names, for an unknown one."""
    base, on_top = split_name(name, plugins)
    card = strategies(plugins)[base]
    for part in on_top:
        extra = addons()[part]
        both = {"name": name, "summary": f"{card.summary} {extra.summary}"}
        both |= {key: f"{getattr(card, key)}; {getattr(extra, key)}" for key in ("source", "stores")}
        card = card.model_copy(update={**both, "grows": None})
    return card


def load_strategy(name: str, plugins: Plugins = INSTALLED) -> type[Strategy]:
    """The class of a name, with its add-ons; imports torch. Raises ContsymError for an add-on on top of a method
    without gradient steps."""
    base, on_top = split_name(name, plugins)
    plugin = plugins.find("strategy", base)
    strategy = load(plugin) if plugin else _only_class(importlib.import_module(f"contsym.strategies.{base}"))
    extras = [load_addon(part) for part in on_top]
    if not extras:
        return strategy
    if not strategy.trains:
        raise ContsymError(
            f"strategy {name!r}: {base} takes no gradient steps, so {on_top[0]} would do nothing"
        )
    # Settings are flat; the fields of an add-on begin with its name.
    kinds = dict.fromkeys(extra.Settings for extra in extras)
    # Python takes no class before its subclass, as that of an add-on without settings.
    own = [each for each in kinds if not any(issubclass(x, each) for x in kinds if x is not each)]
    settings = type("Settings", (strategy.Settings, *own), {})
    return type(strategy.__name__, (strategy,), {"Settings": settings, "addons": tuple(extras)})


def load_addon(name: str) -> type[Addon]:
    """The class of an add-on; imports Avalanche."""
    quiet_avalanche()
    return _only_class(importlib.import_module(f"contsym.strategies.addons.{name}"))


def _classes(module: ModuleType, attribute: str | None = None) -> list[Any]:
    """The classes that a module defines, or the one under an attribute."""
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and (name == attribute if attribute else value.__module__ == module.__name__)
    ]


def _only_class(module: ModuleType) -> Any:
    (only,) = (each for each in _classes(module) if hasattr(each, "Settings"))
    return only
