"""The learning rate over the steps of an experience."""

import math

import pytest
import torch

from contsym.models.settings import TrainingSettings
from contsym.training.first_task import FirstTaskCache
from contsym.training.loop import SeedRun
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.template import Template
from tests.runs import toy_config, toy_run, without_time


def rates(n_steps, **settings):
    chosen = TrainingSettings.model_validate(settings)
    return [chosen.rate(step, n_steps) for step in range(n_steps)]


@pytest.mark.parametrize(
    ("settings", "n_pairs", "one_pass", "expected"),
    [
        ({}, 64, False, 100),
        ({}, 1601, False, 101),  # one pass in batches of 16
        ({"epochs": 2}, 1601, False, 201),
        ({"steps": 7}, 1601, False, 7),
        ({}, 64, True, 4),
        ({"steps": 7}, 1601, True, 101),
    ],
)
def test_the_steps_are_a_hundred_or_one_pass_whichever_is_more(settings, n_pairs, one_pass, expected):
    assert TrainingSettings.model_validate(settings).n_steps(n_pairs, one_pass) == expected


def test_the_rate_rises_and_falls():
    # 10 steps, of which 4 warm up: 1/4, 2/4, 3/4, 4/4, then 6/6 down to 1/6.
    expected = [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert rates(10, warmup=0.4, schedule="linear") == pytest.approx(expected)
    # Half of 1 + the cosine of 0, 45, 90 and 135 degrees.
    root = math.sqrt(0.5)
    expected = [0.5, 1, 1, (1 + root) / 2, 0.5, (1 - root) / 2]
    assert rates(6, warmup=0.3, schedule="cosine") == pytest.approx(expected)
    assert rates(4, warmup=0.5) == [0.5, 1, 1, 1]
    assert rates(3) == [1, 1, 1]
    # A share that makes no whole step is one step, and one that leaves none is all of them.
    assert rates(10, warmup=0.01, schedule="linear")[:2] == [1, 1]
    assert rates(2, warmup=0.9, schedule="cosine") == [0.5, 1]


@pytest.fixture
def rates_of(monkeypatch, toy, tiny_encoder_folder, tmp_path):
    """The rates that the optimizer of a run had at its steps, by experience."""

    def taken(**changes):
        found = []
        begin, step = Template._before_training_exp, torch.optim.AdamW.step
        with monkeypatch.context() as patch:
            patch.setattr(
                Template, "_before_training_exp", lambda self, **kw: (found.append([]), begin(self, **kw))[1]
            )
            patch.setattr(
                torch.optim.AdamW,
                "step",
                lambda self, *args, **kw: (
                    found[-1].append(self.param_groups[0]["lr"]),
                    step(self, *args, **kw),
                )[1],
            )
            strategy = changes.pop("strategy", "fine_tune")
            toy_run(toy, tiny_encoder_folder, tmp_path, strategy, shots=16, **changes)
        return found

    return taken


def test_each_experience_has_its_own_schedule_over_its_own_steps(rates_of):
    settings = {"steps": "4", "learning_rate": "1e-3", "warmup": "0.5", "schedule": "linear"}
    four = [0.5e-3, 1e-3, 1e-3, 0.5e-3]
    assert rates_of(settings=settings) == [pytest.approx(four)] * 2
    # An add-on that replays changes the pairs of a step, not the steps.
    assert rates_of(settings=settings, strategy="fine_tune+replay") == [pytest.approx(four)] * 2
    assert rates_of(settings={"steps": "3", "learning_rate": "1e-3"}) == [[1e-3] * 3] * 2


def test_in_one_pass_the_schedule_is_over_the_batches(toy, tiny_encoder_folder, tmp_path):
    config = toy_config(toy, tiny_encoder_folder, tmp_path, "fine_tune", shots=16)
    settings = {"learning_rate": "1e-3", "batch_size": "4", "schedule": "linear"}
    config = type(config)(**{**vars(config), "settings": settings, "one_pass": True, "until": 1.0})
    plan = prepare(config)
    run = SeedRun(plan, [plan.training_part(task, 0) for task in plan.trained], 0, Silent())
    run.train_next()
    n = math.ceil(len(run.parts[0]) / 4)
    # Also where training ended before them, since the pairs that --until needs are not known.
    assert run.template.n_steps_planned == n
    (group,) = run.template.optimizer.param_groups
    assert group["lr"] == pytest.approx(1e-3 * (n - run.template.n_batches + 1) / n)


def test_with_a_schedule_a_shared_first_task_is_the_same_to_the_bit(toy, tiny_encoder_folder, tmp_path):
    cache = FirstTaskCache(tmp_path / "first_tasks")
    settings = {"schedule": "cosine", "warmup": "0.3"}
    alone, _, shared = (
        toy_run(toy, tiny_encoder_folder, tmp_path, "fine_tune", shots=16, cache=each, settings=settings)
        for each in (None, cache, cache)
    )
    assert without_time(shared.result) == without_time(alone.result)
    assert all(torch.equal(t, alone.tensors[name]) for name, t in shared.tensors.items())
