"""Where protocol retrain starts: an encoder that knows the first task through a classification head.

Either the checkpoint has such a head, from the Hub or from `contsym pretrain`, or the encoder is
fine-tuned on the first task here: once for each seed, kept in the output folder under the hash of
all that decided it, and used by every strategy.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from contsym import declared, encoders
from contsym.config import RunConfig
from contsym.errors import ContsymError, EncoderError, SettingError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contsym.beginnings import Beginnings
    from contsym.metrics.plugins import Progress
    from contsym.pooling import PooledEncoder
    from contsym.run import Plan
    from contsym.strategies.base import Strategy

NLI_HEAD = "nli_head.safetensors"
"""Beside a checkpoint's weights: the head over [p, h, |p - h|, p ∘ h] that contsym trained with it."""

CARD = "contsym.json"
PRETRAINING = "fine_tune"
ENCODER, HEAD = "strategy.model.encoder.", "strategy.model.head."


@dataclass(frozen=True)
class Start:
    """An encoder with a head for the first task."""

    key: str
    """The hash that names it."""
    encoder: Mapping[str, Tensor] | None
    """Its weights; None: as the checkpoint has them."""
    head: Mapping[str, Tensor] | None
    """Of the classifier over [p, h, |p - h|, p ∘ h]; None: the checkpoint's own, over joint texts."""

    def install(self, encoder: PooledEncoder, folder: Path) -> nn.Module:
        """Put the weights into a fresh encoder; gives the known task's head, frozen."""
        import torch

        from contsym.data.schema import LABELS
        from contsym.pooling import NliClassifier
        from contsym.relations.heads import PairClassifier

        if self.encoder is not None:
            encoder.load_body(self.encoder)
        if self.head is not None:
            encoder.nli_head = self.head
            return PairClassifier(encoder.dim, len(LABELS), torch.Generator(), self.head)
        own = encoder if isinstance(encoder, NliClassifier) else None
        whole = copy.deepcopy(own) if own else NliClassifier.from_folder(folder)
        # One body: what the strategy makes of it is what the head is measured on.
        body = own.transformer.base_model if own else encoder.transformer
        setattr(whole.transformer, str(whole.transformer.base_model_prefix), body)
        whole.precision, whole.kept = encoder.precision, None
        return whole


def kind_of_head(files: encoders.EncoderFiles) -> str | None:
    """`joint` for a checkpoint with a classifier over joint texts, `pair` for one of contsym's, else None."""
    if encoders.nli_labels(encoders.read_config(files.folder)) is not None:
        return "joint"
    return "pair" if (files.folder / NLI_HEAD).is_file() else None


