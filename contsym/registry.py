"""Finds strategies and scenarios by file, reads their cards without importing them, loads late."""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from contsym import plugins
from contsym.errors import ContsymError, nearest, unknown_name
from contsym.plugins import Plugin
from contsym.scenarios.files import ScenarioPlan, read_scenario

if TYPE_CHECKING:
    from contsym.addons.base import Addon
    from contsym.strategies.base import Strategy

Entry = TypeVar("Entry")

Growth = Literal["no", "labels", "experiences", "pairs"]
"""With what the stored bytes of a strategy grow, `contsym check` measures it: `no`, with nothing;
`labels`, with the number of labels alone; `experiences`, with those finished, whatever their size;
`pairs`, with the training pairs."""

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


@dataclass(frozen=True)
class Card:
    """What is known of a strategy without importing it."""

    name: str
    summary: str
    source: str
    trains: str
    stores: str
    grows: Growth | None = None
    """None: not declared."""
    family: str = ""
    """One of FAMILIES; empty where the card names none."""
    origin: str = ""
    """The file or package of a plug-in; empty for contsym's own."""


CARD_NEEDS = ("source", "trains", "stores")
CARD_ALLOWS: dict[str, tuple[str, ...]] = {"grows": get_args(Growth), "family": tuple(FAMILIES)}


NOT_A_STRATEGY = {"__init__", "base"}


def strategies() -> Mapping[str, Card]:
    """The cards of all strategies by name, plug-ins last; a strategy's name is its file's.

    Raises ContsymError where a plug-in has no card or the name of another strategy.
    """
    return _with_plugins("strategy", _own_strategies(), _plugin_card, taken=addons())


@cache
def _own_strategies() -> Mapping[str, Card]:
    folder = resources.files("contsym.strategies")
    names = sorted(p.name[:-3] for p in folder.iterdir() if p.name.endswith(".py"))
    return {
        name: read_card(name, folder.joinpath(f"{name}.py").read_text("utf-8"))
        for name in names
        if name not in NOT_A_STRATEGY
    }


def _with_plugins(
    kind: plugins.Kind,
    own: Mapping[str, Entry],
    read: Callable[[Plugin], Entry],
    taken: Mapping[str, object] = {},
) -> Mapping[str, Entry]:
    """The own entries and those of the plug-ins. Raises ContsymError for a name that comes twice."""
    found = dict(own)
    for plugin in plugins.known(kind):
        if plugin.name in found or plugin.name in taken:
            other = next(
                (p.origin for p in plugins.known(kind) if p.name == plugin.name and p != plugin), None
            )
            raise ContsymError(
                f"plug-in {plugin.origin}: {kind} {plugin.name!r} is already that of {other or 'contsym'}; "
                "give it another name"
            )
        found[plugin.name] = read(plugin)
    return found


@cache
def _plugin_card(plugin: Plugin) -> Card:
    card = read_card(plugin.name, plugin.text, f"plug-in {plugin.origin}")
    return replace(card, family="yours", origin=plugin.origin)


def find_plugin(kind: plugins.Kind, name: str) -> Plugin | None:
    """The plug-in that a strategy (its add-ons apart) or a scenario (its order apart) is, if it is one."""
    return next((plugin for plugin in plugins.known(kind) if plugin.name == re.split("[+:]", name)[0]), None)


def plugins_of(strategy: str, scenario: str) -> list[Plugin]:
    """The plug-ins that a run is made with; their hashes decide its result."""
    found = (find_plugin("strategy", strategy), find_plugin("scenario", scenario))
    return [plugin for plugin in found if plugin]


