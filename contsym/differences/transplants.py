"""Transplants: one part of OLD is put back into NEW, and the lost abilities are measured again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contsym.differences.abilities import paired, right
from contsym.differences.bench import Answers, Bench, Texts, n_blocks
from contsym.differences.checkpoint import put_back
from contsym.differences.part_names import HEAD
from contsym.differences.parts import Fitting
from contsym.differences.schema import Ability, Measure, Returned, Transplant


def transplants(
    bench: Bench, new: Texts, fitting: Fitting, abilities: Sequence[Ability], answers: Answers
) -> tuple[Transplant, ...]:
    """For each part of NEW that moved, the abilities that NEW has lost, with that part of OLD put back alone.

    A layer put back alone reads states of NEW's lower layers and writes for NEW's upper ones, so nothing need return even
    from a part that matters: what returns is evidence, what does not return is none.

    Source: Zhang, Bengio and Singer 2019 (arXiv 1902.01996), section 3, where a layer gets its initial weights back.
    """
    # The method has an encoder of its own in memory.
    lost: dict[tuple[str, Measure], Ability] = {
        (a.task, a.measure): a for a in abilities if a.is_lost and a.measure != "method"
    }
    parts = [part for part in fitting.names if fitting.distance(part) != 0]
    if not lost or not parts:
        return ()
    texts = bench.texts_for(list(lost))
    own_head = [key for key in lost if key[1] == "own head"]
    n_encoded = sum(part != HEAD or bench.joint for part in parts)
    bench.steps.phase("putting parts of OLD back", n_encoded * n_blocks(texts))
    found = []
    for part in parts:
        # Vectors know nothing of the head.
        wanted = own_head if part == HEAD else list(lost)
        with put_back(fitting.new[part], fitting.old[part]):
            texts_now = new
            if part != HEAD or bench.joint:
                reading = bench.new.read(texts, bench.steps.advance, joint=bench.joint)
                texts_now = Texts({text: i for i, text in enumerate(texts)}, reading)
            patched = bench.measure(bench.new, texts_now, wanted)
        found.append(Transplant(part=part, abilities=_returned(bench, lost, answers, patched)))
    return tuple(transplant for transplant in found if transplant.abilities)


def _returned(
    bench: Bench, lost: Mapping[tuple[str, Measure], Ability], answers: Answers, patched: Answers
) -> tuple[Returned, ...]:
    found = []
    for key, labels in patched.items():
        ability, task = lost[key], bench.tasks[key[0]]
        after, patched_right = right(task, answers[key]), right(task, labels)
        assert patched_right is not None and after is not None and ability.change
        now = paired(after, patched_right)
        found.append(
            Returned(
                task=ability.task,
                measure=ability.measure,
                accuracy=float(patched_right.mean()),
                returned=now.difference,
                low=now.low,
                high=now.high,
                share=-now.difference / ability.change,
            )
        )
    return tuple(found)
