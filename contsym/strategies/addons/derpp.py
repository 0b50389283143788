"""Dark experience replay++: stored pairs are replayed with their labels and their earlier outputs.

loss + alpha * |output - stored output|^2 (mean over the output) + beta * objective, each on a batch
drawn from a buffer of `derpp_size` pairs. Under protocol retrain the output of a pair is that of its own task's head.
Source: Buzzega et al. 2020, equations 5 and 6 (DER++).
Our departure: the buffer is filled at the end of an experience, with the outputs of that moment, and each
experience has an equal share of it.
"""

from __future__ import annotations

import torch
from avalanche.core import SupervisedPlugin
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contsym.models.pair_model import PairModel
from contsym.scenarios.benchmark import pairs_of
from contsym.strategies.addons.base import Addon, AddonSettings, pairs_bytes

CARD = {
    "source": "Buzzega et al. 2020 (arXiv 2004.07211)",
    "trains": "what the strategy trains",
    "stores": "a buffer of pairs and their outputs",
    "family": "continual",
}


class Derpp(Addon, SupervisedPlugin):
    class Settings(AddonSettings):
        derpp_size: int = Field(200, ge=1, description="pairs in the buffer")
        derpp_alpha: float = Field(0.5, ge=0, description="weight of the stored outputs")
        derpp_beta: float = Field(0.5, ge=0, description="weight of the stored labels")

    def __init__(self, settings, seed: int) -> None:
        SupervisedPlugin.__init__(self)
        self.seed, self.settings = seed, settings
        self.generator = torch.Generator().manual_seed(seed)
        self.parts: list[tuple[list[dict], Tensor]] = []

    @property
    def n_bytes(self) -> int:
        return sum(pairs_bytes(pairs) + outputs.nbytes for pairs, outputs in self.parts)

    @torch.no_grad()
    def take(self, strategy) -> None:
        share = max(1, self.settings.derpp_size // (len(self.parts) + 1))
        self.parts = [(pairs[:share], outputs[:share]) for pairs, outputs in self.parts]
        dataset = strategy.experience.dataset
        rows = torch.randperm(len(dataset))[:share].tolist()
        pairs = [dict(pairs_of(dataset)[row], targets_task_labels=0) for row in rows]
        strategy.model.eval()
        batches = [
            strategy.model(strategy.model.collate(pairs[i : i + 32])[0].to(strategy.device))
            for i in range(0, len(pairs), 32)
        ]
        self.parts.append((pairs, torch.cat(batches).cpu()))

    def before_backward(self, strategy, **kwargs) -> None:
        if not self.parts:
            return
        pairs = [pair for part, _ in self.parts for pair in part]
        outputs = torch.cat([outputs for _, outputs in self.parts])
        for weight, by_label in ((self.settings.derpp_alpha, False), (self.settings.derpp_beta, True)):
            drawn = torch.randperm(len(pairs), generator=self.generator)[: strategy.train_mb_size]
            batch, labels, _ = strategy.model.collate([pairs[i] for i in drawn.tolist()])
            output = strategy.model(batch.to(strategy.device))
            if by_label:
                loss = strategy._criterion(output, labels.to(strategy.device))
            else:
                loss = _squared_error(strategy.model, output, outputs[drawn].to(strategy.device))
            strategy.loss = strategy.loss + weight * loss


def _squared_error(model: PairModel, output: Tensor, stored: Tensor) -> Tensor:
    """The mean over pairs of the mean over the outputs of a pair; beside a known head, over those of its task's head.

    The zeros that stand for the other head, as many as an embedding has numbers, would make the mean over all columns small.
    """
    if not model.known_rows:
        return functional.mse_loss(output, stored)
    *_, is_known = PairModel.apart(output)
    known, own, _ = PairModel.apart((output - stored).square())
    return known.mean(dim=1).where(is_known, own.mean(dim=1)).mean()
