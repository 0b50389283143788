"""What add-ons do between experiences: nothing in the first, less drift in the second.

Over 400 lines: each add-on on the same toy runs, beside the bare strategy.
"""

from collections import Counter
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
import torch

from contsym.errors import ContsymError, SettingError
from contsym.models.encoders import checkpoints
from contsym.models.encoders.load import load
from contsym.strategies.catalog import addons, load_addon, load_strategy, split_name
from contsym.training.first_task import FirstTaskCache
from contsym.training.loop import SeedRun
from contsym.training.parts import training_part
from contsym.training.plan import n_training_steps, prepare
from contsym.training.progress import Silent
from tests.runs import toy_config, toy_run
from tests.strategy_settings import fast_and_slow
from tests.toy import both_tasks

ADDONS = sorted(addons())
FAST = ("derpp", "ewc", "joint")
"""A memory with logits, a penalty, and training from the start: the add-ons of the fast tests."""
SLOW = ("agem", "gdumb", "lwf", "si", "ties")
"""Other gradients, another start and fewer pairs, a teacher, the path of the weights, and merging: those of the slow tests.

The others act at the same places.
"""
REGULARISERS = {"ewc": "ewc_strength", "lwf": "lwf_strength", "mas": "mas_strength", "si": "si_strength"}
MERGERS = ("task_arithmetic", "ties", "wise_ft")
"""What acts at the end of an experience alone, so that a second one is trained as by the bare strategy."""
FROZEN, TRAINED = (f"encoder.layer.{i}.output.dense.weight" for i in (0, 1))
PENALTIES = {"ewc": "1e12", "mas": "1e5", "lwf": "100", "si": "1e5"}
ON_EACH_BASE = [f"{base}+{addon}" for base in ("fine_tune", "knn_fixed") for addon in ADDONS]
ON_EACH_BASE.remove("knn_fixed+er_ace")  # Refused: see below.


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def alone(toy, tiny_encoder_folder, tmp_path_factory):
    """(result, prediction rows) without a cache, by the strategy; penalties are strong enough to be seen in a dozen steps."""

    @cache
    def made(strategy):
        result, rows, _ = toy_run(
            toy, tiny_encoder_folder, tmp_path_factory.mktemp("alone"), strategy, settings=strong(strategy)
        )
        return result, rows

    return made


def strong(strategy):
    addon = strategy.partition("+")[2]
    return {REGULARISERS[addon]: PENALTIES[addon]} if addon in REGULARISERS else {}


@pytest.fixture(scope="module")
def retrained(toy, tiny_encoder_folder, tmp_path_factory):
    """The result under retrain, by the strategy; all are in one folder, so that the known task is trained once."""
    output = tmp_path_factory.mktemp("retrained")
    options = {"protocol": "retrain", "settings": {"steps": "3"}, "pretrain": {"steps": "3"}}
    return cache(lambda strategy: toy_run(toy, tiny_encoder_folder, output, strategy, **options)[0])


@pytest.fixture(scope="module")
def first_tasks_of(toy, tiny_encoder_folder, tmp_path_factory):
    """The folder into which a bare strategy has stored its first task, by the strategy."""

    @cache
    def folder(base):
        output = tmp_path_factory.mktemp("bare")
        toy_run(toy, tiny_encoder_folder, output, base, cache=FirstTaskCache(output / "first_tasks"))
        return output / "first_tasks"

    return folder


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
def test_the_first_experience_is_that_of_the_bare_strategy_and_the_second_is_not(alone, addon):
    (bare, _), (with_it, _) = alone("fine_tune"), alone(f"fine_tune+{addon}")
    assert with_it.loss[0] == bare.loss[0]
    assert with_it.matrix[1] == bare.matrix[1]
    if addon != "agem":  # which turns a step only where it would harm: see below
        assert (with_it.loss[1] == bare.loss[1]) == (addon in MERGERS)
    assert (with_it.cost.stored_bytes > bare.cost.stored_bytes) == (addon != "wise_ft")


