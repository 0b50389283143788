"""The samples that each experience needed to reach a target, from the trajectory."""

from __future__ import annotations

from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue

from contsym.avalanche.experiences import check_before, name_of, task_of
from contsym.avalanche.trajectory import Trajectory
from contsym.errors import ContsymError
from contsym.results.metrics.trajectory import pairs_to_reach

Needed = tuple[int | None, int | None]
"""(distinct samples, samples seen); None: not reached."""


class SampleEfficiency(PluginMetric[list[Needed]]):
    """The samples of an experience at the first point of its trajectory with an accuracy on it at or above `target`.

    With `Trajectory(..., at_every_batch=True)` it is exact to the batch, else to a factor of two. Of test samples it is
    a description; a choice may only be made by validation samples. The definition is that of docs/readings.md ("one
    pass"): no paper defines it for a single training.

    `trajectory` must stand before it in the same EvaluationPlugin, else ContsymError is raised. Emits once at the
    end of an experience that reached the target, at x = 0:

    - `sample_efficiency/Exp000/n_pairs_seen`: samples seen until then, repeated ones included.
    - `sample_efficiency/Exp000/n_distinct_pairs`: different ones among them.

    >>> from contsym.avalanche import SampleEfficiency, Trajectory
    >>> trajectory = Trajectory([], at_every_batch=True)
    >>> SampleEfficiency(trajectory, target=0.9).result()
    []
    """

    def __init__(self, trajectory: Trajectory, target: float = 0.99) -> None:
        super().__init__()
        if not 0 <= target <= 1:
            raise ContsymError(f"SampleEfficiency: target {target} is no accuracy; expected 0 to 1, as 0.95")
        self.trajectory, self.target = trajectory, target
        self.reset()

    def reset(self) -> None:
        """Emit again; what it reads is the trajectory's."""
        self._emitted: set[int] = set()

    def result(self) -> list[Needed]:
        """(distinct samples, samples seen) by experience; None: not reached."""
        n_tasks = len(self.trajectory.parts)
        return [pairs_to_reach(self.trajectory.points, task, self.target) for task in range(n_tasks)]

    def before_training(self, strategy) -> None:
        check_before(strategy, self.trajectory, self)

    def after_training_exp(self, strategy) -> list[MetricValue] | None:
        task = task_of(strategy.experience)
        if task in self._emitted:
            return None
        n_distinct, n_seen = self.result()[task]
        if n_distinct is None or n_seen is None:
            return None
        self._emitted.add(task)
        key = f"sample_efficiency/{name_of(task)}"
        return [
            MetricValue(self, f"{key}/n_distinct_pairs", n_distinct, 0),
            MetricValue(self, f"{key}/n_pairs_seen", n_seen, 0),
        ]

    def __str__(self) -> str:
        return "SampleEfficiency"
