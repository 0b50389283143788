"""Streaming linear discriminant analysis on the frozen encoder: class means and one covariance.

x = [p, h, |p - h|, p ∘ h]; scores w_c·x + b_c with w_c = Λ m_c, b_c = -m_c·Λ m_c / 2 and
Λ = [(1 - s) Σ + s v I]^-1: m_c the mean of label c, Σ the covariance of all labels about these means, v the
mean of its diagonal. Means and covariance are updated pair by pair; the result does not depend on the order.
Source: Hayes and Kanan 2020 (arXiv 1909.01520), section 3. Their shrinkage s of 1e-4 suits a covariance
of 1.2 million images; with fewer pairs than features, as here, more is
needed: the default was chosen on validation pairs.
"""

from __future__ import annotations

import torch
from datasets import Dataset
from pydantic import Field
from torch import nn

from contsym.models.closed_form import StreamingDiscriminant
from contsym.models.encoders.pooled import PooledEncoder
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Hayes and Kanan 2020 (arXiv 1909.01520), Deep SLDA",
    "trains": "nothing",
    "stores": "one mean per label, one covariance of the pair features and the discriminants",
    "grows": "labels",
    "family": "frozen",
    "inputs": "pair, single",
}


class StreamingLda(Strategy):
    trains = False

    class Settings(TrainingSettings):
        shrinkage: float = Field(
            0.9, gt=0, le=1, description="share of the identity in the covariance; 1: nearest mean"
        )

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return StreamingDiscriminant(self.n_features(encoder.dim), n_labels, self.settings.shrinkage)

    def fit(self, pairs: Dataset) -> None:
        self.model.head.add(*self.model.vectors(pairs), torch.tensor(pairs["label"][:]))
