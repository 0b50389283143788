"""What an Avalanche experience teaches, what a model answers, and which metrics stand in an evaluator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contsym.errors import ContsymError

if TYPE_CHECKING:
    from avalanche.benchmarks import CLExperience
    from avalanche.evaluation import PluginMetric
    from torch import Tensor


def origin_of(experience: CLExperience) -> CLExperience:
    """The experience, or the whole one where an online stream gives it in parts."""
    return getattr(experience, "origin_experience", experience)


def task_of(experience: CLExperience) -> int:
    """The place of the experience in its stream, from 0: the task that it teaches or tests."""
    return origin_of(experience).current_experience


def name_of(task: int) -> str:
    """The name that Avalanche's metrics give an experience.

    >>> name_of(7)
    'Exp007'
    """
    return f"Exp{task:03d}"


def answers(output: Tensor) -> Tensor:
    """The answered classes, (batch,), of scores, (batch, classes). Raises ContsymError for another shape."""
    if output.ndim == 2 and output.shape[1] > 1:
        return output.argmax(dim=1)
    raise ContsymError(
        f"the model's output has the shape {tuple(output.shape)}; expected (batch, classes), a score for each of two "
        "or more classes"
    )


def check_before(strategy: Any, needed: PluginMetric, metric: PluginMetric) -> None:
    """Raise ContsymError unless `needed`, which `metric` reads, stands before it in the strategy's evaluator."""
    metrics = list(strategy.evaluator.metrics)
    if needed not in metrics[: metrics.index(metric)]:
        name = type(needed).__name__
        raise ContsymError(
            f"{type(metric).__name__}: its {name} does not stand before it in the evaluator; expected "
            f"EvaluationPlugin(..., {name.lower()}, {type(metric).__name__}({name.lower()}, ...))"
        )
