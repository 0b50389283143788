"""Elastic weight consolidation: weights that mattered before are held back by a quadratic penalty.

loss + strength * sum over weights of F_i (w_i - w_i*)^2, with F the diagonal of the Fisher
information and w* the weights at the end of an earlier experience; one penalty for each.
Source: Kirkpatrick et al. 2017, equation 3; Avalanche's EWCPlugin.

Where we depart: the plugin squares gradients that are means over a batch of B pairs, so its F shrinks
as 1 / B and a strength would depend on the batch size; ours is multiplied by B. F is estimated on
`ewc_pairs` pairs and not on all.
"""

from __future__ import annotations

from avalanche.training.plugins import EWCPlugin
from pydantic import Field

from contsym.strategies.addons.base import Addon, AddonSettings, part_of

CARD = {
    "source": "Kirkpatrick et al. 2017 (arXiv 1612.00796); Avalanche's EWCPlugin",
    "trains": "what the strategy trains",
    "stores": "two copies of the weights for each experience",
    "family": "continual",
}


class Ewc(Addon, EWCPlugin):
    class Settings(AddonSettings):
        ewc_strength: float = Field(1e5, ge=0, description="weight of the penalty")
        ewc_pairs: int = Field(256, ge=2, description="pairs that the Fisher information is estimated on")

    def __init__(self, settings, seed: int) -> None:
        self.seed, self.n_pairs = seed, settings.ewc_pairs
        EWCPlugin.__init__(self, ewc_lambda=settings.ewc_strength)

    @property
    def n_bytes(self) -> int:
        kept = (*self.saved_params.values(), *self.importances.values())
        return sum(p.data.nbytes for params in kept for p in params.values())

    def take(self, strategy) -> None:
        with part_of(strategy, self.n_pairs):
            super().take(strategy)

    def compute_importances(self, model, criterion, optimizer, dataset, device, batch_size, num_workers=0):
        found = super().compute_importances(
            model, criterion, optimizer, dataset, device, batch_size, num_workers
        )
        for importance in found.values():
            importance.data *= min(batch_size, len(dataset))
        return found
