"""Where a command shows what it does: stderr, unless it is to be quiet, and a file with --log-file."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from contsym.errors import ContsymError

if TYPE_CHECKING:
    from rich.console import Console

_QUIET, _LOG = "contsym.quiet", "contsym.log"


class Screen(NamedTuple):
    """A console on stderr, and one on the log file."""

    console: Console
    log: Console | None

    def print(self, *things: Any, **options: Any) -> None:
        for console in filter(None, self):
            console.print(*things, **options)

    def warn(self, text: str) -> None:
        """Shown to the quiet too."""
        click.echo(text, err=True)
        if self.log:
            self.log.print(text, markup=False, soft_wrap=True)


def screen() -> Screen:
    """The screen of the command that runs now."""
    from rich.console import Console

    context = click.get_current_context(silent=True)
    chosen = context.meta if context else {}
    file: _LogFile | None = chosen.get(_LOG)
    log = Console(file=file.opened(), width=110, no_color=True, highlight=False) if file else None
    # A quiet terminal must get no control codes either.
    is_quiet = bool(chosen.get(_QUIET))
    return Screen(Console(stderr=True, quiet=is_quiet, force_terminal=False if is_quiet else None), log)


def log_options(command):
    """`-q` and `--log-file`, of commands that show a plan or progress."""
    command = click.option(
        "--log-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=_open,
        help="Append the plan, the progress (a line every ten seconds), the answer of a run and any error to this "
        "file.",
    )(command)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_silence,
        help="Show no plan and no progress on stderr, only warnings and errors.",
    )(command)


def _silence(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_QUIET] = value


class _LogFile:
    """Opened when it is first written: click closes no context whose later options turn out wrong."""

    def __init__(self, path: Path, title: str) -> None:
        self.path, self.title = path, title
        self.file: TextIO | None = None

    def opened(self) -> TextIO:
        if self.file is None:
            self.file = self.path.open("a", encoding="utf-8", buffering=1)
            self.file.write(self.title)
        return self.file

    def close(self) -> None:
        # Called while an error ends the command, too.
        file, error = self.opened(), sys.exc_info()[1]
        if isinstance(error, ContsymError):
            file.write(f"error: {error}\n")
        elif isinstance(error, KeyboardInterrupt | click.Abort):
            file.write("stopped\n")
        file.close()


def _open(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    if path is None or context.resilient_parsing:
        return
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise ContsymError(
            f"--log-file {path}: cannot be written ({error.strerror}); expected a file in a folder that is there"
        ) from None
    log = context.meta[_LOG] = _LogFile(
        path, f"{datetime.now():%Y-%m-%d %H:%M:%S} contsym {context.info_name}\n"
    )
    context.call_on_close(log.close)
