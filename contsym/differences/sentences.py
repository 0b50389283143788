"""Sentences made out of the numbers: what was lost and gained, where it moved, what a part of OLD gives back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from contsym.differences.part_names import VECTORS
from contsym.differences.schema import Ability, Diff, Group, Measure, Part, Returned
from contsym.report.tables.layout import relation_title
from contsym.results.metrics.stats import p_text
from contsym.tasks.catalog import own_tasks

MAX_NAMED = 3
"""Abilities that a sentence names one by one."""
MAX_GROUPS = 6
"""Relations, kinds and skills that a sentence names one by one."""


def summary(found: Diff) -> tuple[str, ...]:
    """The warnings, each with its sign, and the sentences."""
    return *(f"! {line}" for line in warnings(found)), *answer(found)


def warnings(found: Diff) -> list[str]:
    """What a reader must know before the figures: what is not compared, and what was trained on before."""
    return [*found.notes, *seen(found)]


def answer(found: Diff) -> list[str]:
    """A sentence each on the method, losses, gains, what is not shown, weights and states, and the parts put back."""
    if found.is_same:
        return ["OLD and NEW have the same weights, tokenizer, pooling and heads: nothing was measured."]
    lost, gained = found.lost, found.gained
    sentences = methods(found)
    sentences.append(f"NEW is worse on {_listed(lost)}." if lost else no_loss(found))
    sentences += [f"NEW is better on {_listed(gained)}."] if gained else []
    sentences += [sentence] if (sentence := within(found)) else []
    if unshown := [a for a in found.abilities if a.change is not None and not a.is_shown]:
        listed = [by(a) + ("" if a.least is None else f" ({a.least:.3f})") for a in unshown]
        sentences.append(
            "Not shown to change (in brackets the change that would probably have been seen): "
            f"{', '.join(listed)}."
        )
    sentences += [sentence for sentence in (moved(found.parts), departed(found.parts)) if sentence]
    return sentences + returned(found)


def methods(found: Diff) -> list[str]:
    """The accuracies of a method that one side alone has: they have no change, so no other sentence names them."""
    sentences = []
    for title, side, other in (("OLD", found.old, "NEW"), ("NEW", found.new, "OLD")):
        own = {
            a.task: a.before if title == "OLD" else a.after
            for a in found.abilities
            if a.measure == "method" and a.change is None
        }
        of_run = {
            run.task: f" (on its run's test pairs: {run.untrained:.3f} before training, {run.trained:.3f} after)"
            for run in side.run
        }
        known = [
            f"{task} {value:.3f}{of_run.get(task, '')}" for task, value in own.items() if value is not None
        ]
        if known:
            sentences.append(
                f"{title}'s method {side.method} reaches {', '.join(known)}; {other} has no method to compare it with."
            )
    return sentences


def no_loss(found: Diff) -> str:
    """That no loss is shown, with the falls that the test lets stand only because there are several abilities."""
    # Their own interval leaves out 0.
    falls = [a for a in found.abilities if a.high is not None and a.high < 0 and not a.is_shown]
    if not falls:
        as_whole = " as a whole" if any(g.is_lost for a in found.abilities for g in a.groups) else ""
        return f"No ability{as_whole} is shown to be worse."
    falls.sort(key=lambda a: a.change or 0.0)
    named = [f"{by(a)} is lower by {-(a.change or 0):.3f} (p {p_text(a.p or 0)})" for a in falls[:MAX_NAMED]]
    more = f" and {len(falls) - MAX_NAMED} more" if len(falls) > MAX_NAMED else ""
    return f"No loss is significant after correction, but {', '.join(named)}{more}."


def within(found: Diff) -> str:
    """The groups whose change is shown, which may go against that of their ability: kinds first, losses before gains."""
    shown = [(a, g) for a in found.abilities for g in a.groups if g.is_shown]
    shown.sort(key=lambda pair: (pair[1].column != "kind", not pair[1].is_lost, -abs(pair[1].change or 0.0)))
    by_ability: dict[str, list[Group]] = {}
    for ability, group in shown[:MAX_GROUPS]:
        by_ability.setdefault(by(ability), []).append(group)
    clauses = []
    for name, groups in by_ability.items():
        words = []
        for way, members in (
            ("worse", [g for g in groups if g.is_lost]),
            ("better", [g for g in groups if not g.is_lost]),
        ):
            if members:
                listed = " and ".join(f"{relation_title(g.name)} ({signed(g.change)})" for g in members)
                words.append(f"{listed} {'is' if len(members) == 1 else 'are'} {way}")
        clauses.append(f"within {name}, {', '.join(words)}")
    more = len(shown) - MAX_GROUPS
    clauses += [f"{more} more groups changed"] if more > 0 else []
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def seen(found: Diff) -> list[str]:
    """A sentence on the measured tasks that either side was trained on before, as far as is known."""
    known = own_tasks()
    measured = [task.name for task in found.tasks if task.name in known]
    sides: dict[str, list[str]] = {}
    for title, side in (("OLD", found.old), ("NEW", found.new)):
        if titles := " and ".join(known[name].words for name in measured if name in side.seen):
            sides.setdefault(titles, []).append(title)
    return [
        f"{' and '.join(who)} {'were' if len(who) > 1 else 'was'} trained on {titles} before, so no figure "
        f"{'' if len(who) > 1 else f'of {who[0]} '}is of an encoder new to {titles}"
        for titles, who in sides.items()
    ]


def _listed(abilities: Sequence[Ability]) -> str:
    named = [f"{by(a)} {change_text(a)}" for a in abilities[:MAX_NAMED]]
    more = len(abilities) - MAX_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


BY: dict[Measure, str] = {
    "method": "by its method",
    "own head": "by its own head",
    "probe": "by a probe",
    "k-NN": "by k-NN",
}


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


def distance_text(value: float) -> str:
    """At least three decimals and two significant digits; 0 only for what is equal.

    >>> distance_text(0.1764), distance_text(0.00342), distance_text(0.000408), distance_text(2.5e-9), distance_text(0)
    ('0.176', '0.0034', '0.00041', '2.5e-09', '0')
    """
    if value == 0:
        return "0"
    if value < 1e-5:
        return f"{value:.1e}"
    return f"{value:.{max(3, 1 - math.floor(math.log10(value)))}f}"


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
    if still and not unmoved:
        others = len(distances) - 1
        of_others = "" if len(still) == others else f"{len(still)} of "
        unmoved = f"; {of_others}the other {others} parts not at all"
    return f"The weights moved most in {the(most)}, by {distance_text(distances[most])} of their length{unmoved}."


def the(part: str) -> str:
    """The part within a sentence.

    >>> the("layer 2"), the("embeddings")
    ('layer 2', 'the embeddings')
    """
    return part if "layer" in part else f"the {part}"


def departed(parts: Sequence[Part]) -> str:
    """Where the states first differ, and where they depart most: the largest rise of one column from a layer to the next.

    The column is the cosine drift, since 1 - CKA and the neighbours lost also grow in layers that only pass a damage on;
    1 - CKA where directions cannot be compared.
    """
    layers = [part for part in parts if part.name != VECTORS and part.cka_distance is not None]
    vectors = next((part.cka_distance for part in parts if part.name == VECTORS), None)
    differing = [part for part in layers if any((part.cka_distance, part.drift, part.neighbours_lost))]
    if not differing:
        if not vectors:
            return "No state differs." if layers or vectors == 0 else ""
        no_layer = ", and no layer differs" if layers else ""
        return f"1 - CKA of the vectors is {distance_text(vectors)}{no_layer}."
    has_drift = all(part.drift is not None for part in layers)
    column = "the cosine drift" if has_drift else "1 - CKA"
    values = [(part.drift if has_drift else part.cka_distance) or 0.0 for part in layers]
    rises = [value - before for before, value in itertools.pairwise([0.0, *values])]
    i = max(range(len(rises)), key=lambda i: rises[i])
    before = distance_text(values[i - 1] if i else 0)
    rise = f"{column} rises from {before} to {distance_text(values[i])}"
    first, most = differing[0], layers[i]
    if first is layers[0]:
        return f"The states depart most in {the(most.name)}: {rise}."
    if first is most:
        return f"The states first differ in {the(first.name)}, and depart most there: {rise}."
    return f"The states first differ in {the(first.name)}, and depart most in {the(most.name)}: {rise}."


def transplanted(found: Diff, ability: Ability) -> list[tuple[str, Returned]]:
    """Each part of OLD that was put back alone, and the ability with it."""
    return [
        (transplant.part, each)
        for transplant in found.transplants
        for each in transplant.abilities
        if (each.task, each.measure) == (ability.task, ability.measure)
    ]


def returned(found: Diff) -> list[str]:
    """For each lost ability, the part of OLD that returns most of the loss, where its interval shows any."""
    sentences = []
    for ability in found.lost[:MAX_NAMED]:
        if not (options := transplanted(found, ability)):
            continue
        part, best = max(options, key=lambda option: option[1].share)
        if best.share > 0 and best.is_shown:
            sentences.append(
                f"With {the(part)} of OLD put back alone, {by(ability)} is {best.accuracy:.3f}: {best.share:.0%} of the "
                "loss returns."
            )
        else:
            sentences.append(f"No part of OLD put back alone is shown to return any of {by(ability)}.")
    return sentences
