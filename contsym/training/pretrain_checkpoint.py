"""The checkpoint of a pretraining: what it needs to resume after its process was killed, to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.checked import (
    Amount,
    Count,
    Several,
    Share,
    Words,
    Written,
    check,
    check_format,
    read_json,
    read_tensors,
)
from contsym.errors import ContsymError
from contsym.files import clear_partial, drop, to_json, visible_folders, write_whole

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
STATE, TENSORS = "state.json", "state.safetensors"


class Measured(Written):
    """One evaluation on the validation pairs."""

    step: Count
    loss: Amount
    """Mean over the training steps since the evaluation before."""
    accuracy: Share


class StateFile(Written):
    """How far a pretraining is."""

    format: Count
    facts: Words
    """The hash of all that decides what is trained."""
    step: Count
    seconds: Amount
    losses: Several[Amount]
    """Of the steps since the last evaluation."""
    measured: Several[Measured]


@contextmanager
def checkpoints_of(out: Path) -> Iterator[Path]:
    """The folder beside `out` that its checkpoints are in, for this process alone.

    Raises ContsymError where another process is training for the same `out`.
    """
    from filelock import FileLock, Timeout

    folder = out.with_name(f"{out.name}.training")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            # Whoever wrote there is dead: the lock was free.
            clear_partial(folder, older_than=0)
            yield folder
    except Timeout:
        raise ContsymError(
            f"--to {out}: another process is training it; wait for it, or name another folder"
        ) from None


def write_checkpoint(folder: Path, state: StateFile, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint atomically, and delete the ones before it. Raises OSError."""
    from safetensors.torch import save_file

    def fill(partial: Path) -> None:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, partial / TENSORS)
        (partial / STATE).write_text(to_json(state.model_dump()), encoding="utf-8")

    before = visible_folders(folder)
    write_whole(folder / f"step-{state.step:08d}", fill)
    for old in before:
        drop(old)


def read_checkpoint(folder: Path, facts: str) -> tuple[StateFile, dict[str, Tensor]] | None:
    """The last checkpoint in a folder; None where there is none.

    Raises ContsymError where it cannot be read, or is of other settings, data or code.
    """
    found = visible_folders(folder)
    if not found:
        return None
    remedy = f"delete {folder} to begin anew, or name another --to"
    return read_state(found[-1] / STATE, facts, remedy), read_tensors(found[-1] / TENSORS, remedy=remedy)


def read_state(path: Path, facts: str, remedy: str) -> StateFile:
    """How far a checkpoint is. Raises ContsymError, which ends with the remedy, as `read_checkpoint` does."""
    read = read_json(path, remedy)
    check_format(read, FORMAT, path)
    state = check(StateFile, read, path)
    if state.facts != facts:
        raise ContsymError(
            f"{path}: a training with other settings, data or code was stopped here at step {state.step}; {remedy}"
        )
    return state
