"""Scenarios by name: built in, from a plug-in, or in a user's file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from contsym.errors import ContsymError, unknown_name
from contsym.files import home_path
from contsym.plugins import INSTALLED, Plugin, Plugins
from contsym.scenarios.schema import ScenarioPlan, read_scenario


def scenarios(plugins: Plugins = INSTALLED) -> Mapping[str, ScenarioPlan]:
    """All scenarios by name, plug-ins last; the name is the file's."""
    return plugins.with_own("scenario", _own_scenarios(), lambda plugin: _plugin_scenario(plugin, plugins))


@cache
def _plugin_scenario(plugin: Plugin, plugins: Plugins) -> ScenarioPlan:
    return read_scenario(plugin.name, plugin.text, plugin.origin, plugins, plugin.path.parent)


@cache
def _own_scenarios() -> Mapping[str, ScenarioPlan]:
    paths = sorted(resources.files("contsym.scenarios").iterdir(), key=lambda path: path.name)
    files = {path.name: path.read_text("utf-8") for path in paths if path.name.endswith(".toml")}
    return {name[:-5]: read_scenario(name[:-5], text, name) for name, text in files.items()}


def find_scenario(name: str, plugins: Plugins = INSTALLED) -> ScenarioPlan:
    """The scenario with a name or in a file (`path/to/mine.toml`).

    `NAME:FIRST,SECOND` is one order of a scenario in all orders. Raises ContsymError, with the nearest names, for an
    unknown name, and for a file that is not a scenario.
    """
    named = scenarios(plugins)
    if name in named:
        return named[name]
    if name.endswith(".toml"):
        path = home_path(name)
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            # The other ValueErrors are of a name with half of a surrogate pair.
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "no file can have this name"
            if isinstance(error, OSError):
                reason = str(error.strerror)
            raise ContsymError(
                f"scenario {name}: cannot be read ({reason}); expected a TOML file (docs/scenarios.md)"
            ) from None
        return read_scenario(path.stem, text, name, plugins, path.parent)
    base, colon, order = name.rpartition(":")
    if colon and (base in named or base.endswith(".toml")):
        return find_scenario(base, plugins).in_order([each.strip() for each in order.split(",")])
    if re.search(r"[./\\]", name):
        there = "is not named .toml" if home_path(name).is_file() else "no such file"
        raise ContsymError(
            f"scenario {name}: {there}; expected a TOML file, or a name (contsym list scenarios)"
        )
    raise unknown_name("scenario", name, named)


def scenario_runs(name: str, plugins: Plugins = INSTALLED) -> list[str]:
    """The scenarios to run for a name: itself, or each of its orders for a scenario in all orders.

    >>> scenario_runs("order")
    ['order:mnli,wikidata', 'order:wikidata,mnli']
    """
    plan = find_scenario(name, plugins)
    return [f"{name}:{','.join(names)}" for names in plan.orders()] if plan.all_orders else [name]


def is_scenario_file(name: str) -> bool:
    """Whether a scenario's name is a file, with or without an order of its experiences."""
    return re.search(r"\.toml(:[^/\\]*)?$", name) is not None
