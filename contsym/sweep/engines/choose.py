"""The engine of a name: local processes, Ray or SLURM."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.config import DEFAULT_OUTPUT
from contsym.errors import ContsymError, SettingError
from contsym.sweep.engines.local import LocalExecutor

if TYPE_CHECKING:
    from contsym.sweep.engines.base import Executor


BACKENDS = ("local", "ray", "slurm")


def make_executor(
    backend: str,
    n_jobs: int | None,
    address: str | None = None,
    options: Mapping[str, str] | None = None,
    output: Path = Path(DEFAULT_OUTPUT),
    device: str = "auto",
) -> Executor:
    """The engine of that name. Without `n_jobs`, it takes what it finds: this machine does one piece at a
    time, SLURM too, a Ray cluster one for each GPU or node.

    Raises ContsymError where it is not installed or cannot be reached, SettingError for an option
    that it has not.
    """
    options = options or {}
    check_engine(backend, n_jobs, address, options)
    if backend == "local":
        return LocalExecutor(n_jobs or 1, gpus=several_gpus(device))
    try:
        if backend == "ray":
            from contsym.sweep.engines.ray import RayExecutor

            return RayExecutor(n_jobs, address, options)
        from contsym.sweep.engines.slurm import SlurmExecutor

        return SlurmExecutor(n_jobs, output, options)
    except ModuleNotFoundError as error:
        raise ContsymError(
            f"--backend {backend}: {error.name} is not installed; pip install 'contsym[{backend}]'"
        ) from None


def several_gpus(device: str) -> list[str]:
    """The GPUs that processes share out among them, as CUDA_VISIBLE_DEVICES names them.

    None where there are less than two, or a device was named that is not all of them.
    """
    if device not in ("auto", "cuda"):
        return []
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(i) for i in range(n_gpus)] if named is None else named.split(",")[:n_gpus]
    return gpus if len(gpus) > 1 else []


def check_engine(backend: str, n_jobs: int | None, address: str | None, options: Mapping[str, str]) -> None:
    """Raises SettingError for what can be told without the engine itself, before anything is loaded."""
    if n_jobs is not None and n_jobs < 1:
        raise SettingError(f"--jobs {n_jobs}: expected at least 1")
    if address and backend != "ray":
        raise SettingError(f"--address goes with --backend ray, not {backend}")
    if options and backend == "local":
        raise SettingError(f"--engine-option {next(iter(options))}: --backend local has none")


def read_options(pairs: Sequence[str]) -> dict[str, str]:
    """What --engine-option was given, by name. Raises SettingError for what is not NAME=VALUE.

    >>> read_options(["partition=gpu", "gres=gpu:a100=2"])
    {'partition': 'gpu', 'gres': 'gpu:a100=2'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not name or not value:
            raise SettingError(f"--engine-option {pair!r}: expected name=value, as partition=gpu")
        if name in found:
            raise SettingError(f"--engine-option {name} is given twice; give it once")
        found[name] = value
    return found
