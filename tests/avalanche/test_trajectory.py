"""The trajectory of a plain Avalanche strategy: its numbers, and that training is the same with and without it."""

import random

import numpy as np
import pytest
import torch
from avalanche.benchmarks import split_online_stream, tensors_benchmark
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training.plugins import ReplayPlugin

from contsym.avalanche import AccuracyMatrix, Forgetting, SampleEfficiency, Trajectory
from contsym.errors import ContsymError
from tests.avalanche.bench import Recorder, Script, Scripted, benchmark, naive, seeded_losses

LABELS = ([0, 0, 1, 1, 1, 2, 2, 2, 2, 3], [0, 1, 2, 3], [0, 0, 0, 2, 3])
"""Test labels of three experiences: the share of a class is the accuracy of a model that answers it alone."""

ANSWERS = {2: 1, 4: 2, 6: 0, 9: 2}
"""The answer after each step of all; 0 before. Five steps of four samples are an experience."""


def points(trajectory):
    return [(p.experience, p.n_steps, p.n_pairs_seen, p.accuracies) for p in trajectory.result()]


def test_points_at_doubling_steps_are_those_counted_by_hand():
    bench, log = benchmark(LABELS), Recorder()
    trajectory = Trajectory(bench.test_stream)
    strategy = naive(trajectory, model=Scripted(), plugins=[Script(ANSWERS)], loggers=[log])
    strategy.train(bench.train_stream[:2])
    assert points(trajectory) == [
        (0, 0, 0, [0.2, None, None]),
        (0, 1, 4, [0.2, None, None]),
        (0, 2, 8, [0.3, None, None]),
        (0, 4, 16, [0.4, None, None]),
        (0, 5, 20, [0.4, None, None]),
        (1, 0, 0, [0.4, 0.25, None]),
        (1, 1, 4, [0.2, 0.25, None]),
        (1, 2, 8, [0.2, 0.25, None]),
        (1, 4, 16, [0.4, 0.25, None]),
        (1, 5, 20, [0.4, 0.25, None]),
    ]
    assert log.found["trajectory/Exp001/accuracy/Exp000"] == [
        (0, 0.4),
        (4, 0.2),
        (8, 0.2),
        (16, 0.4),
        (20, 0.4),
    ]


def test_samples_needed_are_exact_to_the_batch_and_repeated_ones_count_as_seen():
    bench, log = benchmark([[0, 1, 2, 2], [1, 1, 2, 2]], n_train=8), Recorder()
    trajectory = Trajectory(bench.test_stream, at_every_batch=True)
    needed = SampleEfficiency(trajectory, target=0.5)
    # Two epochs of two steps each; the third step brings 0.5 on task 0.
    script = Script({3: 2, 4: 0})
    strategy = naive(trajectory, needed, model=Scripted(), plugins=[script], loggers=[log], train_epochs=2)
    strategy.train(bench.train_stream[0])
    assert needed.result() == [(8, 12), (None, None)]
    strategy.train(bench.train_stream[1])
    assert needed.result() == [(8, 12), (None, None)]
    assert {name: values for name, values in log.found.items() if name.startswith("sample")} == {
        "sample_efficiency/Exp000/n_distinct_pairs": [(0, 8)],
        "sample_efficiency/Exp000/n_pairs_seen": [(0, 12)],
    }


def test_replayed_samples_are_seen_and_no_distinct_ones_of_the_experience():
    bench = benchmark([[0, 1], [1, 2]], n_train=8)
    trajectory = Trajectory(bench.test_stream)
    strategy = naive(trajectory, model=Scripted(), plugins=[ReplayPlugin(mem_size=8)])
    strategy.train(bench.train_stream)
    # Two batches of four samples, each with four from the memory.
    counts = {(p.n_pairs_seen, p.n_distinct_pairs) for p in trajectory.points if p.experience == 1}
    assert counts == {(0, 0), (8, 4), (16, 8)}


def test_the_parts_of_an_online_experience_are_one_experience():
    bench = benchmark(LABELS)
    trajectory = Trajectory(bench.test_stream)
    strategy = naive(trajectory, model=Scripted(), plugins=[Script(ANSWERS)])
    strategy.train(split_online_stream(bench.train_stream[:1], experience_size=4), eval_streams=[])
    assert [(p.n_steps, p.n_distinct_pairs) for p in trajectory.points] == [
        (0, 0),
        (1, 4),
        (2, 8),
        (4, 16),
        (5, 20),
    ]


