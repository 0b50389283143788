"""The first task learned again at the end, on a copy of the model: how many of its pairs bring its accuracy back."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING

from contsym.data.shots import subset
from contsym.errors import ContsymError, first_line
from contsym.results.metrics.trajectory import pairs_to_reach
from contsym.results.schema_training import Relearning
from contsym.training.failures import is_out_of_memory

if TYPE_CHECKING:
    from contsym.training.loop import SeedRun


MOST = 1024
"""Training pairs of the first task that are tried, at most; the accuracy is measured after every batch of them."""


def relearn(run: SeedRun) -> Relearning:
    """Train a copy of a finished run's strategy on the first task, batch after batch, until its accuracy is back.

    The target is the accuracy on the measured validation pairs right after the task's own training. At most MOST
    pairs are seen, each once, in an order of the seed. The objective is the one by which the task was learned:
    the strategy's; under protocol retrain the cross-entropy of the known head, which stays as it is, so that only the
    encoder is trained. Add-ons have no part. The run and the random state stay as they are.
    """
    try:
        return _relearn(run)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ContsymError(
            f"--relearn: out of memory on {run.plan.device} with a second copy of the model "
            f"({first_line(error, 160)}); leave it out, or give a smaller --encoder"
        ) from error


def _relearn(run: SeedRun) -> Relearning:
    # Here: `prepare` sets how torch's threads wait before the first import.
    from contsym.scenarios.benchmark import train_stream
    from contsym.strategies.addons.base import separate_random_state
    from contsym.training.observers import NotFinite, TrainingLog
    from contsym.training.parts import fixed_parts
    from contsym.training.template import Template, quiet_evaluator
    from contsym.training.trajectory import EncoderTrajectory

    class Again(Template):
        """One more experience, of which nothing is kept."""

        def _after_training_exp(self, **kwargs) -> None:
            # The last batch of all is not measured while training.
            if self.n_steps_left <= 0 and self.n_pairs_seen == len(self._pairs):
                self.trajectory.has_reached(self)

    target = run.first_accuracy
    assert target is not None, "measured before the second experience"
    strategy = copy.deepcopy(run.strategy)
    strategy.addons = ()  # type: ignore[misc]
    pairs = subset(run.parts[0], min(MOST, len(run.parts[0])), run.seed, "relearn")
    strategy.model.known_rows = len(pairs) if run.start else 0
    trajectory = EncoderTrajectory(
        fixed_parts(run.plan.tasks)[:1], is_whole=False, at_every_batch=[True], until=target
    )
    template = Again(
        strategy=strategy,
        learning_rate=run.plan.learning_rate,
        evaluator=quiet_evaluator(trajectory),
        trajectory=trajectory,
        plugins=[TrainingLog([f"{run.names[0]} again"], run.progress, trajectory)],
        one_pass=True,
        label_space=run.plan.scenario.label_space,
        n_trained=run.plan.scenario.n_trained,
    )
    # A memory tells by the number of steps whether its vectors are those of the present encoder.
    template.clock.train_iterations = run.template.clock.train_iterations
    with separate_random_state(run.seed, run.template.device):
        if trajectory.limited_accuracy(template, 0) >= target:
            return Relearning(n_pairs=0, n_pairs_tried=0, target=target)
        (experience,) = train_stream([pairs], strategy.model.collate)
        # With a loss that is not finite its accuracy does not come back; the run's result is as good as before.
        with contextlib.suppress(NotFinite):
            template.train(experience, eval_streams=[], shuffle=False)
    _, n_pairs = pairs_to_reach(trajectory.points, 0, target)
    return Relearning(n_pairs=n_pairs, n_pairs_tried=template.n_pairs_seen, target=target)
