"""The main verb: train one strategy through one scenario for each seed, and store what came out."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym import encoders, plugins, registry, results
from contsym.config import DEFAULT_FORM, RunConfig
from contsym.cores import waiting
from contsym.data.schema import TaskData
from contsym.data.sources import parse_source
from contsym.data.tasks import TASKS
from contsym.declared import AUTO, Pooling
from contsym.environment import (
    code_sha256,
    git_commit,
    library_versions,
    n_threads,
    platform_name,
    processor_name,
    quiet_libraries,
)
from contsym.errors import ContsymError, SettingError
from contsym.outcome import measured, prediction_rows, probe, sample_efficiency
from contsym.starts import PRETRAINING, check_start, find_start
from contsym.training_parts import Shared, training_part

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.beginnings import Beginnings
    from contsym.data.audit import Overview
    from contsym.metrics.plugins import Progress
    from contsym.scenarios.files import ScenarioPlan
    from contsym.strategies.base import Strategy, TrainingSettings


@dataclass(frozen=True)
class Plan:
    """A run with everything looked up and checked: what is shown before it starts."""

    config: RunConfig
    name: str
    scenario: ScenarioPlan
    strategy: type[Strategy]
    settings: TrainingSettings
    learning_rate: float
    encoder: encoders.EncoderFiles
    tasks: tuple[TaskData, ...]
    device: str
    precision: encoders.Precision
    audits: Mapping[str, Overview] = field(default_factory=dict)
    """By task, with the training pairs of the first seed; empty where none was asked for."""
    shared: Shared = field(default_factory=Shared, repr=False, compare=False)

    @property
    def pooling(self) -> Pooling:
        assert self.encoder.pooling is not None, "prepare has looked"
        return self.encoder.pooling

    @property
    def folder(self) -> Path:
        return results.runs_folder(self.config.output) / self.name

    def training_part(self, task: TaskData, seed: int) -> Dataset:
        """The training pairs of an experience for a seed, drawn once in all plans that share what they have loaded."""
        return training_part(task, self.config, seed, self.shared)


def prepare(config: RunConfig, shared: Shared | None = None) -> Plan:
    """Look up and check everything a run needs; nothing is trained and nothing is written but
    the output folder. The cheapest checks come first, so that a mistyped name answers at once.

    `shared` holds what earlier plans of this process have loaded. Raises ContsymError for
    whatever the user can mend.
    """
    shared = Shared() if shared is None else shared
    # For whoever calls from Python; torch is imported further below, unless it has been before.
    os.environ.update(waiting())
    plugins.use(config.plugins)
    registry.find_strategy(config.strategy)
    scenario = registry.find_scenario(config.scenario)
    if scenario.all_orders:
        one = registry.scenario_runs(config.scenario)[0]
        raise SettingError(
            f"scenario {config.scenario} stands for a run in each order; expected one, as {one}"
        )
    _check_sources(config, scenario)
    results.check_writable(config.output)
    with shared.loading_ahead(scenario, config):
        files = encoders.with_pooling(encoders.locate(config.encoder), config.pooling)
        quiet_libraries()
        strategy = registry.load_strategy(config.strategy)
    tasks = tuple(shared.load(experience, config) for experience in scenario.experiences)
    settings = parse_settings(strategy, config.settings)
    strategy.check(files, settings)
    shared.check(files, strategy.wants_head)
    files = encoders.with_limit(files)
    _check_freeze(config, files, settings)
    if config.protocol == "retrain":
        check_start(config, files, scenario.tasks, strategy)
        parse_settings(registry.load_strategy(PRETRAINING), config.pretrain, "--pretrain")
    for task in tasks:
        training_part(task, config, config.seeds[0], shared)
    device = encoders.choose_device(config.device)
    return Plan(
        config=config,
        name=results.new_run_name(config.strategy, scenario.name),
        scenario=scenario,
        strategy=strategy,
        settings=settings,
        learning_rate=settings.learning_rate or default_learning_rate(files),
        encoder=files,
        tasks=tasks,
        device=device,
        precision=encoders.choose_precision(config.precision, device),
        audits={task.name: shared.overview(task, config) for task in tasks} if config.audit else {},
        shared=shared,
    )


def _check_sources(config: RunConfig, scenario: ScenarioPlan) -> None:
    tasks = tuple(dict.fromkeys(scenario.tasks))
    for task in config.sources:
        if task not in tasks:
            raise SettingError(
                f"--{task}: scenario {config.scenario} has no {task} task; it has {', '.join(tasks)}"
            )
        parse_source(task, config.sources[task], config.form)
    if config.shots is not None and "wikidata" not in tasks:
        raise SettingError(f"--shots: scenario {config.scenario} has no wikidata task to take it from")
    if config.split is not None and "wikidata" not in tasks:
        raise SettingError(f"--split: scenario {config.scenario} has no wikidata task to share out")
    for task in config.sizes:
        if task not in tasks:
            raise SettingError(f"--{task}-size: scenario {config.scenario} has no {task} task")
    for option, is_given in (("form", config.form != DEFAULT_FORM), ("split", config.split is not None)):
        own = [e.name for e in scenario.experiences if getattr(e, option) is not None]
        if is_given and own:
            raise SettingError(
                f"--{option}: scenario {config.scenario} says the {option} of {', '.join(own)} itself; leave it out"
            )
    if config.label_noise is not None and not any(e.label_noise is not None for e in scenario.experiences):
        raise SettingError(
            f"--label-noise: scenario {config.scenario} has no experience with noisy labels; noisy_labels has"
        )


def _check_freeze(config: RunConfig, files: encoders.EncoderFiles, settings: TrainingSettings) -> None:
    from contsym.freezing import check_freeze

    card = registry.find_strategy(config.strategy)
    check_freeze(settings.freeze, card, files.name, encoders.size(files, "num_hidden_layers"))


def resolved(plan: Plan, config: RunConfig) -> Plan:
    """The plan with another strategy or other settings on the same data and encoder."""
    strategy = registry.load_strategy(config.strategy)
    settings = parse_settings(strategy, config.settings)
    rate = settings.learning_rate or default_learning_rate(plan.encoder)
    return replace(plan, config=config, strategy=strategy, settings=settings, learning_rate=rate)


def n_training_steps(plan: Plan, task: TaskData, n_pairs: int) -> int:
    """Gradient steps that the strategy takes on n_pairs of the experience; none where it only stores them."""
    only_stores = task.storing_only and plan.strategy.has_memory()
    return plan.settings.n_steps(n_pairs) if plan.strategy.trains and not only_stores else 0


def parse_settings(
    strategy: type[Strategy], given: Mapping[str, str], option: str = "--set"
) -> TrainingSettings:
    """The strategy's settings with the given ones in place, checked.

    Raises SettingError that names the setting, the value and what was expected.
    """
    from difflib import get_close_matches

    from pydantic import ValidationError

    fields = strategy.Settings.model_fields
    for name in given:
        if name not in fields:
            near = get_close_matches(name, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise SettingError(
                f"{option} {name}: no setting of this strategy; {hint}it has {', '.join(sorted(fields))}"
            )
    try:
        return strategy.Settings.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        expected = str(first["msg"]).removeprefix("Input should be ")
        if not first["loc"]:
            # A plug-in's rule over several settings.
            raise SettingError(f"{option}: {expected.removeprefix('Value error, ')}") from None
        name = str(first["loc"][0])
        if name not in given:
            raise SettingError(f"{option} {name}: has no default that suits it; give it a value") from None
        raise SettingError(f"{option} {name}={given[name]}: expected {expected}") from None


def default_learning_rate(files: encoders.EncoderFiles) -> float:
    """The preset's, or for an unknown encoder the one that suits its width."""
    if files.preset:
        return files.preset.learning_rate
    width = encoders.size(files, "hidden_size")
    is_large = width is not None and width >= encoders.LARGE_DIM
    return encoders.PRESETS["roberta-large" if is_large else "minilm"].learning_rate


