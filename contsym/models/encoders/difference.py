"""A small difference to an encoder's weights: a product of two narrow matrices for each linear layer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from contsym.checked import read_tensors
from contsym.errors import EncoderError
from contsym.models.encoders.checkpoints import DIFFERENCE

if TYPE_CHECKING:
    from contsym.models.encoders.pooled import PooledEncoder

UP, DOWN = "up", "down"

Adapters = Mapping[str, tuple[Tensor, Tensor]]
"""(up, down) by the name of a linear layer, (out, rank) and (rank, in): up @ down is added to its weight."""


def with_adapters(transformer: Any, rank: int) -> Any:
    """The transformer with an adapter of this rank, drawn from the global generator, at each linear layer of its body.

    No sentence vector reads a checkpoint's pooler, so that has none. Raises EncoderError for a body without such layers.
    """
    from peft import LoraConfig, get_peft_model

    body = set(getattr(transformer, "base_model", transformer).modules())
    layers = {
        name: layer
        for name, layer in transformer.named_modules()
        if layer in body and isinstance(layer, nn.Linear | Conv1D) and "pooler" not in name.split(".")
    }
    if not layers:
        raise EncoderError(
            f"{type(transformer).__name__} has no linear layer for an adapter; expected another encoder"
        )
    is_transposed = any(isinstance(layer, Conv1D) for layer in layers.values())
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(layers), fan_in_fan_out=is_transposed)
    with warnings.catch_warnings():
        # peft asks transformers by a name that will go away.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        return get_peft_model(transformer, config)


def adapt(encoder: PooledEncoder, rank: int) -> None:
    """Freeze an encoder and put adapters of this rank into it; a head over its body, as of a classifier, is still trained.

    W x becomes W x + B A x, with B = 0 at first, so nothing changes before training.
    Source: Hu et al. 2022 (LoRA, arXiv 2106.09685), section 4.1.
    """
    transformer: Any = encoder.transformer
    body = set(transformer.base_model.parameters())
    head = [p for p in transformer.parameters() if p not in body]
    encoder.requires_grad_(False)
    # In place: the transformer stays what it is to whoever asks for its base_model or its head.
    with_adapters(transformer, rank)
    for p in head:
        p.requires_grad_(True)


def merged_weights(transformer: nn.Module) -> dict[str, Tensor]:
    """W + B A of each layer that `adapt` has changed, by the name that W has without adapters."""
    from peft.tuners.lora import LoraLayer

    adapted: dict[str, Any] = {n: m for n, m in transformer.named_modules() if isinstance(m, LoraLayer)}
    return {
        f"{name}.weight": (layer.base_layer.weight + layer.get_delta_weight("default")).detach()
        for name, layer in adapted.items()
    }


def merge_adapters(encoder: PooledEncoder) -> Adapters:
    """Add the adapters, rounded to half precision as they are stored, to the weights; gives (up, down) by layer."""
    from peft.tuners.lora import LoraLayer

    adapted: Any = encoder.transformer
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, layer in adapted.get_base_model().named_modules():
        if isinstance(layer, LoraLayer):
            matrices: Any = layer.lora_B["default"], layer.lora_A["default"]
            for matrix in matrices:
                matrix.weight.data = matrix.weight.data.half().float()
            up, down = (matrix.weight.data for matrix in matrices)
            found[name] = up, down
    encoder.transformer = adapted.merge_and_unload()
    return found


def write_difference(folder: Path, adapters: Adapters) -> None:
    """Write adapters in half precision into a folder, as `add_difference` reads them."""
    from safetensors.torch import save_file

    named = {
        f"{layer}.{part}": tensor.detach().cpu().half().contiguous()
        for layer, pair in adapters.items()
        for part, tensor in zip((UP, DOWN), pair, strict=True)
    }
    save_file(named, folder / DIFFERENCE)


@torch.no_grad()
def add_difference(transformer: nn.Module, folder: Path) -> None:
    """Add the difference in a folder to the weights of a transformer, whatever head it has on top.

    Raises EncoderError where the file is damaged, or of a transformer with other layers.
    """
    path = folder / DIFFERENCE
    found = read_tensors(path, EncoderError, "make it again with contsym pretrain")
    layers = dict(getattr(transformer, "base_model", transformer).named_modules())
    names = sorted({name.rpartition(".")[0] for name in found})
    if set(found) != {f"{name}.{part}" for name in names for part in (UP, DOWN)}:
        raise EncoderError(
            f"{path}: expected an up and a down matrix for each layer; make it again with contsym pretrain"
        )
    for name in names:
        weight = getattr(layers.get(name), "weight", None)
        if weight is None:
            raise EncoderError(
                f"{path}: the encoder has no layer {name}; expected the encoder that it was trained from"
            )
        up, down = found[f"{name}.{UP}"].float(), found[f"{name}.{DOWN}"].float()
        # GPT-2's layers keep their weights as (in, out).
        is_transposed = isinstance(layers[name], Conv1D)
        shape = weight.t().shape if is_transposed else weight.shape
        if (
            up.ndim != 2
            or down.ndim != 2
            or up.shape[1] != down.shape[0]
            or shape != (len(up), down.shape[1])
        ):
            raise EncoderError(
                f"{path}: {name} has an up matrix of shape {tuple(up.shape)} and a down matrix of shape "
                f"{tuple(down.shape)}; expected a product of shape {tuple(shape)}"
            )
        product = up @ down
        weight += product.t() if is_transposed else product
