"""Elastic weight consolidation: a quadratic penalty holds back weights that mattered before.

loss + strength * sum over weights of F_i (w_i - w_i*)^2, with F the diagonal of the Fisher
information and w* the weights at the end of an earlier experience; one penalty for each.
Source: Kirkpatrick et al. 2017, equation 3; Avalanche's EWCPlugin.
Our departure: the plugin squares means of gradients over a batch of B pairs, so its F shrinks as 1 / B; we
multiply by B, so that the strength does not depend on the batch size. F is estimated on `ewc_pairs` pairs.
"""

from __future__ import annotations

from avalanche.training.plugins import EWCPlugin
from pydantic import Field

from contsym.strategies.addons.base import Addon, AddonSettings, check_shared, part_of

CARD = {
    "source": "Kirkpatrick et al. 2017 (arXiv 1612.00796); Avalanche's EWCPlugin",
    "trains": "what the strategy trains",
    "stores": "two copies of the weights for each experience",
    "family": "continual",
}


class Ewc(Addon, EWCPlugin):
    class Settings(AddonSettings):
        ewc_strength: float = Field(1e3, ge=0, description="weight of the penalty")
        ewc_pairs: int = Field(256, ge=2, description="pairs for the estimate of the Fisher information")

    def __init__(self, settings, seed: int) -> None:
        self.seed, self.n_pairs = seed, settings.ewc_pairs
        EWCPlugin.__init__(self, ewc_lambda=settings.ewc_strength)

    @property
    def n_bytes(self) -> int:
        stored = (*self.saved_params.values(), *self.importances.values())
        return sum(p.data.nbytes for params in stored for p in params.values())

    def before_training_exp(self, strategy, **kwargs) -> None:
        check_shared(self, strategy, [name for params in self.importances.values() for name in params])

    def take(self, strategy) -> None:
        with part_of(strategy, self.n_pairs):
            super().take(strategy)

    def compute_importances(self, model, criterion, optimizer, dataset, device, batch_size, num_workers=0):
        importances = super().compute_importances(
            model, criterion, optimizer, dataset, device, batch_size, num_workers
        )
        for importance in importances.values():
            importance.data *= min(batch_size, len(dataset))
        return importances
