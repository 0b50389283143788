"""Loads the pretrained encoder of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contsym.models.encoders.load import load
from contsym.models.encoders.nli_head import kind_of_head, read_head
from contsym.models.encoders.resolve import head_of

if TYPE_CHECKING:
    from contsym.training.plan import Plan


def load_encoder(plan: Plan):
    """A fresh copy of the pretrained encoder, with the head that the strategy wants."""
    encoder = load(plan.encoder, head=head_of(plan.encoder, plan.strategy.wants_head))
    if kind_of_head(plan.encoder) == "pair":
        encoder.nli_head = read_head(plan.encoder.head_folder, encoder.dim)
    encoder.precision = plan.precision
    return encoder
