"""What a found checkpoint is used as: its pooling, the length of its texts, its head."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from contsym.errors import SettingError
from contsym.models.encoders.checkpoints import nli_labels, read_config
from contsym.models.encoders.declared import (
    AUTO,
    DECLARED,
    declared,
    read_as_declared,
)

if TYPE_CHECKING:
    from contsym.models.encoders.checkpoints import EncoderFiles, Head


def with_pooling(files: EncoderFiles, asked: str = AUTO) -> EncoderFiles:
    """The files with how their texts become vectors.

    `auto` is the preset's pooling, or what the folder declares, or else the last token of a decoder-only model and
    the mean of any other. A mode takes the place of the pooling and of what follows it; length and prompt stay.
    Raises EncoderError for a declaration that is asked for and cannot be followed.
    """
    own = declared(files.root) if asked == DECLARED or (asked == AUTO and not files.preset) else None
    if asked == DECLARED and own is None:
        raise SettingError(
            f"--pooling declared: {files.root} has no modules.json, as sentence-transformers writes it; expected auto, "
            "mean, cls, last or max"
        )
    if own is not None:
        return replace(files, pooling=own)
    plain = files.preset.pooling if files.preset else read_as_declared(files.root, files.folder)
    if asked != AUTO:
        return replace(files, pooling=replace(plain, modes=(asked,), after=(), origin="--pooling"))
    if files.preset:
        return replace(files, pooling=plain)
    from contsym.models.encoders.nli_head import NLI_HEAD
    from contsym.models.encoders.weights import is_decoder_only

    # A head that contsym trained before poolings were kept sits on means.
    if (files.head_folder / NLI_HEAD).is_file() or not is_decoder_only(files.folder):
        return replace(files, pooling=plain)
    return replace(files, pooling=replace(plain, modes=("last",), origin="default of decoder-only models"))


SIZES = {
    "hidden_size": ("hidden_size", "d_model", "n_embd", "dim"),
    "num_hidden_layers": ("num_hidden_layers", "num_layers", "n_layer", "n_layers"),
}
"""Names of a size in config.json, by the one that most models use."""


def size(files: EncoderFiles, name: str) -> int | None:
    """A size of the transformer as its config.json says, whatever its kind of model calls it; None where it does not."""
    config = read_config(files.folder)
    return next((n for key in SIZES[name] if isinstance(n := config.get(key), int)), None)


def tokenizer_of(files: EncoderFiles) -> tuple[Any, int]:
    """The tokenizer, and the tokens of a text that the encoder sees."""
    from contsym.models.encoders.weights import length_limit, load_tokenizer

    tokenizer = load_tokenizer(files.folder)
    pooling = files.pooling or with_pooling(files).pooling
    assert pooling is not None
    return tokenizer, length_limit(tokenizer, pooling.max_length)


def check(files: EncoderFiles, head: Head) -> None:
    """Raise EncoderError where the checkpoint cannot be used with the head; its weights are not read yet."""
    from contsym.models.encoders import weights as checkpoints

    checkpoints.check(files.folder, head_of(files, head))


def with_limit(files: EncoderFiles) -> EncoderFiles:
    """The files with the length that texts are cut at: the tokenizer and the positions may allow fewer tokens than
    the pooling does."""
    assert files.pooling is not None
    _, limit = tokenizer_of(files)
    return replace(files, pooling=replace(files.pooling, max_length=limit))


def head_of(files: EncoderFiles, wanted: Head) -> Head:
    """The head that is loaded: a checkpoint without an NLI classifier is taken without any."""
    return "none" if wanted == "nli" and nli_labels(read_config(files.folder)) is None else wanted
