"""A cloze question: a masked language model fills in Yes, Maybe or No between the two sentences.

A pattern turns a pair into one text with a mask, "PREMISE? [MASK], HYPOTHESIS"; the score of a label is the
logit of its word at the mask. Cross-entropy over the three logits trains the encoder and its
masked-language-model head. Without that head, the score is the dot product of the state at the mask and the
input embedding of the word (a tied head), with a note. Mask tokens within texts are removed.
Source: Schick and Schütze 2021 (PET, arXiv 2001.07676), section 3.1, equations 1 and 2; patterns and
verbaliser of its MNLI experiments, without PET's ensemble of patterns, unlabelled data and auxiliary loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contsym.errors import EncoderError, SettingError
from contsym.models.encoders.checkpoints import EncoderFiles, read_config
from contsym.models.encoders.language_models import MaskedEncoder, Verbaliser, answer_tokens
from contsym.models.encoders.pooled import PooledEncoder, Text
from contsym.models.encoders.weights import load_tokenizer
from contsym.strategies.base import Strategy, TrainingSettings
from contsym.tasks.schema import NLI_LABELS

CARD = {
    "source": "Schick and Schütze 2021 (PET, arXiv 2001.07676), sections 3.1 and 4",
    "trains": "encoder and its masked-language-model head",
    "stores": "nothing beside the encoder",
    "grows": "no",
    "family": "few-shot",
    "labels": "nli",
}

PATTERNS = {
    "question": ("{premise}?", "{mask}, {hypothesis}"),
    "quoted": ('"{premise}"?', '{mask}, "{hypothesis}"'),
    "follows": ("{premise}. Does it follow that {hypothesis}?", "{mask}."),
}
"""Two sequences each; the mask begins the second, so that truncation cannot reach it."""


class Cloze(Strategy):
    wants_head = "masked_lm"
    is_joint = True

    class Settings(TrainingSettings):
        pattern: Literal["question", "quoted", "follows"] = Field(
            "question", description="wording of the question; the first two are PET's"
        )
        entailment: str = Field("Yes", min_length=1, description="the word of this label, one token")
        neutral: str = Field("Maybe", min_length=1, description="the word of this label, one token")
        contradiction: str = Field("No", min_length=1, description="the word of this label, one token")

    settings: Settings

    @classmethod
    def check(cls, files: EncoderFiles, settings: TrainingSettings) -> None:
        assert isinstance(settings, cls.Settings)
        if read_config(files.folder).get("is_encoder_decoder"):
            raise EncoderError(
                f"strategy cloze: encoder {files.name} is a sequence-to-sequence model; expected an encoder "
                "with a mask token, as minilm or roberta-large"
            )
        tokenizer = load_tokenizer(files.folder)
        if tokenizer.mask_token is None:
            raise EncoderError(
                f"strategy cloze: encoder {files.name} has no mask token in its tokenizer; expected a masked "
                "language model, or an encoder made from one, as minilm or roberta-large"
            )
        word_tokens(tokenizer, settings)

    @property
    def joined(self) -> Callable[[str, str], Text]:
        mask = self.masked_encoder.tokenizer.mask_token
        return partial(fill_pattern, pattern=PATTERNS[self.settings.pattern], mask=mask)

    def notes(self) -> list[str]:
        if not self.masked_encoder.is_tied:
            return []
        return [
            "cloze read the mask by a tied head (input embeddings, no transform): the checkpoint has no "
            "masked-language-model head"
        ]

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        assert isinstance(encoder, MaskedEncoder)
        self.masked_encoder = encoder
        return Verbaliser(encoder, word_tokens(encoder.tokenizer, self.settings))

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(output, labels)


def fill_pattern(premise: str, hypothesis: str, *, pattern: tuple[str, str], mask: str) -> tuple[str, str]:
    """The pair in a pattern, whose punctuation replaces final full stops.

    >>> fill_pattern("Anna sings.", "She sings.", pattern=PATTERNS["question"], mask="[MASK]")
    ('Anna sings?', '[MASK], She sings.')
    """
    premise, hypothesis = (text.replace(mask, " ").strip() for text in (premise, hypothesis))
    inner = hypothesis.rstrip(".?! ") if "{hypothesis}" in pattern[0] else hypothesis
    words = {"premise": premise.rstrip(".?! "), "hypothesis": inner, "mask": mask}
    first, second = (part.format(**words) for part in pattern)
    return first, second


def word_tokens(tokenizer, settings: Cloze.Settings) -> list[int]:
    """The token of each label's word. Raises SettingError unless a word is one token."""
    words: dict[str, str] = {label: str(getattr(settings, label)) for label in NLI_LABELS}
    tokens = answer_tokens(tokenizer, words)
    for (name, word), ids in zip(words.items(), tokens, strict=True):
        if len(ids) != 1:
            pieces = " ".join(tokenizer.convert_ids_to_tokens(ids))
            raise SettingError(
                f"--set {name}={word}: {len(ids)} tokens of this encoder ({pieces}); expected a word of one token"
            )
    return [ids[0] for ids in tokens]
