"""A pretraining on its way: settings, held-out pairs, steps, and the best state on validation."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset, concatenate_datasets
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from contsym.data.schema import stable_hash
from contsym.errors import ContsymError, first_line
from contsym.models.encoders.device import random_state, set_random_state
from contsym.models.encoders.difference import with_adapters
from contsym.models.encoders.freezing import NOTHING
from contsym.models.encoders.load import load
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import PairClassifier
from contsym.models.pair_model import trained_weights, under
from contsym.strategies.base import Strategy, TrainingSettings
from contsym.tasks.schema import NLI_LABELS
from contsym.training.failures import is_out_of_memory
from contsym.training.plan import Plan
from contsym.training.pretrain_checkpoint import (
    FORMAT,
    Measured,
    StateFile,
    read_checkpoint,
    write_checkpoint,
)
from contsym.training.progress import Progress, Steps

SAVE_SECONDS = 300
"""Seconds of training after which a checkpoint is written, at the latest."""

OPTIMIZER_STATE = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of each weight."""


class PretrainSettings(TrainingSettings):
    """Hyper-parameters of a pretraining."""

    lora: int | None = Field(
        None, ge=1, description="rank of adapters of all linear layers, trained in place of the weights"
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="of the encoder while it is trained; default: what its config.json says"
    )
    validation: int = Field(
        1500, ge=1, description="training pairs of the first task held out to choose by, at most a tenth"
    )
    evaluations: int = Field(10, ge=1, description="times that accuracy is measured on them")

    @model_validator(mode="after")
    def _one_way_to_train_less(self) -> PretrainSettings:
        if self.lora and self.freeze != NOTHING:
            raise ValueError(
                f"lora={self.lora} without freeze={self.freeze}: adapters leave all weights as they are"
            )
        return self


class PairPretraining(Strategy):
    """The encoder and a linear head over [p, h, |p - h|, p ∘ h], trained by cross-entropy."""

    Settings = PretrainSettings
    settings: PretrainSettings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        if self.settings.dropout is not None:
            for module in encoder.transformer.modules():
                if isinstance(module, nn.Dropout):
                    module.p = self.settings.dropout
        if self.settings.lora:
            encoder.requires_grad_(False)
            encoder.transformer = with_adapters(encoder.transformer, self.settings.lora)
        return PairClassifier(encoder.dim, n_labels, generator)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(output, labels)

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        return trained_weights(self.model)


