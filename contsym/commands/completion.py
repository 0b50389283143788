"""Values that the shell completes, all of them without a heavy import."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from contsym.config import DEFAULT_OUTPUT
from contsym.errors import ContsymError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _plugins(context: click.Context):
    from contsym.plugins import read

    return read(context.params.get("plugins") or ())


def _matching(names: Iterable[str], begun: str, before: str = "") -> list[CompletionItem]:
    return [CompletionItem(before + name) for name in names if name.startswith(begun)]


def _quiet(complete: Complete) -> Complete:
    """No suggestion where a plug-in or a folder cannot be read: the command itself says why."""

    def completed(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return complete(context, parameter, begun)
        except (ContsymError, OSError):
            return []

    return completed


@_quiet
def strategies(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The last name of a list, as the list's commas leave it; after a +, an add-on."""
    from contsym.strategies import catalog

    before, comma, last = begun.rpartition(",")
    method, plus, addon = last.rpartition("+")
    names = catalog.addons() if plus else catalog.strategies(_plugins(context))
    return _matching(names, addon, f"{before}{comma}{method}{plus}")


@_quiet
def scenarios(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from contsym.scenarios.catalog import scenarios as known

    return _matching(known(_plugins(context)), begun) or [CompletionItem(begun, type="file")]


@_quiet
def tasks(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from contsym.tasks.catalog import tasks as known

    return _matching(known(_plugins(context)), begun)


@_quiet
def encoders(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from contsym.models.encoders.presets import PRESETS

    return _matching(PRESETS, begun) or [CompletionItem(begun, type="file")]


@_quiet
def runs(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of runs and sweeps, and the ids at their ends; a folder where neither begins so."""
    from contsym.sweeps.runs import runs_folder

    output = Path(context.params.get("output") or DEFAULT_OUTPUT)
    folder = runs_folder(output)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    ids = [name.rpartition("-")[2] for name in names] if begun else []
    return _matching(["latest", *names, *ids], begun) or [CompletionItem(begun, type="file")]
