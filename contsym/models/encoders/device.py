"""Device, determinism and precision."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

from contsym.checked import is_number
from contsym.errors import SettingError, nearest
from contsym.machine import changed_environment, is_amd, run_environment

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["fp32", "bf16"]


def choose_device(name: str) -> str:
    """`auto` is a GPU where torch sees one. Raises SettingError for a device that is absent."""
    import torch

    name = str(name)  # a torch.device too
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and is_number(number))):
        raise SettingError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= n_gpus:
        seen = f"{n_gpus} GPU{'s' * (n_gpus != 1)}" if n_gpus else "no GPU"
        raise SettingError(f"--device {name}: torch sees {seen} here; use --device cpu or auto")
    return name


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Inside, torch's algorithms give the same result each time; afterwards torch, its random state and the environment
    are as they were, as a notebook expects.

    On a GPU an operation without such an algorithm raises RuntimeError: with a warning alone the backward
    pass of attention would still add in any order, and a seed would fix nothing.
    """
    import torch

    on_gpu = device.startswith("cuda")
    # cuBLAS reads its variable at its first product; without it products of one stream may differ. OpenMP reads its own
    # when a library is loaded, and FAISS and scikit-learn bring theirs along.
    cublas = (
        {"CUBLAS_WORKSPACE_CONFIG": os.environ.get("CUBLAS_WORKSPACE_CONFIG", ":4096:8")} if on_gpu else {}
    )
    was_on = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    devices = [device] if on_gpu else []
    with torch.random.fork_rng(devices=devices), changed_environment({**run_environment(), **cublas}):
        try:
            torch.use_deterministic_algorithms(True, warn_only=not on_gpu)
            # Would write NaN into every new tensor, to show reads of what was never written; costs time.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            yield
        finally:
            torch.use_deterministic_algorithms(was_on, warn_only=only_warned)
            torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def choose_precision(name: str, device: str) -> Precision:
    """`auto` is bfloat16 where the hardware multiplies it faster than float32, else float32.

    Such hardware is a GPU from compute capability 8 on, a CPU with AMX tiles, and AMD's with AVX512-BF16, where float32
    takes 1.4 (a training step) to 1.9 times as long (encoding). On Intel's with AVX512-BF16 alone bfloat16 took 1.1 to
    1.3 times as long as float32. Measured by benchmarks/precision.py; figures in docs/performance.md. The choice depends
    on no timing, so that a machine always gives the same numbers. Raises SettingError for another name.
    """
    import torch

    if name != "auto":
        if name not in get_args(Precision):
            raise SettingError(f"--precision {name!r}: {nearest(str(name), ('auto', *get_args(Precision)))}")
        return "bf16" if name == "bf16" else "fp32"
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp32"
    is_fast = torch.cpu._is_amx_tile_supported() or (is_amd() and torch.cpu._is_avx512_bf16_supported())
    return "bf16" if is_fast else "fp32"


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
