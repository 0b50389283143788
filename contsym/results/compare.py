"""Stored runs side by side: found by name, read, and compared on the same seeds and test pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.errors import ContsymError, nearest
from contsym.results.predictions import read_aligned
from contsym.results.schema import SeedResult

if TYPE_CHECKING:
    from contsym.results.metrics.stats import Comparison, Summary


@dataclass(frozen=True)
class FoundRun:
    """What a RUN of the command line stands for."""

    given: str
    folders: Mapping[int, Path]
    """The folder with result.json and predictions.csv, by seed."""
    results: Mapping[int, SeedResult]

    @property
    def first(self) -> SeedResult:
        return next(iter(self.results.values()))


@dataclass(frozen=True)
class TaskComparison:
    """All runs on one task after the last experience."""

    task: str
    accuracies: Mapping[str, Summary]
    forgetting: Mapping[str, tuple[float | None, ...]]
    """A figure for each seed, None where the task was never learned; () where nothing was trained after it."""
    n_learned: Mapping[str, int]
    """Seeds that learned the task, by run."""
    comparisons: Sequence[Comparison]
    best: str | None
    n_seeds: int
    n_items: int


def name_runs(runs: Sequence[FoundRun]) -> dict[str, FoundRun]:
    """Each run under the shortest name that tells it apart: as given with @, else its strategy,
    else with its shots, else its folder.

    Raises ContsymError where one is given twice.
    """
    for i, run in enumerate(runs):
        for other in runs[:i]:
            if set(map(_real, run.folders.values())) & set(map(_real, other.folders.values())):
                raise ContsymError(f"{other.given} and {run.given} are the same run; expected different ones")
    names = [run.given if "@" in run.given else run.first.strategy for run in runs]
    longer = (
        lambda run: f"{run.first.strategy}@{run.first.options.shots or 'all'}",
        lambda run: Path(run.given).name,
        lambda run: run.given,
    )
    for name in longer:
        names = [s if names.count(s) == 1 else name(r) for s, r in zip(names, runs, strict=True)]
    return dict(zip(names, runs, strict=True))


def _real(path: Path) -> Path:
    return path.resolve()


def compare_runs(runs: Mapping[str, FoundRun], task: str | None = None) -> list[TaskComparison]:
    """Every task that all runs have, or the one named, in the order of the first run.

    Raises ContsymError where seeds or test pairs differ, or a run lacks the task.
    """
    tasks = [run.first.tasks for run in runs.values()]
    common = [name for name in tasks[0] if all(name in others for others in tasks)]
    if task is not None:
        for name, own in zip(runs, tasks, strict=True):
            if task not in own:
                raise ContsymError(f"--task {task}: {name} has none of that name; {nearest(task, own)}")
        common = [task]
    if not common:
        listed = "; ".join(f"{name} has {', '.join(own)}" for name, own in zip(runs, tasks, strict=True))
        raise ContsymError(f"the runs have no task in common: {listed}")
    return [_compare(runs, name) for name in common]


def _compare(runs: Mapping[str, FoundRun], task: str) -> TaskComparison:
    from contsym.results.metrics.stats import best, compare_all, summarise_values

    seeds, ids, correct = read_aligned({name: run.folders for name, run in runs.items()}, task)
    accuracies = {
        name: summarise_values(table.mean(axis=1).tolist(), n_items=len(ids))
        for name, table in correct.items()
    }
    comparisons = compare_all(correct)
    return TaskComparison(
        task,
        accuracies,
        {name: _forgetting(run, task) for name, run in runs.items()},
        {name: sum(r.learned[task] for r in run.results.values()) for name, run in runs.items()},
        comparisons,
        best(comparisons, {name: summary.mean for name, summary in accuracies.items()}),
        len(seeds),
        len(ids),
    )


def _forgetting(run: FoundRun, task: str) -> tuple[float | None, ...]:
    if task == run.first.tasks[-1]:
        return ()
    return tuple(result.forgetting[task] for result in run.results.values())


OPTIONS = ("form", "shots", "split", "protocol", "pretrain", "label_noise")
"""Those that decide the figures; of the pooling, what was used is compared."""


def differences_of(runs: Mapping[str, FoundRun]) -> dict[str, dict[str, str]]:
    """What the runs do not have in common beside the strategy: scenario, encoder, shots and the like, by run."""
    facts = {
        name: {
            **{key: str(getattr(run.first, key)) for key in ("scenario", "encoder", "device", "precision")},
            "pooling": run.first.pooling.kind,
            **{key: str(getattr(run.first.options, key)) for key in OPTIONS},
            **{f"{task}_size": str(size) for task, size in run.first.options.sizes.items()},
            **{f"set {key}": value for key, value in run.first.set.items()},
        }
        for name, run in runs.items()
    }
    keys = dict.fromkeys(key for own in facts.values() for key in own)
    return {
        key: {name: own.get(key, "-") for name, own in facts.items()}
        for key in keys
        if len({own.get(key, "-") for own in facts.values()}) > 1
    }


def as_plain(runs: Mapping[str, FoundRun], found: Sequence[TaskComparison]) -> dict[str, Any]:
    """What `--json` prints."""
    from dataclasses import asdict

    return {
        "runs": {
            name: {
                "given": run.given,
                "strategy": run.first.strategy,
                "seeds": list(run.folders),
                "folders": [str(path) for path in run.folders.values()],
            }
            for name, run in runs.items()
        },
        "differences": differences_of(runs),
        "tasks": {each.task: {k: v for k, v in asdict(each).items() if k != "task"} for each in found},
    }
