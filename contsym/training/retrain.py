"""Protocol retrain: a run starts from an encoder that knows the first task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contsym.errors import ContsymError
from contsym.models.encoders.nli_head import kind_of_head, read_head
from contsym.training.known_task import Start

if TYPE_CHECKING:
    from contsym.training.first_task import Beginnings
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


ENCODER, HEAD = "strategy.model.encoder.", "strategy.model.head."


def find_start(plan: Plan, seed: int, progress: Progress, beginnings: Beginnings | None) -> Start | None:
    """What a seed of the plan starts from; None under protocol sequential.

    Trains what is not there yet, and keeps it.
    """
    from contsym.training.first_task import Beginnings, beginning_key, beginning_plan

    if plan.config.protocol != "retrain":
        return None
    kind = kind_of_head(plan.encoder)
    if kind:
        head = read_head(plan.encoder.folder) if kind == "pair" else None
        return Start(plan.encoder.weights_sha256, None, head)
    from contsym.models.pair_model import under

    kept = beginnings or Beginnings(plan.config.output / "beginnings")
    made = beginning_plan(plan)
    key = beginning_key(made, seed)
    if key is None:
        raise ContsymError("--protocol retrain: the first task depends on the shots; expected NLI first")
    _, tensors = kept.make(made, seed, progress)
    kept.mark_for_reuse(key)
    return Start(key, under(ENCODER, tensors), under(HEAD, tensors))
