"""The one way from a strategy to Avalanche: its training loop, its plugins and its evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from avalanche.evaluation import PluginMetric
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate
from datasets import Dataset
from torch import Tensor
from torch.nn import functional

from contsym.data.joining import Joined, texts_of
from contsym.errors import ContsymError
from contsym.models.pair_model import HEAD_BATCH, copied, rows_only
from contsym.models.scores import ScoreKind
from contsym.scenarios.benchmark import limited, pairs_of
from contsym.scenarios.labels import LabelSpace
from contsym.strategies.addons.base import Addon, set_weights
from contsym.strategies.base import Strategy
from contsym.training.trajectory import EncoderTrajectory

GROUP = 16 * HEAD_BATCH
"""About as many test pairs are scored together."""


def allowed_labels(space: LabelSpace) -> Tensor | None:
    """(experiences, labels): the labels that an experience can have, where its task is given; None: all can be answered."""
    if not space.is_task_given:
        return None
    allowed = torch.zeros(len(space.own), len(space.names), dtype=torch.bool)
    for place, own in enumerate(space.own):
        allowed[place, list(own)] = True
    return allowed


def masked(scores: Tensor, allowed: Tensor) -> Tensor:
    """Minus infinity in place of the scores of labels that cannot be answered."""
    return scores.masked_fill(~allowed, float("-inf"))


def quiet_evaluator(*metrics: PluginMetric) -> EvaluationPlugin:
    """Avalanche's evaluator with these metrics and without a logger."""
    with warnings.catch_warnings():
        # Avalanche: "No loggers specified, metrics will not be logged"; the metrics keep them.
        warnings.filterwarnings("ignore", message="No loggers specified")
        return EvaluationPlugin(*metrics, loggers=[])


