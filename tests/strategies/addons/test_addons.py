"""What add-ons do between experiences: nothing in the first, less drift in the second."""

import pytest
import torch

from contsym.errors import ContsymError
from contsym.models.encoders import checkpoints
from contsym.models.encoders.load import load
from contsym.strategies.catalog import addons, load_strategy, split_name
from contsym.training.first_task import FirstTaskCache
from contsym.training.loop import SeedRun
from contsym.training.parts import training_part
from contsym.training.plan import prepare
from tests.runs import Silent, toy_config, toy_run
from tests.strategy_settings import fast_and_slow
from tests.toy import both_tasks

ADDONS = sorted(addons())
FAST = ("derpp", "ewc", "joint")
"""A memory with logits, a penalty, and training from the start: the add-ons of the fast tests."""
REGULARISERS = {"ewc": "ewc_strength", "lwf": "lwf_strength", "mas": "mas_strength"}
FROZEN, TRAINED = (f"encoder.layer.{i}.output.dense.weight" for i in (0, 1))
PENALTIES = {"ewc": "1e12", "mas": "1e5", "lwf": "100"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


def finished(toy, encoder, output, strategy, **changes):
    """The run behind its last experience, to look into."""
    plan = prepare(toy_config(toy, encoder, output, strategy, **changes))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, Silent())
    weights = []
    for _ in plan.tasks:
        run.train_next()
        weights.append(torch.cat([p.detach().flatten() for p in run.encoder.parameters()]))
    return run, weights


@pytest.mark.parametrize("addon", fast_and_slow(ADDONS, FAST))
def test_the_first_experience_is_that_of_the_bare_strategy_and_the_second_is_not(
    toy, tiny_encoder_folder, tmp_path, addon
):
    # Strong enough to be seen in a dozen steps.
    strong = {REGULARISERS[addon]: PENALTIES[addon]} if addon in REGULARISERS else {}
    bare, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "fine_tune")
    with_it, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, f"fine_tune+{addon}", settings=strong)
    assert with_it.loss[0] == bare.loss[0]
    assert with_it.matrix[1] == bare.matrix[1]
    if addon != "agem":  # which turns a step only where it would harm: see below
        assert with_it.loss[1] != bare.loss[1]
    assert with_it.cost.stored_bytes > bare.cost.stored_bytes


@pytest.mark.parametrize("base", fast_and_slow(["fine_tune", "knn_fixed"], ["fine_tune"]))
@pytest.mark.parametrize("addon", fast_and_slow(ADDONS, FAST))
def test_from_a_stored_first_task_it_is_the_same_to_the_bit(toy, tiny_encoder_folder, tmp_path, base, addon):
    alone, rows, _ = toy_run(toy, tiny_encoder_folder, tmp_path, f"{base}+{addon}")
    first_tasks = FirstTaskCache(tmp_path / "first_tasks")
    # The bare strategy stores its first task, and the add-on resumes from it.
    toy_run(toy, tiny_encoder_folder, tmp_path, base, cache=first_tasks)
    assert len(list((tmp_path / "first_tasks").iterdir())) == 1
    shared, same_rows, _ = toy_run(toy, tiny_encoder_folder, tmp_path, f"{base}+{addon}", cache=first_tasks)
    assert len(list((tmp_path / "first_tasks").iterdir())) == 1
    assert shared.loss == alone.loss
    assert shared.matrix == alone.matrix
    assert shared.cost.stored_bytes == alone.cost.stored_bytes
    assert rows == same_rows


@pytest.mark.parametrize("addon", fast_and_slow(ADDONS, FAST))
def test_frozen_embeddings_stay_under_every_addon(toy, tiny_encoder_folder, tmp_path, addon):
    run, _ = finished(
        toy,
        tiny_encoder_folder,
        tmp_path,
        f"fine_tune+{addon}",
        settings={"freeze": "layers:1", "steps": "3"},
    )
    fresh = load(checkpoints.locate(str(tiny_encoder_folder)))
    bottom, top = (run.encoder.transformer.state_dict()[name] for name in (FROZEN, TRAINED))
    assert torch.equal(bottom, fresh.transformer.state_dict()[FROZEN])
    assert not torch.equal(top, fresh.transformer.state_dict()[TRAINED])


@pytest.mark.parametrize("addon", ["ewc", "mas"])
@pytest.mark.parametrize("base", fast_and_slow(["fine_tune", "knn_fixed"], ["fine_tune"]))
def test_a_strong_penalty_holds_the_weights(toy, tiny_encoder_folder, tmp_path, base, addon):
    drifts = []
    for strength in ("0", PENALTIES[addon]):
        _, (first, second) = finished(
            toy,
            tiny_encoder_folder,
            tmp_path,
            f"{base}+{addon}",
            settings={REGULARISERS[addon]: strength},
        )
        assert second.isfinite().all()
        drifts.append(float((second - first).norm()))
    # Weights that no pair has moved have no importance, and are free to go.
    assert drifts[1] < 0.93 * drifts[0]


def behind_the_first(toy, encoder, output, strategy, **changes):
    """The run behind its first experience."""
    plan = prepare(toy_config(toy, encoder, output, strategy, **changes))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, Silent())
    run.train_next()
    return run


