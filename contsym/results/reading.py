"""How a result counts the pairs that a method needs: its reading of "samples needed", in words."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.config import LEAST, RunConfig
from contsym.results.schema import SeedResult, StoredOptions


def asked(config: RunConfig) -> str:
    """The reading that a run is asked for, before it has numbers.

    >>> asked(RunConfig("knn_fixed", "wikidata_only", one_pass=True, until=0.99))
    'each pair seen once, until 0.99 on validation'
    """
    if config.shots == LEAST:
        step = config.step
        return (
            f"least of {step}, {2 * step}, ... pairs that reach {config.aim:g} on validation{_limit(config)}"
        )
    what = "each pair seen once" if config.one_pass else "fixed pairs, trained on for the steps below"
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
        return f"least of {step}, {2 * step}, ...: {_listed(found)}{_limit(options)}"
    costs = [result.cost.experiences[place] for result in results]
    steps = [cost.training_steps for cost in costs]
    passes = (
        "seen once"
        if options.one_pass
        else f"{_numbers(steps)} step{'s' * (max(steps) > 1)}"
        if any(steps)
        else ""
    )
    seen = [c.pairs_seen if options.one_pass else r.n_shots for c, r in zip(costs, results, strict=True)]
    of = first.sources[first.new_task].examples
    words = f"{_numbers(seen)} {of}{' ' if options.one_pass else ', ' if passes else ''}{passes}"
    words += _limit(options)
    if options.until is None:
        return words
    is_reached = [r.sample_efficiency[r.new_task].n_pairs_seen is not None for r in results]
    n_missed = is_reached.count(False)
    missed = f" (not reached in {n_missed} of {len(results)} seeds)" if n_missed and len(results) > 1 else ""
    return f"{words}, until {options.until:g}{missed or (' (not reached)' if n_missed else '')}"


def _numbers(numbers: Sequence[int]) -> str:
    """Each number once.

    >>> _numbers([1600, 48, 48])
    '48 and 1,600'
    """
    return _listed([f"{n:,}" for n in sorted(set(numbers))])


def _listed(words: Sequence[str]) -> str:
    *most, last = dict.fromkeys(words)
    return f"{', '.join(most)} and {last}" if most else last
