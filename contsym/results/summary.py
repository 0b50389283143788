"""Means of stored results over seeds and orders."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from contsym.data import shortcuts
from contsym.results.metrics.matrix import MATRIX_FIGURES
from contsym.results.reading import reading
from contsym.results.schema import Facts, SeedResult
from contsym.tasks.schema import NLI_LABELS

Results = Sequence[SeedResult]
Time = Literal["own", "final"]
"""Right after a task's own training, and after the last experience."""
TIMES: tuple[Time, ...] = ("own", "final")


def labels_words(result: SeedResult) -> str:
    """The number of labels and how the tasks share them; empty for those of natural language inference.

    Under `disjoint` and `per_task` each task has its own.
    """
    if tuple(result.labels) == NLI_LABELS:
        return ""
    how = {"shared": "", "disjoint": ", disjoint", "per_task": ", task given"}
    return f"{len(result.labels)} labels{how[result.label_space]}"


def best_shortcut(scores: Sequence[Mapping[str, float]]) -> tuple[str, float] | None:
    """Name and mean accuracy of the shortcut that is best in the mean over seeds; None where none was measured.

    >>> best_shortcut([{"length": 0.5, "overlap": 0.6}, {"length": 0.9, "overlap": 0.6}])
    ('length', 0.7)
    """
    means = mean_shortcuts(scores)
    return shortcuts.best(means) if means else None


