"""A-GEM: a step that would raise the loss on stored pairs is projected so that it does not.

With g the gradient on the present batch and r that on stored pairs: where g·r < 0 the step is
g - (g·r / r·r) r.
Source: Chaudhry et al. 2019 (A-GEM), equation 11; Avalanche's AGEMPlugin.
"""

from __future__ import annotations

from avalanche.training.plugins import AGEMPlugin
from pydantic import Field

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
        self.seed = seed
        AGEMPlugin.__init__(self, settings.agem_size, settings.agem_sample)

    @property
    def n_bytes(self) -> int:
        return pairs_bytes(buffer[i] for buffer in self.buffers for i in range(len(buffer)))
