"""The checkpoint's own NLI classifier, trained further on every task.

The head comes from a Hub checkpoint (over entailment, neutral and contradiction, with the pair encoded as one
text) or from `contsym pretrain` (over [p, h, |p - h|, p ∘ h]); cross-entropy trains it with the encoder.
Under protocol retrain a frozen copy measures the first task.
Source: the fine-tuned NLI models that Yuan and Vlachos 2025 (arXiv 2504.16312) retrain; transfer from an
intermediate task as in Phang et al. 2018 (STILTs).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsym.errors import EncoderError
from contsym.models.encoders.pooled import NliClassifier, PooledEncoder
from contsym.models.heads import PairClassifier
from contsym.strategies.base import Strategy

CARD = {
    "source": "Phang et al. 2018 (arXiv 1811.01088); NLI models of Yuan and Vlachos 2025",
    "trains": "encoder and its NLI head",
    "stores": "the head",
    "family": "baseline",
    "labels": "nli",
}


class NliHead(Strategy):
    wants_head = "nli"

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        if isinstance(encoder, NliClassifier):
            self.is_joint = True
            return nn.Identity()
        if encoder.nli_head is None:
            raise EncoderError(
                "strategy nli_head: the encoder has no NLI head; expected a Hub checkpoint with one, a folder "
                "made by contsym pretrain, or --protocol retrain"
            )
        return PairClassifier(encoder.dim, n_labels, generator, encoder.nli_head)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(output, labels)
