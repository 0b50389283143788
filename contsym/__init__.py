"""contsym measures how few examples a language encoder needs to learn a relation, and what it forgets.

From Python: `run`, `sweep`, `load` and `compare` give results as pandas tables, `load_model` a saved model, and `diff` what
changed between two checkpoints. `Strategy` is the base class of a method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contsym.api.comparison import Comparison, compare
    from contsym.api.functions import diff, load, run, sweep
    from contsym.api.models import load_model
    from contsym.api.results import Run, Sweep
    from contsym.differences.schema import Diff
    from contsym.errors import ContsymError
    from contsym.strategies.base import Strategy
    from contsym.training.trained import TrainedModel

__version__ = "0.2.0"

_HOMES = {
    "run": "contsym.api.functions",
    "sweep": "contsym.api.functions",
    "load": "contsym.api.functions",
    "load_model": "contsym.api.models",
    "compare": "contsym.api.comparison",
    "Comparison": "contsym.api.comparison",
    "Run": "contsym.api.results",
    "Sweep": "contsym.api.results",
    "Strategy": "contsym.strategies.base",
    "TrainedModel": "contsym.training.trained",
    "diff": "contsym.api.functions",
    "Diff": "contsym.differences.schema",
    "ContsymError": "contsym.errors",
}
"""The module of each public name; it is imported when the name is used, so `import contsym` takes milliseconds."""

__all__ = [
    "Comparison",
    "ContsymError",
    "Diff",
    "Run",
    "Strategy",
    "Sweep",
    "TrainedModel",
    "compare",
    "diff",
    "load",
    "load_model",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'contsym' has no attribute {name!r}")
    # No package here has the name of a function: its import would put the package in place of the function.
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
