"""A-GEM: a step that would raise the loss on stored pairs is projected so that it does not.

With g the gradient on the present batch and r that on `agem_sample` pairs, drawn anew for each step from all stored ones:
where g·r < 0 the step is g - (g·r / r·r) r.
Source: Chaudhry et al. 2019 (A-GEM), equation 11; Avalanche's AGEMPlugin.
"""

from __future__ import annotations

import torch
from avalanche.training.plugins import AGEMPlugin
from pydantic import Field
from torch.utils.data import ConcatDataset

from contsym.strategies.addons.base import Addon, AddonSettings, pairs_bytes

CARD = {
    "source": "Chaudhry et al. 2019 (arXiv 1812.00420); Avalanche's AGEMPlugin",
    "trains": "what the strategy trains",
    "stores": "pairs of each experience",
    "family": "continual",
}


class Agem(Addon, AGEMPlugin):
    class Settings(AddonSettings):
        agem_size: int = Field(200, ge=1, description="stored pairs per experience")
        agem_sample: int = Field(16, ge=1, description="stored pairs compared with a step")

    def __init__(self, settings, seed: int) -> None:
        self.seed, self.generator = seed, torch.Generator().manual_seed(seed)
        AGEMPlugin.__init__(self, settings.agem_size, settings.agem_sample)

    @property
    def n_bytes(self) -> int:
        return pairs_bytes(buffer[i] for buffer in self.buffers for i in range(len(buffer)))

    def sample_from_memory(self):
        # The plugin takes sample_size // len(buffers) pairs of each experience, in their order: too few of many
        # experiences, and none of more than sample_size.
        stored: ConcatDataset = ConcatDataset(self.buffers)
        drawn = torch.randperm(len(stored), generator=self.generator)[: self.sample_size]
        return self.buffers[0].collate_fn([stored[i] for i in drawn.tolist()])
