"""Train an encoder on NLI and write it with its head as a folder, or as a small difference to the encoder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contsym.config import RunConfig
from contsym.data.sources import source_label
from contsym.errors import ContsymError, EncoderError, SettingError
from contsym.files import to_json, write_whole
from contsym.models.encoders.checkpoints import CARD, EncoderFiles, difference_sha256
from contsym.models.encoders.declared import Dense
from contsym.models.encoders.device import deterministic
from contsym.models.encoders.difference import Adapters, merge_adapters, write_difference
from contsym.models.encoders.nli_head import kind_of_head
from contsym.models.encoders.resolve import check_saveable, size
from contsym.models.encoders.saved import save_encoder
from contsym.strategies.base import Strategy
from contsym.strategies.catalog import find_strategy
from contsym.tasks.schema import NLI_LABELS
from contsym.training.fingerprint import code_sha256, git_commit, library_versions
from contsym.training.keys import key_of
from contsym.training.parts import Shared
from contsym.training.plan import PRETRAINING, Plan, check_freeze, parse_settings, prepare
from contsym.training.pretrain_checkpoint import checkpoints_of
from contsym.training.pretrain_run import PairPretraining, PretrainRun, PretrainSettings
from contsym.training.progress import Progress


def pretrain_to(
    out: Path, config: RunConfig, tasks: Sequence[str], progress: Progress, *, as_difference: bool = False
) -> dict[str, float]:
    """Train an encoder as `config` says on the pairs of all `tasks` and write it with its head as a folder that
    `--encoder` takes, atomically; gives its test accuracy by task.

    Resumes from the checkpoint of a killed process. With `as_difference` the folder has adapters in place of the
    weights. Raises ContsymError where the folder cannot be written.
    """
    settings = parse_settings(PairPretraining, config.settings)
    assert isinstance(settings, PretrainSettings)
    plans = _plans(config, tasks)
    plan = plans[0]
    (seed,) = config.seeds
    _check(plan, settings, as_difference)
    parts = [each.training_part(each.tasks[0], seed) for each in plans]
    facts = _facts(plans, settings, seed)
    with deterministic(plan.device), checkpoints_of(out) as checkpoints:
        run = PretrainRun(plan, settings, parts, seed, progress)
        run.train(checkpoints, facts)
        adapters = merge_adapters(run.strategy.model.encoder) if settings.lora else {}
        run.progress.phase("evaluating", None)
        accuracy = {each.tasks[0].task: run.accuracy(each.tasks[0].test) for each in plans}
        card = {
            "head": "linear over [p, h, |p - h|, p * h]",
            "labels": list(NLI_LABELS),
            "pooling": plan.pooling.facts().model_dump(),
            "sources": {
                task.task: {
                    "name": source_label(task.source),
                    "fingerprint": task.fingerprint,
                    "pairs": len(part),
                }
                for task, part in zip((each.tasks[0] for each in plans), parts, strict=True)
            },
            "seen": sorted({*plan.encoder.seen, *tasks}),
            "encoder": {"name": _base_name(plan.encoder), "sha256": plan.encoder.weights_sha256},
            "settings": {**settings.model_dump(), "learning_rate": run.learning_rate},
            "seed": seed,
            "precision": plan.precision,
            "accuracy": accuracy,
            "validation": [each.model_dump() for each in run.measured],
            "seconds": round(run.seconds, 1),
            "versions": library_versions(),
            "git_commit": git_commit(),
        }
        write_encoder(out, plan, run.strategy, card, adapters if as_difference else None)
        shutil.rmtree(checkpoints)
    return accuracy


def write_encoder(
    out: Path,
    plan: Plan,
    strategy: Strategy,
    card: Mapping[str, object],
    adapters: Adapters | None,
) -> None:
    """Write encoder and head as a folder, atomically; with adapters these alone, in place of the encoder's weights."""
    encoder: Any = strategy.model.encoder

    def fill(folder: Path) -> None:
        written = dict(card)
        encoder.nli_head = strategy.model.head.state_dict()
        save_encoder(folder, encoder, plan.pooling, weights=adapters is None)
        if adapters is not None:
            write_difference(folder, adapters)
            written["difference_sha256"] = difference_sha256(folder)
        (folder / CARD).write_text(to_json(written), encoding="utf-8")

    try:
        write_whole(out, fill)
    except OSError as error:
        raise ContsymError(f"--to {out}: cannot be written ({error.strerror or error})") from None


def _plans(config: RunConfig, tasks: Sequence[str]) -> list[Plan]:
    """A plan for each task, on one encoder."""
    shared = Shared()
    return [
        prepare(
            replace(
                config,
                strategy=PRETRAINING,
                scenario=f"{task}_only",
                sources={name: source for name, source in config.sources.items() if name == task},
                sizes={name: n for name, n in config.sizes.items() if name == task},
                settings={},
            ),
            shared,
        )
        for task in tasks
    ]


def _check(plan: Plan, settings: PretrainSettings, as_difference: bool) -> None:
    files = plan.encoder
    check_freeze(settings.freeze, find_strategy(PRETRAINING), files.name, size(files, "num_hidden_layers"))
    check_saveable(files, "none")
    if not as_difference:
        return
    if not settings.lora:
        raise SettingError(
            "--difference: adapters are what is written; expected a rank for them, as --set lora=64"
        )
    if kind_of_head(files):
        raise EncoderError(
            f"--difference: encoder {files.name} has an NLI head; expected an encoder without one"
        )
    if any(isinstance(layer, Dense) for layer in plan.pooling.after):
        raise EncoderError(
            f"--difference: encoder {files.name} has a Dense layer behind its pooling; expected none, or --pooling mean"
        )


def _facts(plans: Sequence[Plan], settings: PretrainSettings, seed: int) -> str:
    """The hash of all that decides what is trained."""
    keys = [key_of(plan, seed) for plan in plans]
    text = json.dumps([keys, settings.model_dump(), code_sha256(__name__)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _base_name(files: EncoderFiles) -> str:
    """What finds the encoder again from any folder: its preset, its place, or its commit on the Hub."""
    if files.origin == "folder":
        return str(files.root.resolve())
    return f"{files.name}@{files.commit}" if files.commit and not files.preset else files.name
