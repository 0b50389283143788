"""What stops a run in the middle: a loss that is no number, or memory that is not there; told in one line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from contsym.data.schema import LABELS
from contsym.errors import ContsymError, first_line
from contsym.files import to_json, write_whole
from contsym.results.schema import FORMAT

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.training.observers import NotFinite, TrainingLog
    from contsym.training.plan import Plan


class StoppedRun(Protocol):
    """What is asked of a run that cannot go on."""

    plan: Plan
    seed: int
    parts: Sequence[Dataset]
    names: list[str]
    log: TrainingLog

    @property
    def n_done(self) -> int: ...

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]: ...


STOPPED, STATE = "stopped.json", "state.safetensors"
SHOWN, SHORT = 2, 60
"""Pairs named in a message, and the characters that are shown of each of their sentences."""

OUT_OF_MEMORY = re.compile(
    # CUDA's allocator, that of the CPU, cuBLAS and C++.
    r"out of memory|not enough memory|can't allocate memory|alloc_failed|bad_alloc",
    re.IGNORECASE,
)


def keep_stopped(run: StoppedRun, stop: NotFinite) -> ContsymError:
    """Store the state before the step that was not taken, with the step's pairs; gives the error to raise.

    `OUTPUT/stopped/KEY/` then holds `stopped.json` and, as safetensors, the weights that the step
    before has left. A run that stops again at the same place leaves what is there.
    """
    from contsym.training.plan import key_of

    pairs = [
        {**_pair(run, row), "output_is_finite": is_finite}
        for row, is_finite in zip(stop.rows, stop.is_finite, strict=True)
    ]
    plan = run.plan
    key = key_of(plan, run.seed)
    folder = plan.config.output / "stopped" / key
    values, tensors = run.state()
    told = {
        "format": FORMAT,
        "key": key,
        "strategy": plan.config.strategy,
        "scenario": plan.scenario.name,
        "seed": run.seed,
        "settings": {**plan.settings.model_dump(), "learning_rate": plan.learning_rate},
        "what": stop.what,
        # JSON knows no NaN.
        "value": str(stop.value),
        "task": stop.task,
        "step": stop.step,
        "pairs": pairs,
        "losses": values["losses"],
    }
    where = _keep(folder, told, tensors)
    return ContsymError(
        f"{stop}; {_which(pairs)}; expected a finite number; {where}; "
        "try --set learning_rate= with a smaller value"
    )


def _keep(folder: Path, told: dict[str, Any], tensors: dict[str, Any]) -> str:
    """Where the state is now, or why it is nowhere, in words."""
    from safetensors.torch import save_file

    def fill(partial: Path) -> None:
        (partial / STOPPED).write_text(to_json(told), encoding="utf-8")
        save_file({name: t.contiguous() for name, t in tensors.items()}, partial / STATE)

    if not folder.is_dir():
        try:
            write_whole(folder, fill)
        except OSError as error:
            return f"the weights before that step could not be kept ({error.strerror or error})"
    return f"the weights before that step are kept in {folder}"


def _pair(run: StoppedRun, row: int) -> dict[str, Any]:
    """The training pair of that number, with its experience and its place in it, from 0."""
    first_rows = itertools.accumulate((len(part) for part in run.parts), initial=0)
    for name, part, first in zip(run.names, run.parts, first_rows, strict=False):
        if first <= row < first + len(part):
            pair = part[row - first]
            found = {field: pair[field] for field in ("id", "premise", "hypothesis")}
            return {"experience": name, "row": row - first, **found, "label": LABELS[pair["label"]]}
    raise AssertionError(f"row {row} is of no experience")


def _which(pairs: Sequence[dict[str, Any]]) -> str:
    """The pairs of the step in a few words, those without a finite output first."""
    bad = [pair for pair in pairs if not pair["output_is_finite"]]
    shown = [
        f"{pair['experience']} row {pair['row']} ({_short(pair['premise'])} / {_short(pair['hypothesis'])})"
        for pair in (bad or pairs)[:SHOWN]
    ]
    if bad:
        return f"the output is not finite for {len(bad)} of its {len(pairs)} pairs: {', '.join(shown)}"
    return f"the output is finite for all of its {len(pairs)} pairs, such as {', '.join(shown)}"


def _short(text: str) -> str:
    return repr(text if len(text) <= SHORT else f"{text[: SHORT - 1]}…")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what went wrong; torch says it by a class of its own or by a text."""
    import torch

    is_told = isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error))
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or bool(is_told)


def out_of_memory(run: StoppedRun, error: BaseException) -> ContsymError:
    """What to do where memory is out: fewer pairs a step, where it was a step that needed it."""
    device, log = run.plan.device, run.log
    said = first_line(error).partition(". ")[0][:160]
    name = run.names[min(run.n_done, len(run.names) - 1)]
    if not log.is_in_step:
        return ContsymError(
            f"out of memory on {device} while texts were encoded or compared on {name} ({said}); the batch size "
            "does not count there; end other programs, or give another --device or a smaller --encoder"
        )
    step, size = len(log.losses[-1]) + 1, run.plan.settings.batch_size
    remedy = (
        f"try --set batch_size={size // 2}" if size >= 4 else "try another --device or a smaller --encoder"
    )
    return ContsymError(
        f"out of memory on {device} at step {step} on {name} with batch_size={size} ({said}); {remedy}"
    )
