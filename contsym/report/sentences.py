"""Sentences made out of the numbers: the question, the answer, the warnings."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.report.collect import Collected, title_of
from contsym.report.measures import ALPHA, Measures
from contsym.report.table_formats import interval_text
from contsym.report.tables.during import reached_cell
from contsym.report.tables.examples_needed import shots_needed_text
from contsym.report.tables.layout import groups as grouped
from contsym.results.reading import counts_needed, listed, most_measured, too_coarse
from contsym.results.summary import no_gain_lines


def question(collected: Collected) -> str:
    need = f"How many {title_of(collected.new_task)} examples does each method need"
    if len(collected.shots) == 1 and not any(map(counts_needed, collected.results)):
        need = (
            f"How accurate is each method on {title_of(collected.new_task)} after "
            f"{collected.amount(collected.shots[0])}"
        )
    if not collected.earlier_tasks:
        return f"{need}?"
    earlier = listed([title_of(task) for task in collected.earlier_tasks])
    return f"{need}, and how much of {earlier} does it forget?"


def answer(measures: Measures) -> list[str]:
    """A sentence on the examples needed, one on accuracy, one per earlier task."""
    sentences = [needed(measures), differences(measures), accuracies(measures)]
    sentences += [forgotten(measures, task) for task in measures.collected.earlier_tasks]
    return [sentence for sentence in sentences if sentence]


def chosen(collected: Collected) -> str:
    """The settings that --select kept, and of how many; empty where all are shown."""
    found = "; ".join(each.words for each in collected.selections)
    return f"Settings chosen by validation pairs, others left out: {found}." if found else ""


def needed(measures: Measures) -> str:
    """Which methods reached the target, and with how many examples."""
    collected = measures.collected
    efficiency = {v: e for v in collected.variants if (e := measures.efficiency(v)).shots_needed}
    if not efficiency:
        return ""
    n_seeds = {e.n_seeds for e in efficiency.values()}
    n = max(n_seeds)
    over = "one seed" if n == 1 else f"median over {n} seeds" if len(n_seeds) == 1 else "medians over seeds"
    shots = {v: e.shots_needed for v, e in efficiency.items() if e.shots_needed}
    medians = {v: needed.median for v, needed in shots.items() if needed.median is not None}
    most = f"{collected.shots[-1]:,}"
    is_counted = any(e.is_counted for e in efficiency.values())
    part = f"{'validation' if is_counted else 'test'} {collected.units(collected.new_task)}"
    goal = f"an accuracy of {measures.target:g} on the {part} of {title_of(collected.new_task)}"
    if not medians:
        up_to = "up to " if len(collected.shots) > 1 or any(r.search for r in collected.results) else ""
        return f"With {up_to}{most} examples no method reached {goal} ({over})."
    missed = [variant for variant in shots if variant not in medians]
    if len(collected.shots) == 1 and not is_counted:
        # All had the same number of examples, so nothing is known of fewer.
        tail = f"; {listed(missed)} did not" if missed else ""
        with_amount = collected.amount(collected.shots[0])
        return f"With {with_amount} {listed([*medians])} reached {goal} ({over}){tail}."
    parts = []
    for i, variant in enumerate(sorted(medians, key=lambda v: medians[v])):
        smallest = efficiency[variant].smallest
        needs = shots_needed_text(shots[variant], smallest)
        is_least = medians[variant] == smallest
        parts.append(f"{variant}{' needed' * (i == 0)} {needs}{' (the smallest tried)' * is_least}")
    tail = f"; {listed(missed)} did not reach it with up to {most}" if missed else ""
    return f"For {goal}, {listed(parts)} examples ({over}){tail}."


def differences(measures: Measures) -> str:
    """What the pairwise tests show at the largest number of shots."""
    collected = measures.collected
    most, task = collected.shots[-1], collected.new_task
    family = measures.family(task, most)
    where = f"With {collected.amount(most)}"
    if family is None:
        if len(collected.variants) == 1:
            (only,) = collected.variants
            accuracy = measures.accuracy(only, most, task)
            return f"{where} {only} has an accuracy of {interval_text(accuracy)}." if accuracy else ""
        return f"{where} the methods cannot be compared yet: no seed has a result for all of them."
    n = len(family.seeds)
    if n == 1:
        return f"{where} there is one seed, which cannot tell methods apart."
    better: dict[str, list[str]] = {}
    for shots in collected.shots[:-1]:
        if (smaller := measures.family(task, shots)) and smaller.best:
            better.setdefault(smaller.best, []).append(collected.shots_label(shots))
    fewer = "".join(
        f" With {listed(each)} {name} is better than every other." for name, each in better.items()
    )
    if family.best:
        return f"{where} {family.best} is the most accurate, and better than every other by the tests ({n} seeds).{fewer}"
    different = [c for c in family.comparisons if c.p < ALPHA]
    if not different:
        return f"{where} these {n} seeds show no difference in accuracy.{fewer}"
    parts = [
        f"{c.a if c.difference > 0 else c.b} above {c.b if c.difference > 0 else c.a}" for c in different
    ]
    return (
        f"{where} no method is better than every other; of {len(family.comparisons)} pairs of methods these {n} seeds tell "
        f"{len(different)} apart: {listed(parts)}.{fewer}"
    )


MOST_LISTED = 8
"""More methods are in the table alone."""


def accuracies(measures: Measures) -> str:
    """The accuracy of each of several methods at the largest number of shots, beside what guessing and the best shortcut
    have; empty for one method, whose accuracy is said elsewhere, and for many."""
    collected = measures.collected
    most, task = collected.shots[-1], collected.new_task
    found = {v: s.mean for v in collected.variants if (s := measures.accuracy(v, most, task)) is not None}
    if not 1 < len(found) <= MOST_LISTED:
        return ""
    order = sorted(found, key=lambda variant: -found[variant])
    means = listed([f"{variant} {found[variant]:.3f}" for variant in order])
    guess = collected.first.majority[task]
    bars = [f"the majority class {guess:.3f}"]
    if best := measures.best_shortcut(task, most):
        bars.append(f"the best shortcut ({best[0].replace('_', ' ')}) {best[1]:.3f}")
    marked = "".join(
        f" {words.capitalize()}: {listed(variants)}."
        for words, variants in _by_marks(measures, order, task).items()
    )
    return (
        f"Accuracy on the test {collected.units(task)} of {title_of(task)}: {means}; {listed(bars)}.{marked}"
    )


def forgotten(measures: Measures, task: str) -> str:
    """Which method forgot least and most of a task at the largest number of shots."""
    collected = measures.collected
    most, name = collected.shots[-1], title_of(task)
    by_variant = {v: f for v in collected.variants if (f := measures.forgetting(v, most, task)) is not None}
    if not by_variant:
        return (
            f"No method has a result with {collected.amount(most)} yet, so forgetting of {name} is unknown."
        )
    order = sorted(by_variant, key=lambda v: by_variant[v].summary.mean)
    texts = {v: interval_text(by_variant[v].summary, sign=True) for v in (order[0], order[-1])}
    text = f"{order[0]} forgot {texts[order[0]]}"
    if len(order) > 1:
        text = f"{order[0]} forgot least ({texts[order[0]]}) and {order[-1]} most ({texts[order[-1]]})"
    said = f"Of {name}, {text} after {collected.amount(most)}{', by the means' * (len(order) > 1)}"
    family = measures.family(task, most)
    if family and len(family.seeds) > 1 and measures.p_of_forgetting(family, order[0], order[-1]) >= ALPHA:
        said += f", which these {len(family.seeds)} seeds do not tell apart"
    by_marks = _by_marks(measures, [*by_variant], task)
    marked = [f"by {listed(variants)}: {words}" for words, variants in by_marks.items()]
    return "; ".join([said, *marked]) + "."


def _by_marks(measures: Measures, variants: Sequence[str], task: str) -> dict[str, list[str]]:
    """The variants by the words beside their figures of a task at the most shots; those without words are left out."""
    found: dict[str, list[str]] = {}
    for variant in variants:
        if words := measures.marks(variant, measures.collected.shots[-1], task):
            found.setdefault(words, []).append(variant)
    return found


def why_less(measures: Measures, task: str) -> str:
    """Why one of two extreme methods forgets less of a task, as far as the intervals over seeds do not overlap.

    The methods are those with the least and the most forgetting when the target is reached, at the largest number of
    shots; empty where no trajectory is stored.
    """
    most, name = measures.collected.shots[-1], title_of(task)
    rows = [row for row in measures.during.get(task, []) if row.shots == most]
    found = {row: row.at_target.summary.mean for row in rows if row.at_target.summary}
    if len(found) < 2:
        units = measures.collected.units(measures.collected.last_task)
        missed = (
            f"Fewer than two methods reached {measures.target:g} on validation {units} with "
            f"{measures.collected.amount(most)}"
        )
        return f"{missed}, so forgetting of {name} at the target is not compared." if rows else ""
    less, more = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    a, b = (f"{row.variant} ({reached_cell(row.at_target).text})" for row in (less, more))
    said = f"With {measures.collected.amount(most)} {a} had forgotten least of {name} when it reached the target, {b} most"
    apart = "the seeds do not tell them apart"
    if not less.at_target.is_below(more.at_target):
        return f"{said}; {apart}."
    if not (less.takes_steps and more.takes_steps):
        return f"{said}; a method without gradient steps cannot be compared with another at equal steps."
    if not less.at_steps.is_below(more.at_steps):
        if less.steps_to_target.is_below(more.steps_to_target):
            return (
                f"{said}; at equal steps {apart}, and {less.variant} reached the target in fewer steps: it forgets less "
                "because it stops sooner."
            )
        return f"{said}; {apart} at equal steps, nor by the steps to the target: no explanation is supported."
    if not less.at_weights.is_below(more.at_weights):
        if less.weights_at_steps.is_below(more.weights_at_steps):
            return (
                f"{said}, also at equal steps; at equal distance of the weights {apart}, and those of {less.variant} had "
                "moved less at equal steps: it forgets less because it moves less per step."
            )
        return (
            f"{said}, also at equal steps; {apart} at equal distance of the weights, nor by how far the weights had "
            "moved at equal steps: that it stops sooner is not enough, and no other explanation is supported."
        )
    return (
        f"{said}, also at equal steps and at equal distance of the weights: neither that it stops sooner nor that it "
        "moves less per step explains all of it."
    )


def warnings(measures: Measures) -> list[str]:
    """What a reader must know before believing the figures."""
    collected, new = measures.collected, title_of(measures.collected.new_task)
    sentences = [f"{variants}: {note}." if variants else f"{note}." for variants, note in collected.notes]
    sentences += [f"{coarse}." if (coarse := _too_coarse(measures)) else ""]
    groups = {(v, collected.shots_label(n)): collected.group(v, n) for v, n in grouped(collected)}
    sentences += [f"{line}." for line in no_gain_lines(groups)]
    best = measures.best_shortcut(collected.new_task, collected.shots[-1])
    if best and best[1] >= measures.target:
        sentences.append(
            f"On {new} a shortcut ({best[0].replace('_', ' ')}) has an accuracy of {best[1]:.3f} by itself: "
            "an accuracy as high does not show that the relation was understood."
        )
    if collected.n_missing or collected.failures:
        sentences.append(
            f"{collected.n_done} of {collected.n_planned} cells are finished"
            + (f", {len(collected.failures)} failed" if collected.failures else "")
            + (f", {collected.n_missing} are missing" if collected.n_missing else "")
            + ": figures will change."
        )
    if len(collected.seeds) == 1:
        sentences.append(
            f"There is one seed: intervals are over test {collected.units()} only, and no difference between methods is "
            "proven."
        )
    versions = collected.made_by
    if len(versions) > 1:
        sentences.append(
            f"The results were made by {len(versions)} versions of contsym ({'; '.join(versions)}): "
            "its code may explain differences."
        )
    return [sentence for sentence in sentences if sentence]


def _too_coarse(measures: Measures) -> str:
    """Where the pairs that decide on the examples needed are too few for the target."""
    collected = measures.collected
    task, first = collected.new_task, collected.first
    if any(measures.efficiency(variant).is_counted for variant in collected.variants):
        part, most = "validation", most_measured(first)
        n = min(first.sources[task].rows.validation, most)
    else:
        part, n, most = "test", first.n_test[task], None
    return too_coarse(n, measures.target, f"{part} {collected.units(task)} of {title_of(task)}", most)
