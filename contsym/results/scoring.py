"""What came of a seed: the accuracy matrix of its predictions, and all that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from contsym.data.schema import LABELS
from contsym.results.metrics import matrix as measures
from contsym.results.schema import PairsToTarget, Probe, Scores

if TYPE_CHECKING:
    from contsym.data.schema import TaskData


def measured(
    tasks: Sequence[TaskData], predictions, guesses: Mapping[str, Mapping[str, float]] | None = None
) -> Scores:
    """The accuracy matrix of the predictions and all that follows from it.

    `guesses` are the scores of the shortcuts by task: what is not above the best of them was not
    learned. Without them the majority class is the bar.
    """
    import numpy as np

    labels = [np.asarray(task.test["label"][:]) for task in tasks]
    names = [task.name for task in tasks]
    matrix = np.array(
        [[measures.accuracy(p, y) for p, y in zip(row, labels, strict=True)] for row in predictions]
    )
    n_test = [len(y) for y in labels]
    majority = [measures.majority_share(y) for y in labels]
    bars = [
        max(share, *(guesses or {}).get(name, {}).values(), 0.0)
        for name, share in zip(names, majority, strict=True)
    ]
    learned = {
        name: measures.is_learned(matrix[j + 1, j], bars[j], n_test[j]) for j, name in enumerate(names)
    }
    forgotten = dict(zip(names, measures.forgetting(matrix), strict=True))
    kinds = {
        task.name: [measures.accuracy_by(task.test["kind"][:], row[j], labels[j]) for row in predictions]
        for j, task in enumerate(tasks)
        if any(task.test["kind"][:])
    }
    found = {
        "matrix": matrix.tolist(),
        "n_test": dict(zip(names, n_test, strict=True)),
        "majority": dict(zip(names, majority, strict=True)),
        "learned": learned,
        "final": dict(zip(names, matrix[-1].tolist(), strict=True)),
        "final_macro": measures.final_macro(matrix),
        "final_micro": measures.final_micro(matrix, n_test),
        # What was never learned cannot be forgotten; the figure would flatter the method.
        "forgetting": {name: f if learned[name] else None for name, f in forgotten.items()},
        "bwt": measures.backward_transfer(matrix),
        "fwt": measures.forward_transfer(matrix),
        "by_kind": kinds,
        "by_relation": {
            task.name: measures.accuracy_by(task.test["relation"][:], predictions[-1][j], labels[j])
            for j, task in enumerate(tasks)
            if task.name in kinds
        },
        "confusion": {
            name: measures.confusion(predictions[-1][j], labels[j], len(LABELS))
            for j, name in enumerate(names)
        },
    }
    return Scores.model_validate(found)


def sample_efficiency(tasks: Sequence[TaskData], points, target: float) -> dict[str, PairsToTarget]:
    """The least number of pairs, distinct and seen, that reached the target; None: not reached."""
    found = {}
    for j, task in enumerate(tasks):
        own = [point for point in points if point.experience == j]
        accuracies = [point.accuracy for point in own]
        n_distinct, n_seen = (
            measures.least_to_reach([getattr(p, name) for p in own], accuracies, target)
            for name in ("n_distinct_pairs", "n_pairs_seen")
        )
        found[task.name] = PairsToTarget(n_distinct_pairs=n_distinct, n_pairs_seen=n_seen)
    return found


def prediction_rows(tasks: Sequence[TaskData], predictions) -> list[dict[str, object]]:
    """One row per test pair: its label and what was predicted after each experience."""
    return [
        {
            "task": task.name,
            "id": pair_id,
            "label": LABELS[label],
            **{f"row_{i}": LABELS[int(row[j][n])] for i, row in enumerate(predictions)},
        }
        for j, task in enumerate(tasks)
        for n, (pair_id, label) in enumerate(zip(task.test["id"][:], task.test["label"][:], strict=True))
    ]


def probe(accuracies: Sequence[float | None]) -> Probe | None:
    """What a fresh linear probe reads of the first task off the encoder, before and after the others."""
    if len(accuracies) < 2 or accuracies[0] is None or accuracies[1] is None:
        return None
    before, after = accuracies[0], accuracies[1]
    return Probe(before=before, after=after, forgetting=before - after)