def trained(*metrics_of, **options):
    """The weights, the random states and the losses after three experiences with these metrics."""
    bench = benchmark([[0, 1] * 40, [2, 3] * 40, [1, 2] * 40], n_train=30)
    strategy = naive(*(make(bench) for make in metrics_of), **options)
    losses = seeded_losses(strategy)
    for experience in bench.train_stream:
        strategy.train(experience)
        strategy.eval(bench.test_stream)
    state = torch.cat([p.detach().flatten() for p in strategy.model.parameters()])
    return state, losses, torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()


@pytest.mark.parametrize("plugins", [(), (ReplayPlugin(mem_size=10),)], ids=["plain", "replay"])
def test_training_is_equal_to_the_bit_with_and_without_the_metrics(plugins):
    matrix = AccuracyMatrix()
    trajectories = []

    def trajectory(bench):
        trajectories.append(Trajectory(bench.test_stream, at_every_batch=True, n_samples=20))
        return trajectories[-1]

    every = (
        lambda _: matrix,
        lambda _: Forgetting(matrix),
        trajectory,
        lambda _: SampleEfficiency(trajectories[-1], target=0.6),
    )
    state, losses, torch_state, python_state, numpy_state = trained(plugins=plugins)
    plugins = tuple(ReplayPlugin(mem_size=10) for _ in plugins)
    again = trained(*every, plugins=plugins)
    assert len(trajectories[0].points) > 3 * 7
    assert torch.equal(state, again[0])
    assert losses == again[1]
    assert torch.equal(torch_state, again[2])
    assert (python_state, numpy_state) == again[3:]


def split_classes(is_multi_head):
    """Four classes in two experiences, and a model that grows with them: a head for each, or one for all."""
    generator = torch.Generator().manual_seed(3)

    def stream():
        return [
            (torch.randn(24, 6, generator=generator), torch.tensor([2 * task, 2 * task + 1] * 12))
            for task in range(2)
        ]

    tasks = [0, 1] if is_multi_head else [0, 0]
    bench = tensors_benchmark(train_tensors=stream(), test_tensors=stream(), task_labels=tasks)
    torch.manual_seed(0)
    return bench, MTSimpleMLP(6, hidden_size=8) if is_multi_head else IncrementalClassifier(6)


@pytest.mark.parametrize("is_multi_head", [True, False], ids=["a head per task", "a growing head"])
def test_the_last_points_and_the_matrix_are_avalanches_own_accuracies(is_multi_head):
    bench, model = split_classes(is_multi_head)
    matrix, trajectory = AccuracyMatrix(), Trajectory(bench.test_stream)
    strategy = naive(matrix, trajectory, *accuracy_metrics(experience=True), model=model)
    for task, experience in enumerate(bench.train_stream):
        strategy.train(experience)
        found = strategy.eval(bench.test_stream)
        of_avalanche = [value for name, value in sorted(found.items()) if name.startswith("Top1_Acc_Exp")]
        assert matrix.result()[task + 1].tolist() == of_avalanche
        assert trajectory.points[-1].accuracies[: task + 1] == of_avalanche[: task + 1]
        assert 0 < of_avalanche[task] < 1


def test_what_cannot_be_measured_is_one_line():
    bench = benchmark(LABELS)
    with pytest.raises(ContsymError, match=r"got the experiences \[1, 2\]; expected those from 0 on"):
        Trajectory(bench.test_stream[1:])
    with pytest.raises(ContsymError, match=r"0 of the 10 samples of experience 0 .* expected at least 1"):
        Trajectory(bench.test_stream, n_samples=0)
    with pytest.raises(ContsymError, match=r"target 95 is no accuracy; expected 0 to 1"):
        SampleEfficiency(Trajectory([]), target=95)
    strategy = naive(Trajectory(bench.test_stream[:1]), model=Scripted())
    with pytest.raises(ContsymError, match=r"experience 1 is trained on, and there are 1 experiences"):
        strategy.train(bench.train_stream)
    trajectory = Trajectory(bench.test_stream)
    strategy = naive(SampleEfficiency(trajectory), trajectory, model=Scripted())
    with pytest.raises(ContsymError, match=r"SampleEfficiency: its Trajectory does not stand before it"):
        strategy.train(bench.train_stream)
