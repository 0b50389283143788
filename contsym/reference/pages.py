"""Every generated page and passage of the documentation: its file and what has to be in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from contsym import __version__
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
    pages, citation = root / "docs" / "reference", root / "CITATION.cff"
    table = catalogs.strategies_in_short("docs/reference/strategies.md")
    first_page = replace_passage(readme.read_text("utf-8"), "strategies", table, "README.md")
    url = repository(root)
    return {
        readme: re.sub(r"git clone \S+ contsym", f"git clone {url or 'REPOSITORY'} contsym", first_page),
        citation: cited(citation.read_text("utf-8"), url),
        pages / "commands.md": commands_page(commands),
        pages / "strategies.md": catalogs.strategies_page(),
        pages / "settings.md": catalogs.settings_page(),
        pages / "scenarios.md": catalogs.scenarios_page(),
        pages / "tasks.md": catalogs.tasks_page(),
        pages / "result.md": result_page(),
        root / "docs" / "result.schema.json": json_schema(),
    }


def repository(root: Path) -> str | None:
    """The address of the repository, if pyproject.toml names one."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return project.get("urls", {}).get("Repository")


def cited(text: str, url: str | None) -> str:
    """CITATION.cff with the version of contsym, and the address of its repository at the end."""
    text = re.sub(r"^version: .*$", f"version: {__version__}", text, flags=re.MULTILINE)
    text = re.sub(r"^repository-code: .*\n", "", text, flags=re.MULTILINE)
    return text + (f'repository-code: "{url}"\n' if url else "")
