"""The command line that lists strategies, add-ons, scenarios and encoders."""

from __future__ import annotations

import json

import click

from contsym.commands.options import plugin_option


@click.command(name="list")
@click.argument("what", type=click.Choice(["strategies", "addons", "scenarios", "encoders"]), required=False)
@click.option("--settings", is_flag=True, help="With strategies or addons: their hyper-parameters (slower).")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(what: str | None, settings: bool, plugins: tuple[str, ...], as_json: bool) -> None:
    """Show strategies, add-ons, scenarios and encoders, one line each.

    \b
    Examples:
      contsym list
      contsym list strategies --settings
      contsym list --plugin my_method.py
    """
    if settings and what not in (None, *HAVE_SETTINGS):
        raise click.UsageError(f"--settings goes with: contsym list {' or '.join(HAVE_SETTINGS)} --settings")
    from contsym.plugins import use

    use(plugins)
    listed = {name: entries() for name, entries in LISTS.items() if what in (None, name)}
    for kind, load in HAVE_SETTINGS.items() if settings else ():
        for name, entry in listed.get(kind, {}).items():
            fields = load(name).Settings.model_fields.items()
            entry["settings"] = [f"{field}={info.default}: {info.description}" for field, info in fields]
    if as_json:
        click.echo(json.dumps(listed, ensure_ascii=False))
        return
    for kind, entries in listed.items():
        click.echo(f"{TITLES.get(kind, kind)}:")
        width = max(map(len, entries))
        for family, members in _by_family(entries).items():
            if family:
                click.echo(f"\n  {family}")
            for name, entry in members.items():
                click.echo(f"  {name:<{width}}  {entry['summary']}")
                if "stores" in entry:
                    origin = f" · from {entry['origin']}" if entry["origin"] else ""
                    facts = f"trains: {entry['trains']} · stores: {entry['stores']}{origin}"
                    click.echo(f"  {'':<{width}}  {facts}")
                for field in entry.get("settings", []):
                    click.echo(f"  {'':<{width}}    {field}")
        click.echo()


TITLES = {"addons": "add-ons, on top of a strategy as in knn_fixed+replay"}


def _by_family(entries: dict[str, dict]) -> dict[str, dict[str, dict]]:
    """The entries under the headings of their families; under none where no entry has a family."""
    from contsym.strategies.catalog import FAMILIES

    if not any(entry.get("family") for entry in entries.values()):
        return {"": entries}
    headings = {**FAMILIES, "": "others"}
    found = {
        heading: {name: e for name, e in entries.items() if e["family"] == family}
        for family, heading in headings.items()
    }
    return {heading: members for heading, members in found.items() if members}


def _list_strategies() -> dict[str, dict]:

    from contsym.strategies.catalog import strategies

    return {name: card.model_dump() for name, card in strategies().items()}


def _list_addons() -> dict[str, dict]:

    from contsym.strategies.catalog import addons

    return {name: card.model_dump() for name, card in addons().items()}


def _list_scenarios() -> dict[str, dict]:
    from contsym.scenarios.catalog import scenarios

    return {name: {"summary": plan.summary, "tasks": list(plan.tasks)} for name, plan in scenarios().items()}


def _list_encoders() -> dict[str, dict]:
    from contsym.models.encoders.checkpoints import PRESETS

    own = {name: {"summary": preset.summary, "hub_id": preset.hub_id} for name, preset in PRESETS.items()}
    return {
        **own,
        "OWNER/NAME": {"summary": "any Hub encoder with safetensors weights"},
        "FOLDER": {"summary": "a local transformers checkpoint with safetensors weights"},
    }


LISTS = {
    "strategies": _list_strategies,
    "addons": _list_addons,
    "scenarios": _list_scenarios,
    "encoders": _list_encoders,
}


def _load_strategy(name: str):
    from contsym.strategies.catalog import load_strategy

    return load_strategy(name)


def _load_addon(name: str):
    from contsym.strategies.catalog import load_addon

    return load_addon(name)


HAVE_SETTINGS = {"strategies": _load_strategy, "addons": _load_addon}
