"""The answer of a run in sentences: what was learned with how many pairs, what was forgotten, and what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from contsym.commands.views.data import title_of
from contsym.data.sources import BUNDLED, source_label
from contsym.results.metrics.stats import spread
from contsym.results.reading import coarse_validation, reading
from contsym.results.schema import SeedResult
from contsym.results.summary import Results, best_shortcut, gained_nothing, seen_before
from contsym.tasks.schema import NLI_LABELS

LEAST_RELATIONS = 4
"""Of fewer relations --split relation cannot put one of each kind into training and into the test."""
MANY = 4
"""A longer scenario is answered for all its experiences together."""


def answer_lines(results: Results) -> list[str]:
    """What each task that was trained on reached, what was lost of each earlier one, and what of others follows."""
    first = results[0]
    trained = first.trained_tasks[1:] if first.options.protocol == "retrain" else first.trained_tasks
    tested = [_tested(task, results) for task in first.tasks if first.sources[task].tested_only]
    if len(first.trained_tasks) > MANY:
        return [_learned_of_many(results, trained), _forgotten_of_many(results), *tested]
    learned = [_learned(task, results) for task in trained]
    return [*learned, *(_forgotten(task, results) for task in first.trained_tasks[:-1]), *tested]


def warning_lines(results: Results) -> list[str]:
    """What makes the figures say less than they seem to, and what to do about it."""
    first = results[0]
    # A task that is known from the start has its figures from elsewhere.
    trained = first.tasks[1:] if first.options.protocol == "retrain" else first.tasks
    lines = []
    for task in trained if len(first.tasks) <= MANY else ():
        lines += [_no_gain_warning(task, results), shortcut_warning(task, results)]
    lines += [coarse_validation(first), _label_space_warning(first)]
    lines += [seen_before(result) for result in results]
    lines += [note for result in results for note in result.notes]
    return [f"! {line}" for line in dict.fromkeys(filter(None, lines))]


def _learned(task: str, results: Results) -> str:
    first = results[0]
    own = [result.own_accuracy(task) for result in results]
    n_learned = sum(result.learned[task] for result in results)
    verb = "Learned" if n_learned == len(results) else "Did not learn"
    if 0 < n_learned < len(results):
        verb = f"In {n_learned} of {len(results)} seeds learned"
    is_new, of = task == first.new_task, first.sources[task].examples
    pairs = reading(results) if is_new else f"{first.sources[task].rows.train:,} {of}"
    before = spread([result.accuracy_before(task) for result in results])
    named = f"{task}{_own_data(task, first)}"
    text = f"{verb} {named} from {pairs}: {before} before, {spread(own)} after, {_from_guessing(task, own, results)}."
    if not is_new or not first.trajectory or first.search or first.options.until is not None:
        return text
    seen = [result.sample_efficiency[task].n_pairs_seen for result in results]
    numbers = ", ".join("not reached" if n is None else f"{n:,}" for n in seen)
    if not any(seen):
        return f"{text} {first.options.aim:g} on validation {of} was not reached."
    return f"{text} {first.options.aim:g} on validation {of} after {numbers} {of} seen."


def _own_data(task: str, result: SeedResult) -> str:
    """The file of pairs of one's own, beside the name of the task that they were given for."""
    given = result.asked.sources.get(result.sources[task].task, "bundled")
    is_own = result.sources[task].task in BUNDLED and given != "bundled" and not given.startswith("hub")
    return f" ({source_label(given)})" if is_own else ""


def _tested(task: str, results: Results) -> str:
    final = [result.final[task] for result in results]
    return f"Nothing was trained on {task}: {spread(final)} there, {_from_guessing(task, final, results)}."


def _forgotten(task: str, results: Results) -> str:
    lost = [result.forgetting[task] for result in results]
    final = [result.final[task] for result in results]
    verb = "Forgot" if fmean(lost) > 0 else "Lost nothing"
    amount = f"{spread(lost)} of {task}" if fmean(lost) > 0 else f"of {task} ({spread(lost, sign=True)})"
    # Of several tasks, another one may have raised it after its own training.
    before = spread([result.final[task] + result.forgetting[task] for result in results])
    text = f"{verb} {amount}: {before} before, {spread(final)} at the end, {_from_guessing(task, final, results)}"
    probes = [result.probe for result in results if result.probe]
    if task == results[0].tasks[0] and len(probes) == len(results):
        lost = [probe.forgetting for probe in probes]
        verb, lost = ("lost", lost) if fmean(lost) >= 0 else ("gained", [-each for each in lost])
        text += f"; a fresh linear probe {verb} {spread(lost)}"
    if not all(result.learned[task] for result in results):
        text += "; it was not above guessing before"
    if task == results[0].tasks[0]:
        text += _relearned(task, results)
    return f"{text}."


