"""The best setting of each strategy, chosen by validation pairs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from contsym.results.schema import SeedResult


@dataclass(frozen=True)
class Selection:
    """The setting of one strategy with the best accuracy on the validation pairs."""

    strategy: str
    variant: str
    """The strategy with its setting, as `knn_fixed k=5`."""
    validation: float
    """Macro accuracy on the validation pairs of all tasks at the end, mean over seeds and numbers of shots."""
    n_tried: int
    """Settings that were tried."""
    results: tuple[SeedResult, ...]
    """Those of this setting."""

    @property
    def words(self) -> str:
        """
        >>> Selection("knn_fixed", "knn_fixed k=5", 0.871, 3, ()).words
        'knn_fixed k=5 (validation 0.871; 3 settings tried)'
        """
        tried = f"{self.n_tried} setting{'s' * (self.n_tried > 1)} tried"
        return f"{self.variant} (validation {self.validation:.3f}; {tried})"

    def as_plain(self) -> dict[str, object]:
        """As --json prints it."""
        return {
            "strategy": self.strategy,
            "variant": self.variant,
            "validation": self.validation,
            "settings_tried": self.n_tried,
            "keys": [result.key for result in self.results],
        }


def select(results: Sequence[SeedResult], varied: Collection[str]) -> list[Selection]:
    """The best setting of each strategy by validation; of equal settings the first.

    Only numbers of shots and seeds that all settings of the strategy have are compared. A strategy without any
    of them in common is left out.
    """
    by_strategy: dict[str, dict[str, dict[tuple[str, int, int], SeedResult]]] = {}
    for result in results:
        cells = by_strategy.setdefault(result.strategy, {}).setdefault(result.variant(varied), {})
        cells[result.scenario, result.shots_group, result.seed] = result
    selections = []
    for strategy, variants in by_strategy.items():
        common = set.intersection(*(set(cells) for cells in variants.values()))
        if not common:
            continue
        scores = {
            variant: fmean(macro_validation(cells[place]) for place in sorted(common))
            for variant, cells in variants.items()
        }
        best = max(scores, key=lambda variant: scores[variant])
        kept = tuple(variants[best].values())
        selections.append(Selection(strategy, best, scores[best], len(variants), kept))
    return selections


def macro_validation(result: SeedResult) -> float:
    """Accuracy on the validation pairs at the end, mean over the tasks that were trained on."""
    return fmean(result.validation[task] for task in result.trained_tasks)
