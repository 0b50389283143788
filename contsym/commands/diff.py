"""`contsym diff`: what changed between two checkpoints."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from contsym.commands import completion
from contsym.commands.options import (
    device_option,
    echo_json,
    first_sources,
    form_option,
    json_option,
    output_option,
    plugin_option,
    precision_option,
    sources_of,
)
from contsym.commands.screen import log_options, screen
from contsym.errors import EncoderError, SettingError
from contsym.models.encoders.presets import PRESETS
from contsym.tasks.schema import FIRST

if TYPE_CHECKING:
    from contsym.data.schema import Form


class Asked(TypedDict):
    """The options that say what is compared."""

    form: Form
    limit: int
    seed: int
    put_back: bool


@click.command(short_help="Compare two checkpoints: abilities lost, and where.")
@click.argument("old", metavar="OLD", shell_complete=completion.encoders)
@click.argument("new", metavar="NEW", shell_complete=completion.encoders)
@first_sources
@click.option(
    "--task",
    "files",
    multiple=True,
    metavar="NAME=FILE",
    help="Labelled pairs of your own, or a task (contsym list tasks), as another ability; repeatable.",
)
@form_option
@click.option(
    "--limit",
    type=click.IntRange(1, 2**31 - 1),
    default=1000,
    show_default=True,
    help="The most pairs per task; the seed draws them where there are more. Fewer pairs take less time.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the folds and of every draw.",
)
@click.option(
    "--put-back/--no-put-back",
    default=True,
    show_default=True,
    help="Put parts of OLD back into NEW, one by one, where an ability was lost; takes an encoding per layer.",
)
@device_option
@precision_option
@plugin_option
@output_option
@click.option(
    "--to",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="A new folder, or that of the same comparison; default: OUTPUT/diffs/OLD-NEW.",
)
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
@log_options
@json_option
def diff(
    old: str,
    new: str,
    files: tuple[str, ...],
    form: Form,
    limit: int,
    seed: int,
    put_back: bool,
    device: str,
    precision: str,
    plugins: tuple[str, ...],
    output: Path,
    to: Path | None,
    opens: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare two checkpoints: which abilities were lost or gained, and where in the network.

    OLD and NEW are folders, Hub ids or presets of encoders or classifiers, trained by anybody, or a run that saved its
    model. Nothing is trained but small probes. The bundled NLI sample and symmetry pairs are measured in any case. Writes
    a page and its tables, like contsym report, and every answer of both (docs/diff.md).

    \b
    Examples:
      contsym diff minilm minilm-nli
      contsym diff minilm-nli latest
      contsym diff FacebookAI/roberta-large-mnli my-finetuned --task mine=pairs.jsonl
    """
    from rich.console import Console

    from contsym.api.functions import diff as compare
    from contsym.commands.views.diff import diff_report
    from contsym.commands.views.progress import RunProgress
    from contsym.differences.page import ANSWERS, check_folder, name_of, request, write_page

    tasks = sources_of(options)
    for text in files:
        name, equals, file = text.partition("=")
        if not equals or not name or not file:
            raise SettingError(f"--task {text!r}: expected NAME=FILE, as mine=pairs.jsonl")
        if name in FIRST:
            raise SettingError(
                f"--task {text}: {name} is a task of contsym's; expected --{name} {file}, or another name"
            )
        if name in tasks:
            raise SettingError(f"--task {name} is given twice; give it once")
        tasks[name] = file
    sides = _checkpoint(old, output), _checkpoint(new, output)
    asked: Asked = {"form": form, "limit": limit, "seed": seed, "put_back": put_back}
    if to is not None:
        check_folder(to, request(*sides, tasks, **asked))
    with RunProgress(*screen()) as progress:
        found = compare(
            *sides,
            tasks,
            **asked,
            device=device,
            precision=precision,
            plugins=plugins,
            progress=progress,
        )
    html, tables = write_page(found, to or output / "diffs" / name_of(found))
    if as_json:
        echo_json(found.model_dump())
    else:
        Console(highlight=False).print(diff_report(found))
    click.echo(f"page: {html}", err=as_json)
    click.echo(f"tables: {tables}", err=as_json)
    click.echo(f"answers: {html.parent / ANSWERS}", err=as_json)
    if opens:
        click.launch(str(html.resolve()))


def _checkpoint(name: str, output: Path) -> str:
    """What was given, or for a stored run or a row of the latest sweep the folder of its saved model.

    Raises EncoderError for a name that can be neither a run nor a checkpoint.
    """
    from contsym.results.store import RESULT
    from contsym.sweeps.find import find, find_model
    from contsym.sweeps.runs import RECORD

    folder = Path(name)
    try:
        if folder.is_dir():
            is_stored = any((folder / file).is_file() for file in (RECORD, RESULT))
        else:
            may_be_run = "/" not in name and name.partition("@")[0] not in PRESETS and not folder.is_file()
            is_stored = may_be_run and ("@" in name or find(name, output) is not None)
            if may_be_run and not is_stored:
                raise _unknown(name, output)
    except OSError:  # a name that is too long, for example; the search for a checkpoint reports it
        is_stored = False
    if not is_stored:
        return name
    return str(find_model(name, output, by_folder=True))


def _unknown(name: str, output: Path) -> EncoderError:
    """The error for a name without a slash that is neither a preset, a run nor a folder."""
    from contsym.sweeps.find import LATEST
    from contsym.sweeps.runs import stored_runs

    runs = [run.name for run in stored_runs(output)]
    if name == LATEST and not runs:
        return EncoderError(
            f"{name!r}: {output} has no run yet; contsym run --save-model makes one, or --output names the folder of others"
        )
    # A run is also found by the beginning of its name, which is its strategy.
    known = [*PRESETS, LATEST, *dict.fromkeys(run.partition("-")[0] for run in runs), *runs]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    question = f"did you mean {' or '.join(near)}? Otherwise " if near else ""
    return EncoderError(
        f"{name!r} is no preset, no run of {output} and no folder; {question}expected {', '.join(PRESETS)}, latest, a run of "
        "--output (contsym runs), a Hub id (owner/name) or a folder with model.safetensors"
    )
