"""The encoder and a head over pairs of sentences: the model of every strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchEncoding

from contsym.models.encoders.pooled import NliClassifier, PooledEncoder, Text
from contsym.tasks.schema import NLI_LABELS

HEAD_BATCH = 4096
"""Pairs that go through a head together."""


class PairModel(nn.Module):
    """The encoder and a head; `forward` takes one batch and gives the head's output.

    The ids of a batch have shape (batch, texts, tokens): premise and hypothesis are encoded in one pass, or
    the one text that `joined` makes of them. A single text is a premise, and `joined` is `premise_alone`.

    `known_head` is the frozen head of the known task. With `known_rows`, training batches may hold pairs of
    that task, whose rows are below it; the output is then one tensor, as Avalanche's plugins need, of the
    columns (known logits, the head's output, 1 for a known pair or 0), with zeros where they do not apply.
    """

    def __init__(
        self,
        encoder: PooledEncoder,
        head: nn.Module,
        *,
        joined: Callable[[str, str], Text] | None,
        n_labels: int = len(NLI_LABELS),
        known_head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.joined, self.n_labels = encoder, joined, n_labels
        # Any, because a method uses the buffers and functions of its head.
        self.head: Any = head
        self.known_head = known_head
        if known_head is not None:
            # The head of a checkpoint shares its body with the encoder, which may be trained.
            body = {id(p) for p in encoder.parameters()}
            for p in known_head.parameters():
                if id(p) not in body:
                    p.requires_grad_(False)
        self.known_rows = 0

    def collate(self, pairs: Sequence[Mapping[str, object]]) -> list[object]:
        """[BatchEncoding, labels, task labels] of pairs."""
        roles = ("premise", "hypothesis")
        texts: list[Text] = []
        for pair in pairs:
            apart = [str(pair[role]) for role in roles]
            texts += [self.joined(*apart)] if self.joined else apart
            texts += apart if self.joined and self.known_rows else []
        tokens = self.encoder.tokenize(texts)
        batch = {name: ids.unflatten(0, (len(pairs), -1)) for name, ids in tokens.items()}
        return [BatchEncoding({**batch, "row": _column(pairs, "row")}), *_targets(pairs)]

    def forward(self, batch: BatchEncoding) -> Tensor:
        flat = {name: ids.flatten(0, 1) for name, ids in batch.items() if name != "row"}
        pooled = self.encoder(BatchEncoding(flat))
        parts = pooled.unflatten(0, (len(batch["row"]), -1)).unbind(1)
        output = self.head(*(parts[:1] if self.joined else parts))
        if not self.known_rows or self.known_head is None:
            return output
        is_known = (batch["row"] < self.known_rows)[:, None]
        return torch.cat([self.known_head(*parts[-2:]), output.masked_fill(is_known, 0), is_known], dim=1)

    @staticmethod
    def apart(output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(known logits, the head's output, whether a row is known) of an output with `known_rows`."""
        n = len(NLI_LABELS)
        return output[:, :n], output[:, n:-1], output[:, -1] > 0

    def known_scores(self, pairs: Dataset) -> Tensor:
        """The known task's scores by its own head, (len(pairs), n_labels), on the CPU; minus infinity for the labels of
        other tasks, which come after its own."""
        assert self.known_head is not None
        premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
        if isinstance(self.known_head, NliClassifier):
            n_before = self.known_head.n_forwards
            scores = self.known_head.encode(list(zip(premises, hypotheses, strict=True)))
            # Counted with the encoder's.
            self.encoder.n_forwards += self.known_head.n_forwards - n_before
        else:
            p, h = self.encoder.encode([*premises, *hypotheses]).chunk(2)
            device = next(self.known_head.parameters()).device
            with torch.inference_mode():
                scores = self.known_head(p.to(device), h.to(device)).cpu()
        n_others = self.n_labels - scores.shape[1]
        return functional.pad(scores, (0, n_others), value=float("-inf")) if n_others else scores

    def train(self, mode: bool = True) -> PairModel:
        """Training mode; a frozen encoder stays in evaluation mode, without dropout."""
        super().train(mode)
        if not any(p.requires_grad for p in self.encoder.parameters()):
            self.encoder.eval()
        return self

    def vectors(self, pairs: Dataset) -> tuple[Tensor, ...]:
        """The inputs of the head for many pairs, (len(pairs), dim) each, on the CPU: (p, h), or one vector
        of a joint text. Each distinct text is encoded once."""
        premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
        if self.joined:
            return (self.encoder.encode([*map(self.joined, premises, hypotheses)]),)
        return self.encoder.encode([*premises, *hypotheses]).chunk(2)

    @torch.inference_mode()
    def outputs(self, pairs: Dataset) -> Tensor:
        """The head's output for many pairs, (len(pairs), ...), on the CPU."""
        parts = self.vectors(pairs)
        device = next(self.parameters()).device
        rows = zip(*(part.split(HEAD_BATCH) for part in parts), strict=True)
        with evaluating(self):
            return torch.cat([self.head(*(part.to(device) for part in row)).cpu() for row in rows])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, all modules are in evaluation mode; afterwards each is as it was, also one that stays in it in training."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training


def as_pair(premise: str, hypothesis: str) -> Text:
    """Both sentences, for the tokenizer to pair."""
    return premise, hypothesis


def premise_alone(premise: str, hypothesis: str) -> Text:
    """The one text of an example that has no second one."""
    return premise


def rows_only(pairs: Sequence[Mapping[str, object]]) -> list[object]:
    """A batch of row numbers without texts."""
    return [BatchEncoding({"row": _column(pairs, "row")}), *_targets(pairs)]


def _targets(pairs: Sequence[Mapping[str, object]]) -> tuple[Tensor, Tensor]:
    return _column(pairs, "label"), _column(pairs, "targets_task_labels")


def _column(pairs: Sequence[Mapping[str, object]], name: str) -> Tensor:
    return torch.tensor([pair[name] for pair in pairs])


def trained_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that take gradient steps, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A strategy's state in which what is beside the model is copied: a method may change its own tensors in place.

    Those of the model are copied into it when they are loaded.
    """
    return {name: t if name.startswith("model.") else t.clone() for name, t in state.items()}
