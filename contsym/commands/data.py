"""The command line of data sets: build, look at, audit."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from contsym.data.schema import LABELS, Form
from contsym.data.splits import SPLIT_RULES
from contsym.data.tasks import TASKS
from contsym.machine import exit_code

PARTS = ("train", "test")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
task_option = click.option(
    "--task",
    type=click.Choice(list(TASKS)),
    default="wikidata",
    show_default=True,
    help="What the pairs are.",
)
form_option = click.option(
    "--form",
    type=click.Choice(get_args(Form)),
    help="Entity names, opaque ids, or both; default: names, where the data have them.",
)
split_option = click.option(
    "--split",
    type=click.Choice(list(SPLIT_RULES)),
    help="Share the relation pairs out anew by this rule; default: as they come.",
)


def _rules() -> str:
    return "; ".join(f"{name}: {meaning}" for name, meaning in SPLIT_RULES.items())


@click.group()
def data() -> None:
    """Build relation pairs out of Wikidata triples, and audit any data before training.

    SOURCE is a folder made by `contsym data build`, a file or folder of pairs, bundled, or hub.

    \b
    Examples:
      contsym data build --triples triples.tsv --labels labels.txt --split relation --out data/mine
      contsym data audit data/mine
    """


@data.command(short_help="Build NLI pairs out of Wikidata triples.")
@click.option(
    "--triples",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Subject, property, object separated by tabs (.tsv, .txt), a SPARQL result (.csv), or Wikidata's "
    "JSON dump (.json); also .gz, .bz2, .xz.",
)
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to make.")
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Names of ids: id, tab, title, tab, aliases.",
)
@click.option(
    "--relations",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A registry of relations to use in place of contsym's relations.toml.",
)
@click.option("--property", "sole_property", metavar="ID", help="Property of a SPARQL result without one.")
@click.option(
    "--form", type=click.Choice(get_args(Form)), default="both", show_default=True, help="What is written."
)
@click.option(
    "--split", type=click.Choice(list(SPLIT_RULES)), default="pair", show_default=True, help=_rules()
)
@click.option("--test-share", type=float, default=0.2, show_default=True, help="Of the pairs, about.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every draw.")
@click.option("--bare", is_flag=True, help="One phrasing a relation: the paper's form.")
@click.option("--paraphrase", is_flag=True, help="Another phrasing in the hypothesis than in the premise.")
@click.option("--neutral", is_flag=True, help="Add neutral pairs: another fact about one of the entities.")
@click.option("--distract", is_flag=True, help="Add neutral pairs: the same entities, another relation.")
@click.option("--balance", is_flag=True, help="As many symmetric as antisymmetric pairs in each part.")
@click.option("--max-per-relation", type=int, metavar="N", help="Pairs of a relation at most.")
@click.option(
    "--max-bad", type=float, default=0.01, show_default=True, help="Share of bad lines that is tolerated."
)
@json_option
def build(as_json: bool, **given: Any) -> None:
    """Build NLI pairs out of Wikidata triples: entailment for symmetric relations, contradiction
    for antisymmetric ones.

    \b
    Examples:
      contsym data build --triples wikidata5m_transductive_train.txt \\
        --labels wikidata5m_entity.txt --out data/wikidata5m
      contsym data build --triples triples.tsv --form delexicalised --split relation --out data/codex
      contsym data build --triples latest-all.json.bz2 --neutral --out data/dump
    """
    from rich.console import Console

    from contsym.commands.views.data import manifest_report
    from contsym.commands.views.progress import status
    from contsym.data.wikidata.build import BuildOptions
    from contsym.data.wikidata.build import build as build_data

    options = BuildOptions(**given)
    err = Console(stderr=True)
    with _stopping_cleanly(), status(err, "starting") as say:
        made = build_data(options, say)
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        Console().print(manifest_report(made, str(options.out)))


@contextmanager
def _stopping_cleanly() -> Iterator[None]:
    """What asks a build to end leaves nothing of it: its tables on disk go."""
    try:
        yield
    except KeyboardInterrupt as error:
        click.echo("stopped; nothing was written", err=True)
        sys.exit(exit_code(error))


@data.command()
@click.argument("source")
@task_option
@form_option
@json_option
def stats(source: str, task: str, form: str | None, as_json: bool) -> None:
    """Count what is in a data set: labels, relations, what was left out.

    \b
    Examples:
      contsym data stats data/codex
      contsym data stats bundled --task mnli
    """
    from rich.console import Console

    from contsym.commands.views.data import manifest_report, task_report
    from contsym.data.wikidata.manifest import is_built, read_manifest

    folder = Path(source).expanduser()
    if is_built(folder):
        found = read_manifest(folder)
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        else:
            Console().print(manifest_report(found, source))
        return
    loaded = _load(task, source, form, None)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "task": task,
                    "source": loaded.source,
                    "fingerprint": loaded.fingerprint,
                    "rows": loaded.rows,
                    "labels": {name: _counts(part, "label") for name, part in _parts(loaded)},
                    "relations": {name: _counts(part, "relation") for name, part in _parts(loaded)},
                    "notes": list(loaded.notes),
                },
                ensure_ascii=False,
            )
        )
    else:
        Console().print(task_report(loaded))


@data.command()
@click.argument("source")
@task_option
@form_option
@split_option
@click.option("--shots", type=int, metavar="N", help="Give the shortcuts that many pairs, as a run would.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shots.")
@click.option("--encoder", default="minilm", show_default=True, help="Whose length limit counts.")
@json_option
def audit(
    source: str,
    task: str,
    form: str | None,
    split: str | None,
    shots: int | None,
    seed: int,
    encoder: str,
    as_json: bool,
) -> None:
    """Find leaks, shortcuts and doubtful rows before anything is trained.

    \b
    Examples:
      contsym data audit data/codex
      contsym data audit bundled --split relation --shots 64
    """
    from rich.console import Console

    from contsym.commands.views.data import audit_report
    from contsym.data.audit import audit as look_through
    from contsym.data.shots import few_shot
    from contsym.errors import EncoderError, SettingError

    if shots is not None and not TASKS[task].relational:
        raise SettingError(f"--shots: {TASKS[task].title} is not drawn from by shots; leave it out")
    loaded = _load(task, source, form, split)
    train = loaded.train if shots is None else few_shot(loaded.train, shots, seed)
    tokenizer, max_length = None, 0
    try:
        from contsym.models.encoders.checkpoints import locate
        from contsym.models.encoders.resolve import tokenizer_of

        files = locate(encoder)
    except EncoderError as error:
        if encoder != "minilm":  # asked for
            raise
        click.echo(f"note: {error}", err=True)
    else:
        tokenizer, max_length = tokenizer_of(files)
    found = look_through(loaded, train, tokenizer, max_length)
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        Console().print(audit_report(found))


@data.command()
@click.argument("source")
@task_option
@form_option
@click.option("--part", type=click.Choice(PARTS), help="Of this part only; default: both.")
@click.option("--relation", metavar="NAME", help="Pairs of this relation only.")
@click.option("--label", type=click.Choice(LABELS), help="Pairs with this label only.")
@click.option("-n", "n_rows", type=click.IntRange(1), default=5, show_default=True, help="How many.")
@json_option
def show(
    source: str,
    task: str,
    form: str | None,
    part: str | None,
    relation: str | None,
    label: str | None,
    n_rows: int,
    as_json: bool,
) -> None:
    """Print pairs of a data set.

    \b
    Example:
      contsym data show data/codex --relation P26 -n 5
    """
    from rich.console import Console

    from contsym.commands.views.data import rows_table
    from contsym.errors import SettingError, nearest

    loaded = _load(task, source, form, None)
    parts = {name: pairs for name, pairs in _parts(loaded) if part in (None, name)}
    known = sorted({name for pairs in parts.values() for name in set(pairs["relation"][:])})
    where = f"in the {part} part of {source}" if part else f"in {source}"
    if relation is not None and relation not in known:
        raise SettingError(f"--relation {relation}: no pair of it {where}; {nearest(relation, known)}")
    matching = (
        {"part": name, **pairs[i], "label": LABELS[its_label]}
        for name, pairs in parts.items()
        for i, (its_relation, its_label) in enumerate(
            zip(pairs["relation"][:], pairs["label"][:], strict=True)
        )
        if relation in (None, its_relation) and label in (None, LABELS[its_label])
    )
    found = list(itertools.islice(matching, n_rows))
    if not found:
        raise SettingError(f"--label {label}: no such pair {where}")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        Console().print(rows_table(found))


def _load(task: str, source: str, form: Any, split: Any):
    """The task's data in the form asked for; by default in the first that a built set has."""
    from contsym.data.cache import load_task
    from contsym.data.wikidata.manifest import is_built, read_manifest
    from contsym.machine import quiet_libraries

    quiet_libraries()
    folder = Path(source).expanduser()
    if form is None:
        form = read_manifest(folder)["forms"][0] if is_built(folder) else "lexicalised"
    return load_task(task, source, form, split)


def _parts(loaded) -> list[tuple[str, Any]]:
    return [("train", loaded.train), ("test", loaded.test)]


def _counts(part, column: str) -> dict[str, int]:
    import collections

    counted = collections.Counter(part[column][:])
    named = {LABELS[value] if column == "label" else value: n for value, n in counted.items()}
    return dict(sorted((name, n) for name, n in named.items() if name))
