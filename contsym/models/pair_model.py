"""The encoder and a head over pairs of sentences: what every strategy trains and asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import BatchEncoding

from contsym.models.encoders.pooled import NliClassifier, PooledEncoder, Text

HEAD_BATCH = 4096
"""Pairs whose vectors go through a head together."""


class PairModel(nn.Module):
    """The encoder and a head; `forward` takes one batch and gives the head's output.

    The batch's ids have shape (batch, texts, tokens): two texts, premise and hypothesis, are
    encoded in one pass; a pair that `joined` makes one text of is one.

    With `known_rows`, training batches may hold pairs of the known task, those with a row below it,
    and `known` is that task's frozen head. The output then has the columns (known logits, the
    head's output, 1 for a known pair or 0), with zeros for what a pair is not of: one tensor, since
    that is what Avalanche's plugins take.
    """

    def __init__(
        self,
        encoder: PooledEncoder,
        head: nn.Module,
        *,
        joined: Callable[[str, str], Text] | None,
        known: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.joined = encoder, joined
        # Each method knows its own head's buffers and functions.
        self.head: Any = head
        self.known = known
        if known is not None:
            # A checkpoint's own head sits on the very body that may be trained here.
            body = {id(p) for p in encoder.parameters()}
            for p in known.parameters():
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
        own = self.head(*(parts[:1] if self.joined else parts))
        if not self.known_rows or self.known is None:
            return own
        is_known = (batch["row"] < self.known_rows)[:, None]
        return torch.cat([self.known(*parts[-2:]), own.masked_fill(is_known, 0), is_known], dim=1)

    @staticmethod
    def apart(output: Tensor, n_labels: int) -> tuple[Tensor, Tensor, Tensor]:
        """(known logits, the head's output, which rows are known) of an output with `known_rows`."""
        return output[:, :n_labels], output[:, n_labels:-1], output[:, -1] > 0

    def known_scores(self, pairs: Dataset) -> Tensor:
        """The known task's scores by its own head, (len(pairs), labels), on the CPU."""
        assert self.known is not None
        premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
        if isinstance(self.known, NliClassifier):
            return self.known.encode(list(zip(premises, hypotheses, strict=True)))
        p, h = self.encoder.encode([*premises, *hypotheses]).chunk(2)
        device = next(self.known.parameters()).device
        with torch.inference_mode():
            return self.known(p.to(device), h.to(device)).cpu()

    def train(self, mode: bool = True) -> PairModel:
        """Training mode, but for an encoder that nothing trains: dropout would only blur its vectors."""
        super().train(mode)
        if not any(p.requires_grad for p in self.encoder.parameters()):
            self.encoder.eval()
        return self

    def vectors(self, pairs: Dataset) -> tuple[Tensor, ...]:
        """What the head is given for many pairs, (len(pairs), dim) each, on the CPU: (p, h), or one
        where `is_joint`. Each distinct text is encoded once."""
        premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
        if self.joined:
            return (self.encoder.encode([*map(self.joined, premises, hypotheses)]),)
        return self.encoder.encode([*premises, *hypotheses]).chunk(2)

    @torch.inference_mode()
    def outputs(self, pairs: Dataset) -> Tensor:
        """The head's output for many pairs, (len(pairs), ...), on the CPU."""
        parts = self.vectors(pairs)
        was_training = self.training
        self.eval()
        device = next(self.parameters()).device
        rows = zip(*(part.split(HEAD_BATCH) for part in parts), strict=True)
        outputs = [self.head(*(part.to(device) for part in row)).cpu() for row in rows]
        self.train(was_training)
        return torch.cat(outputs)


def as_pair(premise: str, hypothesis: str) -> Text:
    """Both sentences as the tokenizer pairs them."""
    return premise, hypothesis


def rows_only(pairs: Sequence[Mapping[str, object]]) -> list[object]:
    """A batch that names its rows and holds no text."""
    return [BatchEncoding({"row": _column(pairs, "row")}), *_targets(pairs)]


def _targets(pairs: Sequence[Mapping[str, object]]) -> tuple[Tensor, Tensor]:
    return _column(pairs, "label"), _column(pairs, "targets_task_labels")


def _column(pairs: Sequence[Mapping[str, object]], name: str) -> Tensor:
    return torch.tensor([pair[name] for pair in pairs])


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
