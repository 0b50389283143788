"""Checkpoints of transformers read whole: every weight that is used is in the files, and every token has its row.

Nothing is fetched, no code of a checkpoint runs, and pickled weights are not read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoTokenizer,
)

from contsym.errors import EncoderError, first_line
from contsym.models.encoders.checkpoints import Head, language_model_kind, read_config
from contsym.models.encoders.declared import MAX_LENGTH

UNUSED = ("pooler", "decoder")
"""Parts of a body that no sentence vector reads: they may be missing."""

OFFSET_POSITIONS = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "longformer", "xmod"),
    *("data2vec-text", "ibert", "luke", "mpnet", "markuplm"),
}
"""Model types that count positions from padding_idx + 1: so many rows of their table are never used."""

ANY_TOKEN_TYPE = {"xlnet"}
"""Model types that only compare token types, and have no table of them."""

TEXT_INPUTS = ("input_ids", "attention_mask")


def body(folder: Path, **options: Any) -> nn.Module:
    """The transformer without any head; of a sequence-to-sequence model its encoder."""
    config = model_config(folder)
    has_half = _has_encoder_class(config)
    model: Any = from_pretrained(
        AutoModelForTextEncoding if has_half else AutoModel, folder, UNUSED, **options
    )
    if config.is_encoder_decoder and not has_half:
        model = model.get_encoder()
    if getattr(model.config, "use_cache", False):
        # A sentence is read once: keys and values kept for more tokens would only take memory.
        model.config.use_cache = False
    return model


def has_own_encoder(folder: Path) -> bool:
    """Whether what `body` gives is written as a checkpoint that can be read again: half a BART cannot."""
    config = model_config(folder)
    return not config.is_encoder_decoder or _has_encoder_class(config)


def _has_encoder_class(config: Any) -> bool:
    """Whether transformers has a class of a sequence-to-sequence model's encoder, as T5EncoderModel.

    One that was saved by it does not call itself sequence-to-sequence any more.
    """
    found: Any = MODEL_FOR_TEXT_ENCODING_MAPPING.get(type(config), None)
    return found is not None and found.__name__.endswith("EncoderModel")


def classifier(folder: Path, **options: Any) -> nn.Module:
    """The checkpoint with its classification head."""
    return from_pretrained(AutoModelForSequenceClassification, folder, **options)


def masked_lm(folder: Path, **options: Any) -> nn.Module | None:
    """The checkpoint with its masked-language-model head; None where its weights have none."""
    if type(model_config(folder)) not in MODEL_FOR_MASKED_LM_MAPPING:
        return None
    model, missing, _ = _loaded(AutoModelForMaskedLM, folder, **options)
    prefix = f"{model.base_model_prefix}."
    head = {name for name in model.state_dict() if not name.startswith(prefix)}
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    if missing and head - tied <= set(missing) and not any(name.startswith(prefix) for name in missing):
        return None
    return from_pretrained(AutoModelForMaskedLM, folder, **options)


def language_model(folder: Path, **options: Any) -> nn.Module:
    """A causal or sequence-to-sequence checkpoint with its language-model head."""
    kind = language_model_kind(read_config(folder))
    if kind is None:
        raise EncoderError(f"{folder}: no causal or sequence-to-sequence language model")
    return from_pretrained(
        AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM, folder, **options
    )


LOADERS: Mapping[Head, Callable[..., nn.Module | None]] = {
    "none": body,
    "nli": classifier,
    "masked_lm": masked_lm,
    "language_model": language_model,
}


def check(folder: Path, head: Head) -> None:
    """Raise EncoderError where a checkpoint cannot be used with this head, or with its tokenizer.

    Names and shapes of the weights are looked at; they are not read, so that the largest model takes no time.
    """
    model = LOADERS[head](folder, device_map="meta") or body(folder, device_map="meta")
    check_fit(model, load_tokenizer(folder), folder)


def check_fit(model: Any, tokenizer: Any, folder: Path) -> None:
    """Raise EncoderError where a model does not read texts, or its tokenizer is another model's."""
    names = inspect.signature(model.forward).parameters
    lacking = [name for name in TEXT_INPUTS if name not in names]
    if lacking:
        raise EncoderError(
            f"{folder}: {type(model).__name__} takes no {' and no '.join(lacking)}; expected a text encoder"
        )
    state_width(model, folder)
    n = n_rows(model)
    # Special tokens that no text is given are needed for nothing, such as one to pad with.
    unused = set(tokenizer.all_special_ids) - set(tokenizer("a", "b")["input_ids"])
    largest = max(set(tokenizer.get_vocab().values()) - unused, default=-1)
    if largest >= n:
        raise EncoderError(
            f"{folder}: the tokenizer has tokens up to {largest}, and the embedding table has {n} rows; expected "
            "the tokenizer that the weights were trained with"
        )


