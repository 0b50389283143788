"""One scenario in every order of its experiences: the same figures side by side, and their spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from contsym.summary import summarise

Results = Sequence[Mapping[str, Any]]


def order_of(result: Mapping[str, Any]) -> str:
    """The order that a result's scenario is in, as `mnli,wikidata`; empty where the scenario has one only."""
    return result["scenario"].partition(":")[2]


def by_order(found: Results) -> dict[str, list[Mapping[str, Any]]]:
    """Results by their order, in the order of their coming."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in found:
        groups.setdefault(order_of(result), []).append(result)
    return groups


def over_orders(groups: Mapping[str, Results]) -> dict[str, dict[str, Any]]:
    """Each figure by order, mean over the seeds, with mean, sd (n - 1), min and max over the orders.

    A figure that an order does not have (forgetting of its last experience, or of what was never
    learned in every seed) is None there and left out of the spread; sd needs two orders.
    """
    means = {order: _figures(summarise(found)) for order, found in groups.items()}
    names = next(iter(means.values()))
    return {name: _spread({order: figures[name] for order, figures in means.items()}) for name in names}


def _figures(mean: Mapping[str, Any]) -> dict[str, float | None]:
    """By name; experiences by their names, so that each order has the same rows."""
    tasks = sorted(mean["final"])
    return {
        "accuracy, mean": mean["final_macro"],
        **{f"accuracy, {name}": mean["final"][name] for name in tasks},
        **{f"forgetting, {name}": mean["forgetting"][name] for name in tasks},
        "backward transfer": mean["bwt"],
    }


def _spread(values: Mapping[str, float | None]) -> dict[str, Any]:
    known = [value for value in values.values() if value is not None]
    return {
        "by_order": dict(values),
        "n_orders": len(known),
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "min": min(known, default=None),
        "max": max(known, default=None),
    }
