"""A step that is not finite ends the run in one line and stores the state before it."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from contsym.errors import ContsymError
from contsym.models.pair_model import PairModel
from contsym.training import failures
from contsym.training.loop import SeedRun
from contsym.training.observers import TrainingLog
from contsym.training.parts import training_part
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.errors import message_of
from tests.runs import toy_config


def seed_run(config):
    plan = prepare(config)
    seed = config.seeds[0]
    parts = [training_part(task, config, seed) for task in plan.tasks]
    return SeedRun(plan, parts, seed, Silent())


def stopped_folder(output):
    (folder,) = (output / "stopped").iterdir()
    return folder, json.loads((folder / "stopped.json").read_text("utf-8"))


def test_a_word_whose_vector_is_no_number_is_found_by_the_pairs_that_hold_it(
    toy, tiny_encoder_folder, tmp_path
):
    """The encoder's vector of `hal` is NaN, so exactly the pairs that say hal have no finite output."""
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder_folder, encoder)
    weights = load_file(encoder / "model.safetensors")
    vocabulary = json.loads((encoder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    weights["embeddings.word_embeddings.weight"][vocabulary["hal"]] = float("nan")
    save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
    config = toy_config(toy, encoder, tmp_path / "out", "fine_tune", "wikidata_only")
    with pytest.raises(ContsymError) as caught:
        run_seed(prepare(config), 0, Silent())
    folder, stopped = stopped_folder(tmp_path / "out")
    pairs = stopped["pairs"]
    assert len(pairs) == 16
    holds_hal = ["hal" in pair["premise"].split() for pair in pairs]
    assert [not pair["output_is_finite"] for pair in pairs] == holds_hal
    assert 0 < sum(holds_hal) < 16
    message = str(caught.value)
    first = next(pair for pair in pairs if not pair["output_is_finite"])
    assert message.startswith(
        f"the loss is nan at step {stopped['step']} on wikidata; the output is not finite for {sum(holds_hal)} of "
        f"its 16 pairs: wikidata row {first['row']} ({first['premise']!r} / {first['hypothesis']!r})"
    )
    assert f"the weights before that step are stored in {folder}" in message
    assert message.endswith("try --set learning_rate= with a smaller value")
    assert "\n" not in message
    # The row is the one of the training part that the run was given.
    part = training_part(prepare(config).tasks[0], config, 0)
    assert part[first["row"]]["id"] == first["id"]
    assert len(stopped["losses"][-1]) == stopped["step"] - 1


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_the_stored_state_is_that_before_the_step(bad, toy, tiny_encoder_folder, tmp_path, monkeypatch):
    """The state stored at a bad step 6 equals, to the bit, that of the same run stopped after five steps."""
    config = toy_config(toy, tiny_encoder_folder, tmp_path / "out", "fine_tune")
    if bad == "loss":
        spoil_at(
            6,
            TrainingLog,
            "before_backward",
            lambda strategy: strategy.loss.data.fill_(float("inf")),
            monkeypatch,
        )
    else:

        def spoil(strategy):
            strategy.gradient_norm = torch.tensor(float("nan"))

        spoil_at(6, TrainingLog, "before_update", spoil, monkeypatch)
    with pytest.raises(
        ContsymError, match=r"at step 6 on mnli; the output is finite for all of its 16 pairs"
    ):
        run_seed(prepare(config), 0, Silent())
    monkeypatch.undo()
    folder, stopped = stopped_folder(tmp_path / "out")
    stored = load_file(folder / "state.safetensors")
    five = toy_config(toy, tiny_encoder_folder, tmp_path / "five", "fine_tune", settings={"steps": "5"})
    reference = seed_run(five)
    reference.train_next()
    weights = dict(reference.strategy.model.state_dict())
    for name, tensor in weights.items():
        assert torch.equal(stored[f"strategy.model.{name}"], tensor), name
        assert tensor.isfinite().all()
    assert stopped["losses"] == reference.log.losses
    assert stopped["what"] == {"loss": "loss", "gradient": "norm of the gradient"}[bad]


def spoil_at(step, owner, name, change, monkeypatch):
    whole = getattr(owner, name)
    count = iter(range(1, 1000))

    def spoiled(self, strategy, **kwargs):
        if next(count) == step:
            change(strategy)
        return whole(self, strategy, **kwargs)

    monkeypatch.setattr(owner, name, spoiled)


def test_a_known_first_task_stops_in_one_line_too(toy, tiny_nli_folder, tmp_path, monkeypatch):
    """Under protocol retrain two rows of the matrix are one tensor, which safetensors alone refuses to write."""
    config = toy_config(toy, tiny_nli_folder, tmp_path / "out", "fine_tune", protocol="retrain")
    spoil_at(1, TrainingLog, "before_backward", lambda s: s.loss.data.fill_(float("nan")), monkeypatch)
    with pytest.raises(ContsymError, match=r"^the loss is nan at step 1 on wikidata; the output is finite"):
        run_seed(prepare(config), 0, Silent())
    folder, _ = stopped_folder(tmp_path / "out")
    stored = load_file(folder / "state.safetensors")
    assert torch.equal(stored["scores.0.0"], stored["scores.1.0"])


def test_a_run_that_stops_twice_at_the_same_place_keeps_one_state(
    toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    config = toy_config(toy, tiny_encoder_folder, tmp_path / "out", "fine_tune", "wikidata_only")
    messages = []
    for _ in range(2):
        spoil_at(2, TrainingLog, "before_backward", lambda s: s.loss.data.fill_(float("nan")), monkeypatch)
        with pytest.raises(ContsymError) as caught:
            run_seed(prepare(config), 0, Silent())
        monkeypatch.undo()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert len(list((tmp_path / "out" / "stopped").iterdir())) == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 1 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError("std::bad_alloc"),
    ],
)
def test_memory_that_is_out_in_a_step_names_the_batch_size_to_try(
    error, toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    config = toy_config(
        toy, tiny_encoder_folder, tmp_path / "out", "fine_tune", "wikidata_only", settings={"batch_size": "8"}
    )
    whole, count = PairModel.forward, iter(range(1, 1000))

    def forward(self, batch):
        if self.training and next(count) == 3:
            raise error
        return whole(self, batch)

    monkeypatch.setattr(PairModel, "forward", forward)
    message = message_of(run_seed, prepare(config), 0, Silent())
    assert message.startswith("out of memory on cpu at step 3 on wikidata with batch_size=8 (")
    assert message.endswith("; try --set batch_size=4")
    assert "\n" not in message


def test_memory_that_is_out_elsewhere_does_not_blame_the_batch_size(
    toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    def outputs(self, pairs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")

    monkeypatch.setattr(PairModel, "outputs", outputs)
    config = toy_config(toy, tiny_encoder_folder, tmp_path / "out", "knn_fixed", "wikidata_only")
    with pytest.raises(ContsymError, match="while texts were encoded or compared on wikidata") as caught:
        run_seed(prepare(config), 0, Silent())
    assert "--set batch_size" not in str(caught.value)


def test_memory_really_out_is_distinct_from_other_errors():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46)
    assert failures.is_out_of_memory(caught.value)
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not failures.is_out_of_memory(caught.value)


def test_a_full_disk_costs_the_stored_state_but_not_the_message(
    toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    def full(folder, fill):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(failures, "write_whole", full)
    spoil_at(1, TrainingLog, "before_backward", lambda s: s.loss.data.fill_(float("nan")), monkeypatch)
    config = toy_config(toy, tiny_encoder_folder, tmp_path / "out", "fine_tune", "wikidata_only")
    with pytest.raises(ContsymError, match=r"could not be stored \(No space left on device\)"):
        run_seed(prepare(config), 0, Silent())
