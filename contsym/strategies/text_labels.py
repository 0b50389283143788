"""Label embeddings are the encoder's vectors of the label words, trained with it.

d_c(p, h) = 1 - cos(h, p ∘ l_c), where l_c is the encoding of the word for label c. Every training step encodes
the words again, with gradients; after training they are encoded once and stored. Minimises d_pos^2 + sum over
other labels of max(0, margin - d_neg)^2; predicts the nearest label. Other words than the labels' names:
`--set words=yes/maybe/no`.
Source: the label scoring of Yuan and Vlachos 2025 (arXiv 2504.16312), with label names instead of random
vectors, as in the authors' published code.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from contsym.errors import SettingError
from contsym.models.distances import label_distances
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.losses import margin_loss
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Yuan and Vlachos 2025 (arXiv 2504.16312), released code: label words",
    "trains": "encoder",
    "stores": "one vector per label",
    "grows": "labels",
    "family": "ablation",
}


def split_words(text: str) -> list[str]:
    """The words or phrases between slashes; a comma would separate the values of a sweep."""
    return [word.strip() for word in text.split("/")]


def _one_for_each_label(text: str) -> str:
    words = split_words(text)
    if text and (len(words) < 2 or len(set(words)) != len(words) or not all(words)):
        raise PydanticCustomError("words", "different words or phrases with / between, one for each label")
    return text


class TextLabels(Strategy):
    class Settings(TrainingSettings):
        margin: float = Field(0.5, gt=0, le=2, description="distance that other labels must keep")
        words: Annotated[str, AfterValidator(_one_for_each_label)] = Field(
            "", description="words for the labels, with / between; default: their names"
        )

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        words = split_words(self.settings.words) if self.settings.words else list(self.labels)
        if len(words) != n_labels:
            raise SettingError(
                f"--set words={self.settings.words}: {len(words)} words; expected {n_labels}, for {', '.join(self.labels)}"
            )
        return _EncodedLabels(encoder, words)

    def refresh(self, past_limit: int | None = None) -> None:
        super().refresh(past_limit)
        self.model.head.update()

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return margin_loss(-output, labels, self.settings.margin)


class _EncodedLabels(nn.Module):
    """(p, h) -> scores -d_c(p, h), with l_c the encoding of word c.

    Where gradients may be asked for, every call encodes the words: in training, and where an add-on such as ewc asks an
    evaluating model which weights matter. Prediction uses `label_vectors`, which `update` fills.
    Shapes: (batch, dim) twice -> (batch, labels).
    """

    def __init__(self, encoder: PooledEncoder, words: list[str]) -> None:
        super().__init__()
        # The tuple hides the encoder's weights from the head's parameters.
        self._encoder = (encoder,)
        self.words = words
        self.label_vectors = nn.Buffer(torch.zeros(len(words), encoder.dim))

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        if not (self.training or torch.is_grad_enabled()):
            return -label_distances(p, h, self.label_vectors)
        (encoder,) = self._encoder
        return -label_distances(p, h, encoder(encoder.tokenize(self.words).to(p.device)))

    @torch.no_grad()
    def update(self) -> None:
        (encoder,) = self._encoder
        self.label_vectors.copy_(encoder.encode(self.words))
