"""Errors that stop a run in the middle, in one line: a loss that is not finite, too little memory, a label that is read."""

from __future__ import annotations

import itertools
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from contsym.data.schema import COLUMNS
from contsym.errors import ContsymError, first_line
from contsym.files import save_tensors, to_json, write_whole
from contsym.results.schema import FORMAT

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.training.observers import NotFinite, TrainingLog
    from contsym.training.plan import Plan


class StoppedRun(Protocol):
    """The parts of a run that its error message and its stored state need."""

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
"""Pairs in a message, and characters of each of their sentences."""

OUT_OF_MEMORY = re.compile(
    # CUDA's allocator, that of the CPU, cuBLAS and C++.
    r"out of memory|not enough memory|can't allocate memory|alloc_failed|bad_alloc",
    re.IGNORECASE,
)

SCORING = ("score", "known_scores", "features")
"""The methods of a strategy that are given texts without labels."""
NO_COLUMN = re.compile(r"Column (?:name )?\W*(\w+)")
"""The messages of `datasets` for a column that is not there; that of a single pair is a KeyError."""


def store_stopped(run: StoppedRun, stop: NotFinite) -> ContsymError:
    """Store the state before the step that was not taken, with the step's pairs; returns the error to raise.

    `OUTPUT/stopped/KEY/` then has `stopped.json` and, as safetensors, the weights after the last step. A run that
    stops again at the same place does not overwrite them.
    """
    from contsym.training.keys import key_of

    pairs = [
        {**_pair(run, row), "output_is_finite": is_finite}
        for row, is_finite in zip(stop.rows, stop.is_finite, strict=True)
    ]
    plan = run.plan
    key = key_of(plan, run.seed)
    values, tensors = run.state()
    content = {
        "format": FORMAT,
        "key": key,
        "strategy": plan.config.strategy,
        "scenario": plan.scenario.name,
        "seed": run.seed,
        "settings": {**plan.settings.model_dump(), "learning_rate": plan.learning_rate},
        "what": stop.what,
        # JSON has no NaN.
        "value": str(stop.value),
        "task": stop.task,
        "step": stop.step,
        "pairs": pairs,
        "losses": values["losses"],
    }
    outcome = _store(plan.config.output / "stopped" / key, content, tensors)
    return ContsymError(
        f"{stop}; {_pairs_text(pairs)}; expected a finite number; the weights before that step {outcome}; "
        "try --set learning_rate= with a smaller value"
    )


def _store(folder: Path, content: dict[str, Any], tensors: dict[str, Any]) -> str:
    """Where the weights are stored, or why they are not, for the message."""

    def fill(partial: Path) -> None:
        (partial / STOPPED).write_text(to_json(content), encoding="utf-8")
        save_tensors(tensors, partial / STATE)

    if not folder.is_dir():
        try:
            write_whole(folder, fill)
        except OSError as error:
            return f"could not be stored ({error.strerror or error})"
    return f"are stored in {folder}"


def _pair(run: StoppedRun, row: int) -> dict[str, Any]:
    """The training pair with this number, with its experience and its place there, from 0."""
    first_rows = itertools.accumulate((len(part) for part in run.parts), initial=0)
    for name, part, first in zip(run.names, run.parts, first_rows, strict=False):
        if first <= row < first + len(part):
            pair = part[row - first]
            texts = {field: pair[field] for field in ("id", "premise", "hypothesis")}
            return {
                "experience": name,
                "row": row - first,
                **texts,
                "label": run.plan.scenario.label_space.names[pair["label"]],
            }
    raise AssertionError(f"row {row} is of no experience")


def _pairs_text(pairs: Sequence[dict[str, Any]]) -> str:
    """The first pairs of the step, those without a finite output if there are any."""
    bad = [pair for pair in pairs if not pair["output_is_finite"]]
    examples = ", ".join(
        f"{pair['experience']} row {pair['row']} ({_short(pair['premise'])} / {_short(pair['hypothesis'])})"
        for pair in (bad or pairs)[:SHOWN]
    )
    if bad:
        return f"the output is not finite for {len(bad)} of its {len(pairs)} pairs: {examples}"
    return f"the output is finite for all of its {len(pairs)} pairs, such as {examples}"


def _short(text: str) -> str:
    return repr(text if len(text) <= SHORT else f"{text[: SHORT - 1]}…")


def is_out_of_memory(error: BaseException) -> bool:
    """Torch has a class for this error, and also messages without it."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(OUT_OF_MEMORY.search(str(error)))


def out_of_memory(run: StoppedRun, error: BaseException) -> ContsymError:
    """The error to raise; suggests a smaller batch if a training step ran out of memory."""
    device, log = run.plan.device, run.log
    reason = first_line(error).partition(". ")[0][:160]
    name = run.names[min(run.n_done, len(run.names) - 1)]
    if not log.is_in_step:
        return ContsymError(
            f"out of memory on {device} while texts were encoded or compared on {name} ({reason}); the batch size "
            "does not count there; end other programs, or give another --device or a smaller --encoder"
        )
    step, size = len(log.losses[-1]) + 1, run.plan.settings.batch_size
    remedy = f"--set batch_size={size // 2}" if size >= 4 else "another --device or a smaller --encoder"
    return ContsymError(
        f"out of memory on {device} at step {step} on {name} with batch_size={size} ({reason}); try {remedy}"
    )


def hidden_column(error: BaseException) -> ContsymError | None:
    """The error to raise where a method that is given pairs to score reads more than their texts; None for others."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name in SCORING]
    text = str(error.args[0]) if error.args else ""
    named = NO_COLUMN.match(text)
    is_key = isinstance(error, KeyError) and text in (*COLUMNS, "row")
    if not frames or not (named or is_key):
        return None
    hook, file = frames[-1].name, Path(frames[-1].filename).name
    return ContsymError(
        f"{hook} reads column {named[1] if named else text!r}; it gets premise and hypothesis alone "
        f"({file}:{frames[-1].lineno})"
    )
