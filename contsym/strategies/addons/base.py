"""The contract of an add-on: an Avalanche plugin with its own settings and random state."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from contsym.errors import SettingError
from contsym.models.pair_model import trained_weights

if TYPE_CHECKING:
    from contsym.config import RunConfig
    from contsym.strategies.base import Strategy


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
    needs_first_steps: ClassVar[bool] = False
    """Whether `take` needs more of the first experience than its end, so that a run cannot resume from the first task of
    the bare strategy."""
    enlarges_batches: ClassVar[bool] = False
    """Whether it adds pairs to the batches of a later experience."""
    seed: int = 0

    @classmethod  # noqa: B027 - most add-ons go with every run
    def check(cls, strategy: type[Strategy], config: RunConfig, n_trained: int) -> None:
        """Raise SettingError for a run that the add-on can do nothing for, before data are read. Default: nothing.

        The run has n_trained experiences that are trained on, and its protocol and encoder are resolved.
        """

    @classmethod
    def n_trained_on(cls, n_each: Sequence[int], settings: Any, *, one_pass: bool) -> int:
        """The pairs on which the last of some experiences trains, of the pairs that each has. Default: its own.

        Pairs that are added to its batches do not count.
        """
        return n_each[-1]

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """Bytes stored between experiences."""

    def start(self, model) -> None:  # noqa: B027 - most add-ons need nothing of it
        """Receive the untrained model. Default: nothing."""

    def shown(self, strategy, output: Tensor) -> Tensor:
        """What the objective is given in place of the model's output for a batch. Default: the output.

        `strategy.mb_output` remains the output, which other add-ons read.
        """
        return output

    def merged(self, strategy) -> Mapping[str, Tensor]:
        """The weights that a later experience with gradient steps would end with if it ended now, by name in
        `strategy.model`. Changes nothing. Default: none, the weights stay as they are."""
        return {}

    def merge(self, strategy) -> None:
        """Set the merged weights at the end of such an experience, before anything is predicted with them or encoded for
        a memory. Called without gradients."""
        set_weights(strategy.model, self.merged(strategy))

    def take(self, strategy) -> None:
        super().after_training_exp(strategy)  # type: ignore[misc]

    def after_training_exp(self, strategy, **kwargs) -> None:
        was_training = strategy.model.training
        with separate_random_state(hash((self.seed, strategy.clock.train_exp_counter)), strategy.device):
            self.take(strategy)
        strategy.optimizer.zero_grad()
        strategy.model.train(was_training)


@contextmanager
def separate_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """A separate random state of torch and Python; the present one is restored afterwards."""
    before = random.getstate()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
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


def shared_weights(strategy) -> dict[str, nn.Parameter]:
    """The weights that the present experience trains and an earlier one has trained, by name in `strategy.model`: not those
    of a head that is new, as under protocol retrain at first."""
    weights = trained_weights(strategy.model)
    is_head_new = not strategy.strategy.past
    return {name: p for name, p in weights.items() if name.startswith("encoder.") or not is_head_new}


def check_shared(addon: Addon, strategy, names: Iterable[str]) -> None:
    """Raise SettingError where an add-on that acts on weights of earlier experiences finds none of them trained now."""
    place = strategy.clock.train_exp_counter
    if not place or not strategy.takes_steps:
        return
    # Under protocol retrain the first own experience has a new head, which a later one shares.
    is_first_own = not strategy.strategy.past and place + 1 < (strategy.n_trained or 0)
    if not is_first_own and not shared_weights(strategy).keys() & set(names):
        name = type(addon).__module__.rpartition(".")[2]
        raise SettingError(
            f"{type(strategy.strategy).__name__} trains no weights here that an earlier experience has trained, so {name} "
            "can do nothing; leave it out"
        )


def set_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put in weights by name; what they were before."""
    present = dict(module.named_parameters())
    before = {name: present[name].clone() for name in weights}
    for name, weight in weights.items():
        present[name].copy_(weight)
    return before


def copies(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in weights.items()}


def tensors_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.nbytes for t in tensors)


def pairs_bytes(pairs: Iterable[Mapping[str, Any]]) -> int:
    """Bytes of the sentences and labels of pairs."""
    return sum(len((pair["premise"] + pair["hypothesis"]).encode()) + 8 for pair in pairs)
