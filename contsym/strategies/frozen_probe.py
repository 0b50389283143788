"""Linear probe: logistic regression on the frozen encoder's [p, h, |p - h|, p ∘ h], by gradient.

Cross-entropy on the present experience trains the head from its last state: the head can forget, the encoder
cannot. The difference to fine_tune is the gain from training the encoder; the difference to ridge, ncm and
slda is the cost of learning in sequence for a linear classifier.
Source: Alain and Bengio 2016 (arXiv 1610.01644), linear probes; features of Conneau et al. 2017
(InferSent), section 3.1.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import PairClassifier, TextClassifier
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Alain and Bengio 2016 (arXiv 1610.01644), linear probes; Conneau et al. 2017",
    "trains": "linear head",
    "stores": "the linear head",
    "grows": "labels",
    "family": "frozen",
    "inputs": "pair, single",
}


class FrozenProbe(Strategy):
    class Settings(TrainingSettings):
        # The presets' rates suit a transformer and hardly move a new head.
        learning_rate: float | None = Field(1e-3, gt=0, le=1, description="of the head; the encoder has none")

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        encoder.requires_grad_(False)
        return (TextClassifier if self.is_joint else PairClassifier)(encoder.dim, n_labels, generator)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(output, labels)
