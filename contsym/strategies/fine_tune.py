"""Fine-tuning: a linear classifier on [p, h, |p - h|, p ∘ h], cross-entropy, all weights trained.

With `--set head=cross` the pair is encoded as one text, and the classifier reads its vector, as it does of a single text.
Source: the fine-tuning baseline of Yuan and Vlachos 2025 (arXiv 2504.16312); features of Conneau et al. 2017
(InferSent), section 3.1.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import PairClassifier, TextClassifier
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), fine-tuning; Conneau et al. 2017",
    "trains": "encoder and linear head",
    "stores": "the linear head",
    "grows": "labels",
    "family": "paper",
    "inputs": "pair, single",
}


class FineTune(Strategy):
    class Settings(TrainingSettings):
        head: Literal["pair", "cross"] = Field(
            "pair", description="encode the sentences separately, or as one text"
        )

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        self.is_joint = self.is_joint or self.settings.head == "cross"
        return (TextClassifier if self.is_joint else PairClassifier)(encoder.dim, n_labels, generator)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(output, labels)
