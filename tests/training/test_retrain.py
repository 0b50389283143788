"""Protocol retrain: one start for all, measured by its own head, and folders made by contsym pretrain."""

import json
from functools import cache

import pytest
import torch
from click.testing import CliRunner

from contsym.cli import cli
from contsym.errors import ContsymError
from contsym.sweeps.config import SweepConfig
from contsym.sweeps.job import is_done, run_job
from contsym.sweeps.plan import as_plain, plan_run, plan_sweep, write_record
from contsym.training.first_task import FirstTaskCache
from contsym.training.loop import SeedRun
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.retrain import find_known_task
from tests.runs import toy_config, toy_run
from tests.toy import both_tasks


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return both_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The output of runs that begin with the same known task, which is learned once."""
    return tmp_path_factory.mktemp("known")


def retrain(toy, encoder, output, strategy, **changes):
    return toy_run(
        toy,
        encoder,
        output,
        strategy,
        protocol="retrain",
        **{"pretrain": {"learning_rate": "3e-3", "steps": "60"}, **changes},
    )


@pytest.fixture(scope="module")
def retrained(toy, tiny_encoder_folder, known):
    """The result under retrain by the strategy; each is trained once, from one known task."""
    return cache(lambda strategy: retrain(toy, tiny_encoder_folder, known, strategy)[0])


def started(plan):
    """A run on all pairs, before its first evaluation."""
    start = find_known_task(plan, 0, Silent(), None)
    return SeedRun(plan, [task.train for task in plan.tasks], 0, Silent(), start)


def test_all_strategies_start_from_one_encoder_and_one_score(retrained, known):
    found = {name: retrained(name) for name in ("fine_tune", "knn_fixed", "random_labels+replay")}
    (folder,) = (known / "first_tasks").iterdir()
    for result in found.values():
        assert result.start == folder.name
        assert result.matrix[0] == result.matrix[1]
        assert result.loss[0] == []
        assert result.options.protocol == "retrain"
    assert len({result.matrix[1][0] for result in found.values()}) == 1
    assert found["fine_tune"].matrix[1][0] >= 0.9
    # What was trained is the encoder, and the head that measures it stayed as it was.
    assert found["fine_tune"].matrix[2][0] < 1.0


def test_a_new_head_is_not_drawn_like_the_known_one(toy, tiny_encoder_folder, tmp_path):
    changes = {"protocol": "retrain", "pretrain": {"learning_rate": "1e-9", "steps": "1"}}
    plan = prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "fine_tune", **changes))
    model = started(plan).strategy.model
    # Hardly trained, the known head is where it was drawn.
    assert (model.known_head.linear.weight - model.head.linear.weight).abs().max() > 0.1


def test_the_start_is_what_fine_tuning_learns_first(toy, tiny_encoder_folder, tmp_path, retrained):
    tuned, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "fine_tune", settings={"steps": "60"})
    assert retrained("knn_fixed").matrix[1][0] == tuned.matrix[1][0]


def test_a_frozen_encoder_forgets_nothing(retrained):
    result = retrained("zero_shot")
    assert result.matrix[2][0] == result.matrix[1][0]
    assert result.forgetting["mnli"] == 0.0


def test_a_cached_encoder_equals_a_new_one(toy, tiny_encoder_folder, tmp_path):
    short = {"pretrain": {"learning_rate": "3e-3", "steps": "6"}}
    first, rows, _ = retrain(toy, tiny_encoder_folder, tmp_path, "knn_fixed+ewc", **short)
    again, same, _ = retrain(
        toy, tiny_encoder_folder, tmp_path, "knn_fixed+ewc", cache=FirstTaskCache(tmp_path / "other"), **short
    )
    assert (first.matrix, first.loss, rows) == (again.matrix, again.loss, same)


def test_a_checkpoint_with_a_joint_head_is_measured_by_it(toy, tiny_nli_folder, tmp_path):
    result, _, _ = retrain(toy, tiny_nli_folder, tmp_path, "fine_tune", pretrain={})
    asked, _, _ = toy_run(toy, tiny_nli_folder, tmp_path, "zero_shot")
    assert result.matrix[1][0] == asked.matrix[0][0]
    assert result.matrix[2][1] >= 0.5
    own, _, _ = retrain(toy, tiny_nli_folder, tmp_path, "nli_head", pretrain={})
    assert own.matrix[1] == asked.matrix[0]


def test_the_joint_heads_body_is_the_one_that_is_trained(toy, tiny_nli_folder, tmp_path):
    for strategy in ("knn_fixed", "nli_head"):
        plan = prepare(toy_config(toy, tiny_nli_folder, tmp_path, strategy, protocol="retrain"))
        run = started(plan)
        before = {name: t.clone() for name, t in run.strategy.model.known_head.state_dict().items()}
        run.train_next()
        run.train_next()
        after = run.strategy.model.known_head.state_dict()
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert any("encoder.layer" in name for name in changed)
        assert not any("classifier" in name for name in changed)


def test_pretrain_writes_a_folder_that_is_taken_for_an_encoder(toy, tiny_encoder_folder, tmp_path):
    out = tmp_path / "made"
    arguments = ["pretrain", "--mnli", toy["mnli"], "--encoder", str(tiny_encoder_folder), "--to", str(out)]
    arguments += ["--set", "learning_rate=3e-3", "--set", "steps=60", "--precision", "fp32"]
    done = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    card = json.loads((out / "contsym.json").read_text())
    accuracy = card["accuracy"]["mnli"]
    assert accuracy >= 0.9
    result, _, _ = retrain(toy, out, tmp_path, "random_labels", pretrain={})
    assert result.matrix[1][0] == accuracy
    # The head is asked under the other protocol too; tests/models/encoders/test_families.py tunes one.
    asked, _, _ = toy_run(toy, out, tmp_path, "zero_shot")
    assert asked.matrix[2][0] == accuracy
    again = CliRunner().invoke(cli, arguments)
    assert isinstance(again.exception, ContsymError)
    assert str(again.exception) == f"--to {out} is there already; expected a new folder"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scenario": "wikidata_only"},
            "--protocol retrain: scenario wikidata_only is wikidata; expected an NLI task that the encoder "
            "knows before, and others after it, as mnli_then_wikidata",
        ),
        ({"pretrain": {"epoch": "2"}}, "--pretrain epoch: no setting of this strategy; did you mean epochs?"),
        ({"pretrain": {"epochs": "-2"}}, "--pretrain epochs=-2: expected greater than 0"),
        (
            {"pretrain": {"head": "cross"}},
            "--pretrain head=cross: the known head reads two sentences apart; expected head=pair, the default",
        ),
    ],
)
def test_runs_that_cannot_start_are_refused(toy, tiny_encoder_folder, tmp_path, changes, message):
    with pytest.raises(ContsymError) as caught:
        prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "knn_fixed", protocol="retrain", **changes))
    assert str(caught.value).startswith(message)


def test_a_head_is_needed_and_named(toy, tiny_encoder_folder, tiny_nli_folder, tmp_path):
    with pytest.raises(ContsymError, match="strategy nli_head: the encoder has no NLI head; expected a Hub"):
        toy_run(toy, tiny_encoder_folder, tmp_path, "nli_head")
    with pytest.raises(ContsymError, match="has an NLI head already and is not pretrained; leave it out"):
        retrain(toy, tiny_nli_folder, tmp_path, "fine_tune")
    with pytest.raises(ContsymError, match="an add-on needs a head over two sentences"):
        retrain(toy, tiny_nli_folder, tmp_path, "ewc", pretrain={})
    with pytest.raises(ContsymError, match="--pretrain steps: protocol sequential pretrains nothing"):
        toy_config(toy, tiny_encoder_folder, tmp_path, "ewc", pretrain={"steps": "2"})


def test_a_probe_stands_beside_what_was_forgotten(toy, tiny_encoder_folder, tmp_path, retrained):
    frozen = retrained("ridge")
    assert frozen.probe.before == frozen.probe.after
    assert retrained("fine_tune").probe.before == frozen.probe.before
    one_task, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "ridge", scenario="wikidata_only")
    assert one_task.probe is None


def test_the_probe_of_a_cached_first_task_is_the_same(toy, tiny_encoder_folder, tmp_path):
    alone, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "random_labels")
    first_tasks = FirstTaskCache(tmp_path / "first_tasks")
    for _ in range(2):
        shared, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "random_labels", cache=first_tasks)
        assert shared.probe == alone.probe


def test_adapters_leave_what_is_routed_to_the_known_task_alone(toy, tiny_encoder_folder, known):
    from contsym.strategies.routed_adapters import KNOWN

    changes = {"protocol": "retrain", "pretrain": {"learning_rate": "3e-3", "steps": "60"}}
    plan = prepare(toy_config(toy, tiny_encoder_folder, known, "routed_adapters", **changes))
    run = started(plan)
    run.train_next()
    assert set(run.strategy.routes(plan.tasks[1].test).tolist()) == {KNOWN}
    run.train_next()
    routes = [run.strategy.routes(task.test).numpy() for task in plan.tasks]
    assert (routes[1] == 0).mean() > 0.9
    is_known = routes[0] == KNOWN
    assert is_known.mean() > 0.5
    (before, _), (after, learned) = run.predictions[1:]
    assert (before[is_known] == after[is_known]).all()
    # The encoder is random: what matters here is that the new task is learned at all.
    assert (learned == plan.tasks[1].test["label"][:]).mean() > 0.7


def test_a_language_model_is_not_retrained(toy, tiny_causal_folder, tmp_path):
    with pytest.raises(ContsymError, match="prompt_llm asks a language model and has no encoder to retrain"):
        retrain(toy, tiny_causal_folder, tmp_path, "prompt_llm", settings={"learning_rate": "1e-3"})


def planned_sweep(sources, encoder, output, strategies, **changes):
    config = SweepConfig(
        strategies=strategies,
        scenario="mnli_then_wikidata",
        shots=(8,),
        seeds=(0,),
        settings={"steps": ("4",), "learning_rate": ("3e-3",)},
        encoder=str(encoder),
        sources=sources,
        protocol="retrain",
        device="cpu",
        precision="fp32",
        audit=False,
        output=output,
        **changes,
    )
    return plan_sweep(config)[0]


def test_a_sweep_makes_one_start_for_all_its_strategies(toy, tiny_encoder_folder, tmp_path):
    strategies = ("fine_tune", "knn_fixed", "random_labels+ewc")
    pretrain = {"learning_rate": "3e-3", "steps": "8"}
    planned = planned_sweep(toy, tiny_encoder_folder, tmp_path, strategies, pretrain=pretrain)
    assert len({cell.first_task.key for cell in planned.cells}) == 1
    assert [cell.n_steps for cell in planned.cells] == [4, 4, 4]
    # The start takes the steps of --pretrain, whatever the strategy.
    assert [cell.n_first_task_steps for cell in planned.cells] == [8, 8, 8]
    alone = prepare(planned.cells[0].job.config)
    (run,) = plan_run(alone.config, [alone]).cells
    assert (run.n_steps, run.n_first_task_steps) == (4, 8)
    assert [cell.first_task for cell in write_record(planned).cells] == [
        cell.first_task.key for cell in planned.cells
    ]
    first = planned.cells[0].first_task
    run_job(first)
    assert is_done(first)
    run_job(planned.cells[1].job)
    assert is_done(planned.cells[1].job)
    assert len(list((tmp_path / "first_tasks").iterdir())) == 1


def test_no_step_of_a_task_that_the_encoder_knows_is_planned(toy, tiny_nli_folder, tmp_path):
    planned = planned_sweep(toy, tiny_nli_folder, tmp_path, ("fine_tune", "ridge"))
    # Ridge regression takes no gradient step at all.
    assert [cell["steps"] for cell in as_plain(planned, 0.0)["cells"]] == [4, 0]
