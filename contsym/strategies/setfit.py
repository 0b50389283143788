"""SetFit: contrastive training draws the pairs of a label together, then a logistic regression classifies.

Stage 1: over the pairs of pairs in a batch, (1 - cos)^2 for equal labels and cos^2 for different ones, each kind
half; cos between embeddings of pairs, [p, h, |p - h|, p ∘ h] or with --set embedding=division l = h ⊘ p.
Stage 2: scikit-learn's logistic regression on the embeddings of the present experience, like SetFit on a new
task; with --set memory=all on all pairs so far, encoded again. Before any training, stage 2 uses the first
experience and the untrained encoder.
Source: Tunstall et al. 2022 (SetFit, arXiv 2209.11055), section 3. They classify single texts, as we do; of
pairs the two texts are encoded separately.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from datasets import Dataset
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contsym.models.algebra import features_of, guarded_division
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.logistic import fit_logistic
from contsym.models.losses import cosine_similarity_loss
from contsym.models.reservoir import thinned
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Tunstall et al. 2022 (SetFit, arXiv 2209.11055)",
    "trains": "encoder, then a logistic regression",
    "stores": "the logistic regression; with memory=all every training pair",
    "grows": "labels",
    "family": "few-shot",
    "inputs": "pair, single",
}


class ReadEmbedding(nn.Module):
    """(p, h), or the vector of a single text -> an embedding to train on; `read` gives its logits.

    The embedding is [p, h, |p - h|, p ∘ h], or l = h ⊘ p; of a single text its vector. `weight` and `bias` are
    buffers, zero until the regression sets them: saved with the model, and no part of the gradient.
    Shapes: (batch, dim) twice -> (batch, 4 * dim) or (batch, dim); read -> (batch, labels).
    """

    def __init__(self, n_features: int, n_labels: int, embedding: Literal["features", "division"]) -> None:
        super().__init__()
        self.embedding = embedding
        self.weight = nn.Buffer(torch.zeros(n_labels, n_features))
        self.bias = nn.Buffer(torch.zeros(n_labels))

    def forward(self, *vectors: Tensor) -> Tensor:
        if self.embedding == "features" or len(vectors) == 1:
            return features_of(*vectors)
        p, h = vectors
        return guarded_division(h, p)

    def read(self, embeddings: Tensor) -> Tensor:
        return functional.linear(embeddings.to(self.weight.device), self.weight, self.bias)


class SetFit(Strategy):
    compares_pairs = True

    class Settings(TrainingSettings):
        embedding: Literal["features", "division"] = Field(
            "features", description="embedding of a pair, [p, h, |p - h|, p ∘ h] or h ⊘ p"
        )
        memory: Literal["current", "all"] = Field(
            "current", description="training pairs of the regression: of the present experience, or all"
        )
        penalty: float = Field(1.0, gt=0, description="of the regression's squared weights")

    settings: Settings
    _fitted_on: tuple[int, ...] | None = None

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        is_whole = self.settings.embedding == "features"
        n_features = self.n_features(encoder.dim) if is_whole else encoder.dim
        return ReadEmbedding(n_features, n_labels, self.settings.embedding)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return cosine_similarity_loss(output, labels)

    @property
    def thins(self) -> bool:
        return self.settings.memory == "all"

    def refresh(self, past_limit: int | None = None) -> None:
        """Fit the regression again if the pairs or the encoder have changed."""
        super().refresh(past_limit)
        parts = self._regression_pairs(past_limit)
        # `past` too: at the end of an experience an add-on may have merged weights, and the pairs are the same.
        version = (self.n_steps, len(self.past), *(len(part) for part in parts))
        if not parts or version == self._fitted_on:
            return
        self._fitted_on = version
        labels = torch.tensor([label for part in parts for label in part["label"][:]])
        embeddings = torch.cat([self.model.outputs(part) for part in parts])
        weight, bias = fit_logistic(
            embeddings.numpy(), labels.numpy(), self.n_labels, penalty=self.settings.penalty
        )
        self.model.head.weight.copy_(torch.from_numpy(weight))
        self.model.head.bias.copy_(torch.from_numpy(bias))

    @property
    def outputs_scores(self) -> bool:
        return False

    def score(self, pairs: Dataset) -> Tensor:
        return self.model.head.read(self.model.outputs(pairs)).cpu()

    def stored_pairs(self) -> Sequence[Dataset]:
        n_needed = len(self.past) if self.settings.memory == "all" else 1
        return [
            pairs if i >= len(self.past) - n_needed else pairs.select([]) for i, pairs in enumerate(self.past)
        ]

    def state(self) -> dict[str, Tensor]:
        fitted_on = [] if self._fitted_on is None else list(self._fitted_on)
        return {**super().state(), "fitted_on": torch.tensor(fitted_on, dtype=torch.long)}

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        super().restore(state, past)
        self._fitted_on = tuple(state["fitted_on"].tolist()) or None

    def _regression_pairs(self, past_limit: int | None) -> list[Dataset]:
        present = [] if self.current is None else [self.current]
        if self.settings.memory == "all":
            return [*(self.past if past_limit is None else thinned(self.past, past_limit)), *present]
        return present or self.past[-1:]
