"""contsym's own runs are measured by the same classes, and a resumed one has the whole matrix."""

import numpy as np
import pytest

from contsym.avalanche import AccuracyMatrix, Forgetting, SampleEfficiency, Trajectory
from contsym.results.metrics import matrix as measures
from contsym.training.first_task import FirstTaskCache, first_task_plan
from contsym.training.loop import SeedRun
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.retrain import find_known_task
from tests.runs import toy_config


@pytest.fixture
def plan(toy, tiny_encoder_folder, tmp_path):
    def made(strategy, **changes):
        settings = {"steps": "4", "batch_size": "8"}
        config = toy_config(
            toy, tiny_encoder_folder, tmp_path, strategy, settings=settings, curve=True, **changes
        )
        return prepare(config)

    return made


def started(plan):
    start = find_known_task(plan, 0, Silent(), None)
    return SeedRun(plan, [plan.training_part(task, 0) for task in plan.tasks], 0, Silent(), start)


def finished(run):
    while run.n_done < len(run.plan.tasks):
        run.train_next()
    return run


def counted(run):
    """R by the slow way: from the stored predictions and the labels of the test pairs."""
    labels = [task.test["label"][:] for task in run.plan.tasks]
    return [
        [sum(int(p) == y for p, y in zip(row[j], labels[j], strict=True)) / len(labels[j]) for j in range(2)]
        for row in run.predictions
    ]


@pytest.mark.parametrize("protocol", ["sequential", "retrain"])
def test_the_metrics_of_a_run_are_the_public_ones(plan, protocol):
    short = {"pretrain": {"steps": "6"}} if protocol == "retrain" else {}
    run = finished(started(plan("fine_tune", protocol=protocol, **short)))
    kinds = [AccuracyMatrix, Forgetting, Trajectory, SampleEfficiency]
    assert all(isinstance(m, kind) for m, kind in zip(run.template.evaluator.metrics, kinds, strict=True))
    np.testing.assert_array_equal(run.matrix.result(), counted(run))
    last = run.template.evaluator.get_last_metrics()
    assert last["accuracy/Exp000"] == run.matrix.result()[-1, 0]
    assert last["forgetting/Exp000"] == run.forgetting.result()[0]
    assert run.forgetting.result() == {0: measures.forgetting(run.matrix.result())[0]}
    # Experience 0 takes no step where the encoder knows it.
    assert {p.experience for p in run.trajectory.points} == {"sequential": {0, 1}, "retrain": {1}}[protocol]


def test_a_resumed_run_has_the_whole_matrix(plan, tmp_path):
    whole = plan("knn_fixed")
    cache = FirstTaskCache(tmp_path / "states")
    cache.make(first_task_plan(whole), 0, Silent())
    run = started(whole)
    cache.fast_forward(run, 0)
    assert run.n_done == 1
    np.testing.assert_array_equal(run.matrix.result(), counted(run))
    np.testing.assert_array_equal(finished(run).matrix.result(), counted(run))
    assert run.matrix.result().shape == (3, 2)