def test_a_step_is_told_once_whatever_an_add_on_asks_the_objective(
    toy, tiny_encoder_folder, tmp_path, monkeypatch
):
    told, asked = [], []
    method = load_strategy("fine_tune")
    objective = method.objective
    monkeypatch.setattr(method, "after_step", lambda self: told.append(self.n_steps))
    monkeypatch.setattr(method, "objective", lambda self, *of: asked.append(1) or objective(self, *of))
    run, _ = finished(toy, tiny_encoder_folder, tmp_path, "fine_tune+derpp")
    assert told == [*range(1, run.strategy.n_steps + 1)]
    assert len(asked) > len(told)


@pytest.mark.parametrize(
    "strategy",
    fast_and_slow(
        ON_EACH_BASE,
        [f"fine_tune+{each}" for each in FAST],
        [*(f"fine_tune+{each}" for each in SLOW), "knn_fixed+derpp", "knn_fixed+ewc"],
    ),
)
def test_from_a_stored_first_task_it_is_the_same_to_the_bit(
    toy, tiny_encoder_folder, tmp_path, first_tasks_of, alone, strategy
):
    result, rows = alone(strategy)
    # The bare strategy has stored its first task, and the add-on resumes from it.
    folder = first_tasks_of(strategy.partition("+")[0])
    assert len(list(folder.iterdir())) == 1
    shared, same_rows, _ = toy_run(
        toy, tiny_encoder_folder, tmp_path, strategy, cache=FirstTaskCache(folder), settings=strong(strategy)
    )
    assert len(list(folder.iterdir())) == 1
    assert shared.loss == result.loss
    assert shared.matrix == result.matrix
    assert shared.cost.stored_bytes == result.cost.stored_bytes
    assert rows == same_rows


@pytest.mark.parametrize("addon", fast_and_slow(ADDONS, FAST, SLOW))
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


@pytest.mark.parametrize("addon", fast_and_slow(["ewc", "mas", "si"], ["ewc"], ["si"]))
@pytest.mark.parametrize("base", fast_and_slow(["fine_tune", "knn_fixed"], ["fine_tune"], []))
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


@pytest.mark.parametrize("base", fast_and_slow(["fine_tune", "knn_fixed", "knn_cosine"], ["knn_cosine"], []))
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


REFUSED = {
    "si": (
        {"strategy": "fine_tune+si", "protocol": "retrain"},
        "--strategy fine_tune+si: si follows the steps of an experience, and under --protocol retrain the first task takes "
        "none, so si would do nothing; expected --protocol sequential, or ewc or mas in its place",
    ),
    "er_ace on a memory": (
        {"strategy": "knn_fixed+er_ace"},
        "--strategy knn_fixed+er_ace: er_ace masks the scores of labels, and this method trains embeddings of pairs; "
        "expected a method with scores, as fine_tune, or replay in its place",
    ),
    "er_ace beside a known head": (
        {"strategy": "fine_tune+er_ace", "protocol": "retrain"},
        "--strategy fine_tune+er_ace: under --protocol retrain replayed pairs train the known head, and nothing keeps a new "
        "one from labels that present pairs lack; expected replay, or --protocol sequential",
    ),
    "er_ace on embeddings": (
        {"strategy": "setfit+er_ace"},
        "--strategy setfit+er_ace: er_ace masks the scores of labels, and this method trains embeddings of pairs; "
        "expected a method with scores, as fine_tune, or replay in its place",
    ),
    "a memory that follows the weights": (
        {"strategy": "knn_fixed+joint", "settings": {"memory": "compensate"}},
        "--strategy knn_fixed+joint: memory=compensate follows the weights from experience to experience, and joint begins "
        "each with the first ones; expected memory=refresh",
    ),
    "gdumb in one pass": (
        {"strategy": "gdumb", "one_pass": True, "settings": {}},
        "--one-pass: gdumb has chosen its pairs before the first step, so no number of pairs seen can be given; leave it "
        "out, or choose replay",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_run_that_an_addon_can_do_nothing_for_is_refused(toy, tiny_encoder_folder, tmp_path, case):
    changes, message = REFUSED[case]
    settings = {"steps": "3"} if "one_pass" not in changes else {}
    config = toy_config(toy, tiny_encoder_folder, tmp_path, changes["strategy"])
    with pytest.raises(SettingError) as caught:
        prepare(replace(config, **{"settings": settings, **changes}))
    assert str(caught.value) == message


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fine_tune+si", "frozen_probe+ewc"])
def test_under_retrain_a_later_own_experience_is_enough(toy, tiny_encoder_folder, tmp_path, strategy):
    options = {"settings": {"steps": "1"}, "protocol": "retrain", "pretrain": {"steps": "1"}}
    both = {**toy, "snli": toy["mnli"]}
    result, _, _ = toy_run(both, tiny_encoder_folder, tmp_path, strategy, "domain_shift", **options)
    assert len(result.tasks) == 3


def test_gdumb_on_weights_that_come_later_is_refused(toy, tiny_encoder_folder, tmp_path):
    with pytest.raises(ContsymError, match="RoutedAdapters has added weights since the first experience"):
        toy_run(toy, tiny_encoder_folder, tmp_path, "routed_adapters+gdumb", settings={"steps": "1"})


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [("fine_tune+joint", {}), ("fine_tune+joint+ewc", {}), ("fine_tune+gdumb", {"gdumb_size": "20"})],
)
def test_the_plan_knows_the_steps_on_the_pairs_that_an_addon_brings(
    toy, tiny_encoder_folder, tmp_path, strategy, settings
):
    settings = {"min_steps": "1", "batch_size": "4", **settings}
    config = toy_config(toy, tiny_encoder_folder, tmp_path, strategy, sizes={"mnli": 24}, shots=8)
    plan = prepare(replace(config, settings=settings))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, Silent())
    for _ in plan.tasks:
        run.train_next()
    planned = [n_training_steps(plan, place, [24, 8]) for place in (0, 1)]
    # Both parts at the length of the longer one, or the memory.
    assert planned == [6, 12 if "joint" in strategy else 5]
    assert [len(losses) for losses in run.log.losses] == planned