def _relearned(task: str, results: Results) -> str:
    """How many of its pairs brought a task's accuracy back, per seed; empty without --relearn."""
    tried = [result.relearning for result in results if result.relearning]
    if not tried:
        return ""
    needed, of = [each.n_pairs for each in tried], results[0].sources[task].examples
    most = max(each.n_pairs_tried for each in tried)
    if not any(n is None or n > 0 for n in needed):
        return f"; on validation {of} there was nothing to learn again"
    if all(n is None for n in needed):
        return f"; its accuracy was not back after {most:,} {of} of {task}"
    numbers = ", ".join(f"more than {most:,}" if n is None else f"{n:,}" for n in needed)
    return f"; its accuracy was back after {numbers} {of} of {task}"


def _from_guessing(task: str, values: Sequence[float], results: Results) -> str:
    guess = results[0].majority[task]
    distance = fmean(values) - guess
    return f"{abs(distance):.3f} {'above' if distance >= 0 else 'below'} guessing ({guess:.3f})"


def _label_space_warning(result: SeedResult) -> str:
    """Where label_space keeps a scenario that begins with NLI from protocol retrain."""
    task = result.tasks[0]
    source = result.sources[task]
    could_be_known = (
        tuple(source.labels) == NLI_LABELS and not source.few_shot and len(result.trained_tasks) > 1
    )
    if result.label_space == "shared" or not could_be_known:
        return ""
    return (
        f"label_space {result.label_space}: {task} is learned here, by the method itself; without this entry every method "
        f"starts from an encoder that knows {task} (protocol retrain)"
    )


def _no_gain_warning(task: str, results: Results) -> str:
    if not gained_nothing(results, task):
        return ""
    before = [result.accuracy_before(task) for result in results]
    after = [result.own_accuracy(task) for result in results]
    return (
        f"{task}: training did not raise its accuracy ({spread(before)} before, {spread(after)} after); fewer pairs or "
        "steps may do, or none"
    )


def shortcut_warning(task: str, results: Results) -> str:
    """A sentence where a task that was learned is not above the best shortcut; empty where every result is."""
    above = [result.above_shortcuts[task] for result in results]
    guess = best_shortcut([result.shortcuts.get(task, {}) for result in results])
    if guess is None or all(is_above is not False for is_above in above):
        return ""
    name, score = guess
    if results[0].sources[task].tested_only:
        return f"{task}: not above the shortcut {title_of(name)}, which has {score:.3f}"
    remedy = "use data whose words do not give the label away"
    if results[0].sources[task].symmetry:
        experiences = results[0].experiences
        own = experiences[results[0].tasks.index(task)].get("split") if experiences else None
        remedy = "use --split relation"
        if own or results[0].options.split:
            remedy = "use natural sentences"
        elif len(results[0].by_relation.get(task, {})) < LEAST_RELATIONS:
            remedy = "add relations, two of each kind at least, and use --split relation"
    return f"{task}: the shortcut {title_of(name)} alone has {score:.3f}; for a real test {remedy}"


def _learned_of_many(results: Results, trained: Sequence[str]) -> str:
    first = results[0]
    own = [fmean(result.own_accuracy(task) for task in trained) for result in results]
    n_learned = [sum(result.learned[task] for task in trained) for result in results]
    pairs = sorted({first.sources[task].rows.train for task in trained})
    of = " and ".join(dict.fromkeys(first.sources[task].examples for task in trained))
    each = f"{pairs[0]:,}" if len(pairs) == 1 else f"{pairs[0]:,} to {pairs[-1]:,}"
    return (
        f"Learned {fmean(n_learned):g} of {len(trained)} experiences from {each} {of} each: {spread(own)} "
        "right after each, on average."
    )


def _forgotten_of_many(results: Results) -> str:
    earlier = results[0].trained_tasks[:-1]
    lost = [fmean(result.forgetting[task] for task in earlier) for result in results]
    by_task = {task: fmean(result.forgetting[task] for result in results) for task in earlier}
    worst = max(by_task, key=lambda task: by_task[task])
    return (
        f"Forgot {spread(lost, sign=True)} of the {len(earlier)} earlier ones on average; most of {worst} "
        f"({by_task[worst]:+.3f})."
    )
