"""A task that the encoder has learned before a run, and its head."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contsym.models.encoders.pooled import PooledEncoder


@dataclass(frozen=True)
class KnownTask:
    """An encoder with a head for the first task."""

    key: str
    """Its hash."""
    encoder: Mapping[str, Tensor] | None
    """The encoder's weights; None: those of the checkpoint."""
    head: Mapping[str, Tensor] | None
    """The classifier over [p, h, |p - h|, p ∘ h]; None: that of the checkpoint, over joint texts."""

    def install(self, encoder: PooledEncoder, folder: Path) -> nn.Module:
        """Load the weights into a fresh encoder; returns the head of the known task, frozen."""
        import torch

        from contsym.models.encoders.pooled import NliClassifier
        from contsym.models.heads import PairClassifier
        from contsym.tasks.schema import NLI_LABELS

        if self.encoder is not None:
            encoder.load_body(self.encoder)
        if self.head is not None:
            encoder.nli_head = self.head
            return PairClassifier(encoder.dim, len(NLI_LABELS), torch.Generator(), self.head)
        is_classifier = isinstance(encoder, NliClassifier)
        head = copy.deepcopy(encoder) if is_classifier else NliClassifier.from_folder(folder)
        # The head shares the body that the strategy trains, and measures it.
        body = encoder.transformer.base_model if is_classifier else encoder.transformer
        setattr(head.transformer, str(head.transformer.base_model_prefix), body)
        head.precision, head.cache = encoder.precision, None
        return head