@pytest.mark.parametrize(
    ("strategy", "changes", "message"),
    [
        ("routed_adapters+ewc", {}, "RoutedAdapters trains no weights here that an earlier"),
        ("routed_adapters+si", {}, "so si can do nothing; leave it out"),
        ("frozen_probe+ties", {}, "so ties can do nothing; leave it out"),
        (
            "frozen_probe+mas",
            {"protocol": "retrain", "pretrain": {"steps": "1"}},
            "so mas can do nothing; leave it out",
        ),
        (
            "knn_fixed+mas",
            {"settings": {"metric": "euclidean", "steps": "1"}},
            "metric=euclidean scales it to 1",
        ),
    ],
)
def test_an_addon_without_weights_to_act_on_is_refused(
    toy, tiny_encoder_folder, tmp_path, strategy, changes, message
):
    with pytest.raises(SettingError, match=message):
        toy_run(toy, tiny_encoder_folder, tmp_path, strategy, **{"settings": {"steps": "1"}, **changes})


@pytest.mark.parametrize(
    "addon",
    fast_and_slow(
        [a for a in ADDONS if a not in ("si", "er_ace")], ["gdumb", "ties"], ["agem", "ewc", "lwf"]
    ),
)
def test_an_addon_sees_the_known_task_through_its_head(retrained, addon):
    bare, with_it = retrained("fine_tune"), retrained(f"fine_tune+{addon}")
    assert with_it.matrix[:2] == bare.matrix[:2]
    # Merging acts after the last step. A-GEM turns a step only where it would harm, and draws its batches as it goes.
    if addon != "agem":
        assert (with_it.loss == bare.loss) == (addon in MERGERS)


def weights_of(run):
    return {name: p.detach().clone() for name, p in run.strategy.model.named_parameters()}


def runs_side_by_side(toy, encoder, output, strategies, **changes):
    """(weights before, weights after the last experience) of runs, by strategy."""
    found = {}
    for strategy, settings in strategies.items():
        run = behind_the_first(toy, encoder, output, strategy, settings=settings, **changes)
        start = run.template.active_addons[0].first if strategy.endswith("ties") else {}
        before = weights_of(run)
        run.train_next()
        found[strategy] = before, weights_of(run), start
    return found