def read_head(folder: Path, dim: int | None = None) -> dict[str, Tensor]:
    """The head that contsym trained with a checkpoint.

    Raises EncoderError where it is none, or with `dim` where it is of vectors of another number of dimensions.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from contsym.data.schema import LABELS

    path = folder / NLI_HEAD
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncoderError(
            f"{path}: cannot be read ({reason}); make it again with contsym pretrain"
        ) from None
    if set(found) != {"linear.weight", "linear.bias"}:
        raise EncoderError(f"{path}: holds {', '.join(sorted(found))}; expected what contsym pretrain writes")
    if dim is None:
        return found
    shape, expected = tuple(found["linear.weight"].shape), (len(LABELS), 4 * dim)
    if shape != expected or tuple(found["linear.bias"].shape) != expected[:1]:
        raise EncoderError(
            f"{path}: a head of shape {shape} over vectors of {dim} dimensions; expected {expected}, as of the "
            "pooling and the weights that it was trained with"
        )
    return found


def check_start(
    config: RunConfig, files: encoders.EncoderFiles, tasks: tuple[str, ...], strategy: type[Strategy]
) -> None:
    """Raises SettingError where protocol retrain cannot be done with these choices."""
    from contsym.data.tasks import TASKS

    if len(tasks) < 2 or TASKS[tasks[0]].relational:
        raise SettingError(
            f"--protocol retrain: scenario {config.scenario} is {', '.join(tasks)}; expected an NLI task that "
            "the encoder knows before, and others after it, as mnli_then_wikidata"
        )
    if strategy.wants_head == "language_model":
        raise SettingError(
            f"--protocol retrain: {config.strategy} asks a language model and has no encoder to retrain; "
            "expected --protocol sequential"
        )
    kind = kind_of_head(files)
    if kind and config.pretrain:
        raise SettingError(
            f"--pretrain: encoder {files.name} has an NLI head already and is not pretrained; leave it out"
        )
    if kind == "joint" and encoders.read_config(files.folder).get("is_encoder_decoder"):
        raise SettingError(
            f"--protocol retrain: {files.name} is a sequence-to-sequence classifier, whose encoder alone is retrained; "
            "expected an encoder with an NLI head, or --protocol sequential"
        )
    if kind == "joint" and strategy.addons:
        raise SettingError(
            f"--strategy {config.strategy}: under --protocol retrain an add-on needs a head over two sentences, "
            f"and that of {files.name} reads them as one text; make an encoder with contsym pretrain"
        )


def pretraining_config(config: RunConfig) -> RunConfig:
    """The run whose first experience makes the encoder that a retrain run starts from."""
    return replace(
        config, strategy=PRETRAINING, settings=config.pretrain, protocol="sequential", pretrain={}, shots=None
    )


def find_start(plan: Plan, seed: int, progress: Progress, beginnings: Beginnings | None) -> Start | None:
    """What a seed of the plan starts from; None under protocol sequential.

    Trains what is not there yet, and keeps it.
    """
    from contsym.beginnings import Beginnings, beginning_key, beginning_plan

    if plan.config.protocol != "retrain":
        return None
    kind = kind_of_head(plan.encoder)
    if kind:
        head = read_head(plan.encoder.folder) if kind == "pair" else None
        return Start(plan.encoder.weights_sha256, None, head)
    from contsym.pair_model import under

    kept = beginnings or Beginnings(plan.config.output / "beginnings")
    made = beginning_plan(plan)
    key = beginning_key(made, seed)
    if key is None:
        raise ContsymError("--protocol retrain: the first task depends on the shots; expected NLI first")
    _, tensors = kept.make(made, seed, progress)
    kept.mark_for_reuse(key)
    return Start(key, under(ENCODER, tensors), under(HEAD, tensors))


def pretrain_to(out: Path, config: RunConfig, progress: Progress) -> float:
    """Fine-tune an encoder as `config` says and write it with its head as a folder that `--encoder` takes,
    whole or not at all; gives its test accuracy. Raises ContsymError where the folder cannot be written.
    """
    from safetensors.torch import save_file

    from contsym import results
    from contsym.checkpoints import has_own_encoder
    from contsym.data.schema import LABELS
    from contsym.environment import git_commit, library_versions
    from contsym.run import prepare
    from contsym.seed_run import SeedRun

    plan = prepare(config)
    if not has_own_encoder(plan.encoder.folder):
        raise EncoderError(
            f"encoder {plan.encoder.name}: half of a sequence-to-sequence model, which cannot be kept as a checkpoint; "
            "expected an encoder, a decoder-only model or a T5"
        )
    (seed,) = config.seeds
    parts = [plan.training_part(task, seed) for task in plan.tasks]
    run = SeedRun(plan, parts, seed, progress)
    run.go_on()
    (task,) = plan.tasks
    accuracy = float((run.predictions[-1][0] == task.test["label"][:]).mean())
    card = {
        "task": task.task,
        "labels": list(LABELS),
        "head": "linear over [p, h, |p - h|, p * h]",
        "pooling": plan.pooling.facts(),
        "source": {"name": task.source, "fingerprint": task.fingerprint, "pairs": len(parts[0])},
        "stand_in": task.stand_in,
        "encoder": {"name": plan.encoder.name, "sha256": plan.encoder.weights_sha256},
        "settings": {**plan.settings.model_dump(), "learning_rate": plan.learning_rate},
        "seed": seed,
        "precision": plan.precision,
        "accuracy": accuracy,
        "versions": library_versions(),
        "git_commit": git_commit(),
    }
    head = {name: t.detach().cpu().contiguous() for name, t in run.strategy.model.head.state_dict().items()}

    def fill(folder: Path) -> None:
        run.encoder.transformer.save_pretrained(folder, safe_serialization=True)
        run.encoder.tokenizer.save_pretrained(folder)
        declared.write(folder, plan.pooling, run.encoder.width)
        for layer, name in zip(run.encoder.dense, declared.dense_folders(plan.pooling), strict=True):
            weights = {f"linear.{n}": t.detach().cpu().contiguous() for n, t in layer[0].state_dict().items()}
            save_file(weights, folder / name / "model.safetensors")
        save_file(head, folder / NLI_HEAD)
        (folder / CARD).write_text(results.to_json(card), encoding="utf-8")

    try:
        results.write_whole(out, fill)
    except OSError as error:
        raise ContsymError(f"--out {out}: cannot be written ({error.strerror or error})") from None
    return accuracy
