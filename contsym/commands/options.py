"""Options of several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from contsym.config import DEFAULT_OUTPUT, DEFAULT_STEP, DEFAULT_TARGET, Precision, Protocol
from contsym.data.schema import BALANCED, Draw, Form
from contsym.data.splits import SPLIT_RULES
from contsym.data.tasks import TASKS, Task
from contsym.models.encoders.declared import AUTO, POOLINGS

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUTPUT,
    show_default=True,
    help="Folder for results and the MLflow store.",
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
SCENARIO_HELP = "Sequence of tasks (contsym list scenarios), or its TOML file (docs/scenarios.md)."


def task_sources(command):
    """`--TASK SOURCE` for each task, of which only the bundled ones have a default."""
    for task in reversed(list(TASKS.values())):
        command = _source_option(task, "bundled" if task.is_bundled else "not measured")(command)
    return command


def task_options(command):
    """`--TASK SOURCE` for each task, and `--TASK-size N` for those without shots."""
    for task in reversed(list(TASKS.values())):
        if not task.relational:
            command = click.option(
                f"--{task.name}-size",
                type=int,
                metavar="N",
                help=f"{task.title} training pairs; default: all.",
            )(command)
        command = _source_option(task, task.default_source)(command)
    return command


def _source_option(task: Task, default: str):
    bundled = "bundled, " if task.is_bundled else ""
    return click.option(
        f"--{task.name}",
        metavar="SOURCE",
        help=f"{task.title}: {bundled}hub[:OWNER/NAME][@REVISION], or a file or folder; default: {default}.",
    )


def sources_of(options: dict[str, Any]) -> dict[str, str]:
    """Pop the values of `task_sources`: the typed sources by task."""
    return {name: spec for name in TASKS if (spec := options.pop(name)) is not None}


def sources_and_sizes(options: dict[str, Any]) -> tuple[dict[str, str], dict[str, int]]:
    """Pop the values of `task_options`: the typed sources and sizes by task."""
    sources = sources_of(options)
    sizes = {name: size for name in TASKS if (size := options.pop(f"{name}_size", None)) is not None}
    return sources, sizes


plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE",
    help="A strategy's .py or a scenario's .toml of your own; repeatable (docs/adding-a-strategy.md).",
)
encoder_option = click.option(
    "--encoder",
    metavar="NAME",
    help="A preset (contsym list encoders), a Hub id (OWNER/NAME[@REVISION]), or a folder with safetensors.  "
    "[default: minilm-nli for a scenario that begins with MNLI or SNLI and is retrained, else minilm]",
)
pooling_option = click.option(
    "--pooling",
    type=click.Choice(list(POOLINGS)),
    default=AUTO,
    show_default=True,
    help="Of token states; auto: that of the preset or of a sentence-transformers folder, or else the last token of a "
    "decoder-only model and the mean of any other (docs/encoders.md).",
)
form_option = click.option(
    "--form",
    type=click.Choice(get_args(Form)),
    default="lexicalised",
    show_default=True,
    help="Wikidata pairs with entity names, with opaque ids, or both.",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    help="Of the encoder; auto: bf16 if the hardware is faster with it.",
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
    "[default: retrain for a scenario that begins with NLI, else sequential]",
)
pretrain_option = click.option(
    "--pretrain",
    "pretraining",
    multiple=True,
    metavar="NAME=VALUE",
    help="With --protocol retrain: a hyper-parameter of the fine-tuning that makes the encoder; repeatable.",
)


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
        task_options,
        form_option,
    )
    training = (draw_option, split_option, noise_option, protocol_option, pretrain_option)
    readings = (one_pass_option, until_option, step_option, target_option, relearn_option)
    shared = (device_option, precision_option, *readings, save_model_option)
    for option in reversed((*data_and_encoder, *training, *shared)):
        command = option(command)
    return command
