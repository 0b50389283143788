"""ER-ACE: replay, with the loss of present pairs over the labels of the present batch alone.

Cross-entropy of new pairs pushes the scores of labels that they do not have, which are those of earlier tasks. So the
scores of a present pair are masked to the labels of the batch's present pairs; those of a replayed one to all labels
seen so far. The objective is over both, as `replay` draws them.
Made for tasks that bring labels of their own. Where tasks share labels, it differs from `replay` only in batches
that lack a label. Under protocol retrain it is refused: the known head learns from the replayed pairs, so a new head is
never told that the present pairs lack a label, as Wikidata pairs lack neutral, and answers with it.
Source: Caccia et al. 2022, section 4; Avalanche's ReplayPlugin.
Our departures: the mean over all pairs of a batch in place of the sum of two means; the buffer is that of `replay`,
with an equal share for each experience; the first experience is trained without masks.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from contsym.errors import SettingError
from contsym.models.losses import asymmetric_labels
from contsym.scenarios.benchmark import pairs_of
from contsym.strategies.addons.base import AddonSettings
from contsym.strategies.addons.replay import Replay
from contsym.strategies.base import Strategy

CARD = {
    "source": "Caccia et al. 2022 (arXiv 2104.05025); Avalanche's ReplayPlugin",
    "trains": "what the strategy trains",
    "stores": "a buffer of pairs",
    "family": "continual",
}


class ErAce(Replay):
    class Settings(AddonSettings):
        er_ace_size: int = Field(200, ge=1, description="pairs in the buffer")

    def __init__(self, settings, seed: int) -> None:
        self._init(settings.er_ace_size, seed)
        self.seen: set[int] = set()

    @classmethod
    def check(cls, strategy, config, n_trained: int) -> None:
        # Who overrides `outputs_scores` says that the output is none.
        if strategy.has_memory() or strategy.outputs_scores is not Strategy.outputs_scores:
            raise SettingError(
                f"--strategy {config.strategy}: er_ace masks the scores of labels, and this method trains embeddings "
                "of pairs; expected a method with scores, as fine_tune, or replay in its place"
            )
        if config.protocol == "retrain":
            raise SettingError(
                f"--strategy {config.strategy}: under --protocol retrain replayed pairs train the known head, and nothing "
                "keeps a new one from labels that present pairs lack; expected replay, or --protocol sequential"
            )

    def take(self, strategy) -> None:
        super().take(strategy)
        self.seen.update(pairs_of(strategy.experience.dataset)["label"][:])

    def shown(self, strategy, output: Tensor) -> Tensor:
        if not self.seen:
            return output
        is_present = strategy.mb_x["row"] >= strategy.first_row
        seen = torch.zeros(strategy.strategy.n_labels, dtype=torch.bool, device=output.device)
        seen[list(self.seen)] = True
        allowed = asymmetric_labels(strategy.mb_y, is_present, seen)
        return output.masked_fill(~allowed, float("-inf"))