def mean_shortcuts(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean accuracy over seeds of each shortcut that all measured seeds have; empty where none was measured."""
    measured = [each for each in scores if each]
    names = [name for name in (measured[0] if measured else ()) if all(name in each for each in measured)]
    return {name: statistics.fmean(each[name] for each in measured) for name in names}


def marks(results: Results, task: str) -> str:
    """The words beside the figures of a task; empty if every seed learned it and is above its shortcuts."""
    return mark_words([r.learned[task] for r in results], [r.above_shortcuts[task] for r in results])


def mark_words(learned: Sequence[bool], above_shortcuts: Sequence[bool | None]) -> str:
    """The same of the marks of each seed; None in `above_shortcuts`: the seed has no audit.

    >>> mark_words([True, True], [True, None]), mark_words([False], [False])
    ('', 'not learned')
    >>> mark_words([True, False, True], [False, False, False])
    'learned in 2 of 3 seeds, not above the best shortcut'
    """
    shortcuts = [is_above for is_above in above_shortcuts if is_above is not None]
    # A task that is not above the majority class is not above the best shortcut either.
    words = [_mark("learned", learned), _mark("above the best shortcut", shortcuts) if any(learned) else ""]
    return ", ".join(filter(None, words))


def _mark(words: str, seeds: Sequence[bool]) -> str:
    if all(seeds):
        return ""
    return f"{words} in {sum(seeds)} of {len(seeds)} seeds" if any(seeds) else f"not {words}"


def seen_before(result: SeedResult) -> str:
    """A sentence that names the tasks of a result that its encoder was trained on before; empty if there are none."""
    names = result.seen_titles
    if not names:
        return ""
    titles = " and ".join(names)
    return f"{result.encoder} was trained on {titles} before: no figure here is of an encoder new to {titles}"


def gained_nothing(results: Results, task: str) -> bool:
    """Whether every seed learned the task, and training did not raise its accuracy in the mean."""
    if results[0].sources[task].tested_only or not all(r.learned[task] for r in results):
        return False
    return statistics.fmean(r.own_accuracy(task) - r.accuracy_before(task) for r in results) <= 0


def no_gain_lines(groups: Mapping[tuple[str, str], Results]) -> list[str]:
    """A sentence per variant and trained task on the groups, by variant and words on their shots, that gained nothing."""
    found: dict[tuple[str, str], dict[str, Results]] = {}
    for (variant, shots), results in groups.items():
        first = results[0]
        for task in first.trained_tasks[first.options.protocol == "retrain" :]:
            if gained_nothing(results, task):
                found.setdefault((variant, task), {})[shots] = results
    lines = []
    for (variant, task), by_shots in found.items():
        every = [result for results in by_shots.values() for result in results]
        before, after = (
            statistics.fmean(values)
            for values in ([r.accuracy_before(task) for r in every], [r.own_accuracy(task) for r in every])
        )
        is_all = len(by_shots) == len([1 for name, _ in groups if name == variant])
        at = "" if is_all else f", {', '.join(by_shots)} shots"
        lines.append(
            f"{variant}{at}: training did not raise the accuracy on {task} ({before:.3f} before, {after:.3f} after); "
            "fewer pairs or steps may do, or none"
        )
    return lines


@dataclass(frozen=True)
class MeanAnswers:
    """Means of `schema.Answers`."""

    macro_f1: float
    calibration_error: float
    predicted: dict[str, float]


@dataclass(frozen=True)
class Means:
    """Means over the seeds of one run; None if a seed lacks the figure."""

    matrix: list[list[float]]
    final: dict[str, float]
    final_macro: float
    final_micro: float
    forgetting: dict[str, float]
    """Of every task but the last, over all seeds."""
    learned: dict[str, float]
    """The share of the seeds that learned the task."""
    shortcuts: dict[str, dict[str, float]]
    """Of audited tasks, as the next two."""
    above_shortcuts: dict[str, float]
    """The share of the seeds whose accuracy after the task's training is above the best shortcut."""
    above_best_shortcut: dict[str, float]
    """How far the final accuracy is above the best shortcut of each seed."""
    by_kind: dict[str, dict[str, float]]
    """At the end."""
    true: dict[str, dict[str, float]]
    """The share of each label among the test pairs; the same for all seeds."""
    answers: dict[str, dict[Time, MeanAnswers]]
    probe_forgetting: float | None
    trajectory_figures: dict[str, dict[str, float | None] | float | None]
    """As `schema_training.TrajectoryFigures`."""
    relearning_pairs: float | None
    """Pairs until the accuracy on the first task was back."""
    figures: dict[str, float | None]
    """Those of MATRIX_FIGURES, by name."""
    seconds: float


def summarise(results: Results) -> Means:
    """Means over the seeds of one run; those of a single seed are its own figures."""
    import numpy as np

    first = results[0]
    tasks = first.tasks
    audited = [t for t in tasks if all(r.shortcuts.get(t) for r in results)]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    def mean_of_all(values: Sequence[float | None]) -> float | None:
        return None if None in values else mean(values)  # type: ignore[arg-type]

    return Means(
        matrix=np.mean([r.matrix for r in results], axis=0).tolist(),
        final={t: mean([r.final[t] for r in results]) for t in tasks},
        final_macro=mean([r.final_macro for r in results]),
        final_micro=mean([r.final_micro for r in results]),
        forgetting={t: mean([r.forgetting[t] for r in results]) for t in first.forgetting},
        learned={t: mean([r.learned[t] for r in results]) for t in tasks},
        shortcuts={
            t: {name: mean([r.shortcuts[t][name] for r in results]) for name in first.shortcuts[t]}
            for t in audited
        },
        above_shortcuts={t: mean([bool(r.above_shortcuts[t]) for r in results]) for t in audited},
        above_best_shortcut={
            t: mean([r.final[t] - shortcuts.best(r.shortcuts[t])[1] for r in results]) for t in audited
        },
        by_kind={
            t: {
                kind: mean([r.by_kind[t][-1][kind].accuracy for r in results])
                for kind in sorted(rows[-1], key=kind_order)
            }
            for t, rows in first.by_kind.items()
        },
        true={t: first.answers[t].true for t in tasks},
        answers={t: {time: mean_answers(results, t, time) for time in TIMES} for t in tasks},
        probe_forgetting=mean_of_all([r.probe.forgetting if r.probe else None for r in results]),
        trajectory_figures={
            name: {t: mean_of_all([getattr(r.trajectory_figures, name)[t] for r in results]) for t in figure}
            if isinstance(figure, dict)
            else mean_of_all([getattr(r.trajectory_figures, name) for r in results])
            for name, figure in first.trajectory_figures
        },
        relearning_pairs=mean_of_all([r.relearning.n_pairs if r.relearning else None for r in results]),
        figures={f.name: mean_of_all([r.figures.get(f.name) for r in results]) for f in MATRIX_FIGURES},
        seconds=mean([r.seconds for r in results]),
    )


def mean_answers(results: Results, task: str, time: Time) -> MeanAnswers:
    """The mean over the seeds of what was answered on a task."""
    each = [getattr(r.answers[task], time) for r in results]
    return MeanAnswers(
        macro_f1=statistics.fmean(a.macro_f1 for a in each),
        calibration_error=statistics.fmean(a.calibration_error for a in each),
        predicted={label: statistics.fmean(a.predicted[label] for a in each) for label in each[0].predicted},
    )


def kind_order(kind: str) -> tuple[bool, str]:
    """Sorts symmetric before antisymmetric, and other kinds by name."""
    return kind != "symmetric", kind


SHARED = {
    "strategy",
    "scenario",
    "encoder",
    "seen",
    "tasks",
    "sources",
    "settings",
    "options",
    "device",
    "precision",
}
"""Entries that are the same for all seeds of a run."""
LONG = {"by_relation", "confusion", "trajectory", "loss", "view", "n_test", "majority", "start"}
"""Entries that only the stored result has, and `--json` omits."""
PER_SEED = {"seed", "key", *SeedResult.model_fields.keys() - Facts.model_fields.keys() - LONG}


def as_json(results: Results, mlflow_run_ids: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The output of `--json`: the run, its seeds and their mean; with the MLflow run of each seed, if they are given by
    key."""
    seeds = [r.model_dump(mode="json", include=PER_SEED) for r in results]
    for seed in seeds if mlflow_run_ids is not None else ():
        seed["mlflow_run_id"] = (mlflow_run_ids or {}).get(seed["key"])
    shared = results[0].model_dump(mode="json", include=SHARED)
    return {**shared, "reading": reading(results), "seeds": seeds, "mean": asdict(summarise(results))}


def varied_settings(results: Results) -> dict[str, set[str]]:
    """Names of settings with several values, by strategy."""
    by_strategy: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        by_strategy.setdefault(result.strategy, []).append(result.settings)
    return {
        strategy: {name for name in set().union(*each) if len({str(s.get(name)) for s in each}) > 1}
        for strategy, each in by_strategy.items()
    }


def by_order(results: Results) -> dict[str, list[SeedResult]]:
    """Results by the order of their experiences."""
    groups: dict[str, list[SeedResult]] = {}
    for result in results:
        groups.setdefault(result.order, []).append(result)
    return groups


def over_orders(groups: Mapping[str, Results]) -> dict[str, dict[str, Any]]:
    """Each figure by order, mean over the seeds, with mean, sd (n - 1), min and max over the orders.

    An order may lack a figure, as the forgetting of its last experience: it is None there and has no part in the
    spread; sd needs two orders.
    """
    means = {order: _figures(summarise(results)) for order, results in groups.items()}
    names = next(iter(means.values()))
    return {name: _spread({order: figures[name] for order, figures in means.items()}) for name in names}


def _figures(mean: Means) -> dict[str, float | None]:
    """Figures by name, with the experiences by name, so that each order has the same rows."""
    tasks = sorted(mean.final)
    return {
        "accuracy, mean": mean.final_macro,
        **{f"accuracy, {name}": mean.final[name] for name in tasks},
        **{f"forgetting, {name}": mean.forgetting.get(name) for name in tasks},
        **{figure.title: mean.figures[figure.name] for figure in MATRIX_FIGURES},
    }


def _spread(values: Mapping[str, float | None]) -> dict[str, Any]:
    numbers = [value for value in values.values() if value is not None]
    return {
        "by_order": dict(values),
        "n_orders": len(numbers),
        "mean": statistics.fmean(numbers) if numbers else None,
        "sd": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
    }
