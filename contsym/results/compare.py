"""Compares stored runs on the same seeds and test pairs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.errors import ContsymError, nearest
from contsym.results.predictions import read_aligned
from contsym.results.schema import SeedResult, StoredOptions, as_typed

if TYPE_CHECKING:
    from contsym.results.metrics.stats import Comparison, Summary

FEW_SEEDS = 5
"""With fewer, the bootstrap's interval of a mean is the range of the seeds, and is called so."""


@dataclass(frozen=True)
class StoredRow:
    """A RUN of the command line: the results of one strategy at one number of shots, by seed."""

    name: str
    """As typed."""
    folders: Mapping[int, Path]
    """With result.json and predictions.csv."""
    results: Mapping[int, SeedResult]

    @classmethod
    def of(cls, name: str, results: Mapping[Path, SeedResult]) -> StoredRow:
        """The row of these results by folder, in the order of their seeds. Raises ContsymError for two of one seed."""
        by_seed = sorted(results.items(), key=lambda item: item[1].seed)
        if len({r.seed for r in results.values()}) < len(results):
            listed = " or ".join(str(path) for path in list(results)[:3])
            raise ContsymError(
                f"{name!r} has several results of one seed, as of several orders; expected one, as the folder {listed}"
            )
        return cls(name, {r.seed: path for path, r in by_seed}, {r.seed: r for _, r in by_seed})

    @property
    def first(self) -> SeedResult:
        return next(iter(self.results.values()))


@dataclass(frozen=True)
class TaskComparison:
    """All runs on one task after the last experience."""

    task: str
    accuracies: Mapping[str, Summary]
    forgetting: Mapping[str, tuple[float, ...]]
    """A figure per seed; () for the last task."""
    learned: Mapping[str, tuple[bool, ...]]
    """Whether each seed learned the task, by run."""
    above_shortcuts: Mapping[str, tuple[bool | None, ...]]
    """Whether each seed is above the best shortcut; None without an audit."""
    comparisons: Sequence[Comparison]
    best: str | None
    n_seeds: int
    n_items: int


def name_runs(runs: Sequence[StoredRow]) -> dict[str, StoredRow]:
    """The runs by their shortest unique names: as typed if with @, else the strategy, else with its shots, else the
    folder.

    Raises ContsymError if two are the same.
    """
    folders = [{path.resolve() for path in run.folders.values()} for run in runs]
    for (one, paths), (other, other_paths) in itertools.combinations(zip(runs, folders, strict=True), 2):
        if paths & other_paths:
            raise ContsymError(f"{one.name} and {other.name} are the same run; expected different ones")
    names = [run.name if "@" in run.name else run.first.strategy for run in runs]
    longer = (
        lambda run: f"{run.first.strategy}@{run.first.options.shots or 'all'}",
        lambda run: Path(run.name).name,
        lambda run: run.name,
    )
    for name in longer:
        names = [s if names.count(s) == 1 else name(r) for s, r in zip(names, runs, strict=True)]
    return dict(zip(names, runs, strict=True))


def compare_runs(runs: Mapping[str, StoredRow], task: str | None = None) -> list[TaskComparison]:
    """The comparison on each task that all runs have, in the order of the first run, or on `task`.

    Raises ContsymError if seeds or test pairs differ, or a run lacks the task.
    """
    tasks = {name: run.first.tasks for name, run in runs.items()}
    if task is not None:
        for name, names in tasks.items():
            if task not in names:
                raise ContsymError(f"--task {task}: {name} has none of that name; {nearest(task, names)}")
        return [_compare(runs, task)]
    common = [name for name in next(iter(tasks.values())) if all(name in names for names in tasks.values())]
    if not common:
        listed = "; ".join(f"{name} has {', '.join(names)}" for name, names in tasks.items())
        raise ContsymError(f"the runs have no task in common: {listed}")
    return [_compare(runs, name) for name in common]


def _compare(runs: Mapping[str, StoredRow], task: str) -> TaskComparison:
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
        forgetting={name: _forgetting(run, task) for name, run in runs.items()},
        learned={name: tuple(r.learned[task] for r in run.results.values()) for name, run in runs.items()},
        above_shortcuts={
            name: tuple(r.above_shortcuts[task] for r in run.results.values()) for name, run in runs.items()
        },
        comparisons=comparisons,
        best=best(comparisons, {name: summary.mean for name, summary in accuracies.items()}),
        n_seeds=len(seeds),
        n_items=len(ids),
    )


def _forgetting(run: StoredRow, task: str) -> tuple[float, ...]:
    return tuple(r.forgetting[task] for r in run.results.values() if task in r.forgetting)


OPTIONS = tuple(
    name for name in StoredOptions.model_fields if name not in ("sizes", "pooling", "step", "target", "curve")
)
"""Options that decide the figures; sizes are compared by task, and the pooling as it was resolved."""


def _digest(value: object) -> str:
    """Twelve digits that differ where two values of JSON do; none of an empty value."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12] if value else ""


def differences_of(runs: Mapping[str, StoredRow]) -> dict[str, dict[str, str]]:
    """The facts beside the strategy that differ (scenario, encoder, data, shots and the like), by fact and run.

    Data and weights differ by their SHA-256, since one path may have had two contents, and two paths one.
    """
    chosen = dict.fromkeys(key for run in runs.values() for key in run.first.set)
    common = set.intersection(*(set(run.first.sources) for run in runs.values()))
    facts = {
        name: {
            **{key: str(getattr(run.first, key)) for key in ("scenario", "encoder", "device", "precision")},
            "encoder weights": run.first.encoder_weights.sha256[:12],
            "tokenizer or configuration": str(run.first.encoder_weights.text_files_sha256)[:12],
            "pooling": run.first.pooling.kind,
            "experiences": _digest(run.first.experiences),
            **{f"data of {task}": run.first.sources[task].fingerprint[:12] for task in sorted(common)},
            **{key: str(getattr(run.first.options, key)) for key in OPTIONS},
            # Of other readings they only say what is reported.
            **({"step": str(s.step), "target": f"{s.target:g}"} if (s := run.first.search) else {}),
            **{f"{task}_size": str(size) for task, size in run.first.options.sizes.items()},
            # Their values, since one run may have as a default what another was given.
            **{f"set {key}": as_typed(value) for key, value in run.first.settings.items() if key in chosen},
        }
        for name, run in runs.items()
    }
    keys = dict.fromkeys(key for by_key in facts.values() for key in by_key)
    by_run = {key: {name: by_key.get(key, "-") for name, by_key in facts.items()} for key in keys}
    return {key: values for key, values in by_run.items() if len(set(values.values())) > 1}


def as_plain(runs: Mapping[str, StoredRow], comparisons: Sequence[TaskComparison]) -> dict[str, Any]:
    """The output of `--json`."""
    return {
        "runs": {
            name: {
                "given": run.name,
                "strategy": run.first.strategy,
                "seeds": list(run.folders),
                "folders": [str(path) for path in run.folders.values()],
            }
            for name, run in runs.items()
        },
        "differences": differences_of(runs),
        "tasks": {each.task: {k: v for k, v in asdict(each).items() if k != "task"} for each in comparisons},
    }
