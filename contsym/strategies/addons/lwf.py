"""Learning without forgetting: the model from before an experience teaches the present one.

loss + strength * KL between the softened scores of the old and the present model, on the pairs of the present
experience; no earlier pairs are stored. For label embeddings (k-NN methods), the distance 1 - cos between the
old and the present one replaces the KL.
Source: Li and Hoiem 2017, equations 2 and 3; Avalanche's LwFPlugin.
"""

from __future__ import annotations

from avalanche.training.plugins import LwFPlugin
from pydantic import Field

from contsym.models.distances import cosine_distance
from contsym.strategies.addons.base import Addon, AddonSettings

CARD = {
    "source": "Li and Hoiem 2017 (arXiv 1606.09282); Avalanche's LwFPlugin",
    "trains": "what the strategy trains",
    "stores": "a copy of the model",
    "family": "continual",
}


class Lwf(Addon, LwFPlugin):
    class Settings(AddonSettings):
        lwf_strength: float = Field(1.0, ge=0, description="weight of the distillation")
        lwf_temperature: float = Field(2.0, gt=0, description="softens the scores of both models")

    def __init__(self, settings, seed: int) -> None:
        self.seed = seed
        LwFPlugin.__init__(self, settings.lwf_strength, settings.lwf_temperature)
        self._distil_scores = self.lwf._distillation_loss

    @property
    def n_bytes(self) -> int:
        teacher = self.lwf.prev_model
        return 0 if teacher is None else sum(t.nbytes for t in teacher.state_dict().values())

    def take(self, strategy) -> None:
        has_scores = strategy.strategy.outputs_scores or strategy.model.known_rows
        self.lwf._distillation_loss = self._distil_scores if has_scores else _distil_embeddings
        super().take(strategy)
        # The plugin copies the model in training mode; the teacher must not use dropout.
        assert self.lwf.prev_model is not None
        self.lwf.prev_model.eval().requires_grad_(False)


def _distil_embeddings(output, old_output, active_units):
    return cosine_distance(output, old_output).mean()
