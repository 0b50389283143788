"""Reference pages of strategies and add-ons, their settings, scenarios and tasks, from the catalogs of contsym itself."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import TypeVar

from contsym.models.settings import TrainingSettings
from contsym.plugins import INSTALLED, Kind
from contsym.reference.json_schema import Schema, default_words, type_words
from contsym.reference.markdown import code, page, prose, table
from contsym.scenarios.catalog import scenarios
from contsym.scenarios.schema import Experience
from contsym.strategies import catalog
from contsym.strategies.catalog import FAMILIES, Card
from contsym.tasks.catalog import own_tasks

Entry = TypeVar("Entry")


def _own(kind: Kind, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """contsym's own entries, without those of packages that happen to be installed."""
    return {name: entry for name, entry in entries.items() if INSTALLED.find(kind, name) is None}


def _strategies() -> dict[str, Card]:
    return _own("strategy", catalog.strategies())


def families(cards: Mapping[str, Card]) -> dict[str, list[Card]]:
    """The cards by the title of their family, in the order of `contsym list`."""
    groups = {
        title: [card for card in cards.values() if card.family == name] for name, title in FAMILIES.items()
    }
    return {title: members for title, members in groups.items() if members}


def strategies_in_short(page_of_all: str) -> str:
    """The table of the README: the names of each family, with links to the page that describes them."""

    def names(cards: Iterable[Card]) -> str:
        return ", ".join(f"[`{card.name}`]({page_of_all}#{card.name})" for card in cards)

    rows = [[title, names(cards)] for title, cards in families(_strategies()).items()]
    rows.append(
        [
            "on top of a method that trains, as in `knn_fixed+replay`; what it cannot go with is refused",
            names(catalog.addons().values()),
        ]
    )
    return table(["strategies", "names"], rows)


def strategies_page() -> str:
    """Every strategy and add-on: its card and the docstring of its file."""
    own, addons = _strategies(), catalog.addons()
    groups = {**families(own), "add-ons, on top of a strategy that trains": list(addons.values())}
    parts = []
    for title, cards in groups.items():
        rows = [
            [f"[`{card.name}`](#{card.name})", prose(card.trains), prose(card.stores), card.grows or ""]
            for card in cards
        ]
        parts.append(f"## {title[0].upper()}{title[1:]}")
        parts.append(table(["name", "trains", "stores beside the encoder", "grows with"], rows))
        folder = "contsym.strategies.addons" if cards[0].name in addons else "contsym.strategies"
        for card in cards:
            about = _docstring(folder, card.name)
            facts = [
                "" if "Source:" in about else f"Source: {card.source}.",
                "" if card.inputs == "pair" else "Takes pairs and single texts.",
                "" if card.labels == "any" else "Only for the three labels of NLI.",
                f"[Settings](settings.md#{card.name})",
            ]
            parts += [f"### {card.name}", about, " ".join(filter(None, facts))]
    return page(
        "Strategies and add-ons",
        "After this page you know what each method trains, what it stores and where it comes from. p and h are the encoder's "
        "vectors of premise and hypothesis, l is a label's; ∘ and ⊘ multiply and divide element by element.",
        *parts,
    )


def _docstring(package: str, name: str) -> str:
    """A file's docstring as Markdown: its first line as a sentence, the rest as it stands."""
    source = resources.files(package).joinpath(f"{name}.py").read_text("utf-8")
    first, _, rest = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    return "\n\n".join(filter(None, (first, f"```text\n{rest.strip()}\n```" if rest.strip() else "")))


def settings_page() -> str:
    """Every hyper-parameter, with its default and its range."""
    shared = TrainingSettings.model_json_schema()["properties"]
    parts = ["## Shared by all strategies", _settings_table(shared)]
    for name in _strategies():
        fields = catalog.load_strategy(name).Settings.model_json_schema().get("properties", {})
        own = {field: schema for field, schema in fields.items() if shared.get(field) != schema}
        parts += [f"## {name}", _settings_table(own) if own else "The shared settings alone."]
    for name in catalog.addons():
        own = catalog.load_addon(name).Settings.model_json_schema().get("properties", {})
        parts += [f"## {name}", _settings_table(own) if own else "No settings."]
    return page(
        "Settings",
        "After this page you can choose any hyper-parameter with `--set NAME=VALUE`. A strategy takes the shared settings "
        "and its own; with add-ons on top it takes theirs too. `contsym list strategies --settings` prints the same.",
        *parts,
    )


def _settings_table(fields: Mapping[str, Schema]) -> str:
    rows = [
        # None is the default's alone; nobody can type it.
        [
            code(name),
            type_words(schema).removesuffix(" or null"),
            default_words(schema),
            prose(schema.get("description", "")),
        ]
        for name, schema in fields.items()
    ]
    return table(["setting", "value", "default", "what it is"], rows)


def scenarios_page() -> str:
    """Every scenario with its experiences."""
    rows = []
    for name, plan in _own("scenario", scenarios()).items():
        sequence = ", then ".join(_experience_words(each) for each in _without_repeats(plan.experiences))
        every = "in every order: " if plan.all_orders else ""
        rows.append([code(name), prose(plan.summary), every + sequence])
    return page(
        "Scenarios",
        "After this page you can choose a scenario for `--scenario NAME`. The third column has the experiences in the order "
        "in which they are trained on. [Scenarios](../scenarios.md) says how to write one.",
        table(["name", "what it shows", "experiences"], rows),
    )


def _without_repeats(experiences: Iterable[Experience]) -> list[Experience]:
    """One experience for all the parts of a task."""
    return list(
        {
            (each.task, each.part and each.part[1], each.name if not each.part else ""): each
            for each in experiences
        }.values()
    )


def _experience_words(experience: Experience) -> str:
    facts = [
        f"{experience.part[1]} parts by {experience.by}" if experience.part else "",
        experience.form or "",
        f"split by {experience.split}" if experience.split else "",
        f"labels {', '.join(experience.labels)}" if experience.labels else "",
        f"label noise {experience.label_noise}" if experience.label_noise else "",
        "stored only" if experience.storing_only else "",
        "tested only" if experience.tested_only else "",
    ]
    told = "; ".join(filter(None, facts))
    return code(experience.task) + (f" ({told})" if told else "")


def tasks_page() -> str:
    """Every task: what it asks, its labels, where its examples come from, and on which terms."""
    parts = []
    for name, task in own_tasks().items():
        source = ", ".join(map(code, task.hub.values())) if task.hub else code(task.source)
        rows = [
            ["example", "a pair: premise and hypothesis" if task.inputs == "pair" else "a single text"],
            ["labels", f"{len(task.labels)}: {prose(', '.join(task.labels))}"],
            [
                "source",
                ", ".join(filter(None, ("`bundled`" if task.bundled else "", source)))
                or f"none: give `--task {name}=SOURCE`",
            ],
            [
                "chosen by",
                "`--shots N`"
                if task.few_shot
                else "nothing: only tested"
                if task.test_only
                else f"`--size {name}=N`",
            ],
            ["terms", prose(task.terms)],
        ]
        parts += [f"## {name}", task.summary, table(["", ""], [row for row in rows if row[1]])]
    return page(
        "Tasks",
        "After this page you can choose the tasks of a scenario and know the terms of their data. `--task NAME=SOURCE` "
        "replaces a source. [Tasks of your own](../tasks.md) says how to write a task.",
        *parts,
    )
