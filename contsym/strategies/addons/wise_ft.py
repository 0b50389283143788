"""WiSE-FT: after an experience, weights between those before it and those after it.

w = (1 - alpha) w_before + alpha w_after, for what the strategy trains in the encoder (of an adapter, each of its factors).
The head is interpolated too if an earlier experience has trained it; a head that was new, as under protocol retrain at
first, stays as trained.
Source: Wortsman et al. 2022, section 3. They interpolate once, between a zero-shot model and its fine-tuned one; we at the
end of each experience but the first, and the next one begins there.
"""

from __future__ import annotations

from avalanche.core import SupervisedPlugin
from pydantic import Field
from torch import Tensor

from contsym.models.merging import interpolation
from contsym.models.pair_model import trained_weights
from contsym.strategies.addons.base import (
    Addon,
    AddonSettings,
    check_shared,
    copies,
    shared_weights,
)

CARD = {
    "source": "Wortsman et al. 2022 (WiSE-FT, arXiv 2109.01903)",
    "trains": "what the strategy trains",
    "stores": "nothing between experiences",
    "family": "continual",
}


class WiseFt(Addon, SupervisedPlugin):
    class Settings(AddonSettings):
        wise_ft_alpha: float = Field(0.5, ge=0, le=1, description="share of the weights after an experience")

    def __init__(self, settings, seed: int) -> None:
        SupervisedPlugin.__init__(self)
        self.seed, self.alpha = seed, settings.wise_ft_alpha
        self._before: dict[str, Tensor] = {}

    @property
    def n_bytes(self) -> int:
        return 0

    def take(self, strategy) -> None:
        self._before = {}

    def before_training_exp(self, strategy, **kwargs) -> None:
        self._before = copies(shared_weights(strategy))
        check_shared(self, strategy, self._before)

    def merged(self, strategy) -> dict[str, Tensor]:
        weights = trained_weights(strategy.model)
        return {
            name: interpolation(before, weights[name].detach(), self.alpha)
            for name, before in self._before.items()
        }
