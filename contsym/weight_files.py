"""The files of weights in a checkpoint's folder: whether all are there, and what to say where none is."""

from __future__ import annotations

import json
from pathlib import Path

from contsym.errors import EncoderError


def without_weights(folder: Path) -> EncoderError:
    """Why a folder has no weights, as far as one can see, and what to do."""
    below = sorted(
        path.parent for path in folder.glob("*/*.safetensors") if (path.parent / "config.json").is_file()
    )
    if below:
        return EncoderError(f"{folder}: no *.safetensors; the checkpoint is in {below[0]}: give that folder")
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt")]
    if pickled:
        return EncoderError(
            f"{folder}: no *.safetensors; contsym loads no pickled weights; convert them with "
            "save_pretrained(safe_serialization=True)"
        )
    return EncoderError(
        f"{folder}: no *.safetensors; expected a transformers checkpoint with model.safetensors"
    )


def check_shards(folder: Path) -> None:
    """Raise EncoderError where a file that the list of shards names is not there."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file() or (folder / "model.safetensors").is_file():
        return
    try:
        shards = {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise EncoderError(f"{index}: no list of shards; expected what save_pretrained writes") from None
    missing = sorted(name for name in shards if not (folder / name).is_file())
    if missing:
        raise EncoderError(
            f"{folder}: {missing[0]} is missing, one of {len(shards)} files of its weights; copy the checkpoint whole"
        )
