"""Nearest class mean on the frozen encoder: one mean per label, no gradient step.

x = [p, h, |p - h|, p ∘ h]; m_c is the mean of x over all pairs of label c so far; predicts the label of least
distance d(x, m_c), cosine or Euclidean. The order of tasks does not matter: forgetting comes from means
that tasks share, not from drift.
Source: Mensink et al. 2013 (TPAMI 35), section 3; as a continual-learning baseline Rebuffi et al. 2017
(iCaRL), equation 2.
"""

from __future__ import annotations

from typing import Literal

import torch
from datasets import Dataset
from pydantic import Field
from torch import nn

from contsym.models.closed_form import ClassMeans
from contsym.models.encoders.pooled import PooledEncoder
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Mensink et al. 2013, nearest class mean",
    "trains": "nothing",
    "stores": "one mean vector and one count per label",
    "grows": "labels",
    "family": "frozen",
    "inputs": "pair, single",
}


class NearestClassMean(Strategy):
    trains = False

    class Settings(TrainingSettings):
        metric: Literal["cosine", "euclidean"] = Field("cosine", description="distance to a label's mean")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return ClassMeans(self.n_features(encoder.dim), n_labels, self.settings.metric)

    def fit(self, pairs: Dataset) -> None:
        self.model.head.add(*self.model.vectors(pairs), torch.tensor(pairs["label"][:]))
