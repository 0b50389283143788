"""Joint training, an upper bound: at each experience a new model learns the pairs of all so far.

Like `cumulative`, but from the first weights, so that the order of tasks has no effect: the result that the
method could reach with all pairs at once.
Source: the multi-task upper bound of the field, as in van de Ven and Tolias 2019.
"""

from __future__ import annotations

from torch import Tensor

from contsym.errors import ContsymError, SettingError
from contsym.models.memory import COMPENSATE
from contsym.strategies.addons.cumulative import Cumulative

CARD = {
    "source": "van de Ven and Tolias 2019 (arXiv 1904.07734), joint",
    "trains": "what the strategy trains, from the start on all pairs so far",
    "stores": "every training pair and the first weights",
    "family": "continual",
}


class Joint(Cumulative):
    @classmethod
    def check(cls, strategy, config, n_trained: int) -> None:
        if config.settings.get("memory") == COMPENSATE:
            raise SettingError(
                f"--strategy {config.strategy}: memory={COMPENSATE} follows the weights from experience to experience, and "
                f"{cls.__name__.lower()} begins each with the first ones; expected memory=refresh"
            )

    def start(self, model) -> None:
        self.first: dict[str, Tensor] = {
            name: t.detach().cpu().clone() for name, t in model.state_dict().items()
        }

    @property
    def n_bytes(self) -> int:
        return super().n_bytes + sum(t.nbytes for t in self.first.values())

    def before_train_dataset_adaptation(self, strategy, **kwargs) -> None:
        if not self.past or not strategy.takes_steps:
            return
        if added := strategy.model.state_dict().keys() - self.first.keys():
            name = type(strategy.strategy).__name__
            raise ContsymError(
                f"{name} has added weights since the first experience ({min(added)}), so {type(self).__name__.lower()} "
                "cannot begin it anew; expected a method whose weights are all there at first, as fine_tune"
            )
        strategy.model.load_state_dict(self.first)
