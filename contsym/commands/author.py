"""The command line for your own strategies, scenarios and tasks: start one, check one."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contsym.commands import completion
from contsym.commands.options import DATA_SUFFIXES, json_option, plugin_option
from contsym.config import parse_assignments
from contsym.errors import ContsymError

if TYPE_CHECKING:
    from contsym.tasks.schema import Task


@click.group(short_help="Start a strategy, scenario or task of your own.")
def new() -> None:
    """Start a strategy, a scenario or a task of your own, from a file that works.

    \b
    Example:
      contsym new strategy my_method
    """


PATH = click.Path(path_type=Path)
to_option = click.option("--to", type=PATH, default=".", show_default="here", metavar="DIR", help="Folder.")


@new.command()
@click.argument("name")
@to_option
def strategy(name: str, to: Path) -> None:
    """Write NAME.py, a small method that learns, and test_NAME.py, whose tests pass.

    \b
    Example:
      contsym new strategy my_method --to methods
    """
    from contsym.testing.starters import write

    file, test = write("strategy", name, to)
    click.echo(f"wrote {file} and {test}")
    click.echo(f"try it: contsym check {name} --plugin {file}")
    needs = "" if find_spec("pytest") else " (it needs pytest: pip install pytest)"
    click.echo(f"and its test: python -m pytest {test}{needs}")


@new.command()
@click.argument("name")
@to_option
def scenario(name: str, to: Path) -> None:
    """Write NAME.toml, a sequence of tasks.

    \b
    Example:
      contsym new scenario my_scenario
    """
    from contsym.testing.starters import write

    (file,) = write("scenario", name, to)
    click.echo(f"wrote {file}")
    click.echo(f"try it: contsym run --strategy zero_shot --scenario {name} --plugin {file}")


@new.command()
@click.argument("name")
@to_option
@click.option(
    "--from",
    "data",
    type=PATH,
    metavar="FILE",
    help="Your CSV, TSV or JSON Lines file, whose labels are looked up.",
)
@click.option(
    "--text", metavar="COLUMN", help="With --from: the column of the text, if it has a name of its own."
)
@click.option("--premise", metavar="COLUMN", help="The same for the first text of a pair.")
@click.option("--hypothesis", metavar="COLUMN", help="The same for the second text of a pair.")
@click.option("--label", metavar="COLUMN", help="The same for the label.")
def task(name: str, to: Path, data: Path | None, **columns: str | None) -> None:
    """Write NAME.toml, which says what the examples and labels of a task are.

    With --from it describes the examples of your file; else NAME.csv with some examples is written too.

    \b
    Examples:
      contsym new task tickets
      contsym new task tone --from mails.csv --text body --label tone
    """
    from contsym.testing.starters import write, write_task

    named = {field: column for field, column in columns.items() if column is not None}
    if data is None:
        if named:
            raise ContsymError(f"--{next(iter(named))} names a column of a file; expected --from FILE too")
        file, examples = write("task", name, to)
        click.echo(f"wrote {file} and {examples}")
    else:
        file = write_task(name, to, data, named)
        click.echo(f"wrote {file}")
    click.echo(f"try it: contsym check {file}")


@click.command(short_help="Check a strategy by the suite that all pass, or a task's data.")
@click.argument("name", shell_complete=completion.strategies)
@plugin_option
@click.option("--encoder", type=PATH, metavar="DIR", help="A small checkpoint; default: a new, tiny BERT.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyper-parameter for the check; repeatable.  [learning_rate=3e-3]",
)
@json_option
def check(
    name: str,
    plugins: tuple[str, ...],
    encoder: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check a strategy by the suite that all of them pass, or the data of a task.

    A strategy learns toy tasks with a tiny encoder for some seconds; a line per check, and exit code 1 where one fails.
    Of a task (its name, or its .toml) the data are read and counted.

    \b
    Examples:
      contsym check my_method --plugin my_method.py
      contsym check knn_fixed --set k=5
      contsym check tickets.toml
    """
    from contsym import plugins as plug_ins
    from contsym.strategies.catalog import strategies
    from contsym.tasks.catalog import tasks

    if name.endswith(".toml"):
        file, name = name, Path(name).stem
        if plug_ins.read([file]).named[0].kind != "task":
            raise ContsymError(
                f'{file}: a scenario; expected a task, with labels = ["yes", "no"]; a scenario is checked by contsym run '
                f"--scenario {file} --dry-run"
            )
        plugins = (*plugins, file)
    named = plug_ins.read(plugins)
    if Path(name).suffix in DATA_SUFFIXES:
        raise ContsymError(
            f"{name}: a file of examples; expected a strategy or a task's .toml, which contsym new task NAME --from {name} "
            "writes; contsym data stats counts pairs"
        )
    if name not in strategies(named) and name in tasks(named):
        _check_task(tasks(named)[name], as_json)
        return
    # One thread is fastest on matrices this small. Torch reads it only once, when it is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import tempfile

    from contsym.testing.conformance import CHECKS, Bench, outcomes

    width, found = max(map(len, CHECKS)), []
    first_with: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="contsym-check-") as folder:
        settings = parse_assignments(assignments)
        bench = Bench(name, Path(folder), encoder=encoder, settings=settings, files=plugins)
        for outcome in outcomes(bench):
            found.append(outcome)
            # One mistake may fail every check.
            first = first_with.setdefault(outcome.detail, outcome.name) if outcome.detail else outcome.name
            detail = outcome.detail if first == outcome.name else f"as {first}"
            line = f"{outcome.status}  {outcome.name:<{width}}  {detail}"
            click.echo(line.rstrip(), err=as_json)
    n_failed = sum(outcome.status == "fail" for outcome in found)
    if as_json:
        click.echo(
            json.dumps({"strategy": name, "failed": n_failed, "checks": [asdict(each) for each in found]})
        )
    else:
        click.echo(f"{name}: {n_failed} of {len(CHECKS)} checks failed" if n_failed else f"{name} conforms")
    if n_failed:
        sys.exit(1)


def _check_task(task: Task, as_json: bool) -> None:
    """Read the data of a task and print what they are. Raises ContsymError for what is wrong with them."""
    from rich.console import Console

    from contsym.commands.views.data import rows_table, task_report
    from contsym.data.audit import repeats
    from contsym.data.cache import load_task
    from contsym.data.schema import rows_of, some_of
    from contsym.machine import quiet_libraries

    quiet_libraries()
    data = load_task(task, task.default_source)
    repeated = repeats(data)
    if as_json:
        counts = {
            "task": task.name,
            "source": data.source,
            "fingerprint": data.fingerprint,
            "rows": data.rows,
        }
        click.echo(
            json.dumps(
                {**counts, "labels": list(data.labels), "notes": [*data.notes, *repeated]}, ensure_ascii=False
            )
        )
        return
    console = Console(highlight=False)
    console.print(task_report(data))
    # A test set has no training examples.
    name, part = next((name, part) for name, part in data.parts.items() if len(part))
    first = part.select(range(min(2, len(part))))
    console.print(rows_table([{"part": name, **r, "label": data.labels[r["label"]]} for r in rows_of(first)]))
    missing = sorted(set(task.labels) - {data.labels[i] for i in part.unique("label")})
    if missing:
        console.print(f"no example of the {name} part has the label {some_of(missing)}", markup=False)
    for line in repeated:
        console.print(f"! {line}", markup=False)
    console.print(f"{task.name} can be used: {sum(data.rows.values()):,} {task.examples}", highlight=False)
