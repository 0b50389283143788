"""The reference page of the command line, from what `--help` prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contsym.reference.markdown import code, page, prose, table


@dataclass(frozen=True)
class CommandHelp:
    """What `--help` says of one command."""

    path: str
    """As it is typed: `contsym data build`."""
    usage: str
    help: str
    """Paragraphs; one that begins with \\b is printed as it stands."""
    records: Sequence[tuple[str, str]]
    """The arguments and options, and what they are."""


def commands_page(commands: Sequence[CommandHelp]) -> str:
    """Every command, in the order given."""
    parts = []
    for command in commands:
        parts += [f"## {command.path}", f"```\n{command.usage}\n```", *_paragraphs(command.help)]
        if command.records:
            rows = [[code(names), prose(words)] for names, words in command.records]
            parts.append(table(["option", "what it is"], rows))
    contents = "\n".join(
        f"- [{command.path}](#{command.path.replace(' ', '-')}): {prose(_first_sentence(command.help))}"
        for command in commands
    )
    return page(
        "The command line",
        "After this page you can look up every command and option; `contsym COMMAND --help` prints the same. The exit code "
        "is 0 for success, 1 where something that was checked failed, 2 for a mistake in what was given, with one line that "
        "explains it, and 128 plus the number of a signal that ended the command.",
        contents,
        *parts,
    )


def _first_sentence(text: str) -> str:
    """
    >>> _first_sentence("Write a.toml and\\nb.csv. Then more.")
    'Write a.toml and b.csv.'
    """
    return re.split(r"(?<=\.)\s", " ".join(re.split(r"\n\s*\n", text)[0].split()))[0]


def _paragraphs(help_text: str) -> list[str]:
    """The paragraphs as Markdown; those behind \\b are examples, as code."""
    found = []
    for paragraph in re.split(r"\n\s*\n", help_text.strip()):
        if not paragraph.startswith("\b"):
            found.append(prose(paragraph))
            continue
        title, *lines = paragraph.removeprefix("\b").strip("\n").split("\n")
        found.append(title if title.endswith(":") else f"```\n{title}\n```")
        if lines:
            found.append("\n".join(("```", *(line.removeprefix("  ") for line in lines), "```")))
    return found
