"""Fixtures that several files share: tiny checkpoints, made once a session."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

# Before any library reads them: no test may reach the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Nor write into the cache of who runs the tests.
os.environ["CONTSYM_DATA_GIB"] = "0"
# Tests may run beside other work, and threads that wait for a busy core cost tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

import contsym
from contsym import machine
from contsym.testing.toy import WORDS, save_encoder, save_tokenizer, tiny_config, write_tasks

# What is started by nohup or by `&` in a script ignores these, and so would all that tests start and send them to.
for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, name), usual)

# A slow machine is no counterexample, and the same examples are drawn every time.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

ANSWERS = ("yes", "maybe", "no", "true", "neither", "false", "question", "answer", "or", "?", ":", ",", "/")


def pytest_terminal_summary(terminalreporter, config):
    """With --durations, the seconds of each file too, on few lines: where a suite of many short tests spends its time."""
    if config.getoption("durations") is None:
        return
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.partition("::")[0]
                seconds[file] = seconds.get(file, 0.0) + report.duration
    slowest = sorted(seconds.items(), key=lambda pair: -pair[1])
    terminalreporter.section("seconds by file")
    terminalreporter.write_line(", ".join(f"{file} {n:.0f}" for file, n in slowest if n >= 1))


def pytest_collection_finish(session):
    """Each run collects garbage, and need not look at a million objects of the libraries each time."""
    if session.config.option.collectonly or len(session.items) < 100:
        return
    for library in ("avalanche.training", "mlflow", "transformers"):
        importlib.import_module(library)
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """Some libraries warn about objects that are left when Python ends."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_signal_from_another_test():
    """What a test of the whole program does to signals ends with it: one that was caught would end the next run."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers, hook = {number: signal.getsignal(number) for number in numbers}, sys.unraisablehook
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook
    machine._asked = None


@pytest.fixture(scope="session", autouse=True)
def no_process_of_git():
    """Hundreds of results would each ask git for the commit, which changes when somebody commits beside the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contsym.training.run.git_commit", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """SQLite waits for the disk after each table that MLflow makes, for seconds in all; that matters where power fails."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def connected(connection, _):
        # Of a damaged file the test is to hear from MLflow.
        if isinstance(connection, sqlite3.Connection):
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", connected)
    yield
    event.remove(Engine, "connect", connected)


@pytest.fixture
def untracked(monkeypatch):
    """For tests that do not look into MLflow, whose database takes seconds to make."""
    monkeypatch.setattr("contsym.sweeps.tracking.log_run", lambda *_, **__: {})


@pytest.fixture
def no_figures(monkeypatch):
    """For tests that do not look at a report's figures as files, which take most of its time."""
    monkeypatch.setattr("contsym.report.render.write_figures", lambda figures, folder: None)


@pytest.fixture
def no_workers():
    """For tests of sweeps that do not look at the processes which train the cells."""
    from tests.sweeps.here import cells_here

    with cells_here():
        yield


@pytest.fixture(scope="session")
def fork():
    """Runs programs in processes of their own that import nothing anew."""
    from tests.elsewhere import Elsewhere

    with Elsewhere() as found:
        yield found


@pytest.fixture
def forked(fork, monkeypatch):
    """For tests of many saved models, each of which is loaded in another process."""
    monkeypatch.setattr("contsym.testing.elsewhere.subprocess", fork)


@pytest.fixture(scope="session", autouse=True)
def no_row_by_row():
    """contsym may not iterate a data set or a column of one, which is 25 to 500 times slower than by batches.

    Tests may: theirs are small. Who asks is the nearest frame of either, since `Counter(column)` iterates elsewhere.
    """
    from datasets import arrow_dataset

    own, tests = str(Path(contsym.__file__).parent), str(Path(__file__).parent)

    def watched(usual):
        def __iter__(self):
            frame = sys._getframe(1)
            while frame and not frame.f_code.co_filename.startswith((own, tests)):
                frame = frame.f_back
            if frame and frame.f_code.co_filename.startswith(own):
                raise AssertionError(
                    f"{frame.f_code.co_filename}:{frame.f_lineno} iterates a {type(self).__name__} row by row; "
                    'expected pairs["label"][:], or schema.rows_of'
                )
            return usual(self)

        return __iter__

    with pytest.MonkeyPatch.context() as patch:
        # Before datasets 4, a column is a list.
        for kind in filter(None, (getattr(arrow_dataset, "Column", None), arrow_dataset.Dataset)):
            patch.setattr(kind, "__iter__", watched(kind.__iter__))
        yield


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory) -> Path:
    """A BERT of 32 dimensions with random weights, saved as safetensors."""
    return save_encoder(tmp_path_factory.mktemp("tiny-encoder"))


