"""The command line of datasets: build, count, audit, show."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from contsym.commands import completion
from contsym.commands.options import draw_option, echo_json, is_given, json_option, plugin_option
from contsym.commands.screen import log_options, screen
from contsym.data.schema import PARTS, Draw, Form
from contsym.data.splits import SPLIT_RULES
from contsym.machine import exit_code

if TYPE_CHECKING:
    from rich.console import RenderableType

PATH = click.Path(path_type=Path)
FORMS, SPLITS = click.Choice(get_args(Form)), click.Choice(list(SPLIT_RULES))
RULES = "; ".join(f"{name}: {meaning}" for name, meaning in SPLIT_RULES.items())


DEFAULT_TASK = "wikidata"


def source_options(command):
    """SOURCE, `--task`, `--plugin`, `--form` and `--json`."""
    form_help = "Entity names, opaque ids, or both; default: names, where the data have them."
    for option in (
        json_option,
        plugin_option,
        click.option("--form", type=FORMS, help=form_help),
        click.option(
            "--task",
            metavar="NAME",
            shell_complete=completion.tasks,
            default=DEFAULT_TASK,
            show_default=True,
            help="What the examples are (contsym list tasks).",
        ),
        click.argument("source"),
    ):
        command = option(command)
    return command


@click.group(short_help="Build, count, audit and show data.")
def data() -> None:
    """Build relation pairs out of Wikidata triples, and audit data before training.

    SOURCE is a folder made by `contsym data build`, a file or folder of pairs, bundled, or hub.

    \b
    Examples:
      contsym data build --triples triples.tsv --labels labels.txt --split relation --to data/mine
      contsym data audit data/mine
    """


@data.command(short_help="Build NLI pairs out of Wikidata triples.")
@click.option(
    "--triples",
    required=True,
    metavar="FILE",
    type=PATH,
    help="Subject, property, object separated by tabs (.tsv, .txt), a SPARQL result (.csv), or Wikidata's "
    "JSON dump (.json); also .gz, .bz2, .xz.",
)
@click.option("--to", "out", required=True, metavar="DIR", type=PATH, help="New folder.")
@click.option("--labels", metavar="FILE", type=PATH, help="Names of ids: id, tab, title, tab, aliases.")
@click.option(
    "--relations",
    metavar="NAME|FILE",
    type=PATH,
    help="Registry: wikidata (the default) or wordnet, which come with contsym, or a file.",
)
@click.option(
    "--property", "sole_property", metavar="ID", help="For a SPARQL result without a property column."
)
@click.option(
    "--form", type=FORMS, default="both", show_default=True, help="Entity names, opaque ids, or both."
)
@click.option("--split", type=SPLITS, default="pair", show_default=True, help=RULES)
@click.option(
    "--test-share", type=float, default=0.2, show_default=True, help="Approximate share of the pairs."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random draw.")
@click.option("--bare", is_flag=True, help="One phrasing per relation: the paper's form.")
@click.option(
    "--paraphrase", is_flag=True, help="A different phrasing in the hypothesis than in the premise."
)
@click.option("--neutral", is_flag=True, help="Add neutral pairs: another fact about one of the entities.")
@click.option("--distract", is_flag=True, help="Add neutral pairs: the same entities, another relation.")
@click.option("--balance", is_flag=True, help="As many symmetric as antisymmetric pairs in each part.")
@click.option("--max-per-relation", type=int, metavar="N", help="The most pairs per relation.")
@click.option("--max-bad", type=float, default=0.01, show_default=True, help="Tolerated share of bad lines.")
@log_options
@json_option
def build(as_json: bool, **options: Any) -> None:
    """Build NLI pairs out of Wikidata triples: entailment for symmetric relations, contradiction
    for antisymmetric ones.

    \b
    Examples:
      contsym data build --triples wikidata5m_transductive_train.txt \\
        --labels wikidata5m_entity.txt --to data/wikidata5m
      contsym data build --triples triples.tsv --form delexicalised --split relation --to data/codex
      contsym data build --triples latest-all.json.bz2 --neutral --to data/dump
      contsym data build --triples wn18rr/train.txt --relations wordnet --to data/wordnet
    """
    from contsym.commands.views.data import manifest_report
    from contsym.commands.views.progress import status
    from contsym.data.wikidata.build import BuildOptions
    from contsym.data.wikidata.build import build as build_data

    build_options = BuildOptions(**options)
    try:
        shown = screen()
        with status(shown.console, "starting", shown.log) as update:
            manifest = build_data(build_options, update)
    except KeyboardInterrupt as error:
        click.echo("stopped; nothing was written", err=True)
        sys.exit(exit_code(error))
    _print(as_json, manifest, lambda: manifest_report(manifest, str(build_options.out)))


@data.command(short_help="Make pairs of real sentences, as those of FewRel.")
@click.argument("sentences", metavar="FILE", type=PATH)
@click.option("--to", "out", required=True, metavar="FILE", type=PATH, help="New file of pairs (.jsonl).")
@click.option(
    "--relations",
    metavar="NAME|FILE",
    type=PATH,
    help="Registry; default: wikidata, which comes with contsym.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random draw.")
@json_option
def sentences(sentences: Path, out: Path, relations: Path | None, seed: int, as_json: bool) -> None:
    """Make pairs of a real sentence and what it says of two entities, as a test set.

    FILE has a row per sentence with text, head, tail and the relation that the sentence states (id or name), or is FewRel's
    own (val_wiki.json). The hypothesis exchanges head and tail: entailment for a symmetric relation, contradiction for an
    antisymmetric one. For part of the antisymmetric ones it has the direction of the sentence, and follows, so that the
    phrase does not give the label away.

    \b
    Example:
      contsym data sentences fewrel.jsonl --to data/fewrel_pairs.jsonl
      contsym run --strategy knn_fixed --scenario wikidata_to_fewrel --task fewrel_pairs=data/fewrel_pairs.jsonl
    """
    from contsym.commands.views.data import sentences_report
    from contsym.data.wikidata.sentences import build_sentences

    made = build_sentences(sentences, out, relations, seed)
    _print(as_json, asdict(made), lambda: sentences_report(made, str(out)))


@data.command()
@source_options
def stats(source: str, task: str, plugins: tuple[str, ...], form: str | None, as_json: bool) -> None:
    """Count the labels, the relations and the pairs left out of a dataset.

    \b
    Examples:
      contsym data stats data/codex
      contsym data stats bundled --task mnli
    """
    from contsym.commands.views.data import manifest_report, task_report
    from contsym.data.wikidata.manifest import is_built, read_manifest
    from contsym.files import home_path

    folder = home_path(source)
    if is_built(folder) and form is None and not plugins and task == DEFAULT_TASK:
        manifest = read_manifest(folder)
        counts, view = manifest, partial(manifest_report, manifest, source)
    else:
        loaded = _load(task, plugins, source, form)
        view = partial(task_report, loaded)
        counts = {
            "task": task,
            "source": loaded.source,
            "fingerprint": loaded.fingerprint,
            "rows": loaded.rows,
            "labels": {
                name: _counts(loaded.labels[i] for i in pairs["label"][:])
                for name, pairs in loaded.parts.items()
            },
            "relations": {name: _counts(pairs["relation"][:]) for name, pairs in loaded.parts.items()},
            "notes": list(loaded.notes),
        }
    _print(as_json, counts, view)


@data.command()
@source_options
@click.option("--split", type=SPLITS, help="Re-split the relation pairs; default: the split of the data.")
@click.option(
    "--shots", type=int, metavar="N", help="Train the shortcuts on as many pairs as a run with N shots."
)
@draw_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw of the shots.")
@click.option(
    "--encoder",
    default="minilm",
    show_default=True,
    shell_complete=completion.encoders,
    help="The encoder whose length limit counts.",
)
@click.pass_context
def audit(
    context: click.Context,
    source: str,
    task: str,
    plugins: tuple[str, ...],
    form: str | None,
    split: str | None,
    shots: int | None,
    draw: Draw,
    seed: int,
    encoder: str,
    as_json: bool,
) -> None:
    """Find leaks, shortcuts and doubtful rows before training.

    \b
    Examples:
      contsym data audit data/codex
      contsym data audit bundled --split relation --shots 64
    """
    from contsym.commands.views.data import audit_report
    from contsym.data.audit import audit as audit_data
    from contsym.data.shots import classes_of, few_shot
    from contsym.errors import EncoderError, SettingError

    for name in ("draw", "seed"):
        if shots is None and is_given(context, name):
            raise SettingError(
                f"--{name} {context.params[name]}: without --shots nothing is drawn; add --shots N, or leave it out"
            )
    loaded = _load(task, plugins, source, form, split)
    if shots is not None and not loaded.spec.few_shot:
        raise SettingError(
            f"--shots {shots}: shots are not drawn from {loaded.spec.words}; leave --shots out"
        )
    train = loaded.train if shots is None else few_shot(loaded.train, shots, seed, draw, classes_of(loaded))
    tokenizer, max_length = None, 0
    try:
        from contsym.models.encoders.checkpoints import locate
        from contsym.models.encoders.resolve import tokenizer_of

        files = locate(encoder)
    except EncoderError as error:
        # Only an encoder that the user named must be there.
        if encoder != "minilm":
            raise
        click.echo(f"note: {error}", err=True)
    else:
        tokenizer, max_length = tokenizer_of(files)
    audited = audit_data(loaded, train, tokenizer, max_length)
    _print(as_json, asdict(audited), lambda: audit_report(audited))


@data.command()
@source_options
@click.option("--part", type=click.Choice(PARTS), help="Pairs of this part only; default: all.")
@click.option("--relation", metavar="NAME", help="Pairs of this relation only.")
@click.option("--label", metavar="NAME", help="Pairs with this label only.")
@click.option(
    "-n", "n_rows", type=click.IntRange(1, 2**31 - 1), default=5, show_default=True, help="How many."
)
def show(
    source: str,
    task: str,
    plugins: tuple[str, ...],
    form: str | None,
    part: str | None,
    relation: str | None,
    label: str | None,
    n_rows: int,
    as_json: bool,
) -> None:
    """Print pairs of a dataset.

    \b
    Example:
      contsym data show data/codex --relation P26 -n 5
    """
    from contsym.commands.views.data import rows_table
    from contsym.errors import SettingError, nearest

    loaded = _load(task, plugins, source, form)
    parts = {name: pairs for name, pairs in loaded.parts.items() if part in (None, name)}
    where = f"in the {part} part of {source}" if part else f"in {source}"
    relations = {name for pairs in parts.values() for name in pairs["relation"][:]}
    if relation is not None and relation not in relations:
        raise SettingError(
            f"--relation {relation}: no pair of it {where}; {nearest(relation, sorted(relations))}"
        )
    if label is not None and label not in loaded.labels:
        raise SettingError(f"--label {label}: {task} has no such label; {nearest(label, loaded.labels)}")
    matching = (
        {"part": name, **pairs[i], "label": loaded.labels[pair_label]}
        for name, pairs in parts.items()
        for i, (pair_relation, pair_label) in enumerate(
            zip(pairs["relation"][:], pairs["label"][:], strict=True)
        )
        if relation in (None, pair_relation) and label in (None, loaded.labels[pair_label])
    )
    rows = list(itertools.islice(matching, n_rows))
    if not rows:
        given = f"--label {label}" if label else f"--part {part}"
        raise SettingError(f"{given}: no such pair {where}; contsym data stats counts what is there")
    _print(as_json, rows, lambda: rows_table(rows))


def _print(as_json: bool, plain: object, view: Callable[[], RenderableType]) -> None:
    from rich.console import Console

    if as_json:
        echo_json(plain)
    else:
        Console(highlight=False).print(view())


def _load(task: str, plugins: Iterable[str], source: str, form: Any, split: Any = None):
    """The task's data in the form asked for; by default in the first form of a built dataset."""
    from contsym.data.cache import load_task
    from contsym.data.wikidata.manifest import is_built, read_manifest
    from contsym.errors import ContsymError
    from contsym.files import home_path
    from contsym.machine import quiet_libraries
    from contsym.plugins import read
    from contsym.tasks.catalog import find_task
    from contsym.tasks.schema import option_of

    spec = find_task(task, read(plugins))
    quiet_libraries()
    folder = home_path(source)
    if form is None:
        form = read_manifest(folder)["forms"][0] if is_built(folder) else "lexicalised"
    try:
        return load_task(spec, source, form, split)
    except ContsymError as error:
        # Here the source is an argument; of a run it is the value of an option.
        raise type(error)(str(error).replace(option_of(spec.name, source), source)) from None


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(filter(None, names)).items()))
