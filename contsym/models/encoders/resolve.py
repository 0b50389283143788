"""How a verified checkpoint is used: its pooling, the length of its texts, its head."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from contsym.errors import EncoderError, SettingError
from contsym.models.encoders.checkpoints import nli_labels, read_config
from contsym.models.encoders.declared import AUTO, DECLARED, declared, read_as_declared

if TYPE_CHECKING:
    from contsym.models.encoders.checkpoints import EncoderFiles, Head


def with_pooling(files: EncoderFiles, asked: str = AUTO) -> EncoderFiles:
    """The files with their pooling.

    `auto` is the preset's pooling, or the folder's declaration, or else the last token of a decoder-only model and
    the mean of any other. A mode replaces the pooling and later layers; length and prompt stay.
    Raises EncoderError for a declaration that cannot be followed.
    """
    declaration = declared(files.root) if asked == DECLARED or (asked == AUTO and not files.preset) else None
    if asked == DECLARED and declaration is None:
        raise SettingError(
            f"--pooling declared: {files.root} has no modules.json with a pooling, as sentence-transformers writes it; "
            "expected auto, mean, cls, last or max"
        )
    if declaration is not None:
        return replace(files, pooling=declaration)
    plain = files.preset.pooling if files.preset else read_as_declared(files.root, files.folder)
    if asked != AUTO:
        return replace(files, pooling=replace(plain, modes=(asked,), after=(), origin="--pooling"))
    if files.preset:
        return replace(files, pooling=plain)
    from contsym.models.encoders.nli_head import NLI_HEAD
    from contsym.models.encoders.weights import is_decoder_only

    # A head that an early contsym trained, which declared no pooling, needs means.
    if (files.head_folder / NLI_HEAD).is_file() or not is_decoder_only(files.folder):
        return replace(files, pooling=plain)
    return replace(files, pooling=replace(plain, modes=("last",), origin="default of decoder-only models"))


SIZES = {
    "hidden_size": ("hidden_size", "d_model", "n_embd", "dim"),
    "num_hidden_layers": ("num_hidden_layers", "num_layers", "n_layer", "n_layers"),
}
"""Names of a size in config.json, by the most common one."""


def size(files: EncoderFiles, name: str) -> int | None:
    """A size of the transformer by its config.json, under any of its names; None if absent."""
    config = read_config(files.folder)
    return next((n for key in SIZES[name] if isinstance(n := config.get(key), int)), None)


def tokenizer_of(files: EncoderFiles) -> tuple[Any, int]:
    """The tokenizer, and the limit of tokens of a text."""
    from contsym.models.encoders.weights import length_limit, load_tokenizer

    tokenizer = load_tokenizer(files.folder)
    pooling = files.pooling or with_pooling(files).pooling
    assert pooling is not None
    return tokenizer, length_limit(tokenizer, pooling.max_length)


def check(files: EncoderFiles, head: Head) -> None:
    """Raise EncoderError where the checkpoint does not suit the head; no weights are read."""
    from contsym.models.encoders import weights

    weights.check(files.folder, head_of(files, head))


def with_limit(files: EncoderFiles) -> EncoderFiles:
    """The files with the actual limit of tokens: the tokenizer and the positions may allow fewer than the pooling."""
    assert files.pooling is not None
    _, limit = tokenizer_of(files)
    return replace(files, pooling=replace(files.pooling, max_length=limit))


def check_saveable(files: EncoderFiles, wanted: Head) -> None:
    """Raise EncoderError where the encoder cannot be saved as a checkpoint."""
    from contsym.models.encoders.weights import has_own_encoder

    if head_of(files, wanted) in ("none", "masked_lm") and not has_own_encoder(files.folder):
        raise EncoderError(
            f"encoder {files.name}: half of a sequence-to-sequence model, which cannot be kept as a checkpoint; "
            "expected an encoder, a decoder-only model or a T5"
        )


def head_of(files: EncoderFiles, wanted: Head) -> Head:
    """The head to load: none for a checkpoint without an NLI classifier."""
    return "none" if wanted == "nli" and nli_labels(read_config(files.folder)) is None else wanted
