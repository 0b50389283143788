"""Finds strategies and scenarios by file, reads their cards without importing them, loads late."""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.errors import ContsymError, unknown_name
from contsym.scenarios.files import ScenarioPlan, read_scenario

if TYPE_CHECKING:
    from contsym.strategies.base import Strategy


@dataclass(frozen=True)
class Card:
    """What is known of a strategy without importing it."""

    name: str
    summary: str
    source: str
    trains: str
    stores: str


NOT_A_STRATEGY = {"__init__", "base"}


@cache
def strategies() -> Mapping[str, Card]:
    """The cards of all strategies by name; a strategy's name is its file's."""
    folder = resources.files("contsym.strategies")
    names = sorted(p.name[:-3] for p in folder.iterdir() if p.name.endswith(".py"))
    return {
        name: read_card(name, folder.joinpath(f"{name}.py").read_text("utf-8"))
        for name in names
        if name not in NOT_A_STRATEGY
    }


def read_card(name: str, source: str) -> Card:
    """The card of a strategy's source text: its docstring's first line and its CARD.

    CARD is a plain dict literal at module level with the keys source, trains and stores.
    """
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["CARD"]:
            docstring = ast.get_docstring(tree) or ""
            return Card(name=name, summary=docstring.split("\n")[0], **ast.literal_eval(node.value))
    raise ValueError(f"strategies/{name}.py has no CARD")


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
                    card.trains, f"{card.stores}; {extra.stores}")  # fmt: skip
    return card


def load_strategy(name: str) -> type[Strategy]:
    """The strategy class of that name, with its add-ons; imports torch and Avalanche.

    Raises ContsymError for an add-on on top of a method that takes no gradient steps.
    """
    base, on_top = split_name(name)
    with warnings.catch_warnings():
        # Avalanche imports qpsolvers for GEM, which contsym does not offer.
        warnings.filterwarnings("ignore", message="no QP solver found")
        strategy = _only_class(importlib.import_module(f"contsym.strategies.{base}"))
        extras = [_only_class(importlib.import_module(f"contsym.addons.{part}")) for part in on_top]
    if not extras:
        return strategy
    if not strategy.trains:
        raise ContsymError(
            f"strategy {name!r}: {base} takes no gradient steps, so {on_top[0]} would do nothing"
        )
    # One flat set of settings: the fields of an add-on begin with its name.
    settings = type("Settings", (strategy.Settings, *(extra.Settings for extra in extras)), {})
    return type(strategy.__name__, (strategy,), {"Settings": settings, "addons": tuple(extras)})


def _only_class(module) -> Any:
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "Settings")
    )
    return found


@cache
def scenarios() -> Mapping[str, ScenarioPlan]:
    """All scenarios by name; a scenario's name is its file's."""
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
