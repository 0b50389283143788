"""How a result counts the pairs that a method needs: its reading of "samples needed", in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from contsym.config import LEAST, RunConfig
from contsym.results.schema import SeedResult, StoredOptions

WITHOUT_STEPS = "without gradient steps"


def asked(config: RunConfig, *, takes_steps: bool = True) -> str:
    """The reading that a run is asked for, before it has numbers.

    >>> asked(RunConfig("knn_fixed", "wikidata_only", one_pass=True, until=0.99))
    'each pair seen once, until 0.99 on validation'
    >>> asked(RunConfig("ncm", "wikidata_only"), takes_steps=False)
    'fixed pairs, without gradient steps'
    """
    if config.shots == LEAST:
        step = config.step
        return (
            f"least of {step}, {2 * step}, ... pairs that reach {config.aim:g} on validation{_limit(config)}"
        )
    how = "trained on for a number of steps" if takes_steps else WITHOUT_STEPS
    what = "each pair seen once" if config.one_pass else f"fixed pairs, {how}"
    until = "" if config.until is None else f", until {config.until:g} on validation"
    return f"{what}{until}{_limit(config)}"


def _limit(options: RunConfig | StoredOptions) -> str:
    return "" if options.limit is None else f" (--limit {options.limit})"


def reading(results: Sequence[SeedResult]) -> str:
    """The reading of the seeds of one run, with their numbers of pairs of the new task.

    As `64 pairs, 100 steps`, `64 pairs seen once`, `48 and 64 pairs seen once, until 0.99`, or
    `least of 16, 32, ...: 64`. A number that did not reach its target is named as such.
    """
    first = results[0]
    options, place = first.options, first.tasks.index(first.new_task)
    if first.search:
        step = first.search.step
        found = [
            str(r.search.found) if r.search.found else f"not reached after {r.search.most:,}"
            for r in results
            if r.search
        ]
        return f"least of {step}, {2 * step}, ...: {listed([*dict.fromkeys(found)])}{_limit(options)}"
    costs = [result.cost.experiences[place] for result in results]
    steps = [cost.training_steps for cost in costs]
    passes = (
        "seen once"
        if options.one_pass
        else f"{_numbers(steps)} step{'s' * (max(steps) > 1)}"
        if any(steps)
        else WITHOUT_STEPS
    )
    seen = [c.pairs_seen if options.one_pass else r.n_shots for c, r in zip(costs, results, strict=True)]
    of = first.sources[first.new_task].examples
    words = f"{_numbers(seen)} {of}{' ' if options.one_pass else ', '}{passes}"
    words += _limit(options)
    if options.until is None:
        return words
    is_reached = [r.sample_efficiency[r.new_task].n_pairs_seen is not None for r in results]
    n_missed = is_reached.count(False)
    missed = f" (not reached in {n_missed} of {len(results)} seeds)" if n_missed and len(results) > 1 else ""
    return f"{words}, until {options.until:g}{missed or (' (not reached)' if n_missed else '')}"


def is_fixed(results: Sequence[SeedResult]) -> bool:
    """Whether the results of one number of shots learned from as many pairs: none searched, or stopped at a target."""
    return not any(r.search or r.options.until is not None for r in results)


def counts_needed(result: SeedResult) -> bool:
    """Whether a result says itself how many pairs it needed: a search does, and a pass that was measured after each batch."""
    if result.search:
        return True
    is_each_measured = result.options.until is not None or result.sources[result.new_task].few_shot
    return result.options.one_pass and is_each_measured


def learned_from(result: SeedResult) -> int:
    """The pairs of the new task that a result learned from: those given, found by its search, or seen until it stopped."""
    if result.search:
        return result.search.found or result.search.most
    if result.options.until is None:
        return result.n_shots
    return min(result.n_shots, result.cost.experiences[result.tasks.index(result.new_task)].pairs_seen)


def shots_label(results: Sequence[SeedResult]) -> str:
    """What results of one number of shots have in common, as short as a place on an axis needs it.

    As `64`, `least of 1,600` or `until 0.99 of 107`.
    """
    n = f"{results[0].shots_group:,}"
    if any(r.search for r in results):
        return f"least of {n}"
    until = [r.options.until for r in results if r.options.until is not None]
    return f"until {until[0]:g} of {n}" if until else n


def shots_words(results: Sequence[SeedResult]) -> str:
    """The same as a title: `64 shots`, `least of up to 1,600 shots` or `until 0.99, of 107 shots`."""
    how, of, n = shots_label(results).rpartition(" of ")
    return f"{how}{' of up to ' if how == 'least' else ', of ' if of else ''}{n} shots"


def shots_seen(results: Sequence[SeedResult]) -> str:
    """The numbers of pairs that results of one number of shots learned from.

    As `64`, `16 to 32 of 107` or `48 of up to 1,600`.
    """
    if is_fixed(results):
        return f"{results[0].shots_group:,}"
    of = "of up to" if any(r.search for r in results) else "of"
    return f"{number_span([learned_from(r) for r in results])} {of} {results[0].shots_group:,}"


def amount(results: Sequence[SeedResult]) -> str:
    """What results of one number of shots learned from, in a sentence."""
    if is_fixed(results):
        return f"{results[0].shots_group:,} examples"
    if any(r.search for r in results):
        return f"the least examples needed ({shots_seen(results)})"
    until = next(r.options.until for r in results if r.options.until is not None)
    of = results[0].sources[results[0].new_task].examples
    return f"training until {until:g} on validation {of} ({shots_seen(results)} examples seen)"


def smallest_tried(result: SeedResult) -> int | None:
    """The fewest pairs with which a search or a single pass could reach its target; None where that was not measured."""
    if result.search:
        return min(result.search.step, result.search.most)
    place = result.tasks.index(result.new_task)
    first = (
        p.n_pairs_seen
        for p in result.trajectory
        if p.experience == place and p.n_pairs_seen and p.n_steps <= 1
    )
    return min(first, default=None)


def coarse_validation(result: SeedResult) -> str:
    """A sentence where a target was looked for on validation pairs that are too few for it; empty where not."""
    if not (result.search or result.options.until is not None or result.trajectory):
        return ""
    target = result.search.target if result.search else result.options.aim
    source = result.sources[result.new_task]
    most = most_measured(result)
    n = min(source.rows.validation, most)
    return too_coarse(n, target, f"validation {source.examples} of {result.new_task}", most)


def most_measured(result: SeedResult) -> int:
    """The most validation pairs of a task by which a target is looked for."""
    from contsym.results.metrics.trajectory import part_size

    return part_size(len(result.tasks))


def too_coarse(n: int, target: float, what: str, most: int | None = None) -> str:
    """A sentence where one error of n is more than a target allows; empty where it is not, and for a target of 1.

    `most` is the largest n that there can be; None: any.

    >>> too_coarse(12, 0.99, "validation pairs")
    '12 validation pairs cannot tell 0.99 from 0.92: one error is 0.083; expected 100 or more'
    >>> too_coarse(100, 0.99, "validation pairs"), too_coarse(12, 1.0, "validation pairs")
    ('', '')
    >>> too_coarse(51, 0.99, "validation pairs", most=51).partition("; ")[2]
    'expected a target of 0.98 or less, since no more than 51 are measured'
    """
    # Rounded, since 1 - 0.99 is a little more than 0.01.
    allowed = round(1 - target, 9)
    if not n or not allowed or 1 / n <= allowed:
        return ""
    next_lower = 1 - 1 / n
    digits = 2 if round(next_lower, 2) < target else 4
    needed = math.ceil(round(1 / allowed, 6))
    expected = f"{needed:,} or more"
    if most is not None and needed > most:
        finest = math.floor(1000 * (1 - 1 / most)) / 1000
        expected = f"a target of {finest:g} or less, since no more than {most:,} are measured"
    return f"{n:,} {what} cannot tell {target:g} from {next_lower:.{digits}f}: one error is {1 / n:.3f}; expected {expected}"


def number_span(numbers: Sequence[int]) -> str:
    """
    >>> number_span([32, 16]), number_span([8, 8])
    ('16 to 32', '8')
    """
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _numbers(numbers: Sequence[int]) -> str:
    """Each number once.

    >>> _numbers([1600, 48, 48])
    '48 and 1,600'
    """
    return listed([f"{n:,}" for n in sorted(set(numbers))])


def listed(names: Sequence[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *others, last = names or [""]
    return f"{', '.join(others)} and {last}" if others else last
