"""Options of several commands, and what they print."""

from __future__ import annotations

import codecs
import json
import shlex
import sys
import tomllib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import click

from contsym.checked import is_number
from contsym.commands import completion
from contsym.config import DEFAULT_OUTPUT, DEFAULT_STEP, DEFAULT_TARGET, Precision, Protocol
from contsym.data.schema import BALANCED, Draw, Form
from contsym.data.splits import SPLIT_RULES
from contsym.errors import SettingError
from contsym.files import home_path
from contsym.models.encoders.declared import AUTO, POOLINGS
from contsym.tasks.catalog import own_tasks
from contsym.tasks.schema import FIRST, Task

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUTPUT,
    show_default=True,
    # In an environment variable no shell has looked at `~`.
    callback=lambda context, parameter, value: home_path(value),
    help="Folder for results and the MLflow store.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there."
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Also show every shortcut, all figures, and the costs."
)
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Show the plan (data, steps, time, what is stored already), and train and store nothing.",
)
limit_option = click.option(
    "--limit",
    type=int,
    metavar="N",
    help="Take at most N examples of each part of the data, for a quick look; every output says so.",
)
config_option = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Options from a TOML file (docs/sweeps.md); the command line overrides it.",
)
uri_option = click.option(
    "--tracking-uri",
    metavar="URI",
    help="MLflow tracking server or store; default: MLFLOW_TRACKING_URI, else OUTPUT/mlflow.db.",
)

split_option = click.option(
    "--split",
    type=click.Choice(list(SPLIT_RULES)),
    help="Re-split the Wikidata pairs (contsym data build --help); default: the split of the data.",
)
draw_option = click.option(
    "--draw",
    type=click.Choice(get_args(Draw)),
    default=BALANCED,
    show_default=True,
    help="How the shots are drawn: balanced: half of each kind, spread over the relations; natural: as the data are.",
)
noise_option = click.option(
    "--label-noise",
    type=float,
    metavar="SHARE",
    help="Share of flipped training labels, for scenarios with label noise (noisy_labels); default: the scenario's.",
)
SEEDS_HELP = (
    "3 for the three seeds 0, 1 and 2; or the seeds themselves, as 0,1,4 or 10-14; '3,' is the seed 3 alone."
)


def first_sources(command):
    """`--TASK SOURCE` for the first tasks, of which only the bundled ones have a default."""
    for task in reversed(_first_tasks()):
        command = _source_option(task, "bundled" if task.bundled else "not measured")(command)
    return command


def moved_sources(command):
    """`--TASK SOURCE` and `--task NAME=SOURCE` of a stored run, whose record has the sources."""
    for task in reversed(_first_tasks()):
        command = _source_option(task, "that of the record")(command)
    return _any_source(command)


def task_options(command):
    """`--task NAME=SOURCE` and `--size NAME=N`, and the first tasks' own `--TASK SOURCE` and `--TASK-size N`."""
    command = first_task_options(*FIRST)(command)
    command = click.option(
        "--size",
        "more_sizes",
        multiple=True,
        metavar="NAME=N",
        help="Training examples of any task; repeatable.",
    )(command)
    return _any_source(command)


def _any_source(command):
    return click.option(
        "--task",
        "more_sources",
        multiple=True,
        metavar="NAME=SOURCE",
        shell_complete=completion.tasks,
        help="Where the examples of any task are (contsym list tasks): a file or folder, or hub:OWNER/NAME; repeatable.",
    )(command)


def first_task_options(*names: str):
    """`--TASK SOURCE` and `--TASK-size N` of these of the first tasks."""

    def decorated(command):
        for task in reversed([task for task in _first_tasks() if task.name in names]):
            if not task.few_shot:
                command = click.option(
                    f"--{task.name}-size",
                    type=int,
                    metavar="N",
                    help=f"{task.words} training pairs; default: all.",
                )(command)
            command = _source_option(task, "bundled" if task.bundled else "hub")(command)
        return command

    return decorated


def _first_tasks() -> list[Task]:
    return [own_tasks()[name] for name in FIRST]


