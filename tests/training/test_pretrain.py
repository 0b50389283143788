"""contsym pretrain: schedule, validation, adapters, what resumes after a kill, and the folder that is written."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from click.testing import CliRunner
from datasets import Dataset
from safetensors.torch import load_file

from contsym.cli import cli
from contsym.errors import ContsymError
from contsym.models.encoders.checkpoints import CARD, DIFFERENCE, locate
from contsym.models.encoders.load import load
from contsym.models.encoders.nli_head import NLI_HEAD
from contsym.tasks.schema import NLI_LABELS
from contsym.training.pretrain_run import PairPretraining, PretrainRun, PretrainSettings, hold_out
from tests.runs import toy_run
from tests.toy import both_tasks, nli_rows, write_task


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return {**both_tasks(folder), "snli": str(write_task(folder / "snli", nli_rows(150), 30))}


@pytest.fixture
def pretrain(toy, tiny_encoder_folder, tmp_path):
    """The command on toy pairs with a tiny encoder; gives the folder that it made."""

    def run(name, *more, steps=20, tasks=("mnli",), encoder=tiny_encoder_folder):
        done = CliRunner().invoke(
            cli, arguments(toy, encoder, tmp_path / name, *more, steps=steps, tasks=tasks)
        )
        if done.exception:
            raise done.exception
        return tmp_path / name

    return run


def arguments(toy, encoder, out, *more, steps=20, tasks=("mnli",)):
    words = ["pretrain", "--encoder", str(encoder), "--to", str(out), "--output", str(out.parent / "runs")]
    for task in tasks:
        words += ["--task", task, f"--{task}", toy[task]]
    settings = ("learning_rate=3e-3", f"steps={steps}", "batch_size=8", *more)
    for each in settings:
        words += [each] if each.startswith("--") else ["--set", each]
    return [*words, "--precision", "fp32", "--device", "cpu"]


def card(folder):
    return json.loads((folder / CARD).read_text())


def weights(folder):
    return {path.name: load_file(path) for path in folder.glob("*.safetensors")}


def same(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(t, b[file][name]) for file, tensors in a.items() for name, t in tensors.items()
    )


def vectors(folder):
    return load(locate(str(folder))).encode(["anna is near ben", "carl hates dora"])


def test_no_premise_is_both_trained_on_and_held_out():
    premises = [f"premise {i // 3}" for i in range(60)]
    pairs = Dataset.from_dict({"premise": premises, "row": list(range(60))})
    rest, held = hold_out(pairs, 6, seed=0)
    assert (len(rest), len(held)) == (54, 6)
    assert not set(rest["premise"]) & set(held["premise"])
    assert sorted([*rest["row"], *held["row"]]) == list(range(60))
    # Asked for more than a tenth, it is a tenth; whole premises, so that 4 come to 6.
    assert len(hold_out(pairs, 50, seed=0)[1]) == 6
    assert len(hold_out(pairs, 4, seed=0)[1]) == 6
    assert hold_out(pairs, 6, seed=1)[1]["row"] != held["row"]
    with pytest.raises(ContsymError, match="all training pairs have one premise"):
        hold_out(Dataset.from_dict({"premise": ["one"] * 5}), 1, seed=0)


def test_the_best_state_on_validation_is_kept(pretrain, monkeypatch):
    accuracies, states = iter([0.5, 0.9, 0.4, 0.0]), []

    def accuracy(run, pairs):
        states.append(run.strategy.model.head.linear.weight.detach().clone())
        return next(accuracies)

    monkeypatch.setattr(PretrainRun, "accuracy", accuracy)
    out = pretrain("made", "evaluations=3", steps=6)
    assert [each["step"] for each in card(out)["validation"]] == [2, 4, 6]
    assert [each["accuracy"] for each in card(out)["validation"]] == [0.5, 0.9, 0.4]
    head = load_file(out / NLI_HEAD)["linear.weight"]
    assert torch.equal(head, states[1])
    assert not torch.equal(head, states[2])


def test_dropout_and_adapters_are_of_the_encoder_alone(tiny_encoder_folder):
    settings = PretrainSettings(dropout=0.25, lora=2)
    encoder = load(locate(str(tiny_encoder_folder)))
    strategy = PairPretraining(encoder=encoder, settings=settings, labels=NLI_LABELS, seed=0, device="cpu")
    assert {module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)} == {0.25}
    trained = {name.rpartition("lora_")[2].partition(".")[0] for name in strategy.trained}
    assert trained == {"A", "B", "head"}
    assert not any("pooler" in name or "embeddings" in name for name in strategy.trained)


def test_several_tasks_are_trained_on_together(pretrain):
    out = pretrain("made", steps=40, tasks=("mnli", "snli"))
    found = card(out)
    assert list(found["accuracy"]) == list(found["sources"]) == ["mnli", "snli"]
    assert [source["pairs"] for source in found["sources"].values()] == [60, 120]
    assert found["seen"] == list(locate(str(out)).seen) == ["mnli", "snli"]
    # The names of their folders, without the path of this machine.
    assert [source["name"] for source in found["sources"].values()] == ["mnli", "snli"]
    assert min(found["accuracy"].values()) > 0.5


@pytest.mark.parametrize(
    "more", [pytest.param((), marks=pytest.mark.slow), pytest.param(("lora=4",), marks=pytest.mark.night)]
)
def test_a_killed_training_resumes_to_the_same_bits(toy, tiny_encoder_folder, tmp_path, more):
    # Enough steps behind the first checkpoint that the signal comes before the last.
    steps, settings = 150, (*more, "evaluations=50", "warmup=0.1", "schedule=linear")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = arguments(toy, tiny_encoder_folder, whole, *settings, steps=steps)
    assert CliRunner().invoke(cli, uninterrupted).exit_code == 0
    words = arguments(toy, tiny_encoder_folder, killed, *settings, steps=steps)
    process = subprocess.Popen(
        [sys.executable, "-m", "contsym", *words], env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    checkpoints = tmp_path / "killed.training"
    end = time.monotonic() + 120
    while not list(checkpoints.glob("step-*")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not killed.exists()
    (checkpoint,) = [path for path in checkpoints.glob("step-*") if (path / "state.json").is_file()][-1:]
    assert json.loads((checkpoint / "state.json").read_text())["step"] < steps
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert not checkpoints.exists()
    assert same(weights(killed), weights(whole))
    assert card(killed)["validation"] == card(whole)["validation"]


def test_two_processes_do_not_train_the_same_folder(pretrain, tmp_path):
    from filelock import FileLock

    (tmp_path / "made.training").mkdir()
    with FileLock(tmp_path / "made.training" / ".lock"), pytest.raises(ContsymError) as caught:
        pretrain("made")
    assert "another process is training it; wait for it, or name another folder" in str(caught.value)


def test_a_loss_that_is_no_number_ends_the_training(pretrain):
    with pytest.raises(
        ContsymError, match=r"at step \d+ is (nan|inf); expected a finite number: give a smaller --set"
    ):
        pretrain("made", "weight_decay=1e30", steps=60)


def test_memory_that_is_out_is_one_line(pretrain, monkeypatch):
    def full(run):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(PretrainRun, "_backward", full)
    with pytest.raises(ContsymError) as caught:
        pretrain("made")
    assert str(caught.value).startswith(
        "out of memory on cpu at step 1 with batch_size=8 (CUDA out of memory"
    )
    assert str(caught.value).endswith("; expected a smaller --set batch_size or --encoder")


def test_a_checkpoint_of_other_settings_is_refused(pretrain, monkeypatch):
    def stop(run):
        if run.step == 4:
            raise ContsymError("stopped")
        take(run)

    take = PretrainRun._take_step
    with monkeypatch.context() as patch:
        patch.setattr(PretrainRun, "_take_step", stop)
        with pytest.raises(ContsymError, match="stopped"):
            pretrain("made")
    with pytest.raises(ContsymError) as caught:
        pretrain("made", "weight_decay=0.1")
    assert "a training with other settings, data or code was stopped here at step 4; delete " in str(
        caught.value
    )
    assert card(pretrain("made"))["accuracy"].keys() == {"mnli"}


def test_a_difference_is_the_same_encoder_and_small(pretrain, tiny_encoder_folder, toy, tmp_path):
    full, small = pretrain("full", "lora=4"), pretrain("small", "lora=4", "--difference")
    assert {path.name for path in small.glob("*.safetensors")} == {DIFFERENCE, NLI_HEAD}
    assert torch.equal(vectors(full), vectors(small))
    assert not torch.allclose(vectors(small), vectors(tiny_encoder_folder), atol=1e-3)
    assert card(full)["accuracy"] == card(small)["accuracy"]
    accuracy = card(small)["accuracy"]["mnli"]
    found, _, _ = toy_run(toy, small, tmp_path, "nli_head", scenario="mnli_only")
    assert found.matrix[0][0] == accuracy


def test_a_difference_or_base_that_was_changed_is_refused(pretrain, tiny_encoder_folder):
    folder = pretrain("small", "lora=4", "--difference")
    assert locate(str(folder)).folder == tiny_encoder_folder
    written = card(folder)
    for changes, message in (
        (
            {"encoder": {**written["encoder"], "sha256": "0" * 64}},
            f"of encoder {tiny_encoder_folder} is not 000000000000",
        ),
        ({"difference_sha256": "1" * 64}, f"of {folder / DIFFERENCE} is not 111111111111"),
        ({"encoder": {"name": str(folder), "sha256": ""}}, "a difference to another difference"),
        ({"difference_sha256": 1}, "difference_sha256 is 1; expected a valid string"),
    ):
        (folder / CARD).write_text(json.dumps({**written, **changes}))
        with pytest.raises(ContsymError) as caught:
            locate(str(folder))
        assert message in str(caught.value)
    (folder / CARD).unlink()
    with pytest.raises(
        ContsymError, match=r"cannot be read .*; make it again with contsym pretrain --difference"
    ):
        locate(str(folder))


def test_what_cannot_be_is_one_line(pretrain, tiny_nli_folder):
    for more, message in (
        (
            ("--difference",),
            "--difference: adapters are what is written; expected a rank for them, as --set lora=64",
        ),
        (
            ("lora=4", "--freeze=embeddings"),
            "--set: lora=4 without freeze=embeddings: adapters leave all",
        ),
        (("epoch=2",), "--set epoch: no setting of this strategy; did you mean epochs? it has "),
        (("warmup=1",), "--set warmup=1: expected less than 1"),
        (("schedule=step",), "--set schedule=step: expected 'constant', 'linear' or 'cosine'"),
    ):
        with pytest.raises(ContsymError) as caught:
            pretrain("made", *more)
        assert str(caught.value).startswith(message)
    with pytest.raises(
        ContsymError, match=r"--difference: encoder .* has an NLI head; expected an encoder without one"
    ):
        pretrain("made", "lora=4", "--difference", encoder=tiny_nli_folder)
