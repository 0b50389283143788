"""Ridge classifier on the frozen encoder, from sums over all pairs so far; RanPAC with a projection.

x = [p, h, |p - h|, p ∘ h], or max(0, x R) with a random R of `projection` columns; W and b minimise the
mean of |y - W x - b|^2 + ridge * sum_i var(x_i) |W_i|^2, y the one-hot label. The sums of x x^T and x y^T
determine the solution, so the classifier forgets nothing; between tasks that contradict each other it
compromises.
Source: McDonnell et al. 2023 (RanPAC, arXiv 2307.02251), equations 3 to 5. Our departures: features are
standardised, and by default (weigh=experiences) every experience counts equally; with their weigh=pairs, 64
pairs hardly count beside thousands.
"""

from __future__ import annotations

from typing import Literal

import torch
from datasets import Dataset
from pydantic import Field
from torch import nn

from contsym.errors import SettingError
from contsym.models.closed_form import RidgeClassifier
from contsym.models.encoders.pooled import PooledEncoder
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "McDonnell et al. 2023 (RanPAC, arXiv 2307.02251); ridge regression",
    "trains": "nothing",
    "stores": "the Gram matrix and label sums of the pair features, the classifier, the projection",
    "grows": "labels",
    "family": "frozen",
    "inputs": "pair, single",
}


class Ridge(Strategy):
    trains = False

    class Settings(TrainingSettings):
        ridge: float = Field(10.0, gt=0, description="penalty, as a multiple of each feature's variance")
        projection: int = Field(
            0, ge=0, le=10_000, description="random features that replace those of the pair; 0: none"
        )
        weigh: Literal["experiences", "pairs"] = Field(
            "experiences", description="equal weights in the sums for experiences, or for pairs"
        )

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return RidgeClassifier(
            self.n_features(encoder.dim), n_labels, self.settings.ridge, self.settings.projection, generator
        )

    def fit(self, pairs: Dataset) -> None:
        pair_weight = 1.0 if self.settings.weigh == "pairs" else 1 / len(pairs)
        labels = torch.tensor(pairs["label"][:])
        try:
            self.model.head.add(*self.model.vectors(pairs), labels, pair_weight=pair_weight)
        except torch.linalg.LinAlgError:
            raise SettingError(
                f"--set ridge={self.settings.ridge:g} is too small: of these pairs' features there is no single solution; "
                "expected more, as 1e-6"
            ) from None