def hold_out(pairs: Dataset, n: int, seed: int) -> tuple[Dataset, Dataset]:
    """(training pairs, validation pairs): whole premises are held out until there are n pairs, or a tenth of all."""
    premises = pairs["premise"][:]
    rows_of_premise: dict[str, list[int]] = {}
    for row, premise in enumerate(premises):
        rows_of_premise.setdefault(premise, []).append(row)
    held: list[int] = []
    for premise in sorted(rows_of_premise, key=lambda premise: stable_hash(seed, premise)):
        if len(held) >= min(n, max(1, len(premises) // 10)):
            break
        held += rows_of_premise[premise]
    is_held = set(held)
    rest = [row for row in range(len(premises)) if row not in is_held]
    if not rest:
        raise ContsymError("all training pairs have one premise; expected several, some of them to choose by")
    return pairs.select(rest), pairs.select(sorted(held))


class PretrainRun:
    """A pretraining on its way: the model, the optimizer and what was measured so far."""

    def __init__(
        self, plan: Plan, settings: PretrainSettings, parts: Sequence[Dataset], seed: int, progress: Progress
    ) -> None:
        """`parts` are the training pairs of each task; some of the first are held out."""
        self.settings, self.seed, self.progress = settings, seed, Steps(progress)
        first, self.validation = hold_out(parts[0], settings.validation, seed)
        self.pairs = concatenate_datasets([first, *parts[1:]])
        self.n_steps = settings.n_steps(len(self.pairs))
        self.learning_rate = settings.learning_rate or plan.learning_rate
        torch.manual_seed(seed)
        encoder = load(plan.encoder)
        encoder.precision = plan.precision
        self.strategy = PairPretraining(
            encoder=encoder, settings=settings, labels=NLI_LABELS, seed=seed, device=plan.device
        )
        self.optimizer = torch.optim.AdamW(
            self.strategy.trained.values(),
            lr=self.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.step, self.seconds = 0, 0.0
        self.measured: list[Measured] = []
        self.best = self._weights()
        """The trained weights at the evaluation with the highest accuracy, the last one among equals."""
        self._losses: list[float] = []
        """Of the steps since the last evaluation."""
        self._order: tuple[int, Tensor] | None = None

    def train(self, folder: Path, facts: str) -> None:
        """Take the steps that are left, from the last checkpoint in the folder; at the end the model is the best one."""
        if found := read_checkpoint(folder, facts):
            self._restore(*found)
        n = self.settings.evaluations
        evaluation_steps = {math.ceil(self.n_steps * (i + 1) / n) for i in range(n)}
        self.progress.phase("training", self.n_steps - self.step)
        saved = began = time.perf_counter()
        before = self.seconds
        while self.step < self.n_steps:
            self._take_step()
            is_evaluated = self.step in evaluation_steps
            if is_evaluated:
                self._evaluate()
            now = time.perf_counter()
            if is_evaluated or now - saved > SAVE_SECONDS:
                self.seconds, saved = before + now - began, now
                write_checkpoint(folder, self._state(facts), self._tensors())
        self._put(self.best)

    def accuracy(self, pairs: Dataset) -> float:
        scores = self.strategy.score(pairs)
        n_right = int((scores.argmax(dim=1) == torch.tensor(pairs["label"][:])).sum())
        return n_right / len(pairs)

    def _take_step(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * self.settings.rate(self.step, self.n_steps)
        self.strategy.model.train()
        self.optimizer.zero_grad()
        try:
            loss = self._backward()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ContsymError(
                f"out of memory on {self.strategy.device} at step {self.step + 1} with "
                f"batch_size={self.settings.batch_size} ({first_line(error, 160)}); expected a smaller --set batch_size "
                "or --encoder"
            ) from error
        norm = torch.nn.utils.clip_grad_norm_(self.strategy.trained.values(), self.settings.clip_norm)
        for what, value in (("loss", loss), ("norm of the gradient", norm.item())):
            if not math.isfinite(value):
                raise ContsymError(
                    f"the {what} at step {self.step + 1} is {value}; expected a finite number: give a smaller "
                    "--set learning_rate"
                )
        self.optimizer.step()
        self.step += 1
        self._losses.append(loss)
        self.progress.advance(loss)

    def _backward(self) -> float:
        """The loss of the present step's pairs, with its gradient left in the parameters."""
        strategy = self.strategy
        batch, labels, _ = cast("list[Any]", strategy.model.collate(self._batch()))
        loss = strategy.objective(strategy.model(batch.to(strategy.device)), labels.to(strategy.device))
        loss.backward()
        return loss.item()

    def _batch(self) -> list[dict[str, Any]]:
        """The pairs of the present step: each epoch has an order of its own, drawn from the seed."""
        n_batches = math.ceil(len(self.pairs) / self.settings.batch_size)
        epoch, place = divmod(self.step, n_batches)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(stable_hash(self.seed, epoch) % 2**32)
            self._order = epoch, torch.randperm(len(self.pairs), generator=generator)
        start = place * self.settings.batch_size
        rows = self._order[1][start : start + self.settings.batch_size].tolist()
        found = self.pairs.select(rows)
        columns = (found[name][:] for name in ("premise", "hypothesis", "label"))
        return [
            {"premise": p, "hypothesis": h, "label": label, "row": row, "targets_task_labels": 0}
            for row, p, h, label in zip(rows, *columns, strict=True)
        ]

    def _evaluate(self) -> None:
        """Measure on the validation pairs, and keep the weights if none were better."""
        accuracy = self.accuracy(self.validation)
        loss = sum(self._losses) / len(self._losses)
        self._losses = []
        if accuracy >= max((each.accuracy for each in self.measured), default=0.0):
            self.best = self._weights()
        self.measured.append(Measured(step=self.step, loss=loss, accuracy=accuracy))
        self.progress.phase(f"training; validation accuracy {accuracy:.3f}", self.n_steps - self.step)

    # -- The state. --

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach().cpu().clone() for name, p in self.strategy.trained.items()}

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, p in self.strategy.trained.items():
            p.copy_(weights[name])

    def _state(self, facts: str) -> StateFile:
        return StateFile(
            format=FORMAT,
            facts=facts,
            step=self.step,
            seconds=self.seconds,
            losses=tuple(self._losses),
            measured=tuple(self.measured),
        )

    def _tensors(self) -> dict[str, Tensor]:
        found = {f"weights.{name}": t for name, t in self._weights().items()}
        found |= {f"best.{name}": t for name, t in self.best.items()}
        for name, p in self.strategy.trained.items():
            found |= {f"optimizer.{key}.{name}": t for key, t in self.optimizer.state.get(p, {}).items()}
        found |= {f"random.{name}": t for name, t in random_state(self.strategy.device).items()}
        return found

    def _restore(self, state: StateFile, tensors: Mapping[str, Tensor]) -> None:
        self.step, self.seconds = state.step, state.seconds
        self.measured, self._losses = list(state.measured), list(state.losses)
        self._put(under("weights.", tensors))
        self.best = under("best.", tensors)
        for name, p in self.strategy.trained.items():
            # A pooler has none, since no sentence vector reads it.
            if found := {
                key: t for key in OPTIMIZER_STATE if (t := tensors.get(f"optimizer.{key}.{name}")) is not None
            }:
                self.optimizer.state[p] = {key: t.to(p.device) for key, t in found.items()}
        set_random_state(under("random.", tensors), self.strategy.device)
