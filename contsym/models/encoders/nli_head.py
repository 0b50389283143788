"""NLI heads of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import read_tensors
from contsym.errors import EncoderError
from contsym.models.encoders import checkpoints
from contsym.tasks.schema import NLI_LABELS

if TYPE_CHECKING:
    from torch import Tensor


NLI_HEAD = "nli_head.safetensors"
"""The file beside the weights with the head over [p, h, |p - h|, p ∘ h] that contsym trained."""


def kind_of_head(files: checkpoints.EncoderFiles) -> str | None:
    """`joint` for a checkpoint with a classifier over joint texts, `pair` for one of contsym's, else None."""
    if checkpoints.nli_labels(checkpoints.read_config(files.folder)) is not None:
        return "joint"
    return "pair" if (files.head_folder / NLI_HEAD).is_file() else None


def read_head(folder: Path, dim: int | None = None) -> dict[str, Tensor]:
    """The head that contsym trained with a checkpoint. Raises EncoderError if it is not one, or not over `dim` dimensions."""
    path = folder / NLI_HEAD
    head = read_tensors(path, EncoderError, "make it again with contsym pretrain")
    if set(head) != {"linear.weight", "linear.bias"}:
        raise EncoderError(f"{path}: holds {', '.join(sorted(head))}; expected what contsym pretrain writes")
    if dim is None:
        return head
    shape, expected = tuple(head["linear.weight"].shape), (len(NLI_LABELS), 4 * dim)
    if shape != expected or tuple(head["linear.bias"].shape) != expected[:1]:
        raise EncoderError(
            f"{path}: a head of shape {shape} over vectors of {dim} dimensions; expected {expected}, as of the "
            "pooling and the weights that it was trained with"
        )
    return head
