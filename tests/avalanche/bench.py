"""Plain Avalanche strategies on random tensors, which know nothing of contsym."""

from __future__ import annotations

import random

import numpy as np
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_tensor_classification_dataset as dataset,
)
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

N_CLASSES = 4


def benchmark(labels, n_train=20):
    """One experience per list of test labels; random inputs of 6 numbers, and training labels of the same classes."""
    generator = torch.Generator().manual_seed(7)

    def part(classes):
        x = torch.randn(len(classes), 6, generator=generator)
        return dataset(x, torch.tensor(classes), task_labels=0)

    train = [part([each[i % len(each)] for i in range(n_train)]) for each in labels]
    return benchmark_from_datasets(train=train, test=[part(each) for each in labels])


class Scripted(nn.Module):
    """Answers one class whatever the input, so that accuracies are shares of labels."""

    def __init__(self):
        super().__init__()
        self.answer = 0
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        scores = torch.zeros(len(x), N_CLASSES)
        scores[:, self.answer] = 1.0
        return scores + self.weight


class Script(SupervisedPlugin):
    """Sets the answer after the n-th step of all: {n: class}."""

    def __init__(self, answers):
        super().__init__()
        self.answers, self.n = answers, 0

    def after_training_iteration(self, strategy, **kwargs):
        self.n += 1
        strategy.model.answer = self.answers.get(self.n, strategy.model.answer)


class Draws(nn.Module):
    """Draws from each generator in every forward pass, as a data set with random transforms does."""

    def forward(self, x):
        return x + 1e-3 * (torch.rand(1) + np.random.rand() + random.random())


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.5), Draws(), nn.Linear(16, N_CLASSES))


def naive(*metrics, model=None, loggers=None, plugins=(), **options):
    """Avalanche's plainest strategy, by default of five steps per experience of 20 samples."""
    model = model or network()
    options = {"train_mb_size": 4, "train_epochs": 1, "eval_mb_size": 3, **options}
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        evaluator=EvaluationPlugin(*metrics, loggers=loggers or [Recorder()]),
        plugins=list(plugins),
        **options,
    )


class Recorder:
    """A logger that keeps what it is given: {name: [(x, value)]}."""

    def __init__(self):
        self.found = {}

    def log_metrics(self, values):
        for each in values:
            self.found.setdefault(each.name, []).append((each.x_plot, each.value))


def seeded_losses(strategy):
    """Seeds every generator; the list that gets the training loss of each step."""
    losses, step = [], strategy._after_training_iteration

    def watched(**kwargs):
        losses.append(strategy.loss.item())
        step(**kwargs)

    strategy._after_training_iteration = watched
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(1)
    return losses
