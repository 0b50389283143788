"""The keys of results and of first tasks: hashes of all that decides them, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from contsym.config import DEFAULT_TARGET, LEAST, RunConfig
from contsym.models.encoders.nli_head import kind_of_head
from contsym.strategies.catalog import load_strategy, modules_of
from contsym.training.fingerprint import code_sha256, imported_by, library_facts
from contsym.training.parts import choice, noise
from contsym.training.plan import PRETRAINING, default_learning_rate, parse_settings

if TYPE_CHECKING:
    from contsym.training.plan import Plan


def code_of(plan: Plan) -> str:
    """The hash of contsym's code that decides a result of the plan, with what a plug-in imports of it; the plug-in's own
    code is another fact."""
    names = modules_of(plan.config.strategy, plan.plugins)
    if plugin := plan.plugins.find("strategy", plan.config.strategy):
        names += imported_by(plugin.texts)
    names += modules_of(PRETRAINING) if plan.config.protocol == "retrain" else ()
    return code_sha256("contsym.training.run", *names)


def key_of(plan: Plan, seed: int) -> str:
    """SHA-256 of the resolved facts that decide a seed's result.

    Paths, spellings and defaults do not count, only what they come to: the same content at another path, `k=03` for
    `k=3`, `--device auto` where that is the CPU. Neither do the other seeds, the output folder and the tracking server.
    A new field of RunConfig that decides a result must come in here; tests/training/test_keys.py asks of each.
    """
    config, scenario = plan.config, plan.scenario
    facts = {
        "scenario": scenario.name,
        "experiences": [_experience_facts(plan, place) for place in range(len(plan.tasks))],
        "labels": asdict(scenario.label_space),
        "protocol": config.protocol,
        "pretrain": pretraining_settings(plan),
        "reading": {**_passes(config), **({"step": config.step} if config.shots == LEAST else {})},
        "measured": {"target": config.aim, **_reported(config)}
        | {n: getattr(config, n) for n in ("curve", "audit", "relearn")},
    }
    return _hash({**facts, **_method_facts(plan, seed)})


def first_task_key(plan: Plan, seed: int) -> str | None:
    """SHA-256 of the resolved facts that decide the state after the first experience.

    None where there is no second one, where the shots decide the first, or where an add-on needs its steps. What is
    evaluated there besides the first task does not count: `SeedRun.restore` evaluates other test pairs itself. A
    trajectory is of all tasks.
    """
    needs_steps = any(addon.needs_first_steps for addon in plan.strategy.addons)
    if len(plan.trained) < 2 or plan.tasks[0].few_shot or needs_steps:
        return None
    space = plan.scenario.label_space
    facts = {
        "experience": _experience_facts(plan, 0),
        # The head has a row for each label of the scenario; those of other experiences count where the task is given.
        "labels": [space.names, space.own if space.is_task_given else space.own[:1]],
        "passes": {**_passes(plan.config), **_reported(plan.config)},
        "measured": _measured(plan),
    }
    return _hash({**facts, **_method_facts(plan, seed)})


def _measured(plan: Plan) -> object:
    """What the points of the first experience are of. Where a target may end it, a point has a place for every task, and
    their number decides how many pairs are measured."""
    if plan.config.curve:
        return [task.fingerprint for task in plan.tasks]
    return len(plan.tasks) if plan.config.stop_at is not None else None


def _reported(config: RunConfig) -> dict[str, object]:
    """Beside `until`, which ends training, the target decides after which batches all validation pairs are scored."""
    is_beside = config.stop_at is not None and config.target != DEFAULT_TARGET
    return {"reported": config.target} if is_beside else {}


def _passes(config: RunConfig) -> dict[str, object]:
    """How often pairs are seen, where the settings do not say it."""
    return {"one_pass": config.one_pass, "until": config.stop_at}


def _hash(facts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _method_facts(plan: Plan, seed: int) -> dict[str, object]:
    """What decides training beside the data: method, encoder, device, code."""
    config = plan.config
    return {
        "strategy": config.strategy,
        "adapter": config.adapter,
        "settings": {**plan.settings.effective(config.one_pass), "learning_rate": plan.learning_rate},
        "plugins": [
            p.sha256 for p in plan.plugins.of_run(config.strategy, config.scenario) if p.kind == "strategy"
        ],
        "seed": seed,
        "encoder": encoder_facts(plan),
        "code": code_of(plan),
        "versions": library_facts(),
    }


def encoder_facts(plan: Plan) -> dict[str, object]:
    """What decides the vector of a text before any training."""
    files = plan.encoder
    return {
        "weights": files.weights_sha256,
        # A preset's weights are those of one checkpoint, wherever it is from.
        "text_files": None if files.preset and files.preset.sha256 else files.text_files_sha256,
        "pooling": plan.pooling.facts().model_dump(),
        # The kind of device: one GPU is as good as another.
        "device": plan.device.partition(":")[0],
        "precision": plan.precision,
    }


def _experience_facts(plan: Plan, place: int) -> dict[str, object]:
    task = plan.tasks[place]
    return {
        "experience": plan.scenario.experiences[place].as_dict(),
        "data": task.fingerprint,
        "chosen": choice(task, plan.config),
        "label_noise": noise(task, plan.config),
    }


def pretraining_settings(plan: Plan) -> dict[str, object] | None:
    """The settings of the fine-tuning that makes the encoder of protocol retrain; None where nothing is pretrained."""
    if plan.config.protocol != "retrain" or kind_of_head(plan.encoder):
        return None
    settings = parse_settings(load_strategy(PRETRAINING), plan.config.pretrain, "--pretrain")
    rate = settings.learning_rate or default_learning_rate(plan.encoder)
    return {**settings.model_dump(mode="json"), "learning_rate": rate}
