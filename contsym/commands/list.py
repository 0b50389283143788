"""The command line that lists strategies, add-ons, scenarios, tasks and encoders."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from contsym.commands.options import echo_json, json_option, plugin_option

if TYPE_CHECKING:
    from contsym.plugins import Plugins
    from contsym.tasks.schema import Task

TITLES = {
    "strategies": "strategies",
    "addons": "add-ons, on top of a strategy as in knn_fixed+replay",
    "scenarios": "scenarios",
    "tasks": "tasks",
    "encoders": "encoders",
}
HAVE_SETTINGS = ("strategies", "addons")

Entries = dict[str, dict[str, Any]]
"""By name, the summary and further facts."""


@click.command(name="list", short_help="List strategies, add-ons, scenarios, tasks and encoders.")
@click.argument("what", type=click.Choice(list(TITLES)), required=False)
@click.option("--settings", is_flag=True, help="With strategies or addons: their hyper-parameters (slower).")
@plugin_option
@json_option
def list_(what: str | None, settings: bool, plugins: tuple[str, ...], as_json: bool) -> None:
    """Show strategies, add-ons, scenarios, tasks and encoders, one line each.

    \b
    Examples:
      contsym list
      contsym list strategies --settings
      contsym list --plugin my_method.py
    """
    if settings and what not in (None, *HAVE_SETTINGS):
        raise click.UsageError(f"--settings goes with: contsym list {' or '.join(HAVE_SETTINGS)} --settings")
    from contsym.plugins import read

    named = read(plugins)
    lists = {name: _entries(name, settings, named) for name in TITLES if what in (None, name)}
    if as_json:
        echo_json(lists)
        return
    for kind, entries in lists.items():
        click.echo(f"{TITLES[kind]}:")
        width = max(map(len, entries))
        for family, members in _by_family(entries).items():
            if family:
                click.echo(f"\n  {family}")
            for name, entry in members.items():
                lines = [entry["summary"]]
                if "labels_shown" in entry:
                    # The commit of a Hub dataset stands in --json.
                    source = entry["source"].partition("@")[0] or "no source of its own"
                    lines.append(f"{entry['inputs']} · {entry['labels_shown']} · {source}")
                if "stores" in entry:
                    origin = f" · from {entry['origin']}" if entry["origin"] else ""
                    lines.append(f"trains: {entry['trains']} · stores: {entry['stores']}{origin}")
                lines += [f"  {field}" for field in entry.get("settings", [])]
                for name_once, line in zip([name, *[""] * len(lines)], lines, strict=False):
                    click.echo(_wrapped(f"  {name_once:<{width}}  ", line))
        click.echo()


def _wrapped(before: str, line: str) -> str:
    """The line behind its name; in a terminal broken between words, since programs read lines that are whole."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if columns < 2 * len(before):
        return before + line
    behind = " " * (len(before) + (4 if line.startswith(" ") else 0))
    return textwrap.fill(
        before + line, columns, subsequent_indent=behind, break_long_words=False, break_on_hyphens=False
    )


def _entries(kind: str, settings: bool, plugins: Plugins) -> Entries:
    from contsym.models.encoders.presets import PRESETS
    from contsym.scenarios.catalog import scenarios
    from contsym.strategies import catalog
    from contsym.tasks.catalog import tasks

    if kind == "scenarios":
        return {
            name: {"summary": s.summary, "tasks": list(s.tasks)} for name, s in scenarios(plugins).items()
        }
    if kind == "tasks":
        return {name: _task_entry(task) for name, task in tasks(plugins).items()}
    if kind == "encoders":
        return {
            **{
                name: {"summary": preset.summary, "hub_id": preset.hub_id, "seen": list(preset.seen)}
                for name, preset in PRESETS.items()
            },
            "OWNER/NAME": {"summary": "any Hub encoder with safetensors weights"},
            "FOLDER": {"summary": "a local transformers checkpoint with safetensors weights"},
        }
    is_addon = kind == "addons"
    cards = catalog.addons() if is_addon else catalog.strategies(plugins)
    entries = {name: card.model_dump() for name, card in cards.items()}
    for name, entry in entries.items() if settings else ():
        loaded = catalog.load_addon(name) if is_addon else catalog.load_strategy(name, plugins)
        entry["settings"] = [
            f"{field}={info.default}: {info.description}"
            for field, info in loaded.Settings.model_fields.items()
        ]
    return entries


def _task_entry(task: Task) -> dict[str, Any]:
    from contsym.data.schema import some_of

    n = f"{len(task.labels)} labels: {some_of(task.labels, 4)}"
    facts = {
        "inputs": task.inputs,
        "labels": list(task.labels),
        "source": task.default_source,
        "terms": task.terms,
    }
    return {"summary": task.summary, **facts, "labels_shown": n}


def _by_family(entries: Entries) -> dict[str, Entries]:
    """The entries by the title of their family; one group without a title where no entry has a family."""
    from contsym.strategies.catalog import FAMILIES

    if not any(entry.get("family") for entry in entries.values()):
        return {"": entries}
    groups = {
        title: {name: entry for name, entry in entries.items() if entry["family"] == family}
        for family, title in {**FAMILIES, "": "others"}.items()
    }
    return {title: members for title, members in groups.items() if members}
