"""Two ways of doing the same work, timed by turns: their ratio, whether they agree, and whether it fell."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

FALL = 0.2
"""A ratio that loses more than this share of itself has fallen."""


@dataclass(frozen=True)
class Options:
    """What the command was asked for; a source is as for `contsym run --mnli` and `--wikidata`."""

    repeats: int = 5
    long_repeats: int = 1
    device: str = "cpu"
    encoder: str = "minilm"
    mnli: str = "bundled"
    wikidata: str = "bundled"
    memory_index: str = "auto"
    smoke: bool = False
    """Tiny sizes, to see that everything runs; the figures mean nothing."""


@dataclass(frozen=True)
class Comparison:
    """Seconds of contsym's way and of another, round by round, for results that were compared.

    The ratio of a round is the other's seconds over contsym's: above 1 contsym is faster. Without another way it is
    contsym's own figure.
    """

    measure: str
    name: str
    ours: Sequence[float]
    theirs: Sequence[float]
    agrees: bool
    agreement: str
    """What was compared, by how much it differed and what was allowed."""
    aim: float | None = None
    at_most: bool = False
    """Whether small figures are good, and the aim is the largest one."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))

    @property
    def key(self) -> str:
        return f"{self.measure}: {self.name}"

    @property
    def ratios(self) -> list[float]:
        if not self.theirs:
            return list(self.ours)
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        """Whether there is no aim, or it is reached."""
        return self.aim is None or (self.ratio <= self.aim if self.at_most else self.ratio >= self.aim)

    @classmethod
    def of_dict(cls, written: Mapping[str, Any]) -> Comparison:
        """What `as_dict` wrote."""
        names = ("measure", "name", "agrees", "agreement", "aim", "at_most", "facts", "date")
        same = {name: written[name] for name in names}
        return cls(ours=written["ours_seconds"], theirs=written["theirs_seconds"], **same)

    def as_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "measure": self.measure,
            "name": self.name,
            "date": self.date,
            "ratio": self.ratio,
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
            "aim": self.aim,
            "at_most": self.at_most,
            "ours_seconds": list(self.ours),
            "theirs_seconds": list(self.theirs),
            "agrees": self.agrees,
            "agreement": self.agreement,
            "facts": dict(self.facts),
        }


def clocked(work: Callable[[], T]) -> Callable[[], tuple[float, T]]:
    """The work as a way for `interleaved`: its seconds from call to return."""

    def way() -> tuple[float, T]:
        began = time.perf_counter()
        result = work()
        return time.perf_counter() - began, result

    return way


def interleaved(
    ways: Mapping[str, Callable[[], tuple[float, T]]], repeats: int, *, warm_up: bool = True
) -> tuple[dict[str, list[float]], dict[str, T]]:
    """Seconds of each way in each round, and its last result.

    Every round does each way once, and each round begins with another one, so that neither the
    machine's mood nor a warm cache favours any. A first round of all is not counted.
    """
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    results: dict[str, T] = {}
    for i in range(-1 if warm_up else 0, repeats):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            took, results[name] = ways[name]()
            if i >= 0:
                seconds[name].append(took)
    return seconds, results


def fallen(found: Iterable[Comparison], kept: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """(kept, found) ratios of the comparisons that became worse by more than FALL of the better one."""
    pairs = {each.key: (each, kept[each.key], each.ratio) for each in found if each.key in kept}
    return {
        key: (before, now)
        for key, (each, before, now) in pairs.items()
        if (before < (1 - FALL) * now if each.at_most else now < (1 - FALL) * before)
    }