class Template(SupervisedTemplate):
    """Trains and evaluates a Strategy. Plugins see Avalanche's attributes and `strategy`.

    `trajectory` must be among the evaluator's metrics too.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        learning_rate: float,
        evaluator,
        trajectory: EncoderTrajectory,
        plugins=(),
        one_pass: bool = False,
        label_space: LabelSpace | None = None,
        n_trained: int | None = None,
    ) -> None:
        self.strategy, self.n_trained, settings = strategy, n_trained, strategy.settings
        self.trajectory, self.one_pass, self.learning_rate = trajectory, one_pass, learning_rate
        self._allowed = None if label_space is None else allowed_labels(label_space)
        if self._allowed is not None:
            # (labels, labels): those that can be answered for a training example of each label.
            trained = self._allowed[:n_trained].float()
            self._with_label = (trained.T @ trained).bool()
        self.taken: list[list[int] | None] = []
        """The rows of each finished experience's pairs that were seen before training stopped; None: it did not stop."""
        self.active_addons = [addon(settings, strategy.seed) for addon in strategy.addons]
        for addon in self.active_addons:
            addon.start(strategy.model)
        self._test_pairs: dict[int, Joined] = {}
        self.only_stores = False
        """Set before an experience whose pairs a memory stores without a gradient step."""
        self.seen_rows: dict[int, None] = {}
        self.n_pairs_seen = 0
        self.n_batches = 0
        """Of the present experience so far."""
        self._is_training_exp = self._is_stopped = False
        self.gradient_norm = torch.zeros(())
        """Of the present step, before clipping."""
        super().__init__(
            model=strategy.model,
            # Fused: on a CPU the plain AdamW took as long as forward and backward together.
            optimizer=torch.optim.AdamW(
                strategy.model.parameters(), lr=learning_rate, weight_decay=settings.weight_decay, fused=True
            ),
            criterion=self._loss,
            train_mb_size=settings.batch_size,
            # The budget is in steps: `_after_training_iteration` ends the experience.
            train_epochs=2**31,
            eval_mb_size=HEAD_BATCH,
            device=strategy.device,
            # Add-ons first, so that their seconds count as training.
            plugins=[*self.active_addons, *plugins],
            evaluator=evaluator,
        )

    @property
    def n_stored_bytes(self) -> int:
        """Bytes that the strategy and its add-ons store beside the encoder."""
        return self.strategy.n_stored_bytes + sum(addon.n_bytes for addon in self.active_addons)

    @property
    def takes_steps(self) -> bool:
        """Whether the strategy learns the present experience by gradient steps."""
        return self.strategy.trains and not (self.only_stores and self.strategy.memory)

    @property
    def n_steps(self) -> int:
        """Gradient steps of the present experience so far."""
        return self.n_batches if self.takes_steps else 0

    def refresh(self, past_limit: int | None = None) -> None:
        """Let the strategy update its memory with the pairs seen so far."""
        if not self._is_training_exp:
            # In an experience Avalanche's clock counts a step after the other plugins have seen it: `_after_update` counts.
            self.strategy.n_steps = self.clock.train_iterations
        elif self.seen_rows:
            rows = [row - self.first_row for row in self.seen_rows]
            self.strategy.current = self._pairs.select(rows)
        elif not self.strategy.past:
            return  # so far the batches had pairs of the known task alone, which leave the memory as it is
        self.strategy.refresh(past_limit)

    def skip_known(self, experience, n_pairs: int) -> None:
        """Skip an experience that the encoder has learned before with the known head.

        Add-ons see the experience as if the strategy had been trained on it.
        """
        self.model.known_rows = n_pairs if self.active_addons else 0
        self.rejoin(experience)
        self.clock.train_exp_counter += 1
        self.strategy.learned_before(pairs_of(experience.dataset))

    def rejoin(self, experience) -> None:
        """Let add-ons see a finished first experience, as at its end."""
        self.experience = experience
        n_before, self.clock.train_exp_counter = self.clock.train_exp_counter, 0
        for addon in self.active_addons:
            addon.after_training_exp(self)
        self.clock.train_exp_counter = n_before

    # -- The loss. --

    def _loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """The objective; with pairs of the known task in the batch, the mean of cross-entropy and objective by share."""
        if not self.model.known_rows:
            if self._allowed is not None and self.strategy.outputs_scores:
                # By the label, not by the batch: add-ons ask for the loss of batches of their own.
                output = masked(output, self._with_label.to(output.device)[labels])
            return self._objective(output, labels)
        logits, outputs, is_known = self.model.apart(output)
        # Not of the whole output, where an add-on may have put minus infinity.
        loss = logits.sum() * 0.0
        if is_known.any():
            share = is_known.float().mean()
            loss = loss + share * functional.cross_entropy(logits[is_known], labels[is_known])
        if not is_known.all():
            share = (~is_known).float().mean()
            loss = loss + share * self._objective(outputs[~is_known], labels[~is_known])
        return loss

    def masked(self, scores: Tensor, place: int) -> Tensor:
        """The scores of examples of an experience; minus infinity for labels of other ones, if the task is given."""
        if self._allowed is None:
            return scores
        allowed = self._allowed[place].to(scores.device)
        if self.strategy.score_kind != "votes":
            return masked(scores, allowed)
        votes = scores * allowed
        # Where no voter has one of the labels, they have equal shares.
        return votes.where(votes.sum(dim=1, keepdim=True) > 0, allowed.to(votes.dtype))

    def _objective(self, output: Tensor, labels: Tensor) -> Tensor:
        loss = self.strategy.objective(output, labels)
        if isinstance(loss, Tensor) and loss.ndim == 0:
            return loss
        kind = f"tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ContsymError(
            f"{type(self.strategy).__name__}.objective gave a {kind}; expected a scalar tensor, as the mean over "
            "the batch"
        )

    # -- Training. --

    def _before_training_exp(self, **kwargs) -> None:
        self.seen_rows, self.n_pairs_seen, self.n_batches = {}, 0, 0
        self.strategy.current, self._is_training_exp, self._is_stopped = None, True, False
        self._pairs = pairs_of(self.experience.dataset)
        self.first_row = self._pairs["row"][0]
        self.strategy.begin(len(self.strategy.past))
        super()._before_training_exp(**kwargs)
        if self.takes_steps:
            self.strategy.meet(self._pairs)

    def _after_train_dataset_adaptation(self, **kwargs) -> None:
        super()._after_train_dataset_adaptation(**kwargs)
        # After the add-ons, which may add earlier pairs to the dataset.
        n_pairs = len(self.adapted_dataset)
        self.n_steps_planned = self.strategy.settings.n_steps(n_pairs, self.one_pass)
        self.n_steps_left = self.n_steps_planned if self.takes_steps else 0

    def _train_exp(self, experience, eval_streams=None, **kwargs) -> None:
        if self.n_steps_left > 0:
            super()._train_exp(experience, eval_streams, **kwargs)
        elif self.one_pass or self.trajectory.until is not None:
            with self.trajectory.counted(self):
                self._store_in_batches()

    @property
    def _mergers(self) -> Sequence[Addon]:
        """The add-ons that may change the weights at the end of the present experience."""
        return self.active_addons if self.clock.train_exp_counter and self.n_steps else ()

    @contextmanager
    def as_if_ended(self) -> Iterator[None]:
        """Inside, during an experience, the weights are those with which it would end now."""
        before: dict[str, Tensor] = {}
        with torch.no_grad():
            for addon in self._mergers:
                before = set_weights(self.model, addon.merged(self)) | before
            yield
            set_weights(self.model, before)

    def stop_here(self) -> None:
        """End the experience, as if it had only the pairs seen so far."""
        self.n_steps_left, self._is_stopped = 0, True

    @torch.no_grad()
    def _store_in_batches(self) -> None:
        """Give a method without gradient steps the first pairs, one batch more each time, until they are enough; its state
        is put back each time, so at the end it learns as if it had been given only these pairs."""
        method, size = self.strategy, self.strategy.settings.batch_size
        # Copies, also for each `restore`: a method may add to its own tensors in place.
        state, past = copied(method.state()), list(method.past)
        self.model.eval()
        for n in range(size, len(self._pairs) + size, size):
            self.n_batches += 1
            self.n_pairs_seen = min(n, len(self._pairs))
            self.seen_rows = dict.fromkeys(range(self.first_row, self.first_row + self.n_pairs_seen))
            if self.n_pairs_seen == len(self._pairs):
                return
            if not self.trajectory.measures(self.experience.current_experience, self.n_batches):
                continue
            part = self._pairs.select(range(n))
            method.past.append(part)
            method.fit(part)
            method.past.pop()
            is_enough = self.trajectory.has_reached(self)
            method.restore(copied(state), past)
            if is_enough:
                self.stop_here()
                return

    def _before_update(self, **kwargs) -> None:
        self.gradient_norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.strategy.settings.clip_norm
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * self.strategy.settings.rate(
                self.n_batches, self.n_steps_planned
            )
        super()._before_update(**kwargs)

    def _after_update(self, **kwargs) -> None:
        if self.takes_steps:
            self.strategy.n_steps = self.clock.train_iterations + 1
            with torch.no_grad():
                self.strategy.after_step()
        super()._after_update(**kwargs)

    def _after_training_iteration(self, **kwargs) -> None:
        self.n_steps_left -= 1
        self.n_batches += 1
        last = self.first_row + len(self._pairs)
        rows = [row for row in self.mb_x["row"].tolist() if self.first_row <= row < last]
        self.n_pairs_seen += len(rows)
        self.seen_rows.update(dict.fromkeys(rows))
        super()._after_training_iteration(**kwargs)
        if self.n_steps_left <= 0:
            self.stop_training()

    def _after_training_exp(self, **kwargs) -> None:
        rows = sorted(row - self.first_row for row in self.seen_rows) if self._is_stopped else None
        self.taken.append(rows)
        self.experience = limited(self.experience, rows)
        self._pairs = pairs_of(self.experience.dataset)
        self.strategy.past.append(self._pairs)
        self.strategy.current, self._is_training_exp = None, False
        self.model.eval()
        with torch.no_grad():
            for addon in self._mergers:
                addon.merge(self)
            self.strategy.fit(self._pairs)
        self.refresh()
        super()._after_training_exp(**kwargs)

    # -- Evaluation: the strategy scores many pairs at once, and Avalanche's loop looks the scores up. --

    def eval(self, exp_list, **kwargs):
        if isinstance(exp_list, Iterator):
            exp_list = list(exp_list)  # iterated twice
        # Each DataLoader draws from the global generator: without the fork an extra evaluation would change the
        # training after it.
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            return super().eval(exp_list, **kwargs)

    def forward(self) -> Tensor:
        if self.is_training:
            return self.model(self.mb_x)
        return self._eval_scores[self.mb_x["row"].cpu()].to(self.device)

    def model_adaptation(self, model=None):
        # In an evaluation scores are looked up, and all modules would be visited n^2 times (see scores_of).
        return super().model_adaptation(model) if self.is_training else self.model

    def criterion(self) -> Tensor:
        # The objective may need other outputs than the scores of an evaluation, such as label embeddings.
        if not self.is_training:
            return self._make_empty_loss()
        output = self.mb_output
        for addon in self.active_addons:
            output = addon.shown(self, output)
        return self._criterion(output, self.mb_y)

    def _obtain_common_dataloader_parameters(self, **kwargs):
        # Avalanche ignores the dataset's collate_fn in training (its issue 1531); in evaluation forward() looks
        # scores up and needs no tokens.
        parameters = super()._obtain_common_dataloader_parameters(**kwargs)
        collate = self.model.collate if self.is_training else rows_only
        parameters.setdefault("collate_fn", collate)
        return parameters

    def _before_eval(self, **kwargs) -> None:
        self.refresh()
        self._scores_to_come = iter(self.scores_of(list(self.current_eval_stream)))
        super()._before_eval(**kwargs)

    def _before_eval_exp(self, **kwargs) -> None:
        self._eval_scores = next(self._scores_to_come)
        super()._before_eval_exp(**kwargs)

    def scores_of(self, experiences: Sequence) -> list[Tensor]:
        """Scores of each experience's pairs.

        Experiences are scored together, in groups if they have many pairs: n experiences are evaluated n times, and
        the cost of a batch, which even a small one has, would be paid n^2 times.
        """
        parts = [(pairs_of(e.dataset), self._is_known(e)) for e in experiences]
        scores = self._scores_by_group([part for part, is_known in parts if not is_known])
        each = (
            self.strategy.known_scores(texts_of(part)) if is_known else next(scores)
            for part, is_known in parts
        )
        return [self.masked(one, e.current_experience) for one, e in zip(each, experiences, strict=True)]

    def score_kind(self, experience) -> ScoreKind:
        """What the scores of an experience's pairs are."""
        return "logits" if self._is_known(experience) else self.strategy.score_kind

    def _is_known(self, experience) -> bool:
        return self.model.known_head is not None and experience.current_experience == 0

    def _scores_by_group(self, parts: Sequence[Dataset]) -> Iterator[Tensor]:
        if not self.strategy.past:
            # One by one before any training: the cache of the untrained encoder is keyed by the texts of a call, and
            # other runs may share only some of the experiences.
            yield from map(self._scored, parts)
            return
        groups: dict[int, list[Dataset]] = {}
        n_before = 0
        for part in parts:
            groups.setdefault(n_before // GROUP, []).append(part)
            n_before += len(part)
        for i, group in groups.items():
            joined = self._test_pairs.setdefault(i, Joined()).of(group)
            yield from self._scored(joined).split([len(part) for part in group])

    def _scored(self, pairs: Dataset) -> Tensor:
        scores = self.strategy.score(texts_of(pairs))
        shape = (len(pairs), self.strategy.n_labels)
        if tuple(scores.shape) != shape:
            raise ContsymError(
                f"{type(self.strategy).__name__}.score gave a tensor of shape {tuple(scores.shape)}; expected (pairs, "
                f"labels), {shape}"
            )
        return scores
