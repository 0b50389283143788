"""Why a name or a folder is no checkpoint, and what was probably meant."""

from __future__ import annotations

import difflib
from pathlib import Path

from contsym.data.shards import some
from contsym.errors import EncoderError
from contsym.models.encoders.presets import PRESETS


def without_weights(folder: Path) -> EncoderError:
    """The probable reason why a folder has no weights, and a remedy."""
    # One further down in a folder of the Hub cache.
    weights = (path for place in ("*", "snapshots/*") for path in folder.glob(f"{place}/*.safetensors"))
    below = sorted({path.parent for path in weights if (path.parent / "config.json").is_file()})
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt")]
    remedy = "expected a transformers checkpoint with model.safetensors"
    if len(below) == 1:
        remedy = f"the checkpoint is in {below[0]}: give that folder"
    elif below:
        remedy = f"{len(below)} folders below have a checkpoint: {some(list(map(str, below)), 3)}; give one of them"
    elif pickled:
        remedy = (
            "contsym loads no pickled weights; convert them with save_pretrained(safe_serialization=True)"
        )
    return EncoderError(f"{folder}: no *.safetensors; {remedy}")


def is_a_file(name: str) -> EncoderError:
    return EncoderError(
        f"encoder {name!r} is a file; expected a folder with *.safetensors, config.json and a tokenizer (pickled weights are "
        "not read)"
    )


def meant(name: str) -> str:
    """A question for the preset or folder that a wrong name resembles; empty if none does."""
    try:
        beside = [path.name for path in Path(name).expanduser().parent.iterdir() if path.is_dir()]
    except (OSError, RuntimeError):
        beside = []
    place, slash, _ = name.rpartition("/")
    known = [*PRESETS, *(f"{place}{slash}{folder}" for folder in beside)]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
    return f"did you mean {' or '.join(near)}? Otherwise " if near else ""
