"""One seed of a plan, experience by experience.

The state after any experience can be taken out as plain values and tensors and put into a new run, which then continues
equal to the bit: the state holds the weights, the random state and all counters. Each experience makes its own optimizer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import normalize

from contsym.avalanche.forgetting import Forgetting
from contsym.avalanche.sample_efficiency import SampleEfficiency
from contsym.avalanche.trajectory import Point
from contsym.data.joining import texts_of
from contsym.data.shots import subset
from contsym.machine import peak_memory, reset_peak_memory
from contsym.models.algebra import guarded_division
from contsym.models.encoders.device import random_state, set_random_state
from contsym.models.encoders.difference import adapt
from contsym.models.encoders.pooled import gives_vectors
from contsym.models.pair_model import evaluating, under
from contsym.models.scores import ScoreKind
from contsym.results.metrics.probe import probe_accuracy
from contsym.results.schema_training import Cost, ExperienceCost
from contsym.scenarios.benchmark import limited, test_stream, train_stream
from contsym.training.encoder import load_encoder
from contsym.training.failures import hidden_column, is_out_of_memory, out_of_memory, store_stopped
from contsym.training.observers import AnswerMatrix, NotFinite, TrainingLog
from contsym.training.parts import fixed_parts
from contsym.training.progress import Progress, Steps
from contsym.training.template import Template, quiet_evaluator
from contsym.training.trajectory import EncoderTrajectory

if TYPE_CHECKING:
    from contsym.training.known_task import KnownTask
    from contsym.training.plan import Plan


PROBE_PART = 500
"""Training pairs of the first task that the linear probe is fitted on."""

VIEW_PART = 400
"""Test pairs in the picture of the label embeddings."""


class SeedRun:
    """The strategy of a plan, its benchmark and what was measured so far.

    `parts` are the training pairs of each experience that is trained on. Make and use it inside `deterministic`. Call
    `train_next` once for each experience. With a `start`, the encoder knows the first task already and is measured on
    it by the start's head.
    """

    def __init__(
        self,
        plan: Plan,
        parts: Sequence[Dataset],
        seed: int,
        progress: Progress,
        start: KnownTask | None = None,
    ) -> None:
        self.plan, self.parts, self.progress, self.start = plan, parts, Steps(progress), start
        self.seed = seed
        self._began, self._seconds_before = time.perf_counter(), 0.0
        reset_peak_memory(plan.device)
        torch.manual_seed(seed)
        self.encoder = load_encoder(plan)
        known = start.install(self.encoder, plan.encoder.folder) if start else None
        if plan.config.adapter_rank:
            adapt(self.encoder, plan.config.adapter_rank)
        self.matrix = AnswerMatrix()
        self.forgetting = Forgetting(self.matrix)
        self.names = [task.name for task in plan.tasks]
        self.trajectory = EncoderTrajectory(
            fixed_parts(plan.tasks),
            is_whole=plan.config.curve and not plan.is_trial,
            # An NLI task takes hundreds of batches: it is measured after each only where it is to stop.
            at_every_batch=[plan.config.one_pass and task.few_shot for task in plan.tasks],
            until=plan.config.stop_at,
            target=plan.config.target,
        )
        self.sample_efficiency = SampleEfficiency(self.trajectory, plan.config.aim)
        self.log = TrainingLog(self.names, self.progress, self.trajectory)
        self.strategy = plan.strategy(
            encoder=self.encoder,
            settings=plan.settings,
            labels=plan.scenario.label_space.names,
            inputs=plan.scenario.inputs,
            seed=seed,
            device=plan.device,
            known_head=known,
        )
        metrics = self.matrix, self.forgetting, self.trajectory, self.sample_efficiency
        self.template = Template(
            strategy=self.strategy,
            learning_rate=plan.learning_rate,
            evaluator=quiet_evaluator(*metrics),
            trajectory=self.trajectory,
            plugins=[self.log],
            one_pass=plan.config.one_pass,
            label_space=plan.scenario.label_space,
            n_trained=plan.scenario.n_trained,
        )
        self.train_stream = train_stream(parts, self.strategy.model.collate)
        self.view_before: Tensor | None = None
        """`view()` of the untrained encoder."""
        self.view_after: Tensor | None = None
        self.probes: list[float | None] = []
        """Accuracy of a linear probe for the first task: right after it, and at the end."""
        self.validation: list[float] = []
        """Accuracy on the measured part of each task's validation pairs at the end."""
        self.first_accuracy: float | None = None
        """With --relearn: accuracy on the measured validation pairs of the first task before the second experience."""
        self.n_evaluated = 0
        """Texts encoded in evaluations."""

    @cached_property
    def test_stream(self):
        """The test pairs of each task, which are read for the accuracy matrix alone."""
        return test_stream([task.test for task in self.plan.tasks], self.strategy.model.collate)

    @cached_property
    def view_pairs(self) -> Dataset | None:
        return view_pairs(self.plan)

    @property
    def n_done(self) -> int:
        """Experiences that are behind it."""
        return max(0, len(self.matrix.predictions) - 1)

    @property
    def predictions(self):
        return self.matrix.predictions

    def scores(self) -> dict[str, Tensor]:
        """The scores of every evaluation by task, (rows of R, test pairs, labels), float16."""
        rows = self.matrix.scores
        return {name: torch.stack([row[j] for row in rows]) for j, name in enumerate(self.names)}

    def score_kinds(self) -> dict[str, ScoreKind]:
        """What the scores of each task are."""
        tests = zip(self.names, self.test_stream, strict=True)
        return {name: self.template.score_kind(test) for name, test in tests}

    def train_next(self) -> None:
        """Train on the next experience and evaluate; before the first, evaluate untrained.

        Raises ContsymError where the loss or the gradient is no number, memory is out, or more than texts is scored.
        """
        try:
            self._train_next()
        except NotFinite as stop:
            raise store_stopped(self, stop) from None
        except (KeyError, ValueError) as error:
            if hidden := hidden_column(error):
                raise hidden from error
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory(self, error) from error

    def _train_next(self) -> None:
        if not self.matrix.predictions:
            self.strategy.current = self.parts[1 if self.start else 0]
            if self.start:
                # Nothing is trained, but an add-on may encode the pairs to remember what is known.
                self.log.begin(self.template)
                self.template.skip_known(self.train_stream[0], len(self.parts[0]))
                self.log.end(self.template, n_pairs_seen=0)
            self._evaluate("before any training")
            if self.start:
                # Nothing is trained, so nothing else would be answered.
                self.matrix.repeat_row(is_learned=True)
            if self.encoder.cache:
                self._seconds_before += self.encoder.cache.saved_seconds
                self.encoder.cache = None
            if self.start:
                return
        if self.n_done == 1 and self.plan.config.relearn and not self.plan.is_trial:
            self.first_accuracy = self.trajectory.limited_accuracy(self.template, 0)
        if self.n_done >= len(self.parts):
            # Only tested: the last evaluation has its figures.
            self.log.begin(self.template)
            self.log.end(self.template, n_pairs_seen=0)
            self.matrix.repeat_row(is_learned=False)
            return
        experience = self.train_stream[self.n_done]
        name = self.names[self.n_done]
        self.template.only_stores = self.plan.tasks[self.n_done].storing_only
        one_pass = self.plan.config.one_pass
        if self.template.takes_steps or one_pass or self.trajectory.until is not None:
            self.trajectory.start(self.template, self.n_done)
        self.template.train(experience, eval_streams=[], reset_optimizer_state=True, shuffle=not one_pass)
        self._evaluate(f"evaluating after {name}")

    def _evaluate(self, phase: str) -> None:
        self.progress.phase(phase, None)
        n_before = self.encoder.n_forwards
        with self.encoder.remembering(), evaluating(self.strategy.model):
            self.template.eval(self.test_stream)
            self.n_evaluated += self.encoder.n_forwards - n_before
            self._look(len(self.matrix.predictions) - 1)

    def _look(self, row: int) -> None:
        """What is measured of the encoder itself, beside its predictions, at this row of the matrix."""
        if self.plan.is_trial:
            return
        last = len(self.parts)
        began, n_before = time.perf_counter(), self.encoder.n_forwards
        if row == 0:
            self.view_before = self.view()
        if row == last:
            self.view_after = self.view()
            self.validation = self.trajectory.at_end(self.template)
        if last > 1 and row in (0 if self.start else 1, last):
            self.probes.append(self._probe())
        # Looks, not a part of the method: neither their texts nor their seconds count.
        self.encoder.n_forwards = n_before
        self._began += time.perf_counter() - began

    def _probe(self) -> float | None:
        """Accuracy of a fresh linear probe for the first task on the present encoder's features.

        None where the encoder gives no vector of a sentence.
        """
        if not gives_vectors(self.encoder):
            return None
        parts = (
            subset(self.parts[0], min(PROBE_PART, len(self.parts[0])), 0, "probe"),
            self.plan.tasks[0].test,
        )
        features = [self.strategy.features(texts_of(part)).numpy() for part in parts]
        labels = [np.asarray(part["label"][:]) for part in parts]
        return probe_accuracy(features[0], labels[0], features[1], labels[1], seed=0)

    @torch.inference_mode()
    def view(self) -> Tensor | None:
        """Label embeddings h ⊘ p of the view's pairs, at length 1, for a picture; (pairs, dim) in half precision.

        The same formula for every strategy, whatever it trains and predicts by. None where the
        encoder gives no vector of a sentence, as a checkpoint with an NLI head.
        """
        if self.view_pairs is None or not gives_vectors(self.encoder):
            return None
        premises, hypotheses = self.view_pairs["premise"][:], self.view_pairs["hypothesis"][:]
        p, h = self.encoder.encode([*premises, *hypotheses]).chunk(2)
        return normalize(guarded_division(h, p), dim=-1).half()

    @property
    def seconds(self) -> float:
        """Spent on this run, by whoever did the work."""
        return self._seconds_before + time.perf_counter() - self._began

    def cost(self) -> Cost:
        return Cost(
            experiences=self.log.costs,
            trajectory_seconds=round(self.trajectory.seconds, 3),
            encoder_forwards=self.encoder.n_forwards,
            encoder_forwards_evaluation=self.n_evaluated,
            trained_parameters=self.strategy.n_trained_parameters,
            stored_bytes=self.template.n_stored_bytes,
            peak_memory_bytes=peak_memory(self.plan.device),
        )

    # -- The state after the last finished experience. --

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """(plain values, tensors) of all that the experiences so far have changed."""
        strategy, log = self.strategy, self.log
        tensors = {f"strategy.{name}": t for name, t in strategy.state().items()}
        tensors |= {f"random.{name}": t for name, t in random_state(self.plan.device).items()}
        for i, row in enumerate(self.matrix.predictions):
            tensors |= {f"predictions.{i}.{j}": torch.from_numpy(p) for j, p in enumerate(row)}
            tensors |= {f"scores.{i}.{j}": scores for j, scores in enumerate(self.matrix.scores[i])}
        if self.view_before is not None:
            tensors["view_before"] = self.view_before
        values = {
            "n_done": self.n_done,
            "data": self._data(),
            "matrix": self.matrix.result().tolist(),
            "clock": {name: n for name, n in vars(self.template.clock).items() if isinstance(n, int)},
            "trajectory": [asdict(point) for point in self.trajectory.points],
            "trajectory_seconds": self.trajectory.seconds,
            "taken": self.template.taken,
            "probes": self.probes,
            "losses": log.losses,
            "costs": [cost.model_dump() for cost in log.costs],
            "trajectory_forwards": self.trajectory.n_forwards,
            "encoder_forwards": self.encoder.n_forwards,
            "encoder_forwards_evaluation": self.n_evaluated,
            "seconds": self.seconds,
        }
        return values, tensors

    def _data(self) -> list[str]:
        """What the predictions of a state are of."""
        part = "validation" if self.plan.is_trial else "test"
        return [f"{part} {task.fingerprint}" for task in self.plan.tasks]

    def restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Put in what `state` gave, of a run of the same strategy, seed and first experiences.

        The later experiences may be of other data: their test pairs are then evaluated here, before and after what
        was trained, as the other run would have done.
        """
        strategy, log = self.strategy, self.log
        n_done = values["n_done"]
        is_same_data = values["data"] == self._data()
        if not is_same_data:
            assert n_done == 1, "the state after the first experience is the only one that is shared"
            strategy.current = self.parts[0]
            self._evaluate("before any training")
            strategy.current = None
        self.template.taken = taken = list(values["taken"])
        past = [
            part if rows is None else part.select(rows) for part, rows in zip(self.parts, taken, strict=False)
        ]
        strategy.restore(under("strategy.", tensors), past)
        # Its vectors are of the untrained encoder.
        self.encoder.cache = None
        log.losses = list(values["losses"])
        log.costs = [ExperienceCost(**cost) for cost in values["costs"]]
        self.encoder.n_forwards = values["encoder_forwards"]
        if self.template.active_addons:
            assert n_done == 1, "an add-on takes from the first experience alone"
            self.template.rejoin(limited(self.train_stream[0], taken[0]))
            # The state is of the strategy without add-ons, so their texts and bytes are added here.
            n_more = self.encoder.n_forwards - values["encoder_forwards"]
            n_forwards = log.costs[0].training_forwards + n_more
            whole = {"training_forwards": n_forwards, "stored_bytes_after": self.template.n_stored_bytes}
            log.costs = [log.costs[0].model_copy(update=whole)]
        for name, n in values["clock"].items():
            setattr(self.template.clock, name, n)
        self.trajectory.points = [Point(**point) for point in values["trajectory"]]
        self.trajectory.seconds = values["trajectory_seconds"]
        self.trajectory.n_forwards = values["trajectory_forwards"]
        self._seconds_before = values["seconds"]
        # Fits again what a state does not hold; the state has counted its texts.
        n_forwards = self.encoder.n_forwards
        self.template.refresh()
        self.encoder.n_forwards = n_forwards
        if is_same_data:
            predictions = [[p.numpy() for p in row] for row in self._rows("predictions.", tensors)]
            self.matrix.restore(values["matrix"], predictions, self._rows("scores.", tensors))
            self.probes = list(values["probes"])
            self.n_evaluated = values["encoder_forwards_evaluation"]
            self.view_before = tensors.get("view_before")
        else:
            # The two evaluations of other pairs take the place of those that the state counts.
            self.encoder.n_forwards += self.n_evaluated - values["encoder_forwards_evaluation"]
            self._evaluate(f"evaluating after {self.names[0]}")
        # Last: making a strategy and evaluating draw from the generators.
        set_random_state(under("random.", tensors), self.plan.device)

    def _rows(self, prefix: str, tensors: Mapping[str, Tensor]) -> list[list[Tensor]]:
        """What a state holds by row of R and task."""
        found = under(prefix, tensors)
        return [
            [found[f"{i}.{j}"] for j in range(len(self.names))] for i in range(len(found) // len(self.names))
        ]


def view_pairs(plan: Plan) -> Dataset | None:
    """Test pairs of the last task of relations, for a picture; the same for every strategy and seed."""
    tests = [task.test for task in plan.tasks if task.spec.symmetry]
    return subset(tests[-1], min(VIEW_PART, len(tests[-1])), 0, "view") if tests else None
