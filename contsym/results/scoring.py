"""The scores of a seed: the accuracy matrix of its predictions, and all figures that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from contsym.data.schema import SKILLS_BETWEEN
from contsym.results.metrics import matrix as measures
from contsym.results.metrics import trajectory as courses
from contsym.results.metrics.answers import calibration_error, label_shares, macro_f1, probabilities
from contsym.results.schema import Answers, Probe, Scores, TaskAnswers
from contsym.results.schema_training import PairsToTarget, TrajectoryFigures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contsym.data.schema import TaskData
    from contsym.models.scores import ScoreKind


def measured(
    tasks: Sequence[TaskData],
    matrix: measures.Matrix,
    forgetting: Mapping[int, float],
    predictions,
    scores: Mapping[str, NDArray[np.float16]],
    kinds_of_scores: Mapping[str, ScoreKind],
    guesses: Mapping[str, Mapping[str, float]],
) -> Scores:
    """All figures of the accuracy matrix and of its predictions, which come by row of the matrix and task.

    `forgetting` is by the place of the task. `scores` hold (rows, test pairs, labels) by task. `guesses` are the
    accuracies of the shortcuts, by audited task.
    """
    import numpy as np

    names = [task.name for task in tasks]
    labels = {task.name: np.asarray(task.test["label"][:]) for task in tasks}
    by_task = {name: [row[j] for row in predictions] for j, name in enumerate(names)}
    n_test = {name: len(y) for name, y in labels.items()}
    majority = {name: measures.majority_share(y) for name, y in labels.items()}

    def is_above(name: str, bars: Iterable[float]) -> bool:
        j = names.index(name)
        return measures.is_above(matrix[j + 1, j], max(bars), n_test[name])

    learned = {name: is_above(name, [majority[name]]) for name in names}
    above_shortcuts = {
        name: is_above(name, [majority[name], *others.values()]) if (others := guesses.get(name)) else None
        for name in names
    }
    space, n_trained = tasks[0].labels, sum(not task.tested_only for task in tasks)
    trained = matrix[: n_trained + 1, :n_trained]

    def by_column(column: str) -> dict[str, list[Mapping[str, dict[str, float | int]]]]:
        """The accuracies of the groups that a column names, by row of the matrix, for the tasks that have it."""
        values = {
            task.name: [
                [name for name in (text.split(SKILLS_BETWEEN) if column == "skill" else [text]) if name]
                for text in task.test[column][:]
            ]
            for task in tasks
        }
        return {
            name: [measures.accuracy_by_several(names, row, labels[name]) for row in by_task[name]]
            for name, names in values.items()
            if any(names)
        }

    def answers(name: str, row: int) -> Answers:
        predicted = by_task[name][row]
        sure = probabilities(scores[name][row], kinds_of_scores[name])
        confidences = sure[np.arange(len(predicted)), predicted]
        return Answers(
            macro_f1=macro_f1(predicted, labels[name]),
            calibration_error=calibration_error(confidences, predicted == labels[name]),
            predicted=by_label(predicted, space),
        )

    figures: dict[str, object] = {
        "matrix": matrix.tolist(),
        "n_test": n_test,
        "majority": majority,
        "learned": learned,
        "above_shortcuts": above_shortcuts,
        "final": dict(zip(names, matrix[-1].tolist(), strict=True)),
        "final_macro": measures.final_macro(trained),
        "final_micro": measures.final_micro(trained, list(n_test.values())[:n_trained]),
        "forgetting": {names[task]: value for task, value in forgetting.items() if task < n_trained - 1},
        "figures": {figure.name: figure.compute(trained) for figure in measures.MATRIX_FIGURES},
        "by_kind": by_column("kind"),
        "by_skill": by_column("skill"),
        "by_group": by_column("group"),
        "by_relation": {
            task.name: measures.accuracy_by(
                task.test["relation"][:], by_task[task.name][-1], labels[task.name]
            )
            for task in tasks
            if any(task.test["relation"][:])
        },
        "confusion": {
            name: measures.confusion(by_task[name][-1], labels[name], len(space)) for name in names
        },
        "answers": {
            name: TaskAnswers(
                score_kind=kinds_of_scores[name],
                true=by_label(labels[name], space),
                own=answers(name, j + 1),
                final=answers(name, -1),
            )
            for j, name in enumerate(names)
        },
    }
    return Scores.model_validate(figures)


def by_label(labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, float]:
    """The share of each label."""
    return dict(zip(names, label_shares(labels, len(names)), strict=True))


def sample_efficiency(
    names: Sequence[str], needed: Sequence[tuple[int | None, int | None]]
) -> dict[str, PairsToTarget]:
    """The pairs that each experience needed, distinct and seen; None: not reached."""
    return {
        name: PairsToTarget(n_distinct_pairs=n_distinct, n_pairs_seen=n_seen)
        for name, (n_distinct, n_seen) in zip(names, needed, strict=True)
    }


def trajectory_figures(names: Sequence[str], points: courses.Points, target: float) -> TrajectoryFigures:
    """The figures of the trajectory of the experiences with these names."""
    last, old = len(names) - 1, list(enumerate(names[:-1]))
    return TrajectoryFigures(
        min_acc=courses.min_acc(points),
        worst_case_accuracy=courses.worst_case_accuracy(points),
        average_anytime_accuracy=courses.average_anytime_accuracy(points),
        least_accuracy={name: courses.least_accuracy(points, task) for task, name in old},
        stability_gap={name: courses.stability_gap(points, task) for task, name in old},
        forgetting_at_target={
            name: courses.forgetting_at_target(points, last, task, target) for task, name in old
        },
    )


def prediction_rows(tasks: Sequence[TaskData], predictions) -> list[dict[str, object]]:
    """A row per test pair: its label, and the prediction after each experience."""
    return [
        {
            "task": task.name,
            "id": pair_id,
            "label": task.labels[label],
            **{f"row_{i}": task.labels[int(row[j][n])] for i, row in enumerate(predictions)},
        }
        for j, task in enumerate(tasks)
        for n, (pair_id, label) in enumerate(zip(task.test["id"][:], task.test["label"][:], strict=True))
    ]


def probe(accuracies: Sequence[float | None]) -> Probe | None:
    """The accuracy of a linear probe of the first task, before and after the other tasks."""
    if len(accuracies) < 2 or accuracies[0] is None or accuracies[1] is None:
        return None
    before, after = accuracies[0], accuracies[1]
    return Probe(before=before, after=after, forgetting=before - after)
