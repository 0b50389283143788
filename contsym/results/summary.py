"""What came of a run: the means over its seeds, read from stored results."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from contsym.data import shortcuts
from contsym.data.schema import KIND_OF_LABEL


def never_learned(n_learned: int, n_seeds: int) -> str:
    """In place of a figure of forgetting, where a seed has none.

    >>> never_learned(0, 3), never_learned(2, 3)
    ('never learned', 'never learned in 1 of 3 seeds')
    """
    return "never learned" + (f" in {n_seeds - n_learned} of {n_seeds} seeds" if n_learned else "")


def summarise(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the seeds of one run; a task's forgetting only where every seed learned it."""
    import numpy as np

    tasks = found[0]["tasks"]

    def mean(values: Sequence[float | None]) -> float | None:
        return None if None in values else float(np.mean(values))  # type: ignore[arg-type]

    return {
        "matrix": np.mean([r["matrix"] for r in found], axis=0).tolist(),
        "final": {t: mean([r["final"][t] for r in found]) for t in tasks},
        "final_macro": mean([r["final_macro"] for r in found]),
        "final_micro": mean([r["final_micro"] for r in found]),
        "forgetting": {t: mean([r["forgetting"][t] for r in found]) for t in tasks},
        "learned_in": {t: sum(r["learned"][t] for r in found) for t in tasks},
        **beside_shortcuts(found),
        "by_kind": {
            t: {
                kind: mean([r["by_kind"][t][-1][kind]["accuracy"] for r in found])
                for kind in KIND_OF_LABEL.values()
                if kind in found[0]["by_kind"][t][-1]
            }
            for t in found[0]["by_kind"]
        },
        "probe_forgetting": mean([(r.get("probe") or {}).get("forgetting") for r in found]),
        "bwt": mean([r["bwt"] for r in found]),
        "fwt": mean([r["fwt"] for r in found]),
        "seconds": mean([r["seconds"] for r in found]),
    }


def total_cost(result: Mapping[str, Any], name: str) -> float:
    """A cost of a whole seed: a figure of the run, or the sum over its experiences."""
    cost = result["cost"]
    return cost[name] if name in cost else sum(each[name] for each in cost["experiences"])


def beside_shortcuts(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean scores of the shortcuts, and how far the final accuracy is above the best of each seed.

    Results stored before contsym measured shortcuts have none.
    """
    import numpy as np

    tasks = [t for t in found[0]["tasks"] if all(r.get("shortcuts", {}).get(t) for r in found)]
    return {
        "shortcuts": {
            t: {
                name: float(np.mean([r["shortcuts"][t][name] for r in found]))
                for name in found[0]["shortcuts"][t]
            }
            for t in tasks
        },
        "above_best_shortcut": {
            t: float(np.mean([r["final"][t] - shortcuts.best(r["shortcuts"][t])[1] for r in found]))
            for t in tasks
        },
    }


def as_json(found: Sequence[Mapping[str, Any]], mlflow_run_ids: Mapping[int, str | None]) -> dict[str, Any]:
    """What `--json` prints: the run once, its seeds, and their mean."""
    shared = (
        *("strategy", "scenario", "encoder", "tasks", "sources", "settings", "options"),
        *("device", "precision", "run"),
    )
    own = (
        *("seed", "matrix", "final", "final_macro", "final_micro", "forgetting", "learned"),
        *(
            "probe",
            "bwt",
            "fwt",
            "by_kind",
            "shortcuts",
            "leaks",
            "sample_efficiency",
            "cost",
            "seconds",
            "notes",
        ),
    )
    seeds = [
        {**{name: r.get(name) for name in own}, "mlflow_run_id": mlflow_run_ids.get(r["seed"])} for r in found
    ]
    return {**{name: found[0][name] for name in shared}, "seeds": seeds, "mean": summarise(found)}


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
