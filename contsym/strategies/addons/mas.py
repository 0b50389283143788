"""Memory aware synapses: a quadratic penalty holds back weights that the output depends on.

loss + strength * sum over weights of O_i (w_i - w_i*)^2, with O the mean size of the gradient of
|output|^2, without labels. Over several experiences O is a running mean; it is estimated on `mas_pairs` pairs.
Source: Aljundi et al. 2018, equations 2 to 4; Avalanche's MASPlugin.
"""

from __future__ import annotations

import torch
from avalanche.training.plugins import MASPlugin
from pydantic import Field

from contsym.errors import SettingError
from contsym.strategies.addons.base import Addon, AddonSettings, check_shared, part_of

CARD = {
    "source": "Aljundi et al. 2018 (arXiv 1711.09601); Avalanche's MASPlugin",
    "trains": "what the strategy trains",
    "stores": "two copies of the weights",
    "family": "continual",
}


class Mas(Addon, MASPlugin):
    class Settings(AddonSettings):
        mas_strength: float = Field(1.0, ge=0, description="weight of the penalty")
        mas_pairs: int = Field(256, ge=2, description="pairs for the estimate of the sensitivity")

    def __init__(self, settings, seed: int) -> None:
        self.seed, self.n_pairs = seed, settings.mas_pairs
        MASPlugin.__init__(self, lambda_reg=settings.mas_strength)

    @property
    def n_bytes(self) -> int:
        stored = (self.params or {}, self.importance or {})
        return sum(p.data.nbytes for params in stored for p in params.values())

    @classmethod
    def check(cls, strategy, config, n_trained: int) -> None:
        if config.settings.get("metric") == "euclidean":
            raise SettingError(
                f"--strategy {config.strategy}: mas measures what the length of the output depends on, and metric=euclidean "
                "scales it to 1; expected ewc, or metric=cosine"
            )

    def before_training_exp(self, strategy, **kwargs) -> None:
        check_shared(self, strategy, self.importance or {})

    def take(self, strategy) -> None:
        with part_of(strategy, self.n_pairs):
            super().take(strategy)

    def before_backward(self, strategy, **kwargs) -> None:
        # The plugin takes a loss of exactly 0, which a margin loss reaches, for a missing loss.
        strategy.loss = strategy.loss + torch.finfo(strategy.loss.dtype).tiny
        super().before_backward(strategy, **kwargs)
