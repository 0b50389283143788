"""The accuracy matrix and forgetting of a plain Avalanche strategy, against numbers counted by hand."""

import numpy as np
import pytest
from avalanche.benchmarks import split_online_stream
from avalanche.evaluation.metrics import forgetting_metrics

from contsym.avalanche import AccuracyMatrix, Forgetting
from contsym.errors import ContsymError
from tests.avalanche.bench import Recorder, Script, Scripted, benchmark, naive

LABELS = ([0, 0, 1, 1, 1, 2, 2, 2, 2, 3], [0, 1, 2, 3], [0, 0, 0, 2, 3])
"""Test labels of three experiences: the share of a class is the accuracy of a model that answers it alone."""

ANSWERS = {5: 2, 10: 1, 15: 0}
"""Untrained the model answers 0, and 2, 1 and 0 after the experiences of five steps each."""

R = [[0.2, 0.25, 0.6], [0.4, 0.25, 0.2], [0.3, 0.25, 0.0], [0.2, 0.25, 0.6]]


@pytest.fixture
def scripted():
    def made(*metrics, **options):
        script = Script(options.pop("answers", ANSWERS))
        return naive(*metrics, model=Scripted(), plugins=[script], **options)

    return made


def test_matrix_forgetting_and_transfer_are_those_counted_by_hand(scripted):
    matrix, log = AccuracyMatrix(), Recorder()
    forgetting = Forgetting(matrix)
    bench = benchmark(LABELS)
    strategy = scripted(matrix, forgetting, *forgetting_metrics(stream=True), loggers=[log])
    strategy.eval(bench.test_stream)
    for experience in bench.train_stream:
        strategy.train(experience)
        strategy.eval(bench.test_stream)
    np.testing.assert_allclose(matrix.result(), R)
    assert log.found["accuracy/Exp000"] == [(i, row[0]) for i, row in enumerate(R)]
    # Means of the tasks learned so far, not of all test samples.
    assert log.found["accuracy_macro"] == [(1, 0.4), (2, pytest.approx(0.275)), (3, pytest.approx(0.35))]
    # R[1, 1] - R[0, 1], then with R[2, 2] - R[0, 2] too, from tasks numbered from 0.
    assert log.found["fwt"] == [(2, 0.0), (3, pytest.approx((0.0 - 0.6) / 2))]
    assert log.found["bwt"] == [(2, pytest.approx(-0.1)), (3, pytest.approx((-0.2 + 0.0) / 2))]
    assert forgetting.result() == {0: pytest.approx(0.2), 1: 0.0}
    assert log.found["forgetting/Exp000"] == [(2, pytest.approx(0.1)), (3, pytest.approx(0.2))]
    assert log.found["forgetting_mean"][-1] == (3, pytest.approx(0.1))


def test_forgetting_is_from_the_best_accuracy_and_avalanches_from_the_own_one(scripted):
    # Task 0 is best after experience 1: the answers after the experiences are 0, 2 and 3.
    matrix, log = AccuracyMatrix(), Recorder()
    forgetting = Forgetting(matrix)
    bench = benchmark(LABELS)
    own, mean = forgetting_metrics(experience=True, stream=True)
    strategy = scripted(matrix, forgetting, own, mean, loggers=[log], answers={5: 0, 10: 2, 15: 3})
    for experience in bench.train_stream:
        strategy.train(experience)
        strategy.eval(bench.test_stream)
    assert forgetting.result()[0] == pytest.approx(0.4 - 0.1)
    assert own.result()[0] == pytest.approx(0.2 - 0.1)
    minus_bwt = -log.found["bwt"][-1][1]
    assert log.found["StreamForgetting/eval_phase/test_stream"][-1][1] == pytest.approx(minus_bwt)


def test_only_the_tasks_seen_so_far_are_evaluated(scripted):
    matrix = AccuracyMatrix()
    forgetting = Forgetting(matrix)
    bench = benchmark(LABELS)
    strategy = scripted(matrix, forgetting)
    for i, experience in enumerate(bench.train_stream):
        strategy.train(experience)
        strategy.eval(bench.test_stream[: i + 1])
    n = np.nan
    np.testing.assert_allclose(matrix.result(), [[n, n, n], [0.4, n, n], [0.3, 0.25, n], R[3]])
    assert forgetting.result() == {0: pytest.approx(0.2), 1: 0.0}


def test_other_streams_and_the_middle_of_an_experience_are_no_rows(scripted):
    bench = benchmark(LABELS)
    matrix = AccuracyMatrix()
    strategy = scripted(matrix, eval_every=1, peval_mode="iteration")
    for experience in bench.train_stream:
        strategy.train(experience, eval_streams=[bench.test_stream])
        strategy.eval(bench.train_stream)
    # Avalanche evaluates before and after each experience, and after each step of it.
    np.testing.assert_allclose(matrix.result(), R)


def test_the_parts_of_an_online_experience_are_one_experience(scripted):
    bench = benchmark(LABELS)
    matrix = AccuracyMatrix()
    strategy = scripted(matrix)
    for experience in bench.train_stream:
        strategy.train(split_online_stream([experience], experience_size=4), eval_streams=[])
        strategy.eval(bench.test_stream)
    np.testing.assert_allclose(matrix.result()[1:], R[1:])


def test_what_cannot_be_a_matrix_is_one_line(scripted):
    bench = benchmark(LABELS)
    matrix = AccuracyMatrix()
    strategy = scripted(matrix, criterion=lambda scores, labels: scores.sum())
    with pytest.raises(
        ContsymError, match=r"experience 1 comes first; expected the order of the stream from experience 0 on"
    ):
        strategy.train(bench.train_stream[1:])
    strategy.train(bench.train_stream[0])
    with pytest.raises(ContsymError, match=r"experience 2 comes after experience 0; expected"):
        strategy.train(bench.train_stream[2])
    strategy.train(bench.train_stream[1])
    with pytest.raises(
        ContsymError, match=r"experience 0 comes after experience 1; expected the order of the stream"
    ):
        strategy.train(bench.train_stream[0])
    strategy.model.forward = lambda x: x[:, :1]
    with pytest.raises(ContsymError, match=r"shape \(3, 1\); expected \(batch, classes\)"):
        strategy.eval(bench.test_stream)
    with pytest.raises(ContsymError, match=r"Forgetting: its AccuracyMatrix does not stand before it"):
        scripted(Forgetting(matrix), matrix).eval(bench.test_stream)
