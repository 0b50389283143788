"""An encoder from a verified folder, with the head that a strategy needs."""

from __future__ import annotations

from typing import Any

from contsym.models.encoders.checkpoints import EncoderFiles, Head
from contsym.models.encoders.language_models import LanguageModel, MaskedEncoder
from contsym.models.encoders.pooled import NliClassifier, PooledEncoder
from contsym.models.encoders.resolve import with_pooling

CLASSES: dict[Head, Any] = {
    "none": PooledEncoder,
    "nli": NliClassifier,
    "masked_lm": MaskedEncoder,
    "language_model": LanguageModel,
}


def load(files: EncoderFiles, *, head: Head = "none"):
    """The encoder of a verified folder.

    Raises EncoderError where transformers cannot read the folder, the encoder cannot encode a text, or the
    checkpoint lacks the head: a classifier over the three labels of NLI, or a language model.
    """
    encoder = CLASSES[head].from_folder(files.folder, files.pooling or with_pooling(files).pooling)
    if files.difference:
        from contsym.models.encoders.difference import add_difference

        add_difference(encoder.transformer, files.difference)
    encoder.probe(files.folder)
    return encoder
