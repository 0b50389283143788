"""Every generated page and passage of the documentation: its file and what has to be in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contsym.errors import ContsymError
from contsym.reference import catalogs
from contsym.reference.command_line import CommandHelp, commands_page
from contsym.reference.markdown import replace_passage
from contsym.reference.result_schema import result_page
from contsym.results.schema import json_schema


def generated(root: Path, commands: Sequence[CommandHelp]) -> dict[Path, str]:
    """The texts by file, below the checkout's root.

    Raises ContsymError where there is no checkout of contsym.
    """
    readme = root / "README.md"
    if not (readme.is_file() and (root / "docs").is_dir() and (root / "contsym").is_dir()):
        raise ContsymError(
            f"{root}: no README.md, docs/ and contsym/; expected a checkout of contsym (--root DIR)"
        )
    pages = root / "docs" / "reference"
    table = catalogs.strategies_in_short("docs/reference/strategies.md")
    return {
        readme: replace_passage(readme.read_text("utf-8"), "strategies", table, "README.md"),
        pages / "commands.md": commands_page(commands),
        pages / "strategies.md": catalogs.strategies_page(),
        pages / "settings.md": catalogs.settings_page(),
        pages / "scenarios.md": catalogs.scenarios_page(),
        pages / "tasks.md": catalogs.tasks_page(),
        pages / "result.md": result_page(),
        root / "docs" / "result.schema.json": json_schema(),
    }
