"""contsym measures how few examples a language encoder needs to learn a relation, and what it forgets.

From Python: `run`, `sweep`, `load`, `compare` and `diff`, with results as pandas tables; `Strategy` is the base of an own
method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contsym.api.comparison import Comparison, compare
    from contsym.api.functions import diff, load, run, sweep
    from contsym.api.results import Run, Sweep
    from contsym.differences.schema import Diff
    from contsym.errors import ContsymError
    from contsym.strategies.base import Strategy

__version__ = "0.1.0"

_HOMES = {
    "run": "contsym.api.functions",
    "sweep": "contsym.api.functions",
    "load": "contsym.api.functions",
    "compare": "contsym.api.comparison",
    "diff": "contsym.api.functions",
    "Diff": "contsym.differences.schema",
    "Comparison": "contsym.api.comparison",
    "Run": "contsym.api.results",
    "Sweep": "contsym.api.results",
    "Strategy": "contsym.strategies.base",
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
    "compare",
    "diff",
    "load",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'contsym' has no attribute {name!r}")
    # The API's names hide no module: contsym.sweeps would else be the package of that name once it is imported.
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