def test_wise_ft_ends_between_the_weights_before_and_after(toy, tiny_encoder_folder, tmp_path):
    found = runs_side_by_side(
        toy,
        tiny_encoder_folder,
        tmp_path,
        {"fine_tune": {}, "fine_tune+wise_ft": {"wise_ft_alpha": "0.25"}},
    )
    before, after, _ = found["fine_tune"]
    _, merged, _ = found["fine_tune+wise_ft"]
    for name, weight in merged.items():
        # The head too: the first experience has trained it.
        assert torch.allclose(weight, 0.75 * before[name] + 0.25 * after[name], atol=1e-7)
        assert not torch.equal(weight, after[name]) or torch.equal(before[name], after[name])


def test_task_arithmetic_scales_the_sum_of_all_ways_and_leaves_the_head(toy, tiny_encoder_folder, tmp_path):
    found = runs_side_by_side(
        toy,
        tiny_encoder_folder,
        tmp_path,
        {"fine_tune": {}, "fine_tune+task_arithmetic": {"task_arithmetic_scale": "0.5"}},
    )
    fresh = load(checkpoints.locate(str(tiny_encoder_folder))).state_dict()
    _, after, _ = found["fine_tune"]
    _, merged, _ = found["fine_tune+task_arithmetic"]
    for name, weight in merged.items():
        first = fresh.get(name.removeprefix("encoder."), after[name]) if "encoder" in name else after[name]
        # One way leads on from the other, so together they lead from the first weights to the last.
        assert torch.allclose(weight, first + 0.5 * (after[name] - first), atol=1e-6)


def test_ties_is_the_formula_on_the_two_ways(toy, tiny_encoder_folder, tmp_path):
    settings = {"ties_density": "0.3", "ties_scale": "0.5"}
    found = runs_side_by_side(
        toy, tiny_encoder_folder, tmp_path, {"fine_tune": {}, "fine_tune+ties": settings}
    )
    before, after, _ = found["fine_tune"]
    _, merged, first = found["fine_tune+ties"]
    names = sorted(first)
    flat = [torch.cat([part[f"encoder.{n}"].flatten() for n in names]) for part in (before, after)]
    start = torch.cat([first[n].flatten() for n in names])
    expected = start.clone()
    ways = []
    for way in (flat[0] - start, flat[1] - flat[0]):
        n_kept = round(0.3 * len(way))
        least = way.abs().sort(descending=True).values[n_kept - 1]
        ways.append([float(x) if abs(x) >= least else 0.0 for x in way])
    for i, (a, b) in enumerate(zip(*ways, strict=True)):
        own = [x for x in (a, b) if x * (a + b) > 0]
        expected[i] += 0.5 * sum(own) / max(1, len(own))
    found_flat = torch.cat([merged[f"encoder.{n}"].flatten() for n in names])
    assert torch.allclose(found_flat, expected, atol=1e-6)
    assert torch.equal(merged["head.linear.weight"], after["head.linear.weight"])


def test_texts_that_the_teacher_encodes_are_counted(alone):
    bare, with_it = (alone(name)[0].cost for name in ("fine_tune", "fine_tune+lwf"))
    assert with_it.experiences[1].training_forwards == 2 * bare.experiences[1].training_forwards


@pytest.mark.parametrize("addon", MERGERS)
def test_points_are_of_the_weights_with_which_training_would_end(toy, tiny_encoder_folder, tmp_path, addon):
    # Nothing is kept of what is trained after the first weights, or those before the experience.
    name = {"wise_ft": "wise_ft_alpha"}.get(addon, f"{addon}_scale")
    settings = {name: "0", "steps": "5", "learning_rate": "3e-3"}
    options = {"settings": settings, "curve": True}
    result, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, f"fine_tune+{addon}", **options)
    points = [p for p in result.trajectory if p.experience == 1 and p.n_steps]
    assert len(points) > 3
    assert len({p.weights_distance for p in points}) == 1
    assert (points[0].weights_distance == 0) == (addon == "wise_ft")


