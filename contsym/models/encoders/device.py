"""Device, determinism and precision."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from contsym.checked import is_number
from contsym.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["fp32", "bf16"]


def choose_device(asked: str) -> str:
    """`auto` takes a GPU where torch sees one; asking for an absent one is an error."""
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = asked.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and is_number(number))):
        raise SettingError(f"--device {asked}: expected auto, cpu, cuda or cuda:N")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= n_gpus:
        seen = f"{n_gpus} GPUs" if n_gpus else "no GPU"
        raise SettingError(f"--device {asked}: torch sees {seen} here; use --device cpu or auto")
    return asked


def be_deterministic(device: str) -> None:
    """Ask torch for algorithms that give the same result each time, for the whole process.

    On a GPU an operation without such an algorithm raises RuntimeError: with warnings alone the attention's
    backward pass would go on adding in any order, and seeds would mean nothing.
    """
    import torch

    on_gpu = device.startswith("cuda")
    if on_gpu:
        # cuBLAS reads it with its first product; without it products of one stream may differ.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=not on_gpu)


def choose_precision(asked: str, device: str) -> Precision:
    """`auto` is bfloat16 where the hardware multiplies it faster than float32, else float32.

    That is a GPU from compute capability 8 on, and a CPU with AMX tiles. AVX512-BF16 alone
    does not decide it: on one such CPU bfloat16 took 1.1 to 1.3 times as long as
    float32 (docs/results.md). The choice depends on the hardware alone, never on a timing, so the
    same machine always gives the same numbers.
    """
    import torch

    if asked != "auto":
        return "bf16" if asked == "bf16" else "fp32"
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"


def random_state(device: str) -> dict[str, Tensor]:
    """The state of torch's generators that a run on this device draws from."""
    import torch

    found = {"cpu": torch.get_rng_state()}
    if device.startswith("cuda"):
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def set_random_state(state: Mapping[str, Tensor], device: str) -> None:
    """Put in what `random_state` gave."""
    import torch

    torch.set_rng_state(state["cpu"])
    if device.startswith("cuda"):
        torch.cuda.set_rng_state(state["cuda"], device)
