"""`contsym pretrain`: an encoder fine-tuned on a task, with its head, as a folder for --encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from contsym.commands import options
from contsym.commands.screen import log_options, screen
from contsym.config import RunConfig, parse_assignments
from contsym.errors import ContsymError

NLI = ("mnli", "snli")


@click.command(short_help="Fine-tune an encoder on NLI, for --encoder.")
@click.option(
    "--task",
    "tasks",
    type=click.Choice(NLI),
    multiple=True,
    default=["mnli"],
    show_default=True,
    help="A task that the encoder learns; repeatable. Validation pairs are held out of the first.",
)
@click.option(
    "--to",
    "out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="New folder; must not exist.",
)
@click.option(
    "--difference",
    "as_difference",
    is_flag=True,
    help="Write the adapters of --set lora=RANK alone, a few megabytes to add to the encoder's own weights.",
)
@options.encoder_option_with("minilm")
@options.pooling_option
@options.first_task_options(*NLI)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed of the training."
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyper-parameter of the training (docs/protocols.md); repeatable.",
)
@options.freeze_option
@options.device_option
@options.precision_option
@options.output_option
@log_options
@options.json_option
def pretrain(
    tasks: tuple[str, ...], out: Path, as_difference: bool, seed: int, as_json: bool, **values: Any
) -> None:
    """Fine-tune an encoder on NLI and write it, with its head, to a folder for --encoder.

    The strategies nli_head and zero_shot use its head. Under --protocol retrain all strategies start from
    it, for every seed, as from the preset minilm-nli. The same command resumes a
    training that was stopped.

    \b
    Examples:
      contsym pretrain --mnli path/to/mnli --to minilm-mnli
      contsym pretrain --task mnli --task snli --mnli path/to/mnli --snli path/to/snli \\
        --set lora=64 --difference --to minilm-nli
      contsym run --strategy knn_fixed --scenario mnli_then_wikidata --encoder minilm-mnli
    """
    if out.exists():
        raise ContsymError(f"--to {out} is there already; expected a new folder")
    tasks = tuple(dict.fromkeys(tasks))
    sources, sizes = options.sources_and_sizes(values)
    for option, name in (*((name, name) for name in sources), *((f"{name}-size", name) for name in sizes)):
        if name not in tasks:
            raise ContsymError(
                f"--{option}: the encoder learns {' and '.join(tasks)}; leave it out, or add --task {name}"
            )
    config = RunConfig(
        strategy="fine_tune",
        scenario=f"{tasks[0]}_only",
        seeds=(seed,),
        sources=sources,
        sizes=sizes,
        settings=parse_assignments(options.assignments_of(values)),
        curve=False,
        audit=False,
        **values,
    )
    from contsym.commands.views.progress import RunProgress
    from contsym.training.pretrain import pretrain_to

    with RunProgress(*screen()) as progress:
        accuracy = pretrain_to(out, config, tasks, progress, as_difference=as_difference)
    if as_json:
        options.echo_json({"folder": str(out), "accuracy": accuracy})
        return
    scores = ", ".join(f"{task} {score:.3f}" for task, score in accuracy.items())
    click.echo(f"{out}: {scores} on the test pairs; use it with --encoder {out}")