@pytest.mark.parametrize("base", fast_and_slow(["knn_fixed", "setfit"], ["knn_fixed"]))
def test_predictions_and_memory_are_of_the_merged_weights(toy, tiny_encoder_folder, tmp_path, base):
    # Measured after every batch, so that the memory is filled just before the weights are merged.
    options = {"one_pass": True, "until": 0.4, "shots": 32}
    settings = {"learning_rate": "3e-3", "wise_ft_alpha": "0.1"}
    config = toy_config(toy, tiny_encoder_folder, tmp_path, f"{base}+wise_ft")
    plan = prepare(replace(config, settings=settings, **options))
    run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, Silent())
    for _ in plan.tasks:
        run.train_next()
    test = plan.tasks[1].test
    seen = run.strategy.score(test)
    if base == "knn_fixed":
        run.strategy.memory._version = None
    else:
        run.strategy._fitted_on = None
    run.strategy.refresh()
    assert torch.equal(run.strategy.score(test), seen)
    assert torch.equal(torch.as_tensor(run.predictions[2][1]), seen.argmax(dim=1))


@pytest.mark.slow
def test_under_retrain_task_arithmetic_is_wise_ft_of_the_encoder(toy, tiny_encoder_folder, tmp_path):
    options = {"protocol": "retrain", "pretrain": {"steps": "3"}}
    losses, matrices = [], []
    for strategy, settings in (
        ("task_arithmetic", {"task_arithmetic_scale": "0.3"}),
        ("wise_ft", {"wise_ft_alpha": "0.3"}),
    ):
        result, _, _ = toy_run(
            toy, tiny_encoder_folder, tmp_path, strategy, settings={"steps": "5", **settings}, **options
        )
        losses.append(result.loss)
        matrices.append(result.matrix)
    # The new head has been no one's before, so both leave it as trained.
    assert losses[0] == losses[1]
    assert matrices[0] == matrices[1]


def test_a_memory_waits_for_the_first_pair_of_its_own(toy, tiny_encoder_folder, tmp_path):
    """Under retrain the first batches may have pairs of the known task alone."""
    options = {"protocol": "retrain", "pretrain": {"steps": "1"}, "curve": True, "shots": 4}
    settings = {"gdumb_size": "200", "steps": "8", "batch_size": "1"}
    result, _, _ = toy_run(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed+gdumb", settings=settings, **options
    )
    seen = [point.n_distinct_pairs for point in result.trajectory if point.experience == 1]
    assert seen[:2] == [0, 0], "the first batch had a pair of the known task"


def test_replayed_pairs_are_compared_with_a_batch_of_one(toy, tiny_encoder_folder, tmp_path):
    settings = {"batch_size": "1", "steps": "2"}
    for strategy, is_said in (
        ("setfit", True),
        ("knn_fixed", True),
        ("knn_fixed+replay", False),
        ("ncm", False),
    ):
        own = {} if strategy == "ncm" else settings
        result, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, strategy, settings=own)
        assert any("batch_size=1" in note for note in result.notes) == is_said, strategy


def test_gdumb_trains_on_its_memory_alone_from_the_first_weights(toy, tiny_encoder_folder, tmp_path):
    settings = {"gdumb_size": "20", "steps": "1", "learning_rate": "1e-12"}
    run = behind_the_first(toy, tiny_encoder_folder, tmp_path, "fine_tune+gdumb", settings=settings)
    (gdumb,) = run.template.active_addons
    seen, plain = [], run.template.training_epoch

    def spy(**kwargs):
        seen.extend(run.template.adapted_dataset[i] for i in range(len(run.template.adapted_dataset)))
        plain(**kwargs)

    run.template.training_epoch = spy
    run.train_next()
    # Three labels of the first experience and two of the second: four pairs of each.
    counts = Counter((pair["row"] >= len(run.parts[0]), pair["label"]) for pair in seen)
    assert sorted(counts.values()) == [4] * 5
    for name, weight in run.strategy.model.state_dict().items():
        assert torch.allclose(weight.float(), gdumb.first[name].float(), atol=1e-6)


