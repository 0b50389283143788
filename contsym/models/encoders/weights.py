"""Load checkpoints of transformers: the files hold every weight in use, and the embedding table has every token.

Nothing is downloaded, no code of a checkpoint runs, and pickled weights are not read.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
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

UNUSED = ("pooler",)
"""Parts of a body that may be missing, because no sentence vector reads them."""

OFFSET_POSITIONS = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "longformer", "xmod"),
    *("data2vec-text", "ibert", "luke", "mpnet", "markuplm", "esm", "lilt"),
}
"""Model types that count positions from padding_idx + 1, and never use the rows before."""

ANY_TOKEN_TYPE = {"xlnet"}
"""Model types that compare token types and have no table of them."""

TEXT_INPUTS = ("input_ids", "attention_mask")


def body(folder: Path, **options: Any) -> nn.Module:
    """The transformer without a head; for a sequence-to-sequence model its encoder."""
    config = model_config(folder)
    has_half = _has_encoder_class(config)
    # The decoder of an OPT is all of its body.
    unused = (*UNUSED, "decoder") if config.is_encoder_decoder else UNUSED
    model: Any = from_pretrained(
        AutoModelForTextEncoding if has_half else AutoModel, folder, unused, **options
    )
    if config.is_encoder_decoder and not has_half:
        model = model.get_encoder()
    if not hasattr(model, "config"):
        raise EncoderError(f"{folder}: {type(model).__name__} has no config; expected a text encoder")
    if getattr(model.config, "use_cache", False):
        # A sentence is read once: a cache of keys and values would only take memory.
        model.config.use_cache = False
    return model


def has_own_encoder(folder: Path) -> bool:
    """Whether `body` can be saved as a checkpoint and loaded again: half a BART cannot."""
    config = model_config(folder)
    return not config.is_encoder_decoder or _has_encoder_class(config)


def _has_encoder_class(config: Any) -> bool:
    """Whether transformers has a class for the encoder of a sequence-to-sequence model, such as T5EncoderModel."""
    encoder_class: Any = MODEL_FOR_TEXT_ENCODING_MAPPING.get(type(config), None)
    return encoder_class is not None and encoder_class.__name__.endswith("EncoderModel")


def classifier(folder: Path, **options: Any) -> nn.Module:
    """The checkpoint with its classification head."""
    return from_pretrained(AutoModelForSequenceClassification, folder, **options)


def masked_lm(folder: Path, **options: Any) -> nn.Module | None:
    """The checkpoint with its masked-language-model head; None if its weights have no such head."""
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
    """Raise EncoderError where a checkpoint does not suit this head, reads no texts, or has another's tokenizer.

    Only names and shapes of the weights are read, so that the largest model takes no time.
    """
    model: Any = LOADERS[head](folder, device_map="meta") or body(folder, device_map="meta")
    tokenizer = load_tokenizer(folder)
    names = inspect.signature(model.forward).parameters
    lacking = [name for name in TEXT_INPUTS if name not in names]
    if lacking:
        raise EncoderError(
            f"{folder}: {type(model).__name__} takes no {' and no '.join(lacking)}; expected a text encoder"
        )
    state_width(model, folder)
    n = n_rows(model)
    # Special tokens that no text gets, such as one for padding, need no row.
    unused = set(tokenizer.all_special_ids) - set(tokenizer("a", "b")["input_ids"])
    largest = max(set(tokenizer.get_vocab().values()) - unused, default=-1)
    if largest >= n:
        raise EncoderError(
            f"{folder}: the tokenizer has tokens up to {largest}, and the embedding table has {n} rows; expected "
            "the tokenizer that the weights were trained with"
        )


def from_pretrained(auto: Any, folder: Path, unused: tuple[str, ...] = (), **options: Any) -> nn.Module:
    """A checkpoint by one of transformers' Auto classes, with every weight from its files.

    Raises EncoderError where a weight outside `unused` parts is missing or of another shape, where the files have more
    weights of its layers than config.json, and where transformers cannot load the folder.
    """
    model, missing, unexpected = _loaded(auto, folder, **options)
    # transformers draws missing weights at random.
    lacking = {name: why for name, why in missing.items() if not set(name.split(".")) & set(unused)}
    if not lacking:
        # transformers leaves out what config.json does not name, such as its last layers or an adapter.
        if left_out := _of_layers(unexpected, model, unused):
            n = f"{len(left_out)} weights are" if len(left_out) > 1 else "a weight is"
            raise EncoderError(
                f"{folder}: {n} in its files that {type(model).__name__} with this config.json has no place for, such as "
                f"{left_out[0]}; expected the config.json of these weights, and adapters merged into them"
            )
        return model
    name, why = next(iter(lacking.items()))
    if similar := next((n for n in unexpected if n.endswith(f".{name}")), None):
        why = f"found as {similar}, under a prefix that {type(model).__name__} does not have"
    n = f"{len(lacking)} weights are" if len(lacking) > 1 else "a weight is"
    raise EncoderError(
        f"{folder}: {n} not in its files as {type(model).__name__} needs them, such as {name} ({why}); expected a "
        "checkpoint with all of them, as save_pretrained writes it"
    )


def _of_layers(unexpected: Iterable[str], model: Any, unused: tuple[str, ...]) -> list[str]:
    """The unexpected weights that are in a layer of the model, or in one more of these layers.

    Heads are in none, and older transformers stored constants there under other names than `weight`.
    """

    def layers_of(name: str) -> str:
        found = re.match(r"\.(.*?)\.\d+\.", f".{name.removeprefix(model.base_model_prefix + '.')}")
        return found[1] if found else ""

    own = {layers_of(name) for name in model.state_dict()} - {""}
    return [
        name
        for name in unexpected
        if name.endswith(".weight") and layers_of(name) in own and not set(name.split(".")) & set(unused)
    ]


def _loaded(auto: Any, folder: Path, **options: Any) -> tuple[Any, dict[str, str], list[str]]:
    """(model, reasons by name of missing weights, unused names in the files)."""
    try:
        model, info = auto.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            # Reported below; the message of transformers has no names.
            ignore_mismatched_sizes=True,
            **options,
        )
    # A damaged checkpoint makes transformers raise any kind of error.
    except Exception as error:
        remedy = (
            "; expected whole files: copy or download them again (in a git clone: git lfs pull)"
            if isinstance(error, SafetensorError)
            else ""
        )
        raise EncoderError(
            f"{folder}: transformers cannot load it ({first_line(error, 160)}){remedy}"
        ) from error
    # A config.json may ask for tuples.
    model.config.return_dict = True
    missing = dict.fromkeys(sorted(info["missing_keys"]), "missing")
    for name, shape, expected in sorted(info["mismatched_keys"]):
        missing[name] = f"of shape {tuple(shape)}, where config.json says {tuple(expected)}"
    return model, missing, sorted(info["unexpected_keys"])


def model_config(folder: Path) -> Any:
    """A checkpoint's config with its defaults. Raises EncoderError for a model unknown to transformers."""
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise EncoderError(
            f"{folder}: transformers cannot read its config.json ({first_line(error, 160)})"
        ) from error


