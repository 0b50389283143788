"""The command line that writes the generated pages of the documentation, or checks that none is stale."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from contsym.reference.command_line import CommandHelp


@click.command(short_help="Write the documentation's reference pages from the code.")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if a page is stale.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=".",
    show_default="here",
    metavar="DIR",
    help="Checkout of contsym.",
)
@click.pass_context
def docs(context: click.Context, check: bool, root: Path) -> None:
    """Write the reference pages of a checkout of contsym, which are made of its code.

    \b
    Examples:
      contsym docs
      contsym docs --check
    """
    from contsym.machine import quiet_avalanche
    from contsym.reference.pages import generated

    quiet_avalanche()
    top = context.find_root().command
    n_stale = 0
    for path, text in generated(root, list(command_helps(top, None, "contsym"))).items():
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        n_stale += 1
        if check:
            click.echo(f"{path} is stale")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            click.echo(f"wrote {path}")
    if check and n_stale:
        click.echo("write them again with: contsym docs")
        sys.exit(1)
    if not n_stale:
        click.echo("every generated page is as the code says")


def command_helps(command: click.Command, parent: click.Context | None, name: str) -> Iterator[CommandHelp]:
    """What --help says of a command and of all below it, in the order in which groups list them."""
    from contsym.reference.command_line import CommandHelp

    # Wide, so that no usage line is broken.
    context = click.Context(command, info_name=name, parent=parent, terminal_width=400, max_content_width=400)
    records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    yield CommandHelp(
        path=context.command_path,
        usage=command.get_usage(context).removeprefix("Usage: "),
        help=inspect.cleandoc(command.help or ""),
        records=[(names, text) for names, text in records if text and not names.endswith("--help")],
    )
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                yield from command_helps(found, context, each)
