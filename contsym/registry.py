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
from typing import TYPE_CHECKING

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


def find_strategy(name: str) -> Card:
    """The card of that name. Raises ContsymError, with the nearest names, if there is none."""
    if name not in strategies():
        raise unknown_name("strategy", name, strategies())
    return strategies()[name]


def load_strategy(name: str) -> type[Strategy]:
    """The strategy class of that name; imports torch and Avalanche."""
    find_strategy(name)
    with warnings.catch_warnings():
        # Avalanche imports qpsolvers for GEM, which contsym does not offer.
        warnings.filterwarnings("ignore", message="no QP solver found")
        module = importlib.import_module(f"contsym.strategies.{name}")
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
