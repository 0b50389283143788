"""Chooses the engine by name: local processes, Ray or SLURM."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.config import DEFAULT_OUTPUT
from contsym.errors import ContsymError, SettingError
from contsym.sweeps.engines.local import LocalExecutor

if TYPE_CHECKING:
    from contsym.sweeps.engines.base import Executor


def make_executor(
    backend: str,
    n_jobs: int | None,
    address: str | None = None,
    options: Mapping[str, str] | None = None,
    output: Path = Path(DEFAULT_OUTPUT),
    device: str = "auto",
) -> Executor:
    """The engine with this name. Without `n_jobs`, this machine and SLURM run one job at a time, and a Ray cluster one
    per GPU or node.

    Raises ContsymError if the engine is not installed or cannot be reached, SettingError for an unknown option.
    """
    options = options or {}
    check_engine(backend, n_jobs, address, options)
    if backend == "local":
        return LocalExecutor(n_jobs or 1, gpus=several_gpus(device))
    try:
        if backend == "ray":
            from contsym.sweeps.engines.ray import RayExecutor

            return RayExecutor(n_jobs, address, options)
        from contsym.sweeps.engines.slurm import SlurmExecutor

        return SlurmExecutor(n_jobs, output, options)
    except ModuleNotFoundError as error:
        raise ContsymError(
            f"--backend {backend}: {error.name} is not installed; pip install 'contsym[{backend}]'"
        ) from None


def several_gpus(device: str) -> list[str]:
    """The GPUs for the processes to share, as CUDA_VISIBLE_DEVICES names them.

    Empty if there are fewer than two, or the device names one of them.
    """
    if device not in ("auto", "cuda"):
        return []
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(i) for i in range(n_gpus)] if visible is None else visible.split(",")[:n_gpus]
    return gpus if len(gpus) > 1 else []


def check_engine(backend: str, n_jobs: int | None, address: str | None, options: Mapping[str, str]) -> None:
    """Raise SettingError for mistakes that show before the engine is loaded."""
    if n_jobs is not None and n_jobs < 1:
        raise SettingError(f"--jobs {n_jobs}: expected at least 1")
    if address and backend != "ray":
        raise SettingError(f"--address goes with --backend ray, not {backend}")
    if options and backend == "local":
        raise SettingError(f"--engine-option {next(iter(options))}: --backend local has none; leave it out")


def read_options(pairs: Sequence[str]) -> dict[str, str]:
    """The values of --engine-option by name. Raises SettingError unless each is NAME=VALUE.

    >>> read_options(["partition=gpu", "gres=gpu:a100=2"])
    {'partition': 'gpu', 'gres': 'gpu:a100=2'}
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not name or not value:
            raise SettingError(f"--engine-option {pair!r}: expected name=value, as partition=gpu")
        if name in values:
            raise SettingError(f"--engine-option {name} is given twice; give it once")
        values[name] = value
    return values