def _source_option(task: Task, default: str):
    bundled = "bundled, " if task.bundled else ""
    return click.option(
        f"--{task.name}",
        metavar="SOURCE",
        help=f"{task.words}: {bundled}hub[:OWNER/NAME][@REVISION], or a file or folder; default: {default}.",
    )


def sources_of(options: dict[str, Any]) -> dict[str, str]:
    """Pop the values of `first_sources`: the typed sources by task."""
    return {name: spec for name in FIRST if (spec := options.pop(name, None)) is not None}


def sources_and_sizes(options: dict[str, Any]) -> tuple[dict[str, str], dict[str, int]]:
    """Pop the values of `task_options`: the typed sources and sizes by task."""
    sources = sources_of(options)
    sizes = {name: size for name in FIRST if (size := options.pop(f"{name}_size", None)) is not None}
    for text in options.pop("more_sources", ()):
        name, source = _named(text, "--task", sources, "a source, as rte=data/rte")
        sources[name] = source
    for text in options.pop("more_sizes", ()):
        name, size = _named(text, "--size", sizes, "a number, as rte=500")
        if not is_number(size):
            raise SettingError(f"--size {text}: expected a number, as --size {name}=500")
        sizes[name] = int(size)
    return sources, sizes


def _named(text: str, option: str, others: Collection[str], what: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SettingError(f"{option} {text!r}: expected the name of a task and {what}")
    if name in others:
        raise SettingError(f"{option} {text}: {name} is given twice; give it once")
    return name, value


plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE",
    help="A strategy's .py, or a scenario's or task's .toml, of your own; repeatable.",
)


DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet")
"""The endings of files of examples."""


