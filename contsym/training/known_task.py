"""A task that the encoder knows before a run begins, and the head that measures it."""

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
    """The hash that names it."""
    encoder: Mapping[str, Tensor] | None
    """Its weights; None: as the checkpoint has them."""
    head: Mapping[str, Tensor] | None
    """Of the classifier over [p, h, |p - h|, p ∘ h]; None: the checkpoint's own, over joint texts."""

    def install(self, encoder: PooledEncoder, folder: Path) -> nn.Module:
        """Put the weights into a fresh encoder; gives the known task's head, frozen."""
        import torch

        from contsym.data.schema import LABELS
        from contsym.models.encoders.pooled import NliClassifier
        from contsym.models.heads import PairClassifier

        if self.encoder is not None:
            encoder.load_body(self.encoder)
        if self.head is not None:
            encoder.nli_head = self.head
            return PairClassifier(encoder.dim, len(LABELS), torch.Generator(), self.head)
        own = encoder if isinstance(encoder, NliClassifier) else None
        whole = copy.deepcopy(own) if own else NliClassifier.from_folder(folder)
        # One body: what the strategy makes of it is what the head is measured on.
        body = own.transformer.base_model if own else encoder.transformer
        setattr(whole.transformer, str(whole.transformer.base_model_prefix), body)
        whole.precision, whole.cache = encoder.precision, None
        return whole