def read_card(name: str, source: str, where: str = "") -> Card:
    """The card of a strategy's source text: its docstring's first line and its CARD.

    CARD is a plain dict literal at module level with the keys source, trains and stores, and perhaps
    grows and family. `where` names the file in errors. Raises ContsymError for anything else.
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
        # Not by ast.unparse, which a target of a thousand attributes drives too deep.
        if len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == "CARD":
            assert isinstance(node, (ast.Assign, ast.AnnAssign)), "nothing else has these targets"
            entries = _card_entries(node.value, f"{where}:{node.lineno}")
            docstring = (ast.get_docstring(tree) or "").split("\n")[0]
            if not docstring:
                raise ContsymError(f"{where}:1: no docstring; expected one whose first line says what it is")
            return Card(name=name, summary=docstring, **entries)
    raise ContsymError(f'{where}: no CARD; expected CARD = {{"source": ..., "trains": ..., "stores": ...}}')


def _card_entries(node: ast.expr | None, where: str) -> dict[str, Any]:
    """The entries of a CARD, checked."""
    try:
        found = ast.literal_eval(node) if node else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, dict):
        raise ContsymError(f"{where}: CARD is not read from a plain dict of texts; expected a literal")
    keys = (*CARD_NEEDS, *CARD_ALLOWS)
    for key, value in found.items():
        if key not in keys:
            raise ContsymError(f"{where}: CARD key {key!r} is unknown; {nearest(str(key), keys)}")
        if not isinstance(value, str) or not value.strip():
            raise ContsymError(f"{where}: CARD[{key!r}] is {value!r}; expected a text")
        if value not in CARD_ALLOWS.get(key, (value,)):
            raise ContsymError(f"{where}: CARD[{key!r}] is {value!r}; {nearest(value, CARD_ALLOWS[key])}")
    for key in CARD_NEEDS:
        if key not in found:
            raise ContsymError(f"{where}: CARD has no {key!r}; expected {', '.join(CARD_NEEDS)}")
    return found


@cache
def addons() -> Mapping[str, Card]:
    """The cards of what goes on top of a strategy, by name."""
    folder = resources.files("contsym.addons")
    names = sorted(p.name[:-3] for p in folder.iterdir() if p.name.endswith(".py"))
    return {
        name: read_card(name, folder.joinpath(f"{name}.py").read_text("utf-8"))
        for name in names
        if name not in NOT_A_STRATEGY
    }


DEFAULT_BASE = "fine_tune"
"""What an add-on goes on top of where it is named alone."""


def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """The strategy and the add-ons of a name; an add-on named alone is on top of fine_tune.

    Raises ContsymError for a part that nobody registered or an add-on that is named twice.

    >>> split_name("knn_fixed+replay"), split_name("ewc")
    (('knn_fixed', ('replay',)), ('fine_tune', ('ewc',)))
    """
    base, *on_top = (part.strip() for part in name.split("+"))
    if base in addons() and base not in strategies():
        base, on_top = DEFAULT_BASE, [base, *on_top]
    if base not in strategies():
        raise unknown_name("strategy", base, [*strategies(), *addons()])
    for part in on_top:
        if part not in addons():
            raise unknown_name("add-on", part, addons())
    if len(set(on_top)) < len(on_top):
        raise ContsymError(f"strategy {name!r} names an add-on twice; name each once")
    return base, tuple(on_top)


def find_strategy(name: str) -> Card:
    """The card of that name. Raises ContsymError, with the nearest names, if there is none."""
    base, on_top = split_name(name)
    card = strategies()[base]
    for part in on_top:
        extra = addons()[part]
        card = Card(name, f"{card.summary} {extra.summary}", f"{card.source}; {extra.source}",
                    card.trains, f"{card.stores}; {extra.stores}",
                    family=card.family, origin=card.origin)  # fmt: skip
    return card


def load_strategy(name: str) -> type[Strategy]:
    """The strategy class of that name, with its add-ons; imports torch and Avalanche.

    Raises ContsymError for an add-on on top of a method that takes no gradient steps.
    """
    base, on_top = split_name(name)
    with _imports_of_avalanche():
        plugin = find_plugin("strategy", base)
        strategy = (
            plugins.load(plugin)
            if plugin
            else _only_class(importlib.import_module(f"contsym.strategies.{base}"))
        )
    extras = [load_addon(part) for part in on_top]
    if not extras:
        return strategy
    if not strategy.trains:
        raise ContsymError(
            f"strategy {name!r}: {base} takes no gradient steps, so {on_top[0]} would do nothing"
        )
    # One flat set of settings: the fields of an add-on begin with its name.
    settings = type("Settings", (strategy.Settings, *(extra.Settings for extra in extras)), {})
    return type(strategy.__name__, (strategy,), {"Settings": settings, "addons": tuple(extras)})


def load_addon(name: str) -> type[Addon]:
    """The add-on's class; imports torch and Avalanche."""
    with _imports_of_avalanche():
        return _only_class(importlib.import_module(f"contsym.addons.{name}"))


@contextmanager
def _imports_of_avalanche() -> Iterator[None]:
    with warnings.catch_warnings():
        # Avalanche imports qpsolvers for GEM, which contsym does not offer.
        warnings.filterwarnings("ignore", message="no QP solver found")
        # And GPUtil, which still imports distutils.
        warnings.filterwarnings("ignore", message="The distutils package is deprecated")
        yield


def _only_class(module) -> Any:
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "Settings")
    )
    return found


def scenarios() -> Mapping[str, ScenarioPlan]:
    """All scenarios by name, plug-ins last; a scenario's name is its file's."""
    return _with_plugins("scenario", _own_scenarios(), _plugin_scenario)


@cache
def _plugin_scenario(plugin: Plugin) -> ScenarioPlan:
    try:
        return read_scenario(plugin.name, plugin.text, plugin.origin)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ContsymError(
            f"plug-in {plugin.origin}: not a scenario ({reason}); expected a summary and [[experience]] "
            "entries, each with a task"
        ) from None


@cache
def _own_scenarios() -> Mapping[str, ScenarioPlan]:
    folder = resources.files("contsym.scenarios")
    files = sorted((p for p in folder.iterdir() if p.name.endswith(".toml")), key=lambda p: p.name)
    return {
        path.name[:-5]: read_scenario(path.name[:-5], path.read_text("utf-8"), path.name) for path in files
    }


def find_scenario(given: str) -> ScenarioPlan:
    """The scenario of that name or in that file (`path/to/mine.toml`).

    One order of a scenario of all orders is `NAME:FIRST,SECOND`. Raises ContsymError where there
    is none, with the nearest names, and for a file that is no scenario.
    """
    if given in scenarios():
        return scenarios()[given]
    if given.endswith(".toml"):
        path = Path(given).expanduser()
        try:
            return read_scenario(path.stem, path.read_text("utf-8"), given)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ContsymError(
                f"scenario {given}: cannot be read ({reason}); expected a TOML file (docs/scenarios.md)"
            ) from None
    base, colon, order = given.rpartition(":")
    if colon and (base in scenarios() or base.endswith(".toml")):
        return find_scenario(base).in_order([name.strip() for name in order.split(",")])
    raise unknown_name("scenario", given, scenarios())


def scenario_runs(given: str) -> list[str]:
    """What to run for a scenario: itself, or each of its orders where all are meant.

    >>> scenario_runs("order")
    ['order:mnli,wikidata', 'order:wikidata,mnli']
    """
    found = find_scenario(given)
    return [f"{given}:{','.join(names)}" for names in found.orders()] if found.all_orders else [given]


def is_scenario_file(given: str) -> bool:
    """Whether a scenario is given by its file, in whatever order of its experiences."""
    return re.search(r"\.toml(:[^/\\]*)?$", given) is not None
