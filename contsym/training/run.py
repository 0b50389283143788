"""Train one strategy through one scenario for each seed, and store the results."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contsym import checked
from contsym.config import LEAST
from contsym.errors import ContsymError
from contsym.machine import n_threads, platform_name, processor_name
from contsym.results import store
from contsym.results.equality import differing
from contsym.results.schema import FORMAT, Asked, Facts, SeedResult, StoredOptions
from contsym.results.schema_training import Search
from contsym.results.scoring import measured, prediction_rows, probe, sample_efficiency, trajectory_figures
from contsym.scenarios.catalog import is_scenario_file
from contsym.training.fingerprint import git_commit, library_versions
from contsym.training.keys import code_of, encoder_facts, first_task_key, key_of, pretraining_settings
from contsym.training.parts import draw_notes, limit_notes
from contsym.training.relearning import relearn
from contsym.training.retrain import find_known_task
from contsym.training.trained import TrainedModel

if TYPE_CHECKING:
    from torch import Tensor

    from contsym.config import RunConfig
    from contsym.training.first_task import FirstTaskCache
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


class SeedOutput(NamedTuple):
    """All that a seed leaves: one file each."""

    result: SeedResult
    predictions: list[dict[str, object]]
    tensors: dict[str, Tensor]


def run_seeds(plan: Plan, progress: Progress) -> list[SeedResult]:
    """The result of each seed of the plan."""
    return [stored_seed(plan, seed, progress) for seed in plan.config.seeds]


def is_done(config: RunConfig, key: str) -> bool:
    """Whether a result is stored, with its model where the config wants one."""
    has_all = not config.save_models or store.has_model(config.output, key)
    return store.is_stored(config.output, key) and has_all


def stored_seed(plan: Plan, seed: int, progress: Progress, cache: FirstTaskCache | None = None) -> SeedResult:
    """The result of a seed: read where it is stored, else trained, measured and stored.

    With `save_models`, a result without a model is trained again, and its model is stored beside it. Raises
    ContsymError where that gives another result.
    """
    config, key = plan.config, key_of(plan, seed)
    folder, before = store.result_folder(config.output, key), None
    if store.is_stored(config.output, key):
        try:
            before = store.read_result(folder)
        except ContsymError as error:
            raise ContsymError(f"{error}; move {folder} away, then the same command makes it again") from None
        if is_done(config, key):
            return before
    models: list[TrainedModel] = []
    on_end = models.append if config.save_models else None
    output = run_seed(plan, seed, progress, cache, on_end=on_end)
    fill_model = models[0].fill if models else None
    if before is None:
        store.write_result(config.output, *output, fill_model)
        if is_done(config, key):
            return output.result
        # Another process has stored the result meanwhile, without a model.
        before = store.read_result(folder)
    if names := differing(before, output.result):
        raise ContsymError(
            f"seed {seed}: trained again for its model, it gives another result than the stored one ({', '.join(names[:3])} "
            f"differ; {before.threads} threads then, {n_threads()} now); move {folder} away, then the same command makes "
            "both"
        )
    assert fill_model
    store.add_model(config.output, key, fill_model)
    return before


def run_seed(
    plan: Plan,
    seed: int,
    progress: Progress,
    cache: FirstTaskCache | None = None,
    *,
    on_end: Callable[[TrainedModel], None] | None = None,
) -> SeedOutput:
    """One seed from the pretrained encoder to the result, the predictions and the tensors.

    With a `cache`, a first task that does not depend on the shots is trained once for all runs that share it;
    the result is the same to the bit (seconds and memory apart). `on_end` receives the trained model.
    """
    # Here: it imports torch, and `prepare` sets how its threads wait before that.
    from contsym.models.encoders.device import deterministic

    with deterministic(plan.device):
        return _run_seed(plan, seed, progress, cache, on_end)


def _run_seed(
    plan: Plan,
    seed: int,
    progress: Progress,
    cache: FirstTaskCache | None,
    on_end: Callable[[TrainedModel], None] | None,
) -> SeedOutput:
    if plan.config.shots != LEAST:
        return _train(plan, seed, progress, cache, on_end)
    from contsym.training.first_task import FirstTaskCache, first_task_plan, first_tasks_folder
    from contsym.training.least import search_least

    # Before the work, as in `_train`.
    record(plan, seed, datetime.now(UTC), [])
    states = cache or FirstTaskCache(first_tasks_folder(plan.config.output))
    key = first_task_key(first_task_plan(plan), seed)
    was_there = key is not None and states.has(key)
    start = find_known_task(plan, seed, progress, states)
    search, note, seconds = search_least(plan, seed, progress, states, start)
    one = plan.with_shots(search.found or search.most)
    notes = [note] if note else []
    output = _train(
        one, seed, progress, states, on_end, asked=plan, search=search, notes=notes, spent=seconds
    )
    if cache is None and key and not was_there:
        # No sweep waits for the state; protocol retrain has pinned its own.
        states.drop(key)
    return output


def _train(
    plan: Plan,
    seed: int,
    progress: Progress,
    cache: FirstTaskCache | None,
    on_end: Callable[[TrainedModel], None] | None,
    *,
    asked: Plan | None = None,
    search: Search | None = None,
    notes: Sequence[str] = (),
    spent: float = 0.0,
) -> SeedOutput:
    """The result of a plan with given shots; `asked` is the plan that stands in its record, if it is another.

    `spent` has the seconds of the trials that chose the shots.
    """
    from contsym.training.loop import SeedRun

    asked = asked or plan
    # An earlier seed's model and optimizer hang together with Avalanche's plugins in a circle; three of them were
    # in memory at a time before Python went to look.
    gc.collect()
    parts = [plan.training_part(task, seed) for task in plan.trained]
    guesses = {
        task.name: plan.shared.shortcut_scores(task, plan.config, seed)
        for task in plan.tasks
        if task.name in plan.audits
    }
    # Before the work, not after it: what could not be stored is not trained.
    facts = record(asked, seed, datetime.now(UTC), [len(part) for part in parts])
    start = find_known_task(plan, seed, progress, cache)
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    run = SeedRun(plan, parts, seed, progress, start)
    if cache is not None:
        cache.fast_forward(run, seed)
    while run.n_done < len(plan.tasks):
        run.train_next()
    scores = run.scores()
    tensors = run.strategy.artifacts() | {f"{store.SCORES}{name}": rows for name, rows in scores.items()}
    rows_of_scores = {name: rows.numpy() for name, rows in scores.items()}
    before, after, view = run.view_before, run.view_after, None
    if before is not None and after is not None and run.view_pairs is not None:
        tensors |= {"view.before": before, "view.after": after}
        view = {name: run.view_pairs[name][:] for name in ("id", "relation", "kind")}
    made = {
        **dict(facts),
        "started_at": started_at,
        **dict(
            measured(
                plan.tasks,
                run.matrix.result(),
                run.forgetting.result(),
                run.predictions,
                rows_of_scores,
                run.score_kinds(),
                guesses,
            )
        ),
        "start": run.start.key if run.start else None,
        "probe": probe(run.probes),
        "shortcuts": guesses,
        "leaks": {
            name: {leak.what: leak.n_rows for leak in found.leaks if leak.share is not None}
            for name, found in plan.audits.items()
        },
        "validation": dict(zip(run.names, run.validation, strict=True)),
        "trajectory": [asdict(point) for point in run.trajectory.points],
        "trajectory_figures": trajectory_figures(
            run.names[: len(parts)], run.trajectory.points, asked.config.aim
        ),
        "sample_efficiency": sample_efficiency(run.names, run.sample_efficiency.result()),
        "search": search,
        "loss": run.log.losses,
        "cost": run.cost(),
        "view": view,
        "notes": [
            *notes,
            *limit_notes(plan.config),
            *(
                note
                for task, part in zip(plan.trained, parts, strict=True)
                for note in draw_notes(task, plan.config, part)
            ),
            *run.strategy.notes(),
        ],
        "seconds": round(spent + run.seconds, 3),
    }
    # Last: it is no part of the run's seconds and memory.
    made["relearning"] = relearn(run) if plan.config.relearn else None
    result = checked.check(SeedResult, made, _where(asked, seed))
    if on_end:
        on_end(TrainedModel.of_run(run, result))
    return SeedOutput(result, prediction_rows(plan.tasks, run.predictions), tensors)


def record(plan: Plan, seed: int, started_at: datetime, n_train: list[int]) -> Facts:
    """What made a result. Raises ContsymError for what could not be stored."""
    config = plan.config
    # Nothing is trained on those without a number.
    numbers = [*n_train, *[0] * (len(plan.tasks) - len(n_train))]
    sized = [task.task for task in plan.trained if not task.few_shot]
    sizes = {task: config.sizes.get(task) for task in sized}
    facts = {
        "format": FORMAT,
        "key": key_of(plan, seed),
        "strategy": config.strategy,
        "scenario": plan.scenario.name,
        "scenario_file": config.scenario if is_scenario_file(config.scenario) else None,
        "experiences": plan.scenario.as_stored,
        "plugins": [
            plugin.record()
            for plugin in plan.plugins.of_run(config.strategy, config.scenario, plan.scenario.tasks)
        ],
        "encoder": config.encoder,
        "encoder_weights": {
            "sha256": plan.encoder.weights_sha256,
            "text_files_sha256": encoder_facts(plan)["text_files"],
            "origin": plan.encoder.origin,
            "commit": plan.encoder.commit,
        },
        "seen": list(plan.encoder.seen),
        "pooling": plan.pooling.facts().model_dump(),
        "tasks": [task.name for task in plan.tasks],
        "labels": list(plan.scenario.label_space.names),
        "label_space": plan.scenario.mode,
        "sources": {
            task.name: {
                "name": task.source,
                "task": task.task,
                "title": task.spec.words,
                "inputs": task.spec.inputs,
                "few_shot": task.few_shot,
                "symmetry": task.spec.symmetry,
                "tested_only": task.tested_only,
                "labels": list(task.own_labels),
                "rows": {**task.rows, "train": n},
                "available": task.rows,
                "fingerprint": task.fingerprint,
                "notes": list(task.notes),
            }
            for task, n in zip(plan.tasks, numbers, strict=True)
        },
        "seed": seed,
        "pretraining": pretraining_settings(plan),
        "settings": {**plan.settings.model_dump(mode="json"), "learning_rate": plan.learning_rate},
        "set": dict(config.settings),
        "options": {**_chosen(config, StoredOptions), "sizes": sizes},
        "asked": _chosen(config, Asked),
        "device": plan.device,
        "precision": plan.precision,
        "threads": n_threads(),
        "platform": platform_name(),
        "processor": processor_name(plan.device),
        "versions": library_versions(),
        "git_commit": git_commit(),
        "code_sha256": code_of(plan),
        "started_at": started_at.isoformat(timespec="seconds"),
    }
    return checked.check(Facts, facts, _where(plan, seed))


def _chosen(config: RunConfig, part: type[StoredOptions] | type[Asked]) -> dict[str, object]:
    """The fields of the config that this part of a result records."""
    values = {name: getattr(config, name) for name in part.model_fields}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def _where(plan: Plan, seed: int) -> Path:
    return store.result_folder(plan.config.output, key_of(plan, seed)) / store.RESULT
