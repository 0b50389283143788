"""An encoder from a verified folder, with the head that a strategy asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contsym.models.encoders.resolve import with_pooling

if TYPE_CHECKING:
    from contsym.models.encoders.checkpoints import EncoderFiles, Head


def load(files: EncoderFiles, *, head: Head = "none"):
    """The encoder of a verified folder, with the head asked for.

    Raises EncoderError where transformers cannot read the folder, where it cannot encode a text, or where the
    checkpoint has no such head: no classifier over the three labels of NLI, or no language model.
    """
    from contsym.models.encoders.pooled import NliClassifier, PooledEncoder

    kinds: dict[Head, Any] = {"none": PooledEncoder, "nli": NliClassifier}
    if head in ("masked_lm", "language_model"):
        from contsym.models.encoders.language_models import LanguageModel, MaskedEncoder

        kinds = {**kinds, "masked_lm": MaskedEncoder, "language_model": LanguageModel}
    pooling = files.pooling or with_pooling(files).pooling
    assert pooling is not None
    encoder = kinds[head].from_folder(files.folder, pooling)
    if files.difference:
        from contsym.models.encoders.difference import add_difference

        add_difference(encoder.transformer, files.difference)
    encoder.probe(files.folder)
    return encoder
