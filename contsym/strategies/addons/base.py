"""The contract of an add-on: an Avalanche plugin with its own settings and random state."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict


class AddonSettings(BaseModel):
    """Hyper-parameters of an add-on; their names begin with the add-on's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Addon(ABC):
    """The first base class of an add-on, before Avalanche's plugin if there is one.

    Subclass it in a file of its own, with a CARD, and define `Settings` (AddonSettings, whose fields begin
    with the add-on's name), `__init__(settings, seed)` and `n_bytes`. `take(strategy)` runs at the end of
    each experience, instead of the plugin's `after_training_exp`.

    `take` draws from a random state of its own, so that it changes neither later training nor a run that
    resumes after the first task.
    """

    Settings = AddonSettings
    seed: int = 0

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """Bytes stored between experiences."""

    def start(self, model) -> None:  # noqa: B027 - most add-ons need nothing of it
        """Receive the untrained model. Default: nothing."""

    def take(self, strategy) -> None:
        super().after_training_exp(strategy)  # type: ignore[misc]

    def after_training_exp(self, strategy, **kwargs) -> None:
        was_training = strategy.model.training
        with separate_random_state(hash((self.seed, strategy.clock.train_exp_counter))):
            self.take(strategy)
        strategy.optimizer.zero_grad()
        strategy.model.train(was_training)


@contextmanager
def separate_random_state(seed: int) -> Iterator[None]:
    """A separate random state of torch and Python; the present one is restored afterwards."""
    before = random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before)


@contextmanager
def part_of(strategy, n_pairs: int) -> Iterator[None]:
    """Reduce the strategy's experience to a random part of at most n_pairs."""
    whole = strategy.experience
    dataset = whole.dataset
    if len(dataset) > n_pairs:
        dataset = dataset.subset(sorted(torch.randperm(len(dataset))[:n_pairs].tolist()))
    strategy.experience = SimpleNamespace(dataset=dataset)
    try:
        yield
    finally:
        strategy.experience = whole


def pairs_bytes(pairs: Iterable[Mapping[str, Any]]) -> int:
    """Bytes of the sentences and labels of pairs."""
    return sum(len((pair["premise"] + pair["hypothesis"]).encode()) + 8 for pair in pairs)
