"""The command line for your own strategies, scenarios and tasks: start one, check one."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contsym.commands import completion
from contsym.commands.options import DATA_SUFFIXES, echo_json, json_option, plugin_option
from contsym.config import parse_assignments
from contsym.errors import ContsymError, SettingError, unknown_name

if TYPE_CHECKING:
    from contsym.tasks.schema import Inputs, Task


@click.group(short_help="Start a strategy, scenario or task of your own.")
def new() -> None:
    """Start a strategy, a scenario or a task of your own, from a file that works.

    \b
    Example:
      contsym new strategy my_method
    """


LONGEST_NAME = 40
"""Most letters of a name."""
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
@click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE", help="A task's .toml, to be learned; repeatable."
)
def scenario(name: str, to: Path, plugins: tuple[str, ...]) -> None:
    """Write NAME.toml, a sequence of tasks: MNLI, then Wikidata; with --plugin your own tasks, pairs after MNLI.

    \b
    Examples:
      contsym new scenario my_scenario
      contsym new scenario mnli_then_labmates --plugin labmates.toml
    """
    from contsym.plugins import read
    from contsym.testing.starters import write, write_scenario

    if plugins:
        file = write_scenario(name, to, read(plugins))
        click.echo(f"wrote {file}")
        click.echo(f"run it: {_run_of(file, plugins)}")
        return
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
@click.option("--relation", metavar="COLUMN", help="The same for the relation of a pair.")
def task(name: str, to: Path, data: Path | None, **columns: str | None) -> None:
    """Write NAME.toml, which says what the examples and labels of a task are.

    With --from it describes the examples of your file; else NAME.csv with some examples is written too. Pairs "A r B",
    "B r A" whose labels are yes and no, or the like, are taken as those of symmetric and antisymmetric relations.

    \b
    Examples:
      contsym new task tickets
      contsym new task tone --from mails.csv --text body --label tone
      contsym new task labmates --from labmates.csv --premise sentence --hypothesis swapped \\
        --label follows --relation predicate
    """
    from contsym.testing.starters import write, write_task

    named = {field: column for field, column in columns.items() if column is not None}
    if data is None:
        if named:
            raise ContsymError(f"--{next(iter(named))} names a column of a file; expected --from FILE too")
        file, examples = write("task", name, to)
        inputs: Inputs = "single"
        click.echo(f"wrote {file} and {examples}")
    else:
        file, described = write_task(name, to, data, named)
        inputs = described.inputs
        click.echo(f"wrote {file}: {described.words}")
        for line in described.doubts:
            click.echo(f"! {line}", err=True)
    stream = (f"mnli_then_{name}" if inputs == "pair" else f"{name}_only")[:LONGEST_NAME]
    click.echo(f"check its data: contsym check {file}")
    click.echo(f"name it in a scenario: contsym new scenario {stream} --plugin {file}")
    click.echo(f"run that: {_run_of(Path(f'{stream}.toml'), [str(file)])}")


def _run_of(scenario: Path, plugins: Sequence[str]) -> str:
    """The command that trains on a scenario of one's own."""
    options = "".join(f" --plugin {plugin}" for plugin in plugins)
    return f"contsym run --strategy fine_tune --scenario {scenario}{options}"


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

    A strategy learns toy tasks with a tiny encoder, which takes about half a minute on two cores; a line per check, and
    exit code 1 where one fails.
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
    if name not in strategies(named):
        if name in tasks(named):
            for option, given in (("--set", assignments), ("--encoder", encoder)):
                if given:
                    raise SettingError(
                        f"{option}: {name} is a task, whose data are read without a strategy or an encoder; leave it out"
                    )
            _check_task(tasks(named)[name], as_json)
            return
        if not Path(f"{name}.py").is_file() and Path(f"{name}.toml").is_file():
            raise unknown_name("task", name, tasks(named))
    # One thread is fastest on matrices this small. Torch reads it only once, when it is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import tempfile

    from rich.console import Console

    from contsym.commands.views.progress import status

    console, found = Console(stderr=True), []
    # Without a terminal the lines of the checks are progress enough.
    console.quiet = not console.is_terminal
    causes: set[str] = set()
    n_same = 0
    with tempfile.TemporaryDirectory(prefix="contsym-check-") as folder:
        with status(console, f"preparing the checks of {name}"):
            from contsym.testing.conformance import CHECKS, Bench, outcome

            settings = parse_assignments(assignments)
            bench = Bench(name, Path(folder), encoder=encoder, settings=settings, files=plugins)
        width = max(map(len, CHECKS))
        for number, each in enumerate(CHECKS, 1):
            with status(console, f"{each} (check {number} of {len(CHECKS)})"):
                done = outcome(bench, each)
            found.append(done)
            # One mistake may fail every check, with the shapes of other data.
            cause = re.sub(r"\d+", "0", done.detail) if done.status == "fail" else ""
            if cause in causes:
                n_same += 1
                continue
            causes |= {cause} - {""}
            click.echo(f"{done.status}  {done.name:<{width}}  {done.detail}".rstrip(), err=as_json)
    if n_same:
        checks = "1 further check ends" if n_same == 1 else f"{n_same} further checks end"
        click.echo(f"fail  {checks} in the same error{'' if len(causes) == 1 else 's'}", err=as_json)
    n_failed = sum(each.status == "fail" for each in found)
    if as_json:
        echo_json({"strategy": name, "failed": n_failed, "checks": [asdict(each) for each in found]})
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
    from contsym.data.describe import rare_labels, rare_lines
    from contsym.data.schema import rows_of, some_of
    from contsym.data.sources import labelled_rows
    from contsym.machine import quiet_libraries

    quiet_libraries()
    data = load_task(task, task.default_source)
    doubts = repeats(data)
    if few := rare_labels(Counter(data.labels[i] for part in data.parts.values() for i in part["label"][:])):
        doubts += rare_lines(list(labelled_rows(task, task.default_source)), few)
    if as_json:
        echo_json(
            {
                "task": task.name,
                "source": data.source,
                "fingerprint": data.fingerprint,
                "rows": data.rows,
                "labels": list(data.labels),
                "notes": [*data.notes, *doubts],
            }
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
    for line in doubts:
        console.print(f"! {line}", markup=False)
    console.print(f"{task.name} can be used: {sum(data.rows.values()):,} {task.examples}")
