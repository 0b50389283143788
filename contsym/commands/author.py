"""The command line for your own strategies and scenarios: start one, check one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from contsym.commands.options import plugin_option
from contsym.config import parse_assignments


@click.group()
def new() -> None:
    """Start a strategy or a scenario of your own, from a file that works.

    \b
    Example:
      contsym new strategy my_method
    """


PATH = click.Path(path_type=Path)
out_option = click.option("--out", type=PATH, default=".", show_default="here", metavar="DIR", help="Folder.")


@new.command()
@click.argument("name")
@out_option
def strategy(name: str, out: Path) -> None:
    """Write NAME.py, a small method that learns, and test_NAME.py, whose tests pass.

    \b
    Example:
      contsym new strategy my_method --out methods
    """
    from contsym.testing.starters import write

    file, test = write("strategy", name, out)
    click.echo(f"wrote {file} and {test}")
    click.echo(f"try it: contsym check {name} --plugin {file}")


@new.command()
@click.argument("name")
@out_option
def scenario(name: str, out: Path) -> None:
    """Write NAME.toml, a sequence of tasks.

    \b
    Example:
      contsym new scenario my_scenario
    """
    from contsym.testing.starters import write

    (file,) = write("scenario", name, out)
    click.echo(f"wrote {file}")
    click.echo(f"try it: contsym run --strategy zero_shot --scenario {name} --plugin {file}")


@click.command()
@click.argument("name")
@plugin_option
@click.option("--encoder", type=PATH, metavar="DIR", help="A small checkpoint; default: a new, tiny BERT.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyper-parameter for the check; repeatable.  [learning_rate=3e-3]",
)
def check(name: str, plugins: tuple[str, ...], encoder: Path | None, assignments: tuple[str, ...]) -> None:
    """Run the suite that every strategy passes: toy tasks, a tiny encoder, some seconds.

    Prints a line per check; exits with 1 where one fails.

    \b
    Examples:
      contsym check my_method --plugin my_method.py
      contsym check knn_fixed --set k=5
    """
    # One thread is fastest on matrices this small. Torch reads it only once, when it is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import tempfile

    from contsym.testing.conformance import CHECKS, Bench, outcomes

    width, n_failed = max(map(len, CHECKS)), 0
    with tempfile.TemporaryDirectory(prefix="contsym-check-") as folder:
        settings = parse_assignments(assignments)
        bench = Bench(name, Path(folder), encoder=encoder, settings=settings, files=plugins)
        for outcome in outcomes(bench):
            n_failed += outcome.status == "fail"
            click.echo(f"{outcome.status}  {outcome.name:<{width}}  {outcome.detail}")
    click.echo(f"{name}: {n_failed} of {len(CHECKS)} checks failed" if n_failed else f"{name} conforms")
    if n_failed:
        sys.exit(1)
