"""Abilities: what the own head, fresh linear probes and k-NN answer, and whether the answers changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsym.differences.schema import (
    MEASURES,
    Ability,
    Change,
    Flips,
    Group,
    GroupColumn,
    LabelShare,
    Measure,
)
from contsym.differences.tasks import TaskPairs
from contsym.models.algebra import pair_features
from contsym.models.memory import LabelMemory
from contsym.results.metrics.probe import probe_answers, standardised
from contsym.results.metrics.stats import (
    Comparison,
    compare_all,
    holm,
    least_paired_change,
)

K_VOTES = 15
"""Neighbours that vote."""

Labels = NDArray[np.str_]
"""The label that each answered pair gets, (pairs,)."""

Right = NDArray[np.bool_]
"""Whether each answered pair is answered correctly, (pairs,)."""


@dataclass(frozen=True)
class Features:
    """What one checkpoint makes of the pairs of a task."""

    pairs: NDArray[np.float32]
    """A row per pair, (pairs, dim): the vector of both sentences as one text, or [p, h, |p - h|, p ∘ h]."""
    head: Tensor | None
    """The logits of the own head for the answered pairs, (n, labels)."""


def features_of_sentences(p: Tensor, h: Tensor) -> NDArray[np.float32]:
    return pair_features(p, h).numpy()


def answers_of(task: TaskPairs, features: Features, seed: int, measure: Measure) -> Labels | None:
    """The answers by one measure; None for the own head of a checkpoint without one, and for too few pairs to learn from.

    A probe and k-NN answer the pairs of a fold after learning from all pairs outside it.
    """
    labels, n = task.labels, task.n
    if measure == "own head":
        if features.head is None or not task.is_nli:
            return None
        return np.array(task.names)[features.head.argmax(dim=1).numpy()]
    if task.folds is None:
        return None
    answers = np.zeros(len(labels), dtype=np.int64)
    for fold in np.unique(task.folds[:n]):
        inside = (task.folds == fold) & (np.arange(len(labels)) < n)
        known = features.pairs[task.folds != fold], labels[task.folds != fold]
        if measure == "probe":
            answers[inside] = probe_answers(*known, features.pairs[inside], seed)
        else:
            answers[inside] = knn_answers(*known, features.pairs[inside])
    return np.array(task.names)[answers[:n]]


def knn_answers(
    train: NDArray[np.float32], labels: NDArray[np.int64], test: NDArray[np.float32], k: int = K_VOTES
) -> NDArray[np.int64]:
    """The majority label of the k = 15 nearest training rows by cosine, after the standardisation of a probe.

    Shapes: (pairs, dim), (pairs,), (test pairs, dim) -> (test pairs,).
    """
    train, test = standardised(train, test)
    memory = LabelMemory(train.shape[1], int(labels.max()) + 1, k)
    memory.add(torch.from_numpy(train), torch.from_numpy(labels))
    return memory.scores(torch.from_numpy(test)).argmax(dim=1).numpy()


def abilities_of(
    tasks: Mapping[str, TaskPairs],
    before: Mapping[tuple[str, Measure], Labels | None],
    after: Mapping[tuple[str, Measure], Labels | None],
) -> tuple[Ability, ...]:
    """Every task by every measure that either side has; p corrected over the abilities that both have."""
    found = [
        (tasks[name], measure, before[name, measure], after[name, measure])
        for name in tasks
        for measure in MEASURES
        if before[name, measure] is not None or after[name, measure] is not None
    ]
    rights = [(right(task, old), right(task, new)) for task, _, old, new in found]
    changes = _corrected([compare(*sides) for sides in rights])
    return tuple(
        Ability(
            **dict(change),
            task=task.name,
            measure=measure,
            groups=_groups(task.groups, *sides),
            flips=_flips(old, new, *sides),
            shares=_shares(task, old, new),
            answers_before=None if old is None else tuple(old.tolist()),
            answers_after=None if new is None else tuple(new.tolist()),
        )
        for (task, measure, old, new), sides, change in zip(found, rights, changes, strict=True)
    )


def right(task: TaskPairs, answers: Labels | None) -> Right | None:
    return None if answers is None else answers == task.truth


def _flips(old: Labels | None, new: Labels | None, before: Right | None, after: Right | None) -> Flips | None:
    if old is None or new is None or before is None or after is None:
        return None
    return Flips(
        lost=int((before & ~after).sum()),
        won=int((~before & after).sum()),
        other=int((~before & ~after & (old != new)).sum()),
    )


def _shares(task: TaskPairs, old: Labels | None, new: Labels | None) -> tuple[LabelShare, ...]:
    columns = [task.truth, old, new]
    present = {label for column in columns if column is not None for label in column.tolist()}
    # A method may also answer labels of its other tasks.
    names = [name for name in task.names if name in present] + sorted(present - {*task.names})
    shares = [[None if c is None else float((c == name).mean()) for c in columns] for name in names]
    return tuple(
        LabelShare(label=name, true=true or 0.0, before=one, after=other)
        for name, (true, one, other) in zip(names, shares, strict=True)
    )


def _groups(
    groups: Mapping[GroupColumn, Mapping[str, NDArray[np.int64]]], before: Right | None, after: Right | None
) -> tuple[Group, ...]:
    found: list[Group] = []
    for column, members in groups.items():
        changes = _corrected([compare(_part(before, rows), _part(after, rows)) for rows in members.values()])
        found += [
            Group(**dict(change), column=column, name=name)
            for name, change in zip(members, changes, strict=True)
        ]
    return tuple(found)


def _part(right: Right | None, rows: NDArray[np.int64]) -> Right | None:
    return None if right is None else right[rows]


def compare(before: Right | None, after: Right | None) -> Change:
    """The accuracies, and where both are there, change, interval, test and the least change; p is not corrected yet.

    p is the larger one of McNemar's exact test and a paired bootstrap over the pairs, as in `compare_all`.
    """
    n = len(before if before is not None else after if after is not None else ())
    if before is None or after is None:
        shares = (None if side is None else float(side.mean()) for side in (before, after))
        one, other = shares
        return Change(n=n, before=one, after=other, change=None, low=None, high=None, p=None, least=None)
    change = paired(before, after)
    return Change(
        n=n,
        before=float(before.mean()),
        after=float(after.mean()),
        change=change.difference,
        low=change.low,
        high=change.high,
        p=change.p,
        least=least_paired_change(int((before != after).sum()), n),
    )


def paired(before: Right, after: Right) -> Comparison:
    """After less before, on the same pairs."""
    (comparison,) = compare_all({"after": after[None], "before": before[None]})
    return comparison


def _corrected(changes: list[Change]) -> list[Change]:
    tested = [i for i, change in enumerate(changes) if change.p is not None]
    corrected = dict(zip(tested, holm([changes[i].p or 0.0 for i in tested]), strict=True))
    return [change.model_copy(update={"p": corrected.get(i)}) for i, change in enumerate(changes)]
