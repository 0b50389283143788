"""How long a plan takes on this machine: the texts that it encodes, and the time of one."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contsym.config import LEAST
from contsym.data.shots import subset
from contsym.training.least import least
from contsym.training.parts import FIRST_SCORED

if TYPE_CHECKING:
    from contsym.training.plan import Plan

TRAINING = 3
"""Cost of a text in a training step: the backward pass takes about two forward ones."""
TRIAL_PAIRS = 32
"""Pairs of each task whose encoding is timed."""


def n_encodings(
    plan: Plan, n_pairs: Sequence[int], *, first_only: bool = False, known_first: bool = False
) -> float:
    """The texts that a seed encodes, with those of training steps TRAINING times.

    `n_pairs` are the training pairs of each experience. With `first_only` those of the first experience alone, with
    `known_first` those after it. An upper bound where `until` may stop earlier; a search for the least shots is taken
    to find the geometric mean of its smallest and its largest number.
    """
    from contsym.results.metrics.trajectory import GROWTH, part_size
    from contsym.training.plan import n_training_steps
    from contsym.training.relearning import MOST

    config, part = plan.config, 2 * part_size(len(plan.tasks))
    n_tests = 2 * sum(len(task.test) for task in plan.tasks)
    places = range(1 if known_first else 0, 1 if first_only else len(plan.tasks))
    total = 0.0
    for place in places:
        task, n = plan.tasks[place], n_pairs[place]
        is_searched = config.shots == LEAST and task.few_shot
        tried = _tried(config.step, n) if is_searched else []
        n = math.isqrt(config.step * n) if is_searched else n
        n_steps = n_training_steps(plan, place, [*n_pairs[:place], n])
        for size in (n, *tried):
            total += (
                n_training_steps(plan, place, [*n_pairs[:place], size])
                * 2
                * plan.settings.batch_size
                * TRAINING
            )
            # A memory encodes its pairs again.
            total += 2 * size * plan.strategy.has_memory()
        if config.curve and n_steps:
            total += (math.log(n_steps, GROWTH) + 3) * part * len(plan.tasks)
        if config.stop_at is not None:
            # Mostly few pairs are scored until too many are wrong; a memory has half of its pairs in the mean.
            total += n_steps * (2 * FIRST_SCORED + n * plan.strategy.has_memory())
        elif config.one_pass and task.few_shot:
            total += n_steps * (part + n * plan.strategy.has_memory())
        total += len(tried) * part + n_tests
    if config.relearn and not first_only:
        n_again = min(MOST, n_pairs[0])
        total += n_again * 2 * TRAINING + math.ceil(n_again / plan.settings.batch_size) * part
    return total


def _tried(step: int, most: int) -> list[int]:
    """The sizes that a search tries if the geometric mean of `step` and `most` is enough.

    >>> _tried(16, 256)
    [16, 32, 64, 48, 80]
    """
    return list(least([*range(step, most, step), most], lambda n: float(n * n >= step * most), 1.0).tried)


def seconds_per_text(plan: Plan, n_threads: int) -> float:
    """The time to encode a text of the plan's tasks with its encoder and so many threads, measured here."""
    import torch

    from contsym.models.encoders.pooled import gives_vectors
    from contsym.training.encoder import load_encoder

    encoder = load_encoder(plan).to(plan.device)
    texts: list[str] = []
    for task in plan.tasks:
        pairs = subset(task.train, min(TRIAL_PAIRS, len(task.train)), 0, "trial")
        texts += [*pairs["premise"][:], *pairs["hypothesis"][:]]
    if not gives_vectors(encoder):
        return 0.0
    n_before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        encoder.encode(texts[:4])
        began = time.perf_counter()
        encoder.encode(texts)
        return (time.perf_counter() - began) / len(texts)
    finally:
        torch.set_num_threads(n_before)
