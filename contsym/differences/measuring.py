"""Two loaded checkpoints are measured: answers, changes, states, weights, parts put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from contsym.differences.abilities import abilities_of
from contsym.differences.bench import Answers, Bench
from contsym.differences.checkpoint import LoadedCheckpoint, tokenizer_note
from contsym.differences.methods import SavedMethod
from contsym.differences.parts import compare_parts, fitting_parts
from contsym.differences.schema import MEASURES, Ability, Part, Transplant
from contsym.differences.transplants import transplants
from contsym.errors import DataError

if TYPE_CHECKING:
    from contsym.differences.tasks import TaskPairs


@dataclass(frozen=True)
class Measured:
    """What a comparison found; by default that of two checkpoints that are the same."""

    abilities: tuple[Ability, ...] = ()
    parts: tuple[Part, ...] = ()
    transplants: tuple[Transplant, ...] = ()
    notes: tuple[str, ...] = ()
    n_texts: int = 0
    reads: Literal["sentences", "pairs"] = "sentences"


def measure(bench: Bench, methods: Sequence[SavedMethod], put_back: bool) -> Measured:
    """Everything of OLD and NEW, whose `methods` are in this order.

    Raises DataError before anything is encoded for a task that nobody can answer.
    """
    sides = (bench.old, bench.new)
    few = [_few_note(task, sides, methods) for task in bench.tasks.values() if task.too_few]
    steps = bench.steps
    readings = bench.read(bench.old, "OLD"), bench.read(bench.new, "NEW")
    answers: list[Answers] = []
    for title, side, reading, method in zip(("OLD", "NEW"), sides, readings, methods, strict=True):
        wanted = [(name, measure) for name in bench.tasks for measure in MEASURES if measure != "method"]
        steps.phase(f"{title}: head, probes and k-NN", len(wanted))
        found = bench.measure(side, reading, wanted, steps.advance)
        if method.model:
            steps.phase(f"{title}: answers of {method.model.file.strategy}", len(bench.tasks))
        for name, task in bench.tasks.items():
            found[name, "method"] = method.answers(task)
            if method.model:
                steps.advance()
        answers.append(found)
    steps.phase("testing the changes", None)
    abilities = abilities_of(bench.tasks, *answers)
    steps.phase("comparing states and weights", None)
    fitting, unfitting = fitting_parts(*sides)
    parts, unlike = compare_parts(fitting, *readings)
    notes = tokenizer_note(*sides, bench.texts[: bench.n_sampled])
    for title, side, method in zip(("OLD", "NEW"), sides, methods, strict=True):
        notes += [f"{title}: {note}" for note in (*method.notes, *side.notes)]
    returned = transplants(bench, readings[1], fitting, abilities, answers[1]) if put_back else ()
    return Measured(
        abilities=abilities,
        parts=parts,
        transplants=returned,
        notes=(*notes, *few, *unfitting, *unlike),
        n_texts=bench.n_sampled,
        reads="pairs" if bench.joint else "sentences",
    )


def _few_note(task: TaskPairs, sides: Sequence[LoadedCheckpoint], methods: Sequence[SavedMethod]) -> str:
    """What is left out of a task whose pairs are too few for probes. Raises DataError where nothing else answers them."""
    has_head = task.is_nli and any(side.classifier or side.pair_head for side in sides)
    if not has_head and not any(method.can_answer(task) for method in methods):
        raise DataError(
            f"{task.source}: {task.too_few}; neither checkpoint has a head or a method that answers them"
        )
    return f"{task.name}: {task.too_few}, which are left out"
