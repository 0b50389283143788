"""Synaptic intelligence: a quadratic penalty holds back weights that have lowered the loss on their way.

loss + strength * sum over weights of O_i (w_i - w_i*)^2, with w* the weights before the present experience and O the sum
over earlier ones of path_i / (moved_i^2 + damping): path is the sum over steps of -gradient * step, moved the way from
the experience's beginning to its end.
Source: Zenke, Poole and Ganguli 2017, equations 3 to 5. Avalanche's plugin does nothing on a CPU, where its copies of the
weights before and after a step are one tensor.
Our departures: a negative O counts as 0; the gradient is without the penalty's own part. Steps of the first experience
are needed, so a run does not resume from a first task of the bare strategy. Under protocol retrain the known task
takes no step, so nothing is held for it: a run of two tasks is refused, in a longer one later tasks are held.
"""

from __future__ import annotations

from avalanche.core import SupervisedPlugin
from pydantic import Field
from torch import Tensor

from contsym.errors import SettingError
from contsym.models.pair_model import trained_weights
from contsym.models.path_integral import importance, lowered, penalty
from contsym.strategies.addons.base import (
    Addon,
    AddonSettings,
    check_shared,
    copies,
    tensors_bytes,
)

CARD = {
    "source": "Zenke, Poole and Ganguli 2017 (arXiv 1703.04200)",
    "trains": "what the strategy trains",
    "stores": "a copy of the weights",
    "family": "continual",
}


class Si(Addon, SupervisedPlugin):
    class Settings(AddonSettings):
        si_strength: float = Field(1.0, ge=0, description="weight of the penalty")
        si_damping: float = Field(1e-6, gt=0, description="added to the squared way of a weight")

    needs_first_steps = True

    def __init__(self, settings, seed: int) -> None:
        SupervisedPlugin.__init__(self)
        self.seed, self.strength, self.damping = seed, settings.si_strength, settings.si_damping
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}
        self._path: dict[str, Tensor] = {}

    @classmethod
    def check(cls, strategy, config, n_trained: int) -> None:
        if config.protocol == "retrain" and n_trained <= 2:
            raise SettingError(
                f"--strategy {config.strategy}: si follows the steps of an experience, and under --protocol retrain the "
                "first task takes none, so si would do nothing; expected --protocol sequential, or ewc or mas in its place"
            )

    @property
    def n_bytes(self) -> int:
        return tensors_bytes(self.importance.values())

    def before_training_exp(self, strategy, **kwargs) -> None:
        check_shared(self, strategy, self.importance)
        self.anchor, self._path = copies(trained_weights(strategy.model)), {}

    def before_backward(self, strategy, **kwargs) -> None:
        weights = trained_weights(strategy.model)
        held = [
            (o, weights[name], self.anchor[name]) for name, o in self.importance.items() if name in weights
        ]
        if held:
            strategy.loss = strategy.loss + self.strength * penalty(held)

    def after_backward(self, strategy, **kwargs) -> None:
        # Before the gradient is clipped.
        self._weights = copies(trained_weights(strategy.model))
        self._gradients = {
            name: self._without_penalty(name, p.grad)
            for name, p in trained_weights(strategy.model).items()
            if p.grad is not None
        }

    def _without_penalty(self, name: str, gradient: Tensor) -> Tensor:
        if name not in self.importance:
            return gradient.clone()
        moved = self._weights[name] - self.anchor[name]
        return gradient - 2 * self.strength * self.importance[name] * moved

    def after_update(self, strategy, **kwargs) -> None:
        weights = trained_weights(strategy.model)
        for name, gradient in self._gradients.items():
            step = lowered(gradient, self._weights[name], weights[name].detach())
            self._path[name] = self._path[name] + step if name in self._path else step
        self._weights, self._gradients = {}, {}

    def take(self, strategy) -> None:
        weights = trained_weights(strategy.model)
        for name, path in self._path.items():
            moved = weights[name].detach() - self.anchor[name]
            own = importance(path, moved, self.damping)
            self.importance[name] = self.importance[name] + own if name in self.importance else own
        self.anchor, self._path = {}, {}
