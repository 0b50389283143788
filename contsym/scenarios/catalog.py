"""Scenarios by name: built in, installed, or a file of the user's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.errors import ContsymError, unknown_name
from contsym.plugins import Plugin, with_plugins
from contsym.scenarios.schema import ScenarioPlan, read_scenario

if TYPE_CHECKING:
    pass


def scenarios() -> Mapping[str, ScenarioPlan]:
    """All scenarios by name, plug-ins last; a scenario's name is its file's."""
    return with_plugins("scenario", _own_scenarios(), _plugin_scenario)


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
