"""Command lines to try: every command and option there is, with values that fit, nearly fit or are noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from hypothesis import strategies as st

from contsym.cli import cli
from tests.fuzz.documents import ODD_TEXTS, choice

ODD_VALUES = (
    # The system lets no NUL through, and no value may lead out of the test's folder.
    *(text for text in ODD_TEXTS if "\x00" not in text and not text.startswith(("/", "..", "~"))),
    *(
        "-1",
        "0",
        "99999999999999999999",
        "9" * 5000,
        "nan",
        "inf",
        "a=b",
        "a=",
        "=b",
        "k=1,3",
        "0-",
        "-",
        "--",
    ),
    *("1-99999999", "x" * 3000),
)
GOOD_VALUES = {
    "strategy": ("knn_fixed", "fine_tune+ewc"),
    "scenario": ("wikidata_only", "mnli_then_wikidata", "order"),
    "strategies": ("knn_fixed,fine_tune",),
    "shots": ("8", "8,16", "least"),
    "seeds": ("0", "0,1", "0-4"),
    "seed": ("0",),
    "assignments": ("k=3",),
    "pretraining": ("steps=3",),
    "mnli": ("bundled", "no/such/file", "hub:x"),
    "wikidata": ("bundled", "no/such/file"),
    "plugins": ("no_such.py", "x.txt"),
    "tracking_uri": ("sqlite:///none.db", "nonsense://x", "http://u:p@127.0.0.1:9/"),
    "output": ("out", "none"),
    "device": ("cpu", "cuda:7"),
    "source": ("bundled", "no/such"),
    "sole_property": ("P26",),
    "jobs": ("1", "0"),
    "engine_options": ("partition=x",),
    "host": ("127.0.0.1",),
    "port": ("5001",),
}
"""By the name of the parameter."""
NEVER = {"--help", "-h", "--version", "--open", "--network"}
"""A help is no mistake; a browser and the network are no test's."""


def commands(
    group: click.Group = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def _value(parameter: click.Parameter) -> st.SearchStrategy[str]:
    kind: Any = parameter.type
    if isinstance(kind, click.Choice):
        good: tuple[str, ...] = tuple(map(str, kind.choices))
    else:
        fitting = {click.INT: ("3", "16"), click.FLOAT: ("0.5", "1e-3")}
        good = GOOD_VALUES.get(str(parameter.name)) or fitting.get(kind) or ("x",)
    odd = st.sampled_from(ODD_VALUES) | st.text(st.characters(blacklist_characters="\x00/~."), max_size=8)
    return choice(*good, odd=odd)


@st.composite
def command_lines(draw: st.DrawFn, path: tuple[str, ...], command: click.Command) -> list[str]:
    """Arguments of a command: those that it needs, mostly, and a few others."""
    line = list(path)
    for parameter in command.params:
        flags = [name for name in parameter.opts if name not in NEVER]
        if not flags and isinstance(parameter, click.Option):
            continue
        if not draw(st.integers(0, 9)) < (9 if parameter.required else 3):
            continue
        if isinstance(parameter, click.Argument):
            line += [draw(_value(parameter)) for _ in range(2 if parameter.nargs == -1 else 1)]
        elif parameter.is_flag:
            line.append(flags[0])
        else:
            line += [flags[0], draw(_value(parameter))]
    if draw(st.integers(0, 19)) == 10:
        line.insert(draw(st.integers(0, len(line))), draw(st.sampled_from(ODD_VALUES)))
    return line


COMMANDS = dict(commands())
# What would train or serve if all of it fits is stopped by an encoder or a store that is not there.
ENDS = {("run",): ["--encoder", "no/such/encoder"], ("sweep",): ["--encoder", "no/such/encoder"],
        ("pretrain",): ["--encoder", "no/such/encoder"], ("data", "audit"): ["--encoder", "no/such/encoder"]}  # fmt: skip
# `check` trains whatever strategy it is given, `doctor` imports every library.
LEFT_OUT = {("check",), ("doctor",)}
lines = st.sampled_from([path for path in COMMANDS if path not in LEFT_OUT]).flatmap(
    lambda path: command_lines(path, COMMANDS[path]).map(lambda line: [*line, *ENDS.get(path, [])])
)
