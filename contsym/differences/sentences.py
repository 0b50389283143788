"""Sentences made out of the numbers: what was lost and gained, where it moved, what a part of OLD gives back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from contsym.differences.schema import VECTORS, Ability, Diff, Measure, Part, Returned
from contsym.tasks.catalog import own_tasks

MAX_NAMED = 3
"""Abilities that a sentence names one by one."""


def answer(found: Diff) -> list[str]:
    """A sentence each on losses, gains, what is not shown, weights and states, and the parts put back."""
    lost, gained = found.lost, found.gained
    unshown = [a for a in found.abilities if a.change is not None and not a.is_shown]
    sentences = [f"NEW has lost {_listed(lost)}."] if lost else ["No ability is shown to be lost."]
    sentences += [f"NEW has gained {_listed(gained)}."] if gained else []
    if unshown:
        least = max((a.least for a in unshown if a.least is not None), default=None)
        size = "" if least is None else f"; a change of {least:.3f} would probably have been seen in each"
        sentences.append(f"Not shown to change: {', '.join(by(a) for a in unshown)}{size}.")
    sentences += [sentence for sentence in (moved(found.parts), departed(found.parts)) if sentence]
    return sentences + returned(found)


def seen(found: Diff) -> list[str]:
    """A sentence on the measured tasks that either side was trained on before, as far as is known."""
    known = own_tasks()
    measured = [task.name for task in found.tasks if task.name in known]
    sides: dict[str, list[str]] = {}
    for title, side in (("OLD", found.old), ("NEW", found.new)):
        if titles := " and ".join(known[name].words for name in measured if name in side.seen):
            sides.setdefault(titles, []).append(title)
    return [
        f"{' and '.join(who)} {'were' if len(who) > 1 else 'was'} trained on {titles} before: no figure there is of an "
        f"encoder new to {titles}"
        for titles, who in sides.items()
    ]


def _listed(abilities: Sequence[Ability]) -> str:
    named = [f"{by(a)} {change_text(a)}" for a in abilities[:MAX_NAMED]]
    more = len(abilities) - MAX_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


BY: dict[Measure, str] = {"own head": "by its own head", "probe": "by a probe", "k-NN": "by k-NN"}


def by(ability: Ability | Returned) -> str:
    """The ability in words, as `mnli by a probe`."""
    return f"{ability.task} {BY[ability.measure]}"


def signed(value: float | None) -> str:
    """
    >>> signed(0.0451), signed(-0.0001)
    ('+0.045', '+0.000')
    """
    assert value is not None, "a change that was measured"
    return f"{round(value, 3) + 0.0:+.3f}"


def change_text(ability: Ability) -> str:
    return f"({signed(ability.change)}, {signed(ability.low)} to {signed(ability.high)})"


def moved(parts: Sequence[Part]) -> str:
    """Where the weights moved most."""
    distances = {part.name: part.weights for part in parts if part.weights is not None}
    if not distances:
        return ""
    most = max(distances, key=lambda name: distances[name])
    if distances[most] == 0:
        return "No weight differs."
    still = [name for name, distance in distances.items() if distance == 0]
    unmoved = f"; not at all in {', '.join(map(the, still))}" if still and len(still) <= MAX_NAMED else ""
    unmoved = unmoved or (f"; not at all in {len(still)} of {len(distances)} parts" if still else "")
    return f"The weights moved most in {the(most)}, by {distances[most]:.3f} of their length{unmoved}."


def the(part: str) -> str:
    """The part within a sentence.

    >>> the("layer 2"), the("embeddings")
    ('layer 2', 'the embeddings')
    """
    return part if "layer" in part else f"the {part}"


def departed(parts: Sequence[Part]) -> str:
    """Where the states depart most: the largest step of 1 - CKA from one layer to the next."""
    found = [(part.name, part.cka_distance) for part in parts if part.cka_distance is not None]
    if not any(value for _, value in found):
        return "No state differs." if found else ""
    values = [(name, value) for name, value in found if name != VECTORS]
    if not any(value for _, value in values):
        return f"1 - CKA of the vectors is {dict(found)[VECTORS]:.3f}{', and no layer differs' if values else ''}."
    steps = [(values[0][0], 0.0, values[0][1])]
    steps += [(name, before, after) for (_, before), (name, after) in itertools.pairwise(values)]
    name, before, after = max(steps, key=lambda step: step[2] - step[1])
    return f"The states depart most in {the(name)}: 1 - CKA rises from {before:.3f} to {after:.3f}."


def returned(found: Diff) -> list[str]:
    """For each lost ability, the part of OLD that returns most of the loss, where its interval shows any."""
    sentences = []
    for ability in found.lost[:MAX_NAMED] if found.transplants else ():
        options = [
            (transplant.part, each)
            for transplant in found.transplants
            for each in transplant.abilities
            if (each.task, each.measure) == (ability.task, ability.measure)
        ]
        if not options:
            continue
        part, best = max(options, key=lambda option: option[1].share)
        if best.share > 0 and not best.low <= 0 <= best.high:
            sentences.append(
                f"With {the(part)} of OLD put back alone, {by(ability)} is {best.accuracy:.3f}: {best.share:.0%} of the "
                "loss returns."
            )
        else:
            sentences.append(f"No part of OLD put back alone is shown to return any of {by(ability)}.")
    return sentences
