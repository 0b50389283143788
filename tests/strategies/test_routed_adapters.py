"""What routed_adapters promises: nothing of a finished experience moves, however many follow."""

import json
from dataclasses import replace

import pytest
import torch

from contsym.models.routing import evenly
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from tests.runs import config

N_MNLI, N_WIKIDATA = 60, 4 * 66 - 64
STORED = 32


def seed_run(toy, encoder, tmp_path, n_experiences=2, **settings):
    changes = {"settings": {"steps": "12", "rank": "4", "stored": str(STORED), **settings}, "audit": False}
    plan = prepare(config(toy, encoder, tmp_path, "routed_adapters", "mnli_then_wikidata", **changes))
    plan = replace(plan, tasks=[plan.tasks[i % 2] for i in range(n_experiences)])
    from contsym.training.loop import SeedRun

    return SeedRun(plan, [task.train for task in plan.tasks], 0, Silent())


def base_weights(strategy):
    return {name: p.clone() for name, p in strategy.model.encoder.named_parameters() if "lora_" not in name}


def of_experience(strategy, n):
    """The weights of adapter and head n."""
    marks = (f".{n}.weight", f"heads.{n}.")
    found = {
        name: p.clone()
        for name, p in strategy.model.named_parameters()
        if ("lora_" in name and name.endswith(marks[0])) or marks[1] in name
    }
    assert any("lora_" in name for name in found)
    assert any("heads." in name for name in found)
    return found


def same(one, two):
    assert one.keys() == two.keys()
    return all(torch.equal(one[name], two[name]) for name in one)


def test_frozen_weights_are_the_same_to_the_bit(toy, tiny_encoder_folder, tmp_path):
    # A weight decay that would be seen at once in whatever the optimizer moves.
    run = seed_run(toy, tiny_encoder_folder, tmp_path, weight_decay="5")
    untrained = base_weights(run.strategy)
    new = of_experience(run.strategy, 0)
    run.train_next()
    first = of_experience(run.strategy, 0)
    assert not same(new, first)
    run.train_next()
    assert same(first, of_experience(run.strategy, 0))
    assert same(untrained, base_weights(run.strategy))


def test_an_untrained_adapter_changes_nothing(toy, tiny_encoder_folder, tmp_path):
    run = seed_run(toy, tiny_encoder_folder, tmp_path)
    texts = ["anna borders ben", "leo likes kim"]
    with_adapter = run.encoder.encode(texts)
    with run.encoder.transformer.disable_adapter():
        assert torch.equal(run.encoder.encode(texts), with_adapter)


@pytest.mark.parametrize("begins", ["last", "new"])
def test_where_an_adapter_begins(toy, tiny_encoder_folder, tmp_path, begins):
    run = seed_run(toy, tiny_encoder_folder, tmp_path, begins=begins)
    new_head = [p.clone() for p in run.strategy.model.head.heads[0].parameters()]
    run.train_next()
    run.strategy.begin(1)
    first, second = (list(of_experience(run.strategy, n).items()) for n in (0, 1))
    copied = [torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True)]
    head = run.strategy.model.head.heads[1].parameters()
    if begins == "last":
        assert all(copied)
    else:
        assert not any(copied)
        # LoRA's B is zero at first, so W is what it was.
        assert all(not p.any() for name, p in second if "lora_B" in name)
        assert all(torch.equal(a, b) for a, b in zip(new_head, head, strict=True))


def test_what_stays_on_its_route_is_answered_as_before(toy, tiny_encoder_folder, tmp_path):
    run = seed_run(toy, tiny_encoder_folder, tmp_path)
    run.train_next()
    run.train_next()
    chosen = run.strategy.routes(run.plan.tasks[0].test)
    same = (chosen == 0).numpy()
    # The toy tasks share their names and one phrase; still most pairs find their own adapter.
    assert 0.8 <= same.mean() < 1
    assert (run.strategy.routes(run.plan.tasks[1].test) == 1).float().mean() >= 0.8
    before, after = run.predictions[1][0], run.predictions[2][0]
    assert (before[same] == after[same]).all()


@pytest.mark.parametrize("n_done", [pytest.param(1, marks=pytest.mark.night), 2])
def test_resumes_from_a_stored_state_to_the_bit(toy, tiny_encoder_folder, tmp_path, n_done):
    whole = seed_run(toy, tiny_encoder_folder, tmp_path, 3, steps="6")
    for _ in range(n_done):
        whole.train_next()
    values, tensors = whole.state()
    values = json.loads(json.dumps(values))
    while whole.n_done < 3:
        whole.train_next()
    # Only now: all runs of a process draw from one generator.
    resumed = seed_run(toy, tiny_encoder_folder, tmp_path, 3, steps="6")
    resumed.restore(values, tensors)
    while resumed.n_done < 3:
        resumed.train_next()
    assert whole.log.losses == resumed.log.losses
    for one, two in zip(whole.predictions, resumed.predictions, strict=True):
        assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_each_experience_costs_as_declared(toy, tiny_encoder_folder, tmp_path):
    run = seed_run(toy, tiny_encoder_folder, tmp_path, 3, steps="2")
    strategy = run.strategy
    # Rank 4 on the linear layers of 2 BERT layers of width 32, inner width 64; a head on 4 * 32 features.
    n_adapter = 2 * 4 * (4 * (32 + 32) + 2 * (32 + 64))
    n_head = 4 * 32 * 3 + 3
    for n in range(1, 4):
        run.train_next()
        assert strategy.n_trained_parameters == n_adapter + n_head
        assert strategy.n_stored_bytes == n * 4 * (n_adapter + n_head + STORED * 2 * 32)
        chosen = strategy.routes(run.plan.tasks[0].test)
        assert set(chosen.tolist()) <= set(range(n))
    assert [len(features) for features in strategy.stored] == 3 * [STORED]


def test_stored_pairs_are_spread_over_the_experience(toy, tiny_encoder_folder, tmp_path):
    run = seed_run(toy, tiny_encoder_folder, tmp_path, 1, steps="2")
    run.train_next()
    pairs = run.parts[0].select(evenly(N_MNLI, STORED))
    assert torch.equal(run.strategy.stored[0], run.strategy._features(pairs))
    assert torch.equal(run.strategy.artifacts()["stored.0"], run.strategy.stored[0])
