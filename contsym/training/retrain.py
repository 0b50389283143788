"""Protocol retrain: a run starts from an encoder that knows the first task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contsym.errors import ContsymError
from contsym.models.encoders.nli_head import kind_of_head, read_head
from contsym.tasks.schema import NLI_LABELS
from contsym.training.keys import first_task_key
from contsym.training.known_task import KnownTask

if TYPE_CHECKING:
    from contsym.training.first_task import FirstTaskCache
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


ENCODER, HEAD = "strategy.model.encoder.", "strategy.model.head."


def find_known_task(
    plan: Plan, seed: int, progress: Progress, cache: FirstTaskCache | None
) -> KnownTask | None:
    """The encoder and head at the start of a seed; None under protocol sequential.

    Trains and caches them unless they are in the cache.
    """
    if plan.config.protocol != "retrain":
        return None
    kind = kind_of_head(plan.encoder)
    if kind:
        head = read_head(plan.encoder.head_folder) if kind == "pair" else None
        return KnownTask(plan.encoder.weights_sha256, None, head)
    from contsym.models.pair_model import under
    from contsym.training.first_task import FirstTaskCache, first_task_plan, first_tasks_folder

    cache = cache or FirstTaskCache(first_tasks_folder(plan.config.output))
    pretraining = first_task_plan(plan)
    key = first_task_key(pretraining, seed)
    if key is None:
        raise ContsymError("--protocol retrain: the first task depends on the shots; expected NLI first")
    _, tensors = cache.make(pretraining, seed, progress)
    cache.pin(key)
    # The labels of the first task come first.
    head = {name: rows[: len(NLI_LABELS)] for name, rows in under(HEAD, tensors).items()}
    return KnownTask(key, under(ENCODER, tensors), head)
