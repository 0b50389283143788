"""Which results may stand side by side in a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contsym.errors import ContsymError
from contsym.results.schema import SeedResult

ABSENT = object()
"""The fact of a result to which a question does not apply; it goes with every other."""


COMPARABLE: Mapping[str, Callable[[SeedResult], Any]] = {
    "scenario": lambda r: r.scenario,
    "experiences": lambda r: r.experiences,
    "protocol": lambda r: r.options.protocol,
    "one pass": lambda r: r.options.one_pass,
    # A search ends no training; what it searched for is its target.
    "until": lambda r: ABSENT if r.search else r.options.until,
    "target of the search": lambda r: r.search.target if r.search else ABSENT,
    "step of the search": lambda r: r.search.step if r.search else ABSENT,
    "draw of the shots": lambda r: r.options.draw if _is_drawn(r) else ABSENT,
    "label noise": lambda r: _label_noise(r),
    "pretraining": lambda r: r.pretraining,
    # Not by its name: two paths may lead to one checkpoint, and the results of both are one result.
    "encoder weights": lambda r: r.encoder_weights.sha256,
    "encoder's tokenizer or configuration": lambda r: r.encoder_weights.text_files_sha256,
    "pooling": lambda r: r.pooling.kind,
    "adapter": lambda r: r.options.adapter,
    "data": lambda r: {task: source.fingerprint for task, source in r.sources.items()},
    "training pairs": lambda r: {
        name: source.rows.train for name, source in r.sources.items() if not source.few_shot
    },
}


def check_comparable(results: Sequence[SeedResult]) -> None:
    """Raise ContsymError unless all results are on the same tasks, data and encoder, and no cell comes twice."""
    for name, fact in COMPARABLE.items():
        facts = [(result, found) for result in results if (found := fact(result)) is not ABSENT]
        for result, found in facts[1:]:
            first, expected = facts[0]
            if found != expected:
                raise ContsymError(
                    f"{_short(result)} and {_short(first)} differ in {name} ({_text(found)}; {_text(expected)}); "
                    "a report needs the same: report on them one by one"
                )
    by_cell: dict[tuple[object, ...], SeedResult] = {}
    for result in results:
        settings = tuple((name, str(value)) for name, value in result.settings.items())
        cell = (result.strategy, settings, result.shots_group, result.seed)
        if cell in by_cell:
            raise ContsymError(
                f"{_short(result)} and {_short(by_cell[cell])} are both {result.strategy}, {result.n_shots} shots, seed "
                f"{result.seed}; leave one of them out"
            )
        by_cell[cell] = result


def _is_drawn(result: SeedResult) -> bool:
    """Whether its training pairs are some of those that there are, or come in a drawn order."""
    is_part = result.options.shots is not None or result.options.one_pass
    return is_part and any(source.few_shot for source in result.sources.values())


def _label_noise(result: SeedResult) -> list[float]:
    """The share of flipped labels of each experience with noise: that of the run, or else its own."""
    own = [noise for each in result.experiences if (noise := each.get("label_noise")) is not None]
    given = result.options.label_noise
    return [float(noise if given is None else given) for noise in own]  # type: ignore[arg-type]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {str(each)[:12]}" for key, each in value.items())
    return str(value)[:40]


def _short(result: SeedResult) -> str:
    return f"{result.strategy} with {result.n_shots} shots, seed {result.seed} ({result.key[:12]})"
