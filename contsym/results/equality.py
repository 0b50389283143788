"""Whether two results are the same measurement: seconds, memory and facts of the machine apart."""

from __future__ import annotations

from typing import Any

from contsym.results.schema import Facts, SeedResult
from contsym.results.schema_training import Cost

TIMED = ("training_seconds", "trajectory_seconds", "peak_memory_bytes")
"""Costs that no two runs share."""
NOT_MEASURED = {*Facts.model_fields, "start", "cost", "notes", "seconds"}
MEASURED = tuple(name for name in SeedResult.model_fields if name not in NOT_MEASURED)


def differing(stored: SeedResult, found: SeedResult) -> list[str]:
    """Names of measured entries that are not the same, those that no two runs share left out."""
    names = [name for name in MEASURED if getattr(stored, name) != getattr(found, name)]
    here, there = untimed(found.cost), untimed(stored.cost)
    return names + [f"cost {name}" for name, value in here.items() if there[name] != value]


def untimed(cost: Cost) -> dict[str, Any]:
    """The costs of a result that a repetition must have too: those in seconds and the memory left out."""
    each = [one.model_dump(exclude={*TIMED}) for one in cost.experiences]
    return {**cost.model_dump(exclude={*TIMED, "experiences"}), "experiences": each}