def test_er_ace_masks_present_pairs_to_the_labels_of_their_batch(toy, tiny_encoder_folder, tmp_path):
    run = behind_the_first(toy, tiny_encoder_folder, tmp_path, "fine_tune+er_ace")
    (er_ace,) = run.template.active_addons
    er_ace.seen = {0, 1}
    run.template.first_row = 60
    run.template.mbatch = [{"row": torch.tensor([61, 62, 3])}, torch.tensor([2, 0, 1]), torch.zeros(3)]
    inf = float("-inf")
    shown = er_ace.shown(run.template, torch.ones(3, 3))
    assert torch.equal(shown, torch.tensor([[1, inf, 1], [1, inf, 1], [1, 1, 1.0]]))
    # With a label that the task lacks, as neutral, the second task's gradient leaves its row of the head alone.
    er_ace.seen = {0, 1, 2}
    run.template.mbatch[1] = torch.tensor([0, 0, 1])
    assert torch.equal(
        er_ace.shown(run.template, torch.ones(3, 3)),
        torch.tensor([[1, inf, inf], [1, inf, inf], [1, 1, 1.0]]),
    )


def test_er_ace_with_a_margin_loss_stays_finite(toy, tiny_encoder_folder, tmp_path):
    # The distance to a masked label is infinite.
    _, (_, weights) = finished(toy, tiny_encoder_folder, tmp_path, "random_labels+er_ace")
    assert weights.isfinite().all()


