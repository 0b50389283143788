"""Metrics and a logger for any Avalanche strategy: accuracy matrix, forgetting, trajectory, sample efficiency, MLflow.

They need nothing else of contsym: `Naive` on a benchmark of images is as good as contsym's own runs, which use the same
classes. A part is imported when its name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contsym.avalanche.forgetting import Forgetting
    from contsym.avalanche.matrix import AccuracyMatrix
    from contsym.avalanche.mlflow_logger import MLflowLogger
    from contsym.avalanche.sample_efficiency import SampleEfficiency
    from contsym.avalanche.trajectory import Trajectory

__all__ = ["AccuracyMatrix", "Forgetting", "MLflowLogger", "SampleEfficiency", "Trajectory"]

_MODULES = {
    "AccuracyMatrix": "matrix",
    "Forgetting": "forgetting",
    "MLflowLogger": "mlflow_logger",
    "SampleEfficiency": "sample_efficiency",
    "Trajectory": "trajectory",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
