"""Published conventions by hand, and beside what Avalanche and Mammoth do with the same evaluations."""

from types import SimpleNamespace

import numpy as np
import pytest

from contsym.commands.results import CONVENTION_NAMES
from contsym.results.metrics.conventions import CONVENTIONS, figures

# Rows: untrained, after tasks 1, 2, 3.
R = np.array([[0.3, 0.2, 0.1], [0.8, 0.3, 0.2], [0.6, 0.9, 0.4], [0.7, 0.5, 0.95]])
N_TEST = (10, 20, 70)


def test_every_convention_by_hand():
    mean = (0.7 + 0.5 + 0.95) / 3
    # Task 1: best before the last 0.8, own 0.8, last 0.7. Task 2: best 0.9, own 0.9, last 0.5.
    forgetting = (0.1 + 0.4) / 2
    # Task 2 before its own training: 0.3 against 0.2 at the start; task 3: 0.4 against 0.1.
    fwt = (0.1 + 0.3) / 2
    expected = {
        "chaudhry": {"average accuracy": mean, "forgetting": forgetting},
        "lopez-paz": {"ACC": mean, "BWT": -forgetting, "FWT": fwt},
        "avalanche": {
            "stream accuracy": (0.7 * 10 + 0.5 * 20 + 0.95 * 70) / 100,
            "forgetting": forgetting,
            "BWT": -forgetting,
            "FWT": fwt,
        },
        "mammoth": {"accuracy": mean, "forgetting": forgetting, "BWT": -forgetting, "FWT": fwt},
    }
    for name, by_figure in expected.items():
        assert figures(name, R, N_TEST) == pytest.approx(by_figure), name


def forgetting(rows):
    return {
        name: figures(name, np.array(rows), [1] * len(rows[0]))["forgetting"]
        for name in ("chaudhry", "avalanche", "mammoth")
    }


def test_where_later_training_helped_first_the_highest_and_the_own_accuracy_part():
    # Three tasks, only the first counts: own 0.5, then 0.8, last 0.6; the second keeps its 0.5.
    rows = [[0, 0, 0], [0.5, 0, 0], [0.8, 0.5, 0], [0.6, 0.5, 0.9]]
    assert forgetting(rows) == pytest.approx({"chaudhry": 0.1, "avalanche": -0.05, "mammoth": 0.1})


def test_where_the_last_row_is_the_highest_mammoth_alone_says_0():
    rows = [[0, 0], [0.5, 0], [0.7, 0.9]]
    assert forgetting(rows) == pytest.approx({"chaudhry": -0.2, "avalanche": -0.2, "mammoth": 0})


def test_an_accuracy_long_before_the_own_training_counts_for_chaudhry_alone():
    # Task 3 of 4 is at 0.9 after task 1, at 0.2 just before its own training, at 0.6 after it, at 0.5 last.
    rows = np.zeros((5, 4))
    rows[1:, 2] = [0.9, 0.2, 0.6, 0.5]
    assert forgetting(rows) == pytest.approx({"chaudhry": 0.4 / 3, "avalanche": 0.1 / 3, "mammoth": 0.1 / 3})


def test_one_task_has_no_forgetting_but_avalanche_says_0():
    one = np.array([[0.5], [0.9]])
    assert figures("chaudhry", one) == {"average accuracy": 0.9, "forgetting": None}
    assert figures("lopez-paz", one) == {"ACC": 0.9, "BWT": None, "FWT": None}
    assert figures("mammoth", one) == {"accuracy": 0.9, "forgetting": None, "BWT": None, "FWT": None}
    assert figures("avalanche", one, (40,)) == {"stream accuracy": 0.9, "forgetting": 0, "BWT": 0, "FWT": 0}


def test_without_the_numbers_of_pairs_avalanches_stream_accuracy_is_not_known():
    assert figures("avalanche", R)["stream accuracy"] is None


def test_the_command_offers_every_convention():
    assert tuple(CONVENTIONS) == CONVENTION_NAMES


def avalanche_figures(counts, n_test):
    """Avalanche's own plugins, driven through evaluations with so many right answers."""
    import torch
    from avalanche.evaluation.metrics.accuracy import StreamAccuracy
    from avalanche.evaluation.metrics.forgetting_bwt import StreamBWT, StreamForgetting
    from avalanche.evaluation.metrics.forward_transfer import StreamForwardTransfer

    plugins = {
        "stream accuracy": StreamAccuracy(),
        "forgetting": StreamForgetting(),
        "BWT": StreamBWT(),
        "FWT": StreamForwardTransfer(),
    }
    strategy = SimpleNamespace(is_eval=True, eval_every=0, clock=SimpleNamespace(train_iterations=0))

    def at(j):
        stream = SimpleNamespace(name="test")
        strategy.experience = SimpleNamespace(current_experience=j, origin_stream=stream, task_labels=[0])

    last = {}
    for i, row in enumerate(counts):
        for name, plugin in plugins.items():
            if i > 0:
                at(i - 1)
                plugin.before_training_exp(strategy)
            plugin.before_eval(strategy)
            for j, n_right in enumerate(row):
                at(j)
                strategy.mb_y = torch.zeros(n_test[j], dtype=torch.long)
                strategy.mb_output = torch.tensor(
                    [[1.0, 0.0]] * n_right + [[0.0, 1.0]] * (n_test[j] - n_right)
                )
                plugin.before_eval_exp(strategy)
                plugin.after_eval_iteration(strategy)
                plugin.after_eval_exp(strategy)
            last[name] = plugin.after_eval(strategy)[0].value
    return last


@pytest.mark.parametrize("n_tasks", [1, 2, 4])
def test_avalanche_itself_says_the_same(n_tasks):
    generator = np.random.default_rng(n_tasks)
    n_test = [5, 20, 8, 10][:n_tasks]
    counts = [[int(generator.integers(n + 1)) for n in n_test] for _ in range(n_tasks + 1)]
    matrix = np.array(counts) / n_test
    assert figures("avalanche", matrix, n_test) == pytest.approx(avalanche_figures(counts, n_test))


def mammoth_figures(matrix):
    """As Mammoth goes: a row grows with the tasks seen, gains the next task's accuracy, is filled with 0."""
    n_tasks = matrix.shape[1]
    seen: list[list[float]] = []
    for t in range(n_tasks):
        if t:
            seen[-1].append(matrix[t, t])
        seen.append([matrix[t + 1, k] for k in range(t + 1)])
    filled = [row + [0.0] * (n_tasks - len(row)) for row in seen]
    lost, kept, ahead = [], [], []
    for j in range(n_tasks - 1):
        lost.append(max(row[j] for row in filled) - filled[-1][j])
        kept.append(filled[-1][j] - filled[j][j])
        ahead.append(filled[j][j + 1] - matrix[0, j + 1])
    return {
        "accuracy": np.mean(seen[-1]),
        "forgetting": np.mean(lost),
        "BWT": np.mean(kept),
        "FWT": np.mean(ahead),
    }


@pytest.mark.parametrize("n_tasks", [2, 3, 5])
def test_mammoths_ragged_rows_say_the_same(n_tasks):
    matrix = np.random.default_rng(n_tasks).random((n_tasks + 1, n_tasks))
    assert figures("mammoth", matrix) == pytest.approx(mammoth_figures(matrix))
