"""Experience replay: each step also sees stored pairs of earlier experiences.

The experiences so far share a buffer of `replay_size` pairs equally; a step takes as many stored pairs as
present ones, in random order even in one pass, and the objective is over both.
Source: Chaudhry et al. 2019 (On tiny episodic memories); Avalanche's ReplayPlugin.
"""

from __future__ import annotations

import torch
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import ExperienceBalancedBuffer
from pydantic import Field

from contsym.strategies.addons.base import Addon, AddonSettings, pairs_bytes

CARD = {
    "source": "Chaudhry et al. 2019 (arXiv 1902.10486); Avalanche's ReplayPlugin",
    "trains": "what the strategy trains",
    "stores": "a buffer of pairs",
    "family": "continual",
}


class Replay(Addon, ReplayPlugin):
    enlarges_batches = True

    class Settings(AddonSettings):
        replay_size: int = Field(200, ge=1, description="pairs in the buffer")

    def __init__(self, settings, seed: int) -> None:
        self._init(settings.replay_size, seed)

    def _init(self, size: int, seed: int) -> None:
        self.seed, self.generator = seed, torch.Generator().manual_seed(seed)
        buffer = ExperienceBalancedBuffer(max_size=size, adaptive_size=True)
        ReplayPlugin.__init__(self, mem_size=size, storage_policy=buffer)

    @property
    def n_bytes(self) -> int:
        buffer = self.storage_policy.buffer
        return pairs_bytes(buffer[i] for i in range(len(buffer)))

    def before_training_exp(self, strategy, shuffle: bool = True, **kwargs) -> None:
        super().before_training_exp(strategy, shuffle=shuffle, **kwargs)
        if not shuffle and len(self.storage_policy.buffer):
            # Only present pairs have an order in one pass. The buffer begins with the pairs of the oldest experience, and
            # few batches would replay no others.
            present, stored = strategy.dataloader.datasets
            order = torch.randperm(len(stored), generator=self.generator)
            strategy.dataloader.datasets = [present, stored.subset(order.tolist())]

    def take(self, strategy) -> None:
        # The plugin's hook calls a method that Avalanche has deprecated.
        self.storage_policy.post_adapt(strategy, strategy.experience)
