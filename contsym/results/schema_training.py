"""The parts of a stored result that are measured while a strategy trains: trajectory, search and costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contsym.checked import Amount, Count, Gain, Name, Share, Written


class StoredPoint(Written):
    """A point of the trajectory: what the method would score on a fixed part of the validation pairs if it stopped here.

    The first point of an experience is before its training, with no step and no pair.
    """

    experience: Count
    n_steps: Count
    """Gradient steps of the experience so far."""
    n_pairs_seen: Count
    n_distinct_pairs: Count
    accuracies: list[Share | None]
    """By task, in order; None: not measured at this point."""
    weights_distance: Amount | None
    """||w - w0|| / ||w0|| of the encoder's trained weights, w0 at the start of the experience."""
    features_distance: Share | None
    """1 - linear CKA of the features with those at the start, mean over tasks; None also without sentence vectors."""


class TrajectoryFigures(Written):
    """Figures of the trajectory (results/metrics/trajectory.py); None: not measured, or no old task."""

    min_acc: Share | None
    worst_case_accuracy: Share | None
    average_anytime_accuracy: Share | None
    least_accuracy: dict[Name, Share | None]
    """By task, after its own experience."""
    stability_gap: dict[Name, Share | None]
    """By old task, in the last experience."""
    forgetting_at_target: dict[Name, Gain | None]
    """By old task: what was lost in the last experience when it reached the target; None: not reached."""


class Relearning(Written):
    """The first task, learned again at the end by a copy of the model (--relearn)."""

    n_pairs: Count | None
    """Pairs seen until the accuracy was back; 0: it was never below. None: not within `n_pairs_tried`."""
    n_pairs_tried: Count
    target: Share
    """Accuracy on the measured validation pairs right after the task's own training."""


class PairsToTarget(Written):
    """The smallest number of pairs that reached the target; None: not reached."""

    n_distinct_pairs: Count | None
    n_pairs_seen: Count | None


class Least(int):
    """The most shots that a search may try, as a group of results: another one than that number of shots.

    >>> Least(64) == Least(64), Least(64) == 64, len({Least(64), 64}), f"{Least(1600):,}"
    (True, False, 2, '1,600')
    """

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Least) and int(self) == int(other)

    def __ne__(self, other: object) -> bool:
        # int has its own, which is asked before the opposite of __eq__.
        return not self == other


class TriedShots(Written):
    n: Count
    accuracy: Share
    """On validation pairs."""


class Search(Written):
    """The search for the fewest shots that reach a target (--shots least)."""

    tried: Annotated[list[TriedShots], Field(min_length=1)]
    """In the order of trying."""
    found: Count | None
    """None: not reached; the result is then of the most."""
    target: Share
    step: Count
    most: Count
    """The largest number of shots that may be tried."""

    @property
    def group(self) -> Least:
        """What its results are grouped by: what it finds differs from seed to seed."""
        return Least(self.most)


class ExperienceCost(Written):
    """The cost of one experience; under protocol retrain the first one takes no steps."""

    training_seconds: Amount
    training_steps: Count
    pairs_seen: Count
    training_forwards: Count
    """Texts encoded to train and to store, without evaluation and trajectory."""
    stored_bytes_after: Count


class Cost(Written):
    """The cost of a seed: one record per experience, and figures of the run."""

    experiences: list[ExperienceCost]
    trajectory_seconds: Amount
    encoder_forwards: Count
    encoder_forwards_evaluation: Count
    trained_parameters: Count
    stored_bytes: Count
    peak_memory_bytes: Count

    def total(self, name: str) -> float:
        """A figure of the run, or the sum of one over its experiences."""
        if name in Cost.model_fields:
            return getattr(self, name)
        return sum(getattr(each, name) for each in self.experiences)