class TwoWeights(torch.nn.Module):
    """Two weights with a loss of w0^2 + 3 w1, whose gradient is (2 w0, 3)."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([1.0, 0.0]))


def test_si_by_hand_on_two_weights():
    si = load_addon("si")(SimpleNamespace(si_strength=0.5, si_damping=0.04), 0)
    model = TwoWeights()
    strategy = SimpleNamespace(model=model, loss=None, clock=SimpleNamespace(train_exp_counter=0))

    def step(moves):
        model.w.grad = None
        strategy.loss = model.w[0] ** 2 + 3 * model.w[1]
        si.before_backward(strategy)
        strategy.loss.backward()
        gradient = model.w.grad.clone()
        si.after_backward(strategy)
        # What comes between, as clipping, has no part in the path.
        model.w.grad *= 0.1
        with torch.no_grad():
            model.w += torch.tensor(moves)
        si.after_update(strategy)
        return gradient

    si.before_training_exp(strategy)
    step([-0.5, 0.1])  # gradient (2, 3): path (1, -0.3)
    step([-0.1, 0.1])  # gradient (1, 3): path (0.1, -0.3)
    si.take(strategy)
    # (1.1 / (0.6^2 + 0.04), 0 for the weight that has raised the loss)
    assert torch.allclose(si.importance["w"], torch.tensor([2.75, 0.0]))
    assert si.n_bytes == 8
    si.before_training_exp(strategy)
    step([0.2, 0.0])  # at the anchor the penalty has no gradient; (0.8, 3): path (-0.16, 0)
    # Now 0.2 from the anchor: the penalty is 0.5 * 2.75 * 0.2^2 and its gradient 2 * 0.5 * 2.75 * 0.2 = 0.55.
    gradient = step([-0.6, -0.2])  # the loss' own gradient (1.2, 3): path (0.72, 0.6)
    assert torch.allclose(gradient, torch.tensor([1.75, 3.0]))
    assert float(strategy.loss.detach()) == pytest.approx(0.6**2 + 3 * 0.2 + 0.055)
    si.take(strategy)
    # Added: 0.56 / (0.4^2 + 0.04) = 2.8 and 0.6 / (0.2^2 + 0.04) = 7.5.
    assert torch.allclose(si.importance["w"], torch.tensor([5.55, 7.5]))


def experiences_of(*labels):
    """Experiences with these labels of their pairs, whose batches are row numbers; rows are numbered through all."""
    from datasets import Dataset

    from contsym.models.pair_model import rows_only
    from contsym.scenarios.benchmark import train_stream

    parts = [
        Dataset.from_dict({"premise": ["a"] * len(part), "hypothesis": ["b"] * len(part), "label": part})
        for part in labels
    ]
    return list(train_stream(parts, rows_only))


@pytest.mark.parametrize("addon", ["replay", "er_ace"])
def test_one_pass_replays_all_experiences_and_keeps_the_order_of_present_pairs(addon):
    *past, present = experiences_of(*[[0, 1] * 8] * 5)
    replay = load_addon(addon)(SimpleNamespace(replay_size=64, er_ace_size=64), 0)
    for experience in past:
        replay.take(SimpleNamespace(experience=experience))
    strategy = SimpleNamespace(train_mb_size=8, adapted_dataset=present.dataset)
    replay.before_training_exp(strategy, shuffle=False)
    batches = [batch["row"].tolist() for batch, *_ in strategy.dataloader]
    assert [row for rows in batches for row in rows[:8]] == [*range(64, 80)]
    replayed = [row for rows in batches for row in rows[8:]]
    assert len(set(replayed)) == 16
    # In the buffer's order all would be of the first experience.
    assert len({row // 16 for row in replayed}) > 2


class Outputs(torch.nn.Module):
    """A model beside a known head, with given outputs by row: three known scores, those of its own head, 1 if known."""

    known_rows = 1
    encoder = SimpleNamespace(n_forwards=0)

    def __init__(self, *rows):
        super().__init__()
        self.rows = torch.nn.Parameter(torch.tensor(rows))

    def forward(self, rows):
        return self.rows[rows]

    @staticmethod
    def collate(pairs):
        rows = torch.tensor([pair["row"] for pair in pairs])
        return [rows, rows, rows]


@pytest.mark.parametrize("outputs_scores", [True, False])
def test_lwf_beside_a_known_head_distils_the_own_head_from_the_second_own_experience(outputs_scores):
    from math import log

    known, own = experiences_of([0, 1, 2], [3, 4])
    lwf = load_addon("lwf")(SimpleNamespace(lwf_strength=1.0, lwf_temperature=1.0), 0)
    teacher = Outputs([0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    strategy = SimpleNamespace(
        strategy=SimpleNamespace(outputs_scores=outputs_scores),
        model=teacher,
        mb_x=torch.tensor([0]),
        mb_output=torch.tensor([[log(2), 0.0, 0.0, 0.0, 5.0, 0.0, log(3), 0.0, 0.0]]),
    )

    def distilled(experience):
        strategy.experience, strategy.loss = experience, torch.zeros(())
        lwf.take(strategy)
        lwf.before_backward(strategy)
        return float(strategy.loss)

    # KL of (1/3, 1/3, 1/3) and (1/2, 1/4, 1/4).
    of_known = log(32 / 27) / 3
    assert distilled(known) == pytest.approx(of_known, abs=1e-6)
    # KL of (1/2, 1/2) and (3/4, 1/4), over the labels 3 and 4; embeddings at a right angle have a distance of 1.
    of_own = log(4 / 3) / 2 if outputs_scores else 1
    assert distilled(own) == pytest.approx(of_known + of_own, abs=1e-6)


def test_derpp_beside_a_known_head_compares_the_outputs_of_a_pairs_own_task():
    derpp = load_addon("derpp")(SimpleNamespace(derpp_size=2, derpp_alpha=1.0, derpp_beta=0.0), 0)
    stored = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [0.0] * 6])
    derpp.parts = [([{"row": 0}, {"row": 1}], stored)]
    strategy = SimpleNamespace(
        model=Outputs([1.0, 2.0, 2.0, 0.0, 0.0, 1.0], [9.0, 9.0, 9.0, 0.0, 2.0, 0.0]),
        train_mb_size=2,
        device="cpu",
        loss=torch.zeros(()),
        _criterion=lambda output, labels: output.sum(),
    )
    derpp.before_backward(strategy)
    # (1 + 4 + 4) / 3 of the known pair and (0 + 4) / 2 of the other.
    assert float(strategy.loss.detach()) == pytest.approx((3 + 2) / 2)


def test_agem_compares_with_pairs_of_all_stored_ones_however_many_experiences():
    agem = load_addon("agem")(SimpleNamespace(agem_size=4, agem_sample=6), 0)
    for experience in experiences_of(*[[0, 1] * 4] * 8):
        agem.take(SimpleNamespace(experience=experience))
    samples = [agem.sample_from_memory()[0]["row"].tolist() for _ in range(20)]
    assert [len(set(rows)) for rows in samples] == [6] * 20
    assert {row // 8 for rows in samples for row in rows} == set(range(8))