@pytest.mark.parametrize("base", fast_and_slow(["fine_tune", "knn_fixed"], ["fine_tune"]))
def test_a_strong_teacher_holds_the_outputs(toy, tiny_encoder_folder, tmp_path, base):
    """Those on the second experience's pairs, which the teacher scores."""
    drifts = []
    for strength in ("0", "100"):
        run = behind_the_first(
            toy, tiny_encoder_folder, tmp_path, f"{base}+lwf", settings={"lwf_strength": strength}
        )
        pairs = run.parts[1]
        before = run.strategy.model.outputs(pairs)
        run.train_next()
        drifts.append(float((run.strategy.model.outputs(pairs) - before).norm()))
    assert drifts[1] < 0.5 * drifts[0]


def test_the_teacher_is_the_model_before_and_answers_without_dropout(toy, tiny_encoder_folder, tmp_path):
    run = behind_the_first(toy, tiny_encoder_folder, tmp_path, "fine_tune+lwf")
    teacher, student = run.template.active_addons[0].lwf.prev_model, run.strategy.model
    pairs = [{**run.parts[0][i], "row": i, "targets_task_labels": 0} for i in range(8)]
    batch = student.collate(pairs)[0]
    student.eval()
    assert torch.equal(teacher(batch), student(batch))
    assert torch.equal(teacher(batch), teacher(batch))
    assert not any(p.requires_grad for p in teacher.parameters())
    # The toy encoder has dropout, so a teacher in training mode would not agree with itself.
    student.train()
    assert not torch.equal(student(batch), student(batch))


def test_replay_keeps_as_many_pairs_as_set_and_counts_present_pairs_only(toy, tiny_encoder_folder, tmp_path):
    run, _ = finished(toy, tiny_encoder_folder, tmp_path, "fine_tune+replay", settings={"replay_size": "10"})
    (replay,) = run.template.active_addons
    rows = [replay.storage_policy.buffer[i]["row"] for i in range(len(replay.storage_policy.buffer))]
    # Half of each experience; rows are numbered through both.
    assert [row < 60 for row in rows].count(True) == 5
    assert len(rows) == 10
    # 12 steps of 16 present pairs, whatever was replayed beside them.
    assert run.log.costs[1].pairs_seen == 12 * 16
    texts = run.cost().encoder_forwards - run.cost().encoder_forwards_evaluation
    assert texts == 2 * (4 * 16 * 3 - 3 * 4 + 12 * (16 + 10))


def test_agem_turns_a_harmful_step(toy, tiny_encoder_folder, tmp_path):
    run, _ = finished(toy, tiny_encoder_folder, tmp_path, "fine_tune+agem")
    (agem,) = run.template.active_addons
    model = run.strategy.model
    parameters = list(model.parameters())
    reference = torch.randn(sum(p.numel() for p in parameters), generator=torch.Generator().manual_seed(0))
    agem.reference_gradients = reference
    place = 0
    for p in parameters:
        p.grad = -reference[place : place + p.numel()].view_as(p) + 0.5
        place += p.numel()
    agem.after_backward(run.strategy)
    turned = torch.cat([p.grad.flatten() for p in parameters])
    assert abs(float(turned @ reference)) < 1e-2 * float(turned.norm() * reference.norm())


def test_ewc_does_not_depend_on_the_batch_size(toy, tiny_encoder_folder, tmp_path):
    sums = []
    for batch_size in ("4", "16"):
        run, _ = finished(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "fine_tune+ewc",
            settings={"steps": "1", "learning_rate": "1e-9", "batch_size": batch_size},
        )
        importance = run.template.active_addons[0].importances[0]
        sums.append(sum(float(p.data.sum()) for p in importance.values()))
    # Averaged over pairs of all labels the mean gradient is not zero, so they are near and not equal.
    assert 0.3 < sums[0] / sums[1] < 3


def test_cumulative_draws_every_experience_equally(toy, tiny_encoder_folder, tmp_path):
    plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "cumulative", shots=8))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, Silent())
    run.train_next()
    seen = []
    plain = run.template.training_epoch

    def spy(**kwargs):
        seen.append(
            [run.template.adapted_dataset[i]["row"] for i in range(len(run.template.adapted_dataset))]
        )
        plain(**kwargs)

    run.template.training_epoch = spy
    run.train_next()
    rows = seen[0]
    assert len(rows) == 120
    assert sum(row < 60 for row in rows) == 60
    assert set(rows) == set(range(68))


def test_joint_starts_from_the_first_weights(toy, tiny_encoder_folder, tmp_path):
    # With steps that change nothing, joint ends where the encoder began and cumulative where it was.
    run, (_, second) = finished(
        toy, tiny_encoder_folder, tmp_path, "joint", settings={"learning_rate": "1e-12", "steps": "1"}
    )
    first = torch.cat([t.flatten() for name, t in run.template.active_addons[0].first.items()
                       if name.startswith("encoder.") and t.is_floating_point()])  # fmt: skip
    assert torch.allclose(second.sort().values, first.sort().values, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fine_tune+ewk", "add-on 'ewk' is unknown; did you mean ewc? (contsym list)"),
        ("fine_tune+ewc+ewc", "strategy 'fine_tune+ewc+ewc' names an add-on twice; name each once"),
        (
            "zero_shot+ewc",
            "strategy 'zero_shot+ewc': zero_shot takes no gradient steps, so ewc would do nothing",
        ),
    ],
)
def test_an_impossible_add_on_is_refused(name, message):
    with pytest.raises(ContsymError) as caught:
        load_strategy(name)
    assert str(caught.value) == message


def test_an_add_on_alone_is_on_top_of_fine_tuning():
    assert split_name("ewc") == ("fine_tune", ("ewc",))
    assert split_name("knn_fixed+replay+ewc") == ("knn_fixed", ("replay", "ewc"))
