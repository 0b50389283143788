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
    """The transformer with an adapter of this rank, drawn from the global generator, at each linear layer.

    No sentence vector reads a checkpoint's pooler, so that has none.
    """
    from peft import LoraConfig, get_peft_model

    layers = {
        name: layer
        for name, layer in transformer.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and "pooler" not in name.split(".")
    }
    is_transposed = any(isinstance(layer, Conv1D) for layer in layers.values())
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(layers), fan_in_fan_out=is_transposed)
    with warnings.catch_warnings():
        # peft asks transformers by a name that will go away.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        return get_peft_model(transformer, config)


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