def run_seeds(plan: Plan, progress: Progress) -> list[dict[str, Any]]:
    """Train and measure every seed; each is stored whole before the next begins.

    What the run has stored before, under the same name, is read and not done again.
    """
    found = []
    for seed in plan.config.seeds:
        stored = results.seed_folder(plan.folder, seed)
        if (stored / results.RESULT).is_file():
            try:
                found.append(results.read_seed(stored))
            except ContsymError as error:
                raise ContsymError(
                    f"{error}; move {stored} away, and the same command makes this seed again"
                ) from None
            continue
        result, predictions, tensors = run_seed(plan, seed, progress)
        results.write_seed(plan.folder, result, predictions, tensors)
        found.append(result)
    return found


def check_stored(plan: Plan) -> None:
    """Raises ContsymError where a seed that was stored is not there any more."""
    for seed in plan.config.seeds:
        folder = results.seed_folder(plan.folder, seed)
        if not (folder / results.RESULT).is_file():
            raise ContsymError(
                f"{folder} was stored and is gone; see who removes it; the same command does again what is missing"
            )


def run_seed(
    plan: Plan, seed: int, progress: Progress, beginnings: Beginnings | None = None
) -> tuple[dict[str, Any], list[dict[str, object]], dict[str, Any]]:
    """One seed from the pretrained encoder to the result, the predictions and the tensors.

    With `beginnings`, the experiences that do not depend on the shots are taken from there, or
    done and put there; the result is the same to the bit (seconds and memory apart).
    """
    from contsym.seed_run import SeedRun

    # An earlier seed's model and optimizer hang together with Avalanche's plugins in a circle; three of them were
    # in memory at a time before Python went to look.
    gc.collect()
    parts = [plan.training_part(task, seed) for task in plan.tasks]
    guesses = {
        task.name: plan.shared.shortcut_scores(task, plan.config, seed)
        for task in plan.tasks
        if task.name in plan.audits
    }
    facts = record(plan, seed, datetime.now(UTC), [len(part) for part in parts])
    # Before the work, not after it: what could not be stored is not trained.
    results.checked_json(facts, results.seed_folder(plan.folder, seed) / results.RESULT, "facts")
    start = find_start(plan, seed, progress, beginnings)
    facts["started_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    run = SeedRun(plan, parts, seed, progress, start)
    if beginnings is not None:
        beginnings.begin(run, seed)
    while run.n_done < len(plan.tasks):
        run.go_on()
    result = {
        **facts,
        "start": run.start.key if run.start else None,
        "probe": probe(run.probes),
        **measured(plan, run.predictions, guesses),
        "shortcuts": guesses,
        "leaks": {
            name: {leak.what: leak.n_rows for leak in found.leaks} for name, found in plan.audits.items()
        },
        "curve": [asdict(point) for point in run.curve.points],
        "sample_efficiency": sample_efficiency(plan, run.curve.points),
        "loss": run.log.losses,
        "cost": run.cost(),
        "notes": run.strategy.notes(),
        "seconds": round(run.seconds, 3),
    }
    tensors = dict(run.strategy.artifacts())
    before, after = run.view_before, run.view_after
    if before is not None and after is not None and run.view_pairs is not None:
        tensors |= {"view.before": before, "view.after": after}
        result["view"] = {name: run.view_pairs[name][:] for name in ("id", "relation", "kind")}
    return result, prediction_rows(plan, run.predictions), tensors


def record(plan: Plan, seed: int, started_at: datetime, n_train: list[int]) -> dict[str, Any]:
    """What made a result: enough to make it again."""
    config, versions = plan.config, library_versions()
    sources = {
        task.name: {
            "name": task.source,
            # Only where the name does not say it.
            **({"task": task.task} if task.name != task.task else {}),
            "rows": {"train": n, "test": len(task.test)},
            "available": task.rows,
            "fingerprint": task.fingerprint,
            "stand_in": task.stand_in,
            "notes": list(task.notes),
        }
        for task, n in zip(plan.tasks, n_train, strict=True)
    }
    settings = {**plan.settings.model_dump(), "learning_rate": plan.learning_rate}
    return {
        "format": results.FORMAT,
        "run": plan.name,
        "key": key_of(plan, seed),
        "strategy": config.strategy,
        "scenario": plan.scenario.name,
        **_scenario_facts(plan),
        "plugins": [p.record() for p in registry.plugins_of(config.strategy, config.scenario)],
        "encoder": config.encoder,
        "encoder_weights": {
            "sha256": plan.encoder.weights_sha256,
            "origin": plan.encoder.origin,
            **({"commit": plan.encoder.commit} if plan.encoder.commit else {}),
        },
        "pooling": plan.pooling.facts(),
        "tasks": [task.name for task in plan.tasks],
        "sources": sources,
        "seed": seed,
        "settings": settings,
        "set": dict(config.settings),
        "options": {
            "form": config.form,
            "shots": config.shots,
            **{
                f"{t.task}_size": config.sizes.get(t.task) for t in plan.tasks if not TASKS[t.task].relational
            },
            "split": config.split,
            "protocol": config.protocol,
            "pretrain": dict(config.pretrain),
            **({} if config.label_noise is None else {"label_noise": config.label_noise}),
            **({} if config.pooling == AUTO else {"pooling": config.pooling}),
            "target": config.target,
            "curve": config.curve,
        },
        # What was typed and decides the key, beside what it came to.
        "asked": {
            "sources": dict(config.sources),
            "device": config.device,
            "precision": config.precision,
            "audit": config.audit,
        },
        "device": plan.device,
        "precision": plan.precision,
        "threads": n_threads(),
        "platform": platform_name(),
        "processor": processor_name(plan.device),
        "versions": versions,
        "git_commit": git_commit(),
        "code_sha256": code_sha256(),
        "started_at": started_at.isoformat(timespec="seconds"),
    }


def _scenario_facts(plan: Plan) -> dict[str, Any]:
    """What the scenario's name does not say: its file, and experiences that are more than a task."""
    given, experiences = plan.config.scenario, plan.scenario.experiences
    found: dict[str, Any] = {"scenario_file": given} if registry.is_scenario_file(given) else {}
    if not all(experience.is_plain for experience in experiences):
        found["experiences"] = [experience.as_dict() for experience in experiences]
    return found


def key_of(plan: Plan, seed: int, config: RunConfig | None = None) -> str:
    """The hash of all that decides a seed's result: settings, data, weights, code, libraries.

    With a config, the key that the plan would have with that one in place of its own.
    """
    config = config or plan.config
    return config.key(
        seed,
        data={task.name: task.fingerprint for task in plan.tasks},
        experiences=[experience.as_dict() for experience in plan.scenario.experiences],
        made_with=[p.sha256 for p in registry.plugins_of(config.strategy, config.scenario)],
        weights=plan.encoder.weights_sha256,
        pooling=plan.pooling.facts(),
        code=code_sha256(),
        versions=library_versions(),
        resolved={**plan.settings.model_dump(), "learning_rate": plan.learning_rate},
        on=[plan.device, plan.precision],
    )