def is_decoder_only(folder: Path) -> bool:
    """Whether each token sees only earlier ones, so that only the last token has seen the text."""
    config = model_config(folder)
    if config.is_encoder_decoder or config.model_type == "xlnet":
        return False
    is_causal = (
        type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING
    )
    is_causal = is_causal and not getattr(config, "use_bidirectional_attention", False)
    return is_causal or bool(getattr(config, "is_decoder", False))


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a checkpoint, limited to the positions of the model."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        tokenizer.model_max_length = min(tokenizer.model_max_length, n_positions(model_config(folder)))
        length_limit(tokenizer)
    except Exception as error:
        reason = f"its tokenizer cannot be loaded ({first_line(error, 160)})"
        pieces = sorted(path.name for path in folder.glob("*.model"))
        if pieces and not (folder / "tokenizer.json").is_file() and not find_spec("sentencepiece"):
            # transformers asks for another package, which cannot read such a file.
            reason = (
                f"its tokenizer is {pieces[0]} alone, which takes the package sentencepiece; install it "
                "(pip install sentencepiece), or save the tokenizer as tokenizer.json with transformers"
            )
        raise EncoderError(f"{folder}: {reason}") from error
    # On the right, so that padding does not move positions.
    tokenizer.padding_side = "right"
    return tokenizer


def n_positions(config: Any) -> float:
    """The number of positions of a model; infinity if they are relative."""
    n = getattr(config, "max_position_embeddings", None)
    if not isinstance(n, int) or n < 1:
        return float("inf")
    if config.model_type in OFFSET_POSITIONS:
        # MPNet's is 1, whatever its config says.
        padding = 1 if config.model_type == "mpnet" else config.pad_token_id
        return n - (padding or 0) - 1
    return n


def n_token_types(config: Any) -> float:
    """Rows of a model's table of token types; 0 without a table."""
    if config.model_type in ANY_TOKEN_TYPE:
        return float("inf")
    n = getattr(config, "type_vocab_size", 0)
    return n if isinstance(n, int) else 0


def length_limit(tokenizer: Any, at_most: int = MAX_LENGTH) -> int:
    """Tokens of a text, with special tokens. Raises EncoderError if a pair of sentences does not fit."""
    limit = min(at_most, tokenizer.model_max_length)
    if limit <= tokenizer.num_special_tokens_to_add(pair=True):
        raise EncoderError(f"texts are cut at {limit} tokens; expected room for a pair of sentences")
    return int(limit)


def state_width(transformer: Any, folder: Path) -> int:
    """The dimensions of a transformer's states, by its config."""
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
    """The padding token of the tokenizer, or its end token, that the embedding table has; else 0."""
    tokens = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((token for token in tokens if token is not None and token < n_rows(transformer)), 0)


def n_rows(transformer: Any) -> float:
    """Rows of the embedding table; infinity for a model without one, such as CANINE."""
    try:
        return getattr(transformer.get_input_embeddings(), "num_embeddings", float("inf"))
    except NotImplementedError:
        return float("inf")


def n_prompt_tokens(tokenizer: Any, prompt: str) -> int:
    """The number of tokens of a prompt, with leading special tokens."""
    ids = tokenizer(prompt)["input_ids"] if prompt else []
    return len(ids) - bool(ids and ids[-1] in tokenizer.all_special_ids)
