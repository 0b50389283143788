"""Writes an encoder as a folder that transformers, sentence-transformers and contsym read as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.checked import read_tensors
from contsym.errors import EncoderError
from contsym.files import visible_folders
from contsym.models.encoders import declared
from contsym.models.encoders.nli_head import NLI_HEAD
from contsym.models.encoders.weights import state_width

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contsym.models.encoders.declared import Pooling
    from contsym.models.encoders.pooled import PooledEncoder

ADAPTERS = "adapters"
"""The folder of PEFT's adapters, one folder each by name."""
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_LORA = re.compile(r"\blora_\w+\.")


def save_encoder(
    folder: Path,
    encoder: PooledEncoder,
    pooling: Pooling,
    *,
    weights: bool = True,
    transformer: nn.Module | None = None,
) -> None:
    """Write an encoder into a folder: config, weights, tokenizer, and the pooling as sentence-transformers declares it.

    `transformer` replaces the encoder's, as by one with a head over the same body. The adapters of a PEFT model go into
    ADAPTERS, and the weights below them are as they would be without; those of `adapt` are added to the weights.
    `weights` False: the declaration of the pooling alone.
    """
    from safetensors.torch import save_file

    whole: Any = encoder.transformer if transformer is None else transformer
    adapted: Any = encoder.transformer
    merged: Mapping[str, Tensor] = {}
    if hasattr(adapted, "get_base_model"):
        _save_adapters(folder / ADAPTERS, adapted)
        whole = adapted.get_base_model() if transformer is None else transformer
    elif hasattr(adapted, "peft_config"):
        from contsym.models.encoders.difference import merged_weights

        merged = merged_weights(whole)
    if weights:
        _save_weights(folder, whole, merged)
        _save_tokenizer(folder, encoder.tokenizer)
    declared.write(folder, pooling, state_width(whole, folder))
    for layer, name in zip(encoder.dense, declared.dense_folders(pooling), strict=True):
        parts: Any = layer
        tensors = {f"linear.{n}": t.detach().cpu().contiguous() for n, t in parts[0].state_dict().items()}
        save_file(tensors, folder / name / "model.safetensors")
    if encoder.nli_head is not None:
        head = {name: t.detach().cpu().contiguous() for name, t in encoder.nli_head.items()}
        save_file(head, folder / NLI_HEAD)


def _save_weights(folder: Path, transformer: Any, merged: Mapping[str, Tensor]) -> None:
    state = {
        name.replace(".base_layer.", "."): t.detach().cpu()
        for name, t in transformer.state_dict().items()
        if not _LORA.search(name)
    } | {name: t.cpu() for name, t in merged.items()}
    was_at = transformer.config._name_or_path
    # The path of this machine is nobody's business.
    transformer.config._name_or_path = ""
    try:
        transformer.save_pretrained(folder, state_dict=state)
    finally:
        transformer.config._name_or_path = was_at


def _save_tokenizer(folder: Path, tokenizer: Any) -> None:
    if backend := getattr(tokenizer, "backend_tokenizer", None):
        # As the last call left them; the next call sets its own.
        backend.no_truncation()
        backend.no_padding()
    tokenizer.save_pretrained(folder)


def _save_adapters(folder: Path, adapted: Any) -> None:
    from safetensors.torch import save_file

    for name, config in adapted.peft_config.items():
        place = folder / name
        place.mkdir(parents=True)
        was_at, was_training = config.base_model_name_or_path, config.inference_mode
        config.base_model_name_or_path, config.inference_mode = None, True
        try:
            config.save_pretrained(place)
        finally:
            config.base_model_name_or_path, config.inference_mode = was_at, was_training
        # Not by PEFT's own function: it takes the adapter 1 for a part of layer.1.
        own = re.compile(rf"(.*\.lora_\w+)\.{re.escape(name)}(\.weight)?")
        found = ((own.fullmatch(n), t) for n, t in adapted.state_dict().items())
        tensors = {f"{m[1]}{m[2] or ''}": t.detach().cpu().contiguous() for m, t in found if m}
        save_file(tensors, place / ADAPTER_WEIGHTS)


def read_adapters(folder: Path) -> Mapping[str, Tensor]:
    """The weights of the adapters in a saved folder, by the names that they have below PEFT's base model."""
    found: dict[str, Tensor] = {}
    for place in visible_folders(folder / ADAPTERS):
        for name, tensor in read_tensors(place / ADAPTER_WEIGHTS, EncoderError).items():
            stem, _, kind = name.removeprefix("base_model.model.").rpartition(".")
            found[f"{stem}.{place.name}.{kind}"] = tensor
    return found
