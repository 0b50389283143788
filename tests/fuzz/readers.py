"""Every reader of contsym, as a function of a file, with the documents that are tried on it.

`READERS` is what `tests/fuzz/test_readers.py` and `benchmarks/fuzz.py` go through; a new reader is one
entry. A reader may give a ContsymError and nothing else that is wrong. Over 400 lines: one list of all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from contsym.errors import ContsymError
from tests.fuzz import documents
from tests.stored_results import plain_result

if TYPE_CHECKING:
    from contsym.data.sql import Connection


@dataclass(frozen=True)
class Reader:
    """One reader."""

    documents: st.SearchStrategy[bytes]
    file: str
    """Name of the file that a document is written to; the ending decides the format."""
    read: Callable[[Path], object]
    modules: tuple[str, ...]
    """Where its code is, for the coverage that a trial reaches."""
    is_slow: bool = False
    """Whether the documents of the tests take it more than some ten seconds."""
    share: int = 1
    """The tests give it one document out of so many: what it does lies behind a reader that has them all."""


def _pairs(task: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        from contsym.data.sources import load_task

        # The form and the split follow from the document, so that a document fails again as it did.
        size = path.stat().st_size
        form = ("lexicalised", "delexicalised", "both")[size % 3] if task == "wikidata" else "lexicalised"
        return load_task(task, str(path), form)  # type: ignore[arg-type]

    return read


def _resplit(path: Path) -> object:
    from contsym.data.sources import load_task

    rules = ("pair", "entity", "relation", "phrasing", "random")
    return load_task("wikidata", str(path), "lexicalised", rules[path.stat().st_size % len(rules)])  # type: ignore[arg-type]


def _shown(path: Path) -> object:
    """What `contsym data show` and `stats` print of a file."""
    from io import StringIO

    from rich.console import Console

    from contsym.commands.views.data import rows_table, task_report
    from contsym.data.sources import load_task
    from contsym.tasks.schema import NLI_LABELS

    loaded = load_task("wikidata", str(path))
    console = Console(file=StringIO(), width=80, force_terminal=True)
    rows = [{"part": "train", **row, "label": NLI_LABELS[row["label"]]} for row in loaded.train]
    console.print(rows_table(rows), task_report(loaded))
    return console.file.getvalue()  # type: ignore[attr-defined]


@cache
def _engine() -> Connection:
    """One engine for all documents, in memory: a database on disk waits for the disk at every table."""
    import duckdb

    from contsym.data.sql import MEMORY_LIMIT

    return duckdb.connect(
        config={"memory_limit": MEMORY_LIMIT, "threads": 1, "preserve_insertion_order": False}
    )


def _empty_engine() -> Connection:
    con = _engine()
    for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        con.execute(f'DROP TABLE "{name}"')
    return con


def _triples(path: Path) -> object:
    from contsym.data.wikidata.relations import registry
    from contsym.data.wikidata.triples import read_triples

    con = _empty_engine()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        read_triples(con, path, registry(), 0.3, Path(folder))
    return con.execute("SELECT * FROM triples").fetchall()


def _labels(path: Path) -> object:
    from contsym.data.wikidata.triples import read_labels

    con = _empty_engine()
    con.execute("CREATE TABLE triples AS SELECT 'P26' AS relation, 'Q1' AS subject, 'Q2' AS object, 1 AS n")
    con.execute("CREATE TABLE labels (entity VARCHAR, label VARCHAR)")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        read_labels(con, path, 0.3, Path(folder))
    return con.execute("SELECT * FROM labels").fetchall()


def _build(path: Path) -> object:
    from contsym.data.splits import SPLIT_RULES
    from contsym.data.wikidata.build import BuildOptions, build

    size = path.stat().st_size
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        options = BuildOptions(
            path,
            Path(folder) / "built",
            form=("lexicalised", "delexicalised", "both")[size % 3],  # type: ignore[arg-type]
            split=tuple(SPLIT_RULES)[size % len(SPLIT_RULES)],
            max_bad=0.3,
            neutral=size % 2 == 0,
        )
        return build(options)


def _relations(path: Path) -> object:
    from contsym.data.wikidata.relations import registry

    return registry.__wrapped__(path)  # not the one that was read before


def _scenario(path: Path) -> object:
    from contsym.scenarios.catalog import find_scenario

    found = find_scenario(str(path))
    return found.orders() if found.all_orders else found


def _sweep_file(path: Path) -> object:
    from contsym.sweeps.config import SweepConfig, read_file

    found = read_file(path)
    for name in ("strategies", "scenario", "shots"):
        if name not in found:
            return None
    made = SweepConfig(**found, output=path.parent)
    return made.shots, made.scenarios, next(iter(made.grid(["k"])), None)


def _result(path: Path) -> object:
    """A result of someone else: its matrix, what MLflow is told, what a report groups and what compare shows."""
    from contsym.report.collect import of_folders
    from contsym.report.measures import Measures
    from contsym.results.compare import differences_of
    from contsym.results.matrix_files import read_matrices
    from contsym.results.mlflow_records import parent_record, seed_record
    from contsym.results.store import read_result
    from contsym.sweeps.find import find_row

    result = read_result(path)
    read_matrices(path)
    record = seed_record(result)
    parent_record([result], 0)
    found = find_row(str(path.parent), path.parent)
    differences_of({"a": found, "b": found})
    collected = of_folders([path.parent])
    measures = Measures(collected, 0.9)
    variant, shots = collected.variants[0], collected.shots[0]
    for task in collected.tasks:
        measures.accuracy(variant, shots, task)
        if task in collected.earlier_tasks:
            measures.forgetting(variant, shots, task)
            measures.retention(variant, shots, task)
        measures.best_shortcut(task, shots)
        measures.by_relation(variant, shots, task)
    return record, measures.efficiency(variant), measures.trade_offs, collected.notes


def _report(path: Path) -> object:
    from contsym.report.collect import of_folders
    from contsym.report.render import make_report
    from contsym.report.table_formats import WRITERS

    made = make_report(of_folders([path.parent]), 0.9)
    return [write(table) for table in made.tables for write in WRITERS.values()]


def _printed(path: Path) -> object:
    from io import StringIO

    from rich.console import Console

    from contsym.commands.views.run import result_tables
    from contsym.results.store import read_result

    console = Console(file=StringIO(), width=80)
    console.print(result_tables([read_result(path)], {0: "id"}))
    return console.file.getvalue()  # type: ignore[attr-defined]


def _predictions(path: Path) -> object:
    from contsym.results.predictions import read_aligned

    return read_aligned({"a": {0: path.parent}, "b": {0: path.parent}}, "wikidata")


def _matrix(path: Path) -> object:
    import numpy as np

    from contsym.results.matrix_files import read_matrices
    from contsym.results.metrics.conventions import CONVENTIONS, figures

    (found,) = read_matrices(path)
    return [figures(name, np.array(found.rows), found.n_test) for name in CONVENTIONS]


def _manifest(path: Path) -> object:
    from io import StringIO

    from rich.console import Console

    from contsym.commands.views.data import manifest_report
    from contsym.data.sources import load_task
    from contsym.data.wikidata.manifest import read_manifest

    Console(file=StringIO(), width=80).print(manifest_report(read_manifest(path.parent), "x"))
    return load_task("wikidata", str(path.parent))


def _stored_run(path: Path) -> object:
    from contsym.sweeps.runs import read_run

    found = read_run(path.parent)
    return found.id, found.done(), found.failures(), found.n_done


def _card(path: Path) -> object:
    from contsym.strategies.catalog import read_card

    return read_card("mine", path.read_text("utf-8"), str(path)) if _is_text(path) else None


def _is_text(path: Path) -> bool:
    try:
        path.read_text("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _checkpoint(path: Path) -> object:
    from contsym.models.encoders.checkpoints import language_model_kind, nli_labels, read_config
    from contsym.training.plan import default_learning_rate

    config = read_config(path.parent)
    files = type("Files", (), {"preset": None, "folder": path.parent})
    return nli_labels(config), language_model_kind(config), default_learning_rate(files)  # type: ignore[arg-type]


# ---- documents of what contsym itself writes ----


def _a_predictions_file(rows: list[tuple[str, str, str]], header: str) -> bytes:
    lines = [header, *(f"wikidata,{','.join(row)}" for row in rows)]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass")


_rows = st.lists(st.tuples(documents.words, documents.words, documents.words), max_size=6)
_predictions_documents = documents.struck(
    st.builds(
        _a_predictions_file,
        _rows,
        st.sampled_from(("task,id,label,row_0", "task,id,label", "task,id,label,row_0,row_0", "id,label")),
    )
)


def _a_matrix(tasks: list[str], rows: list[list[object]]) -> bytes:
    names = ["untrained", *tasks]
    lines = [["after", *tasks], *([name, *row] for name, row in zip(names, rows, strict=False))]
    return "\n".join(",".join(map(str, line)) for line in lines).encode("utf-8", "surrogatepass")


_accuracies = documents.mostly(st.sampled_from((0, 0.25, 0.5, 1)), st.floats(0, 1) | documents.scalars)
_matrix_documents = documents.struck(
    st.builds(
        _a_matrix,
        st.just(["mnli", "wikidata"]) | st.lists(st.sampled_from(("mnli", "snli", "a b")), max_size=3),
        documents.mostly(st.just(2), st.integers(0, 4)).flatmap(
            lambda n: st.lists(st.lists(_accuracies, min_size=n, max_size=n), min_size=n + 1, max_size=n + 1)
        ),
    )
)


def _a_record() -> object:
    config = {
        "strategies": ["knn_fixed"], "scenario": "mnli_then_wikidata", "shots": [8], "seeds": [0],
        "settings": {"k": ["1", "3"]}, "encoder": "minilm", "sources": {}, "sizes": {}, "form": "lexicalised",
        "draw": "balanced",
        "split": None, "protocol": "sequential", "pretrain": {}, "label_noise": None, "plugins": [],
        "device": "auto", "precision": "auto", "target": 0.9, "curve": False, "audit": True,
    }  # fmt: skip
    cell = {"key": "ab" * 32, "first_task": "cd" * 32, "strategy": "knn_fixed", "seed": 0, "shots": 8,
            "settings": {"k": "1"}, "scenario": "mnli_then_wikidata", "reading": "", "n_steps": [4, 5]}  # fmt: skip
    return {
        "format": 2,
        "command": "sweep",
        "created": "2026-01-02T03:04:05+00:00",
        "config": config,
        "cells": [cell],
    }


def _a_manifest() -> object:
    return {
        "format": 1,
        "tool": "contsym",
        "split": {"rule": "pair", "meaning": "no pair twice", "test_share": 0.2, "seed": 0},
        "forms": ["lexicalised"],
        "options": {},
        "inputs": {"triples": {"file": "t.tsv", "lines": 3, "sha256": "a" * 64, "bad_lines": 0}},
        "registry": {"version": 1, "file": "relations.toml", "sha256": "b" * 64},
        "labels": {"train": {"entailment": 2}, "test": {"entailment": 1}},
        "relations": {
            "P26": {
                "name": "spouse",
                "kind": "symmetric",
                "triples": 3,
                "pairs": 3,
                "mutual_pairs": 0,
                "mirrored_share": 0.0,
                "train": 2,
                "test": 1,
            }
        },
        "skipped_properties": {"P17": {"triples": 2, "reason": "of its own"}},
        "left_out": {"repeated triples": 1},
        "warnings": ["none"],
        "files": {
            name: {"sha256": "c" * 64, "bytes": 1, "rows": 1} for name in ("train.parquet", "test.parquet")
        },
    }


_CARD = '''"""A method."""
CARD = {"source": "a paper", "trains": "all", "stores": "nothing", "grows": "no"}
class Mine: ...
'''
_card_documents = documents.struck(
    st.builds(
        lambda key, value: (
            (_CARD + f"CARD = {{{key!r}: {value!r}}}\n").encode("utf-8", "surrogatepass")
            if len(str(value)) % 2
            else _CARD.encode()
        ),
        documents.texts,
        documents.values,
    )
)


def _a_config() -> object:
    names = ("contradiction", "entailment", "neutral")
    return {
        "architectures": ["BertForSequenceClassification"],
        "hidden_size": 32,
        "model_type": "bert",
        "id2label": {str(i): name for i, name in enumerate(names)},
        "is_encoder_decoder": False,
    }


def _difference(path: Path) -> object:
    from contsym.models.encoders.checkpoints import DIFFERENCE, locate

    (path.parent / DIFFERENCE).touch()
    return locate(str(path.parent), fetch=False)


def _a_difference() -> object:
    from contsym.models.encoders.presets import PRESETS

    # SHA-256 of no bytes, which the file has here.
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    return {
        "encoder": {"name": "minilm", "sha256": PRESETS["minilm"].sha256},
        "difference_sha256": empty,
        "seen": ["mnli", "snli"],
        "sources": {"mnli": {"name": "mnli", "pairs": 3}},
        "seed": 0,
    }


def _pretraining(path: Path) -> object:
    from contsym.training.pretrain_checkpoint import read_state

    return read_state(path, "ab", "delete it")


def _a_pretraining() -> object:
    measured = [{"step": 4, "loss": 1.0, "accuracy": 0.5}]
    return {"format": 1, "facts": "ab", "step": 5, "seconds": 1.5, "losses": [0.9], "measured": measured}


def _training_audit(path: Path) -> object:
    from contsym.results.training_audit import as_plain, judge, read_audit, sentence

    audit = read_audit(path.parent)
    assert audit
    found = judge([audit, audit.model_copy(update={"seed": 1})])
    return sentence(found), as_plain(found)


def _a_training_audit() -> object:
    answers = {"labels": [0, 2, 1], "before": [0, 0, 1], "after": [0, 2, 2], "twin": [2, 2, 2], "known": 0.97}
    return {
        "format": 1,
        "key": "a1b2",
        "strategy": "fine_tune",
        "seed": 0,
        "labels": ["entailment", "neutral", "contradiction"],
        "new_task": "wikidata",
        "task": answers,
        "task_shift": [0.0, -0.5, 1.25],
        "rules": {"negation: denied": answers},
        "rules_shift": [0.0, 0.0, 0.5],
        "sources": {"bundled": "0" * 64},
    }


def _saved_model(path: Path) -> object:
    from contsym.training.trained_file import read_file

    return read_file(path.parent)


def _a_saved_model() -> object:
    pooling = {"modes": ["mean"], "after": [], "max_length": 64, "prompt": "", "includes_prompt": True}
    return {
        "format": 2,
        "strategy": "knn_fixed",
        "plugin": None,
        "settings": {"k": 3},
        "labels": ["entailment", "neutral", "contradiction"],
        "inputs": "pair",
        "seed": 0,
        "precision": "fp32",
        "n_experiences": 2,
        "n_steps": 4,
        "n_added": 0,
        "known_head": None,
        "pooling": {**pooling, "lower_case": False},
        "seen": ["mnli"],
        "result": None,
    }


def _saved_pairs(path: Path) -> object:
    from contsym.training.trained_file import ModelFile, read_pairs

    return read_pairs(path.parent, ModelFile.model_validate(_a_saved_model()))


def _sentences(path: Path) -> object:
    from contsym.data.wikidata.sentences import build_sentences

    with tempfile.TemporaryDirectory() as folder:
        return build_sentences(path, Path(folder) / "pairs.jsonl")


_sentence = st.fixed_dictionaries(
    {
        "text": documents.choice("Anna met Ben .", "Ben and Anna"),
        "head": documents.choice("anna", "ben"),
        "tail": documents.choice("ben", "anna"),
        "relation": documents.choice("spouse", "P25", "P361"),
    }
)


def _as_fewrel() -> dict[str, object]:
    item = {"tokens": ["Anna", "met", "Ben"], "h": ["anna", "Q1", [[0]]], "t": ["ben", "Q2", [[2]]]}
    return {"P26": [item, item], "P25": [{**item, "tokens": ["Ben", "and", "Anna"]}]}


_saved_pair = st.fixed_dictionaries(
    {
        "id": documents.words,
        "premise": documents.words,
        "hypothesis": documents.words,
        "label": documents.labels,
        "experience": documents.choice(0, 1, odd=documents.scalars),
    }
)


_DATA = ("data/readers.py", "data/sources.py", "data/schema.py", "data/wikidata/pairs.py")
_ENGINE = ("data/wikidata/triples.py", "data/text_files.py", "data/sql.py")
_STORED = (
    "results/store.py",
    "checked.py",
    "results/matrix_files.py",
    "results/mlflow_records.py",
    "results/compare.py",
    "report/collect.py",
)

READERS: dict[str, Reader] = {
    "jsonl": Reader(documents.jsonl, "pairs.jsonl", _pairs("mnli"), _DATA),
    "relation_jsonl": Reader(documents.jsonl, "pairs.jsonl", _pairs("wikidata"), _DATA),
    "multinli_txt": Reader(documents.multinli, "train.txt", _pairs("mnli"), _DATA),
    "tsv": Reader(documents.tsv, "pairs.tsv", _pairs("wikidata"), _DATA),
    "csv": Reader(documents.csv_pairs, "pairs.csv", _pairs("mnli"), _DATA),
    "parquet": Reader(documents.parquet, "pairs.parquet", _pairs("wikidata"), _DATA),
    "resplit": Reader(
        documents.many_jsonl,
        "pairs.jsonl",
        _resplit,
        ("data/resplit.py", "data/splits.py"),
        is_slow=True,
        share=4,
    ),
    "shown_pairs": Reader(documents.many_jsonl, "pairs.jsonl", _shown, ("commands/views/data.py",), share=4),
    "triples": Reader(documents.triples, "triples.tsv", _triples, _ENGINE, is_slow=True),
    "sparql": Reader(documents.sparql, "query.csv", _triples, _ENGINE, is_slow=True),
    "dump": Reader(documents.dump, "dump.json", _triples, _ENGINE, is_slow=True),
    "labels": Reader(documents.label_lines, "labels.txt", _labels, _ENGINE, is_slow=True),
    "build": Reader(
        documents.triples, "triples.tsv", _build, ("data/wikidata/build.py",), is_slow=True, share=4
    ),
    "sentences": Reader(
        documents.struck(st.lists(_sentence, max_size=4).map(documents.lines_of_json)),
        "sentences.jsonl",
        _sentences,
        ("data/wikidata/sentences.py",),
    ),
    "fewrel": Reader(
        documents.dented_json(_as_fewrel), "val_wiki.json", _sentences, ("data/wikidata/sentences.py",)
    ),
    "relations": Reader(documents.relations, "relations.toml", _relations, ("data/wikidata/relations.py",)),
    "scenario": Reader(
        documents.scenario, "mine.toml", _scenario, ("scenarios/schema.py", "strategies/catalog.py")
    ),
    "sweep_file": Reader(documents.sweep_file, "sweep.toml", _sweep_file, ("sweeps/config.py", "config.py")),
    "result": Reader(documents.dented_json(plain_result), "result.json", _result, _STORED),
    "printed_result": Reader(
        documents.dented_json(plain_result), "result.json", _printed, ("commands/views/run.py",), share=4
    ),
    "report": Reader(
        documents.dented_json(plain_result, max_dents=1),
        "result.json",
        _report,
        tuple(
            f"report/tables/{name}.py"
            for name in ("accuracy", "forgetting", "examples_needed", "cost_and_sources")
        ),
        is_slow=True,
        share=4,
    ),
    "predictions": Reader(
        _predictions_documents, "predictions.csv", _predictions, ("results/predictions.py",)
    ),
    "matrix_csv": Reader(_matrix_documents, "matrix.csv", _matrix, ("results/matrix_files.py",)),
    "manifest": Reader(
        documents.dented_json(_a_manifest),
        "manifest.json",
        _manifest,
        ("data/wikidata/manifest.py", "checked.py"),
    ),
    "stored_run": Reader(documents.dented_json(_a_record), "run.json", _stored_run, ("sweeps/runs.py",)),
    "card": Reader(_card_documents, "mine.py", _card, ("strategies/catalog.py",)),
    "checkpoint": Reader(
        documents.dented_json(_a_config), "config.json", _checkpoint, ("models/encoders/checkpoints.py",)
    ),
    "difference": Reader(
        documents.dented_json(_a_difference), "contsym.json", _difference, ("models/encoders/checkpoints.py",)
    ),
    "saved_model": Reader(
        documents.dented_json(_a_saved_model), "contsym.json", _saved_model, ("training/trained_file.py",)
    ),
    "training_audit": Reader(
        documents.dented_json(_a_training_audit),
        "audit.json",
        _training_audit,
        ("results/training_audit.py",),
    ),
    "saved_pairs": Reader(
        documents.struck(st.lists(_saved_pair, max_size=4).map(documents.lines_of_json)),
        "memory.jsonl",
        _saved_pairs,
        ("training/trained_file.py",),
    ),
    "pretraining": Reader(
        documents.dented_json(_a_pretraining),
        "state.json",
        _pretraining,
        ("training/pretrain_checkpoint.py",),
    ),
}


def read_document(name: str, document: bytes, folder: Path) -> str | None:
    """Let a reader have a document; gives the line that it refuses it with, None where it takes it."""
    reader = READERS[name]
    path = folder / reader.file
    path.write_bytes(document)
    try:
        reader.read(path)
    except ContsymError as error:
        return str(error)
    return None