@pytest.fixture(scope="session")
def tiny_nli_folder(tmp_path_factory) -> Path:
    """The same with an NLI head whose outputs are contradiction, entailment, neutral."""
    import torch
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("tiny-nli")
    n_words = save_tokenizer(folder)
    names = ("contradiction", "entailment", "neutral")
    torch.manual_seed(0)
    config = tiny_config(
        n_words,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_masked_lm_folder(tmp_path_factory) -> Path:
    """A BERT with a masked-language-model head, a mask token and words to answer with."""
    import torch
    from transformers import BertForMaskedLM

    folder = tmp_path_factory.mktemp("tiny-masked-lm")
    n_words = save_tokenizer(folder, (*WORDS, *ANSWERS), mask_token="[MASK]")
    torch.manual_seed(0)
    BertForMaskedLM(tiny_config(n_words)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_causal_folder(tmp_path_factory) -> Path:
    """A GPT-2 of 32 dimensions and 160 positions with random weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("tiny-causal")
    n_words = save_tokenizer(folder, (*WORDS, *ANSWERS), model_max_length=160)
    torch.manual_seed(0)
    GPT2LMHeadModel(
        GPT2Config(
            vocab_size=n_words,
            n_positions=160,
            n_embd=32,
            n_layer=2,
            n_head=2,
            bos_token_id=3,
            eos_token_id=3,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_seq2seq_folder(tmp_path_factory) -> Path:
    """A T5 of 32 dimensions with random weights."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny-seq2seq")
    n_words = save_tokenizer(folder, (*WORDS, *ANSWERS), model_max_length=160)
    torch.manual_seed(0)
    T5ForConditionalGeneration(
        T5Config(
            vocab_size=n_words,
            d_model=32,
            d_kv=16,
            d_ff=64,
            num_layers=2,
            num_heads=2,
            decoder_start_token_id=0,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory, tiny_masked_lm_folder, tiny_causal_folder, tiny_nli_folder):
    """The sources of both toy tasks; under `encoders`, the checkpoints of strategies that need one of their own."""
    return {
        "encoders": {
            "cloze": tiny_masked_lm_folder,
            "prompt_llm": tiny_causal_folder,
            "nli_head": tiny_nli_folder,
        },
        **write_tasks(tmp_path_factory.mktemp("toy")),
    }


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory):
    """An empty MLflow database: making one takes seconds, copying it nothing."""
    from contsym.results import tracking

    output = tmp_path_factory.mktemp("template")
    with tracking._quiet_mlflow():
        tracking.make_database(output / "mlflow.db", output)
    return output / "mlflow.db"


CHANGED_LAYER = "encoder.layer.0.output.dense"
"""The layer of the tiny encoder that the difference of `tiny_presets` changes, by 0.25 in each entry."""


@pytest.fixture
def tiny_presets(tiny_encoder_folder, tmp_path, monkeypatch) -> Path:
    """Tiny encoders as presets: `minilm` in an installed package, `minilm-nli` bundled; gives the folder of the second.

    Its head knows as little as the encoder.
    """
    import torch
    from safetensors.torch import save_file

    from contsym.models.encoders import checkpoints
    from contsym.models.encoders.difference import write_difference
    from contsym.models.encoders.nli_head import NLI_HEAD
    from contsym.models.encoders.presets import PRESETS, Preset

    package, folder = tmp_path / "tiny_package", tmp_path / "bundled" / "minilm-nli"
    shutil.copytree(tiny_encoder_folder, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('a package is found, not run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(checkpoints.hub_client, "cached", lambda _: None)
    monkeypatch.setattr(checkpoints, "BUNDLED", folder.parent)
    folder.mkdir(parents=True)
    write_difference(folder, {CHANGED_LAYER: (torch.ones(32, 1), torch.full((1, 64), 0.25))})
    save_file({"linear.weight": torch.zeros(3, 128), "linear.bias": torch.zeros(3)}, folder / NLI_HEAD)
    base = checkpoints.locate(str(tiny_encoder_folder)).weights_sha256
    digest = checkpoints.difference_sha256(folder)
    card = {"encoder": {"name": "minilm", "sha256": base}, "difference_sha256": digest}
    (folder / checkpoints.CARD).write_text(json.dumps(card))
    tiny = {
        "minilm": Preset("a/tiny", 1e-3, "tiny", package="tiny_package", sha256=base),
        "minilm-nli": Preset("a/tiny", 1e-3, "tiny", sha256=digest, is_bundled=True),
    }
    monkeypatch.setattr(checkpoints, "PRESETS", {**PRESETS, **tiny})
    return folder
