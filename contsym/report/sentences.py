"""What the numbers say, in sentences that are made out of them."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.report.collect import Collected, title_of
from contsym.report.measures import Measures
from contsym.report.table_formats import interval_text
from contsym.report.tables.examples_needed import reached_text


def question(collected: Collected) -> str:
    new = title_of(collected.new_task)
    asked = f"How many {new} examples does each method need"
    if not collected.earlier_tasks:
        return f"{asked}?"
    return f"{asked}, and what does it cost in forgetting {listed([title_of(t) for t in collected.earlier_tasks])}?"


def answer(measures: Measures) -> list[str]:
    """One sentence on the examples needed, one on the accuracy, one on each earlier task; and how far to trust."""
    said = [needed(measures), differences(measures)]
    said += [forgotten(measures, task) for task in measures.collected.earlier_tasks]
    return [sentence for sentence in said if sentence]


def needed(measures: Measures) -> str:
    collected, target = measures.collected, measures.target
    found = {v: r for v in collected.variants if (r := measures.efficiency(v).reached) is not None}
    if not found:
        return ""
    counts = {measures.efficiency(v).n_seeds for v in found}
    n = max(counts)
    over = "one seed" if n == 1 else f"median over {n} seeds" if len(counts) == 1 else "medians over seeds"
    got = {v: r.median for v, r in found.items() if r.median is not None}
    most = f"{collected.shots[-1]:,}"
    goal = f"an accuracy of {target:g} on {title_of(collected.new_task)}"
    if not got:
        return f"With up to {most} examples no method reached {goal} ({over})."
    order = sorted(got, key=lambda v: (got[v], collected.variants.index(v)))
    parts = [f"{v}{' needed' * (i == 0)} {reached_text(found[v])}" for i, v in enumerate(order)]
    missed = [v for v in found if v not in got]
    tail = f"; {listed(missed)} did not reach it with up to {most}" if missed else ""
    return f"For {goal}, {listed(parts)} examples ({over}){tail}."


def differences(measures: Measures) -> str:
    """What the pairwise tests at the largest number of shots allow to say."""
    collected = measures.collected
    most, task = collected.shots[-1], collected.new_task
    family = measures.family(task, most)
    fewer = [f for n in collected.shots[:-1] if (f := measures.family(task, n)) and f.best]
    earlier = "".join(
        f" At {listed([f'{f.shots:,}' for f in fewer if f.best == name])} {name} is better than every other."
        for name in dict.fromkeys(f.best for f in fewer)
    )
    where = f"At {most:,} examples"
    if family is None:
        if len(collected.variants) == 1:
            (only,) = collected.variants
            found = measures.accuracy(only, most, task)
            return f"{where} {only} has an accuracy of {interval_text(found)}." if found else ""
        return f"{where} the methods cannot be compared yet: no seed is there for all of them."
    n = len(family.seeds)
    if n == 1:
        return f"{where} there is one seed, which cannot tell methods apart."
    if family.best:
        return f"{where} {family.best} is the most accurate, and better than every other by the tests ({n} seeds).{earlier}"
    apart = [c for c in family.comparisons if c.p < 0.05]
    if not apart:
        return f"{where} there is no difference in accuracy that these {n} seeds could show.{earlier}"
    parts = [f"{c.a if c.difference > 0 else c.b} above {c.b if c.difference > 0 else c.a}" for c in apart]
    return (
        f"{where} no method is better than every other; of {len(family.comparisons)} pairs these {n} seeds tell "
        f"{len(apart)} apart: {listed(parts)}.{earlier}"
    )


def forgotten(measures: Measures, task: str) -> str:
    """Of methods at the largest number of shots, by what they forgot of one task."""
    collected = measures.collected
    most, name = collected.shots[-1], title_of(task)
    found = {v: f for v in collected.variants if (f := measures.forgetting(v, most, task)) is not None}
    if not found:
        return f"No method has a result at {most:,} examples yet, so there is nothing to say about forgetting {name}."
    known = {v: f.summary for v, f in found.items() if f.summary is not None}
    never = [v for v, f in found.items() if f.n_learned == 0]
    partly = [
        f"{v} (in {f.n - f.n_learned} of {f.n} seeds)" for v, f in found.items() if 0 < f.n_learned < f.n
    ]
    if not known and not partly:
        return f"{name} was never learned by any method, so there is nothing that it could have forgotten."
    parts = []
    if known:
        order = sorted(known, key=lambda v: known[v].mean)
        least, most_forgotten = order[0], order[-1]
        shown = {v: interval_text(known[v], sign=True) for v in (least, most_forgotten)}
        text = f"of {name}, {least} forgot {shown[least]}"
        if len(known) > 1:
            text = f"of {name}, {least} forgot least ({shown[least]}) and {most_forgotten} most ({shown[most_forgotten]})"
        parts.append(f"{text} after {most:,} examples{', by the means' * (len(known) > 1)}")
    if never:
        parts.append(f"{listed(never)} never learned it")
    if partly:
        parts.append(f"{listed(partly)} did not learn it in every seed")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if known else f"{name}: {sentence}."


def warnings(measures: Measures) -> list[str]:
    """What a reader must know before believing the figures."""
    collected = measures.collected
    said = [
        f"{title_of(task)} was measured on {source}: no figure to compare or publish."
        for task, source in collected.stand_ins.items()
    ]
    said += [f"{name}: {note}." for name, note in collected.notes]
    best = measures.best_shortcut(collected.new_task, collected.shots[-1])
    if best and best[1] >= measures.target:
        said.append(
            f"On {title_of(collected.new_task)} a shortcut ({best[0].replace('_', ' ')}) scores {best[1]:.3f} by itself: "
            "an accuracy as high does not show that the relation was understood."
        )
    if collected.n_missing or collected.failures:
        said.append(
            f"{len(collected.stored)} of {collected.n_planned} cells are finished"
            + (f", {len(collected.failures)} failed" if collected.failures else "")
            + (f", {collected.n_missing} are missing" if collected.n_missing else "")
            + ": figures will change."
        )
    if len(collected.seeds) == 1:
        said.append(
            "There is one seed: intervals are over test pairs alone, and no difference between methods counts."
        )
    made_by = collected.made_by
    if len(made_by) > 1:
        said.append(
            f"The results were made by {len(made_by)} versions of contsym ({'; '.join(made_by)}): "
            "differences may be those of its code."
        )
    return said


def listed(names: Sequence[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
