"""Learning without forgetting: the model from before an experience teaches the present one.

loss + strength * KL between the softened scores of the old and the present model, on the pairs of the present
experience; no earlier pairs are stored. For label embeddings (k-NN methods), the distance 1 - cos between the
old and the present one replaces the KL; for the single number of knn_cosine the squared difference. Under protocol
retrain the scores of the known head are distilled and, once the method has learned an experience of its own, also the
output of its own head; the two are added, as the paper adds old tasks.
Source: Li and Hoiem 2017, equations 2 and 3; Avalanche's LwFPlugin.
"""

from __future__ import annotations

from avalanche.training.plugins import LwFPlugin
from pydantic import Field

from contsym.models.distances import cosine_distance
from contsym.models.pair_model import PairModel
from contsym.scenarios.benchmark import pairs_of
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
        self._distil_scores = self._distil_own = self.lwf._distillation_loss
        self.known_labels: set[int] = set()
        self.own_labels: set[int] = set()

    @property
    def n_bytes(self) -> int:
        teacher = self.lwf.prev_model
        return 0 if teacher is None else sum(t.nbytes for t in teacher.state_dict().values())

    def take(self, strategy) -> None:
        has_known = strategy.model.known_rows > 0
        # The known task comes first, when there is no teacher yet.
        labels = self.known_labels if has_known and self.lwf.prev_model is None else self.own_labels
        labels.update(pairs_of(strategy.experience.dataset)["label"][:])
        self._distil_own = self._distil_scores if strategy.strategy.outputs_scores else _distil_embeddings
        self.lwf._distillation_loss = self._distil_apart if has_known else self._distil_own
        super().take(strategy)
        # The plugin copies the model in training mode; the teacher must not use dropout.
        assert self.lwf.prev_model is not None
        self.lwf.prev_model.eval().requires_grad_(False)

    def before_backward(self, strategy, **kwargs) -> None:
        teacher = self.lwf.prev_model
        n_before = teacher.encoder.n_forwards if teacher else 0
        super().before_backward(strategy, **kwargs)
        # The texts that the teacher encodes are a cost of the step.
        strategy.model.encoder.n_forwards += teacher.encoder.n_forwards - n_before if teacher else 0

    def _distil_apart(self, output, old_output, active_units):
        """The distillation beside a known head; `active_units` mixes the labels of both heads."""
        known, own, is_known = PairModel.apart(output)
        old_known, old_own, _ = PairModel.apart(old_output)
        loss = self._distil_scores(known, old_known, self.known_labels)
        # Another add-on may replay pairs of the known task, which have no output of the method's own head.
        is_own = ~is_known
        if self.own_labels and is_own.any():
            share = is_own.float().mean()
            loss = loss + share * self._distil_own(own[is_own], old_own[is_own], self.own_labels)
        return loss


def _distil_embeddings(output, old_output, active_units):
    if output.shape[1] == 1:
        # A single number, as the cosine of a pair, has no angle.
        return (output - old_output).square().mean()
    return cosine_distance(output, old_output).mean()
