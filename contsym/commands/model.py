"""`contsym predict`, `add` and `export`: the commands on saved models."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contsym.commands import completion
from contsym.commands.options import device_option, output_option, plugin_option
from contsym.errors import DataError, SettingError
from contsym.files import home_path
from contsym.models.encoders.presets import PRESETS

if TYPE_CHECKING:
    from contsym.data.schema import PlacedRow
    from contsym.tasks.schema import Task
    from contsym.training.trained import TrainedModel

PATH = click.Path(path_type=Path)
seed_option = click.option("--seed", type=int, metavar="N", help="The seed of a run with several models.")


@click.command(short_help="Label pairs or texts with a saved model.")
@click.argument("model", metavar="MODEL", shell_complete=completion.runs)
@click.argument("file", metavar="[PAIRS]", required=False)
@click.option(
    "--pair",
    "given",
    nargs=2,
    multiple=True,
    metavar="PREMISE HYPOTHESIS",
    help="A pair on the command line; repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="Format of the answer on stdout.",
)
@click.option("--explain", is_flag=True, help="Show the stored pairs that voted, of a k-NN method.")
@click.option(
    "--head",
    type=click.Choice(["own", "known"]),
    default="own",
    show_default=True,
    help="known: the frozen head of the task that the encoder knew before the run (--protocol retrain).",
)
@seed_option
@device_option
@plugin_option
@output_option
def predict(
    model: str, file: str | None, given: tuple[tuple[str, str], ...], form: str, explain: bool, **options: Any
) -> None:
    """Label pairs with a saved model, and show the probability of each label.

    MODEL is a folder, a run with saved models as for contsym show, or OWNER/NAME of the Hub. PAIRS is a file of any
    format that contsym reads, or - for JSON lines on stdin; labels in it are ignored.

    \b
    Examples:
      contsym predict latest --pair "Spain borders Portugal" "Portugal borders Spain"
      contsym predict symmetric-minilm pairs.jsonl --format csv > labels.csv
      contsym predict symmetric-minilm - --explain < pairs.jsonl
    """
    if (file is None) == (not given):
        raise SettingError(
            "predict: expected pairs, as a file, as - for stdin, or with --pair; give one of them"
        )
    from contsym.commands.views import predict as view
    from contsym.data.schema import table
    from contsym.training.trained_file import placed, unlabelled_row

    head = options.pop("head")
    loaded = _load(model, **options)
    task = loaded.file.task
    if given and task.inputs == "single":
        raise SettingError("--pair: the model answers single texts; give them as a file, or as - for stdin")
    with _placed(file, task) if file else nullcontext(placed(given, with_label=False, inputs="pair")) as rows:
        pairs = table(unlabelled_row(row, where, task) for where, row in rows)
    if not len(pairs):
        raise DataError(f"{file}: no pairs; expected at least one")
    scored = loaded.scores(pairs, head=head)
    voters = loaded.neighbours(pairs) if explain else None
    view.show(pairs, scored, voters, form)


@click.command(short_help="Let a saved model learn labelled pairs, without training.")
@click.argument("model", metavar="MODEL", shell_complete=completion.runs)
@click.argument("file", metavar="PAIRS")
@click.option(
    "--to", "target", type=PATH, metavar="FOLDER", help="Write the new model here; default: in place."
)
@click.option(
    "--new-label",
    "new_labels",
    multiple=True,
    metavar="NAME",
    help="A label of PAIRS that the model does not know yet; repeatable.",
)
@seed_option
@device_option
@plugin_option
@output_option
def add(model: str, file: str, target: Path | None, new_labels: tuple[str, ...], **options: Any) -> None:
    """Let a k-NN, prototype or closed-form model learn labelled pairs, without a gradient step.

    MODEL is a folder, a run with saved models as for contsym show, or OWNER/NAME of the Hub. PAIRS is a file of any
    format that contsym reads, or - for JSON lines on stdin. The model of a run, or from the Hub, stays as it is: give --to.

    \b
    Examples:
      contsym add latest borders.jsonl --to with-borders
      contsym add with-borders more.jsonl
      contsym add with-borders vague.jsonl --new-label unclear
    """
    from contsym.results.store import RESULT
    from contsym.sweeps.find import find_model

    folder = find_model(model, options["output"], options["seed"])
    is_own = folder == Path(model) and not (folder.absolute().parent / RESULT).is_file()
    if target is None and not is_own:
        raise SettingError(
            f"add: {model} belongs to a run or to the Hub, and stays as it is; give --to FOLDER"
        )
    if target is not None and target.exists():
        raise SettingError(f"--to {target}: is there already; expected a new folder")
    from contsym.training.trained_file import labelled_row, task_of, with_new_labels

    loaded = _load(model, **options)
    task = task_of(with_new_labels(loaded.labels, new_labels), loaded.file.inputs)
    with _placed(file, task) as rows:
        # Checked here, where a row's place in its file is known.
        checked = [labelled_row(row, where, task) for where, row in rows]
    for row in checked:
        row["label"] = task.labels[row["label"]]  # type: ignore[call-overload]
    n = loaded.add(checked, new_labels=new_labels)
    loaded.save(target or folder, replace=target is None)
    what = task.examples if n != 1 else task.examples.removesuffix("s")
    click.echo(
        f"{n:,} {what} added; {target or folder} has {loaded.file.n_added:,} of them beside those of its run"
    )


@click.command(short_help="Write a saved model for others, with a model card.")
@click.argument("model", metavar="MODEL", shell_complete=completion.runs)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="WHERE",
    help="sentence-transformers:FOLDER writes a folder, hub:OWNER/NAME uploads to the Hub.",
)
@click.option("--public", is_flag=True, help="With hub: make a new repository that everybody can read.")
@seed_option
@device_option
@plugin_option
@output_option
def export(model: str, target: str, public: bool, **options: Any) -> None:
    """Write a saved model for others, with a model card made from its result.

    The card has the data, the figures with their intervals, and the command that makes them again; paths of this
    machine are left out. The Hub asks for the token of `hf auth login` or HF_TOKEN. An encoder's short name, as
    minilm-nli, writes the encoder before any training.

    \b
    Examples:
      contsym export latest --to sentence-transformers:symmetric-minilm
      contsym export symmetric-minilm --to hub:ada/symmetric-minilm
    """
    kind, _, where = target.partition(":")
    if kind not in ("sentence-transformers", "hub") or not where:
        raise SettingError(f"--to {target}: expected sentence-transformers:FOLDER or hub:OWNER/NAME")
    if public and kind != "hub":
        raise SettingError("--public goes with --to hub:OWNER/NAME")
    from contsym.report.model_card import fill_export

    if kind == "sentence-transformers":
        # No shell has looked at a `~` behind the colon.
        where = str(home_path(where))
    if kind == "sentence-transformers" and Path(where).exists():
        raise SettingError(f"--to {target}: {where} is there already; expected a new folder")
    if model in PRESETS:
        if kind == "hub":
            raise SettingError(
                f"--to {target}: {model} is a preset and no model of yours; expected sentence-transformers:FOLDER"
            )
        _export_encoder(model, Path(where))
        return
    loaded = _load(model, **options)
    if kind == "sentence-transformers":
        from contsym.files import write_whole

        write_whole(Path(where), lambda folder: fill_export(folder, loaded, Path(where).name))
        click.echo(f"wrote {where}")
        return
    from contsym.data.hub_client import Repository, upload

    repository = Repository("model", where)
    with tempfile.TemporaryDirectory(prefix="contsym-export-") as folder:
        fill_export(Path(folder), loaded, where)
        upload(repository, Path(folder), private=not public)
    click.echo(f"uploaded {repository.page}")


def _export_encoder(name: str, target: Path) -> None:
    """Write an encoder before any training, with whole weights."""
    from contsym.files import to_json, write_whole
    from contsym.machine import quiet_libraries
    from contsym.models.encoders.checkpoints import CARD, locate
    from contsym.models.encoders.load import load
    from contsym.models.encoders.nli_head import kind_of_head, read_head
    from contsym.models.encoders.resolve import with_pooling
    from contsym.models.encoders.saved import save_encoder

    quiet_libraries()
    files = with_pooling(locate(name))
    assert files.pooling is not None
    encoder, pooling = load(files), files.pooling
    card = to_json({"seen": list(files.seen)})
    kind = kind_of_head(files)
    headed = load(files, head="nli").transformer if kind == "joint" else None
    if kind == "pair":
        encoder.nli_head = read_head(files.head_folder, encoder.dim)

    def fill(folder: Path) -> None:
        save_encoder(folder, encoder, pooling, transformer=headed)
        (folder / CARD).write_text(card, encoding="utf-8")

    write_whole(target, fill)
    click.echo(f"wrote {target}")


def _load(
    model: str, *, seed: int | None, device: str, plugins: tuple[str, ...], output: Path
) -> TrainedModel:
    from contsym.api.models import load_model

    loaded = load_model(model, seed=seed, output=output, plugins=plugins, device=device)
    for note in loaded.notes:
        click.echo(f"note: {note}", err=True)
    return loaded


@contextmanager
def _placed(file: str, task: Task) -> Iterator[Iterator[PlacedRow]]:
    """The rows of a file or, for -, of stdin with their places."""
    from contsym.data.readers import read_rows

    if file != "-":
        yield read_rows(Path(file), task)
        return
    with tempfile.TemporaryDirectory(prefix="contsym-stdin-") as folder:
        path = Path(folder) / "stdin.jsonl"
        # Read again by its content, and once for its head.
        path.write_bytes(sys.stdin.buffer.read())
        try:
            yield ((where.replace(str(path), "stdin"), row) for where, row in read_rows(path, task))
        except DataError as error:
            raise DataError(str(error).replace(str(path), "stdin")) from None
