"""Train an encoder on NLI and write it with its head as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contsym.config import RunConfig
from contsym.errors import ContsymError, EncoderError
from contsym.models.encoders import declared
from contsym.models.encoders.nli_head import NLI_HEAD

if TYPE_CHECKING:
    from contsym.training.progress import Progress


CARD = "contsym.json"


def pretrain_to(out: Path, config: RunConfig, progress: Progress) -> float:
    """Fine-tune an encoder as `config` says and write it with its head as a folder that `--encoder` takes,
    whole or not at all; gives its test accuracy. Raises ContsymError where the folder cannot be written.
    """
    from safetensors.torch import save_file

    from contsym.data.schema import LABELS
    from contsym.files import to_json, write_whole
    from contsym.models.encoders.device import deterministic
    from contsym.models.encoders.weights import has_own_encoder
    from contsym.training.fingerprint import git_commit, library_versions
    from contsym.training.loop import SeedRun
    from contsym.training.plan import prepare

    plan = prepare(config)
    if not has_own_encoder(plan.encoder.folder):
        raise EncoderError(
            f"encoder {plan.encoder.name}: half of a sequence-to-sequence model, which cannot be kept as a checkpoint; "
            "expected an encoder, a decoder-only model or a T5"
        )
    (seed,) = config.seeds
    parts = [plan.training_part(task, seed) for task in plan.tasks]
    with deterministic(plan.device):
        run = SeedRun(plan, parts, seed, progress)
        run.train_next()
    (task,) = plan.tasks
    accuracy = float((run.predictions[-1][0] == task.test["label"][:]).mean())
    card = {
        "task": task.task,
        "labels": list(LABELS),
        "head": "linear over [p, h, |p - h|, p * h]",
        "pooling": plan.pooling.facts().model_dump(),
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
        (folder / CARD).write_text(to_json(card), encoding="utf-8")

    try:
        write_whole(out, fill)
    except OSError as error:
        raise ContsymError(f"--out {out}: cannot be written ({error.strerror or error})") from None
    return accuracy
