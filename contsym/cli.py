"""The command line. Heavy libraries load inside the command that needs them."""

from __future__ import annotations

import io
import os
import sys
from typing import NoReturn

import click

from contsym import __version__
from contsym.commands.audit import audit
from contsym.commands.author import check, new
from contsym.commands.data import data
from contsym.commands.diff import diff
from contsym.commands.docs import docs
from contsym.commands.doctor import doctor
from contsym.commands.list import list_
from contsym.commands.model import add, export, predict
from contsym.commands.pretrain import pretrain
from contsym.commands.report import report
from contsym.commands.results import compare, metrics, reproduce
from contsym.commands.run import run
from contsym.commands.stored import runs, show
from contsym.commands.sweep import sweep
from contsym.commands.tracking import sync, ui
from contsym.errors import ContsymError, one_line
from contsym.machine import (
    end_cleanly_on_signals,
    file_trouble,
    quiet_avalanche,
    raise_if_asked_to_stop,
    run_environment,
    stopped,
)

GROUPS: dict[str, tuple[click.Command, ...]] = {
    "Run": (run, sweep, pretrain),
    "Look at results": (runs, show, compare, report, metrics, audit, reproduce, ui, sync),
    "Use models": (predict, add, export, diff),
    "Data and set-up": (data, list_, doctor),
    "Extend": (new, check, docs),
}
"""The commands in the order of `contsym --help`."""


class Commands(click.Group):
    """A group whose help has its commands under headings, each with its whole summary."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                rows = [(f"{command.name:<{width}}", command.short_help or "") for command in commands]
                formatter.write_dl(rows)


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
    epilog="Every option can also be set by an environment variable, as CONTSYM_RUN_SHOTS=64 for contsym run; "
    "CONTSYM_OUTPUT, _ENCODER, _DEVICE, _PRECISION, _PLUGIN and _TRACKING_URI apply to all commands.\n\n"
    "\b\nTab completes names with this line in ~/.bashrc (or zsh_source, fish_source):\n"
    '  eval "$(_CONTSYM_COMPLETE=bash_source contsym)"',
)
@click.version_option(__version__, prog_name="contsym")
def cli() -> None:
    """How few examples does an encoder need to learn a relation, and what does it forget?

    \b
    Example:
      contsym run --strategy knn_fixed --scenario mnli_then_wikidata
    """


for command in (each for commands in GROUPS.values() for each in commands):
    cli.add_command(command)

SHARED = ("--output", "--encoder", "--device", "--precision", "--plugin", "--tracking-uri")
"""Options with a variable for all commands too."""


def _name_variables(group: click.Group, path: str = "CONTSYM") -> None:
    """Give each option its environment variable, by the word that is typed; click's own goes by the parameter's name."""
    for name, command in group.commands.items():
        own = f"{path}_{name.upper()}"
        if isinstance(command, click.Group):
            _name_variables(command, own)
        for option in command.params:
            if isinstance(option, click.Option):
                word = max(option.opts, key=len)
                name_of_option = word.lstrip("-").replace("-", "_").upper()
                names = [f"{own}_{name_of_option}"]
                option.envvar = [*names, f"CONTSYM_{name_of_option}"] if word in SHARED else names


_name_variables(cli)


def main() -> NoReturn:
    """Run the command line. The exit code is 2 for a user's mistake, and 128 plus its number for a signal."""
    end_cleanly_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Outside UTF-8 a terminal lacks signs as · and ±: an answer must not be lost for one. stderr escapes them.
        sys.stdout.reconfigure(errors="replace")
    os.environ.update(run_environment())
    quiet_avalanche()
    try:
        try:
            code = cli(prog_name="contsym", standalone_mode=False)
        except Exception:
            raise_if_asked_to_stop()  # a library may have turned the signal into an error
            raise
        raise_if_asked_to_stop()  # or have caught it
        sys.exit(code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        _fail(one_line(f"{error.format_message()} ({context.command_path if context else 'contsym'} --help)"))
    except ContsymError as error:
        _fail(str(error))
    except UnicodeEncodeError as error:
        # A name that no file can have: half of a surrogate pair.
        _fail(one_line(f"{error.object[:60]!r}: cannot be the name of a file; expected text in UTF-8"))
    except OSError as error:
        # A bad path shows where it is first used: a name too long, a folder without permission.
        if (message := file_trouble(error)) is None:
            if error.filename is None:
                raise
            message = f"{error.filename}: {error.strerror}; check the path"
        _fail(one_line(message))
    except (click.Abort, KeyboardInterrupt) as error:
        message, code = stopped(error)
        click.echo(message, err=True)
        sys.exit(code)


def _fail(message: str) -> NoReturn:
    click.echo("error: " + " ".join(message.split()), err=True)
    sys.exit(2)