def _checked_scenario(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """The value of --scenario. Raises SettingError for a file that is of another kind."""
    path = Path(name or "")
    if path.suffix in DATA_SUFFIXES:
        raise SettingError(
            f"--scenario {name}: a file of examples; expected a scenario, as mnli_then_wikidata; examples are given with "
            f"--wikidata {name} or --task NAME={name}"
        )
    if path.suffix == ".toml":
        with suppress(OSError, ValueError):  # not there, or not TOML: the reader of scenarios reports it
            entries = tomllib.loads(path.read_text("utf-8"))
            if "labels" in entries and "experience" not in entries:
                raise SettingError(
                    f"--scenario {name}: a task; expected a scenario, which names it: [[experience]] with task = "
                    f'"{path.stem}", and --plugin {name} (docs/tasks.md)'
                )
    return name


scenario_option = click.option(
    "--scenario",
    metavar="NAME|FILE",
    callback=_checked_scenario,
    shell_complete=completion.scenarios,
    help="Sequence of tasks (contsym list scenarios), or its TOML file (docs/scenarios.md).  [required]",
)


def encoder_option_with(default: str | None, more: str = "") -> Any:
    """--encoder of a command; `more` follows its help."""
    return click.option(
        "--encoder",
        metavar="NAME",
        default=default,
        show_default=default is not None,
        shell_complete=completion.encoders,
        help="A preset (contsym list encoders), a Hub id (OWNER/NAME[@REVISION]), or a folder with safetensors."
        + more,
    )


encoder_option = encoder_option_with(
    None,
    "  [default: minilm-nli for a scenario that begins with MNLI or SNLI and is retrained, else minilm]",
)
pooling_option = click.option(
    "--pooling",
    type=click.Choice(list(POOLINGS)),
    default=AUTO,
    show_default=True,
    help="How token states become a vector; auto: that of the preset or of a sentence-transformers folder, else the last "
    "token for a decoder-only model and the mean for any other (docs/encoders.md).",
)
adapter_option = click.option(
    "--adapter",
    metavar="lora:RANK",
    help="Leave the encoder's weights as they are and train adapters of this rank at its linear layers "
    "(docs/method.md).",
)
form_option = click.option(
    "--form",
    type=click.Choice(get_args(Form)),
    default="lexicalised",
    show_default=True,
    help="Wikidata pairs with entity names, with opaque ids, or both.",
)
device_option = click.option(
    "--device", metavar="NAME", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    help="The encoder's precision; auto: bf16 if the hardware is faster with it.",
)
freeze_option = click.option(
    "--freeze",
    metavar="WHAT",
    help="Lower part of the encoder to freeze and to compute once per text: embeddings, or layers:N for the embeddings "
    "and N layers (the same as --set freeze=WHAT).",
)
target_option = click.option(
    "--target",
    type=float,
    default=DEFAULT_TARGET,
    show_default=True,
    help="Report the fewest pairs that reach this accuracy on validation pairs.",
)
one_pass_option = click.option(
    "--one-pass",
    is_flag=True,
    help="See each training pair of an experience once, batch after batch, and measure after every batch "
    "(docs/readings.md).",
)
until_option = click.option(
    "--until",
    type=float,
    metavar="ACCURACY",
    help="Stop training on an experience at the first batch that reaches this accuracy on validation pairs; with "
    "--shots least: the accuracy to reach, default: --target.",
)
audit_option = click.option(
    "--audit/--no-audit",
    default=True,
    show_default=True,
    help="Look for leaks and shortcuts in the data first.",
)
step_option = click.option(
    "--step",
    type=int,
    default=DEFAULT_STEP,
    show_default=True,
    help="With --shots least: the difference of the numbers of pairs that are tried.",
)
save_model_option = click.option(
    "--save-model",
    "save_models",
    is_flag=True,
    help="Store the trained model of each seed beside its result, for contsym predict and as an --encoder "
    "(docs/models.md).",
)
relearn_option = click.option(
    "--relearn",
    is_flag=True,
    help="At the end let a copy of the model learn the first task again, and count the pairs until its accuracy on "
    "validation pairs is back (docs/readings.md).",
)
protocol_option = click.option(
    "--protocol",
    type=click.Choice(get_args(Protocol)),
    help="sequential: the strategy learns every task. retrain: every strategy starts from one encoder that was "
    "trained with a head on the first task, and that head measures the task (docs/protocols.md).  "
    "[default: retrain for a scenario that begins with NLI and has label_space shared, else sequential]",
)
pretrain_option = click.option(
    "--pretrain",
    "pretraining",
    multiple=True,
    metavar="NAME=VALUE",
    help="With --protocol retrain: a hyper-parameter of the fine-tuning that makes the encoder; repeatable.",
)


def is_given(context: click.Context, name: str) -> bool:
    """Whether an option was typed, or stands in an environment variable."""
    source = click.core.ParameterSource
    return context.get_parameter_source(name) in (source.COMMANDLINE, source.ENVIRONMENT)


def assignments_of(options: dict[str, Any]) -> tuple[str, ...]:
    """Pop `assignments`, and `--freeze`, which is short for one of them."""
    freeze = options.pop("freeze", None)
    return (*options.pop("assignments"), *([] if freeze is None else [f"freeze={freeze}"]))


def cell_options(command):
    """The options that runs and sweeps have in common."""
    data_and_encoder = (
        plugin_option,
        encoder_option,
        pooling_option,
        freeze_option,
        adapter_option,
        task_options,
        form_option,
        limit_option,
    )
    training = (draw_option, split_option, noise_option, protocol_option, pretrain_option)
    readings = (one_pass_option, until_option, step_option, target_option, relearn_option)
    shared = (device_option, precision_option, *readings, save_model_option)
    for option in reversed((*data_and_encoder, *training, *shared)):
        command = option(command)
    return command


def echo_json(content: object) -> None:
    """Print what --json asks for."""
    # Where stdout lacks signs, JSON can spell them.
    is_utf8 = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
    text = json.dumps(content, ensure_ascii=not is_utf8, allow_nan=False)
    # A path may have bytes that are not UTF-8.
    click.echo(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def output_words(output: Path) -> str:
    """--output as it has to be typed again, with a blank before it; empty for the default.

    >>> output_words(Path("my runs")), output_words(Path("mlruns"))
    (" --output 'my runs'", '')
    """
    return "" if str(output) == DEFAULT_OUTPUT else f" --output {shlex.quote(str(output))}"