def from_pretrained(auto: Any, folder: Path, unused: tuple[str, ...] = (), **options: Any) -> nn.Module:
    """A checkpoint by one of transformers' Auto classes, with every weight from its files.

    Raises EncoderError where a weight is missing or of another shape, but in parts of an `unused` name, and for
    whatever transformers makes of a folder that is no such checkpoint.
    """
    model, missing, unexpected = _loaded(auto, folder, **options)
    # What is missing was drawn at random: an encoder of noise, in whole or in part.
    lacking = {name: why for name, why in missing.items() if not set(name.split(".")) & set(unused)}
    if not lacking:
        return model
    name, why = next(iter(lacking.items()))
    if found := next((n for n in unexpected if n.endswith(f".{name}")), None):
        why = f"found as {found}, under a prefix that {type(model).__name__} does not have"
    n = f"{len(lacking)} weights are" if len(lacking) > 1 else "a weight is"
    raise EncoderError(
        f"{folder}: {n} not in its files as {type(model).__name__} needs them, such as {name} ({why}); expected a "
        "checkpoint with all of them, as save_pretrained writes it"
    )


def _loaded(auto: Any, folder: Path, **options: Any) -> tuple[Any, dict[str, str], list[str]]:
    """(model, why by name of what its files lack, names in the files that it has no use for)."""
    try:
        model, info = auto.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            # They are asked about below; transformers' own message has no names.
            ignore_mismatched_sizes=True,
            **options,
        )
    # A checkpoint may be anyone's, and a damaged one makes transformers raise whatever it meets first.
    except Exception as error:
        raise EncoderError(f"{folder}: transformers cannot load it ({first_line(error, 160)})") from error
    missing = dict.fromkeys(sorted(info["missing_keys"]), "missing")
    for name, found, expected in sorted(info["mismatched_keys"]):
        missing[name] = f"of shape {tuple(found)}, where config.json says {tuple(expected)}"
    return model, missing, sorted(info["unexpected_keys"])


def model_config(folder: Path) -> Any:
    """A checkpoint's config with its defaults. Raises EncoderError for a model that transformers does not know."""
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise EncoderError(
            f"{folder}: transformers cannot read its config.json ({first_line(error, 160)})"
        ) from error


def is_decoder_only(folder: Path) -> bool:
    """Whether each token sees only those before it, so that the last one alone has seen the text."""
    config = model_config(folder)
    if config.is_encoder_decoder or config.model_type == "xlnet":
        return False
    is_causal = (
        type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING
    )
    is_causal = is_causal and not getattr(config, "use_bidirectional_attention", False)
    return is_causal or bool(getattr(config, "is_decoder", False))


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a checkpoint; its limit is that of the model's positions, where they are fewer."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        tokenizer.model_max_length = min(tokenizer.model_max_length, n_positions(model_config(folder)))
        length_limit(tokenizer)
    except Exception as error:
        raise EncoderError(f"{folder}: its tokenizer cannot be loaded ({first_line(error, 160)})") from error
    # After the text, so that no position depends on what a text is padded to.
    tokenizer.padding_side = "right"
    return tokenizer


def n_positions(config: Any) -> float:
    """Tokens that a model has positions for; infinity where they are relative."""
    n = getattr(config, "max_position_embeddings", None)
    if not isinstance(n, int) or n < 1:
        return float("inf")
    if config.model_type in OFFSET_POSITIONS:
        # MPNet's is 1, whatever its config says.
        padding = 1 if config.model_type == "mpnet" else config.pad_token_id
        return n - (padding or 0) - 1
    return n


def n_token_types(config: Any) -> float:
    """Rows of a model's table of token types; none where there is no table."""
    if config.model_type in ANY_TOKEN_TYPE:
        return float("inf")
    n = getattr(config, "type_vocab_size", 0)
    return n if isinstance(n, int) else 0


def length_limit(tokenizer: Any, at_most: int = MAX_LENGTH) -> int:
    """Tokens of a text that the encoder sees, its special tokens included.

    Raises EncoderError where there is no room for a pair of sentences.
    """
    limit = min(at_most, tokenizer.model_max_length)
    if limit <= tokenizer.num_special_tokens_to_add(pair=True):
        raise EncoderError(f"texts are cut at {limit} tokens; expected room for a pair of sentences")
    return int(limit)


def state_width(transformer: Any, folder: Path) -> int:
    """Dimensions of a transformer's states, by its config."""
    config = transformer.config
    # OPT's 350M projects its states to the width of its word vectors.
    width = getattr(config, "word_embed_proj_dim", None) or getattr(config, "hidden_size", None)
    if not isinstance(width, int):
        raise EncoderError(
            f"{folder}: {type(transformer).__name__} names no width of its states (hidden_size) in config.json; expected "
            "a text encoder"
        )
    return width


def pad_id(tokenizer: Any, transformer: Any) -> int:
    """The token that pads: the tokenizer's, or where it has none, or one without a row, any."""
    own = tokenizer.pad_token_id
    return own if own is not None and own < n_rows(transformer) else 0


def n_rows(transformer: Any) -> float:
    """Rows of the embedding table, one for each token."""
    return getattr(transformer.get_input_embeddings(), "num_embeddings", float("inf"))


def n_prompt_tokens(tokenizer: Any, prompt: str) -> int:
    """Tokens at the beginning of a text that are its prompt's, special ones among them."""
    ids = tokenizer(prompt)["input_ids"] if prompt else []
    return len(ids) - bool(ids and ids[-1] in tokenizer.all_special_ids)
