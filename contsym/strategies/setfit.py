"""SetFit: the encoder trained to draw pairs of a label together, then a logistic regression on it.

Stage 1: over the pairs of pairs in a batch, (1 - cos)^2 for the same label and cos^2 for different ones,
each kind half; cos between the pairs' embeddings, [p, h, |p - h|, p ∘ h] or with --set embedding=division
l = h ⊘ p. Stage 2: scikit-learn's logistic regression, W, b on the embeddings of the present experience, as
SetFit would be run on a new task; with --set memory=all on those of all pairs so far, encoded again.
Before any training it is fitted on the first experience's pairs, encoded by the untrained encoder.
Source: Tunstall et al. 2022 (SetFit, arXiv 2209.11055), section 3. Theirs classifies single texts; ours a
pair of them, encoded apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from datasets import Dataset
from pydantic import Field
from torch import Tensor, nn

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import ReadEmbedding
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
}


class SetFit(Strategy):
    """Contrastive fine-tuning, then a logistic regression on the pairs' embeddings."""

    class Settings(TrainingSettings):
        embedding: Literal["features", "division"] = Field(
            "features", description="what a pair is embedded as, [p, h, |p - h|, p ∘ h] or h ⊘ p"
        )
        memory: Literal["current", "all"] = Field(
            "current", description="pairs the regression is fitted on: of the present experience, or all"
        )
        penalty: float = Field(1.0, gt=0, description="of the regression's squared weights")

    settings: Settings
    _fitted_on: tuple[int, ...] | None = None

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        return ReadEmbedding(encoder.dim, n_labels, self.settings.embedding)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return cosine_similarity_loss(output, labels)

    def refresh(self, past_limit: int | None = None) -> None:
        """Fit the regression again if pairs or encoder have changed."""
        super().refresh(past_limit)
        parts = self._regression_pairs(past_limit)
        version = (self.n_steps, *(len(part) for part in parts))
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

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        super().restore(state, past)
        self._fitted_on = None

    def _regression_pairs(self, past_limit: int | None) -> list[Dataset]:
        present = [] if self.current is None else [self.current]
        if self.settings.memory == "all":
            return [*(self.past if past_limit is None else thinned(self.past, past_limit)), *present]
        return present or self.past[-1:]
