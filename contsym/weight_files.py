"""What to say of a checkpoint's folder without weights."""

from __future__ import annotations

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
