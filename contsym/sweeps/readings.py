"""Readings of a sweep: options that take the place of the sweep's own, one group of cells per reading."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field, model_validator

from contsym.checked import Closed, Several, expect
from contsym.config import DEFAULT_STEP, DEFAULT_TARGET, LEAST, Protocol, as_text, several, strategy_name
from contsym.data.schema import Draw
from contsym.errors import SettingError


@dataclass(frozen=True)
class Reading:
    """What a group of cells has in place of the options of the sweep."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """By field of CellOptions, and `shots`."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Hyper-parameters, for the strategies that have them."""
    strategies: tuple[str, ...] | None = None
    """Those of the sweep's that it has; None: all."""
    is_main: bool = True
    """Whether its cells have all seeds of the sweep, also where the others are screened with fewer."""

    @property
    def name(self) -> str:
        return reading_name(self.options, self.settings)


def reading_name(options: Mapping[str, Any], settings: Mapping[str, str]) -> str:
    """
    >>> reading_name({"one_pass": True, "draw": "natural"}, {"batch_size": "16"})
    'one_pass=true draw=natural batch_size=16'
    """
    # In one order, whatever that of the options is: a stored sweep is asked by these names.
    texts = {name: as_text(name, options[name]) for name in _OPTIONS if name in options}
    return " ".join(f"{name}={value}" for name, value in {**texts, **settings}.items())


def in_place(sweep: Any, reading: Any) -> dict[str, Any] | None:
    """What the sweep that a reading's cells are has in place of the fields of the whole one, the seeds apart.

    Both as typed (SweepConfig and Reading) or as stored. None where the sweep has none of the reading's strategies.
    """
    strategies = tuple(s for s in sweep.strategies if s in (reading.strategies or sweep.strategies))
    if not strategies:
        return None
    options = dict(reading.options)
    named = options.pop("shots", None)
    shots = tuple(sweep.shots) if named is None else (named,)
    # The sweep's own step, target and pretraining are for its other readings.
    if LEAST not in shots:
        options.setdefault("step", DEFAULT_STEP)
    if shots == (LEAST,) and options.get("until", sweep.until) is not None:
        options["target"] = DEFAULT_TARGET
    if options.get("protocol", sweep.protocol) == "sequential":
        options["pretrain"] = {}
    settings = {**sweep.settings, **{name: (value,) for name, value in reading.settings.items()}}
    whole = {"readings": (), "screen": None, "select": None}
    return {**options, **whole, "strategies": strategies, "shots": shots, "settings": settings}


_Bools = bool | Several[bool]
_Shots = int | Literal["least"]


class ReadingEntry(Closed):
    """A [[reading]] of a sweep file: each list of values multiplies it."""

    main: bool = False
    one_pass: _Bools | None = None
    until: float | Several[float] | None = None
    shots: _Shots | Several[_Shots] | None = Field(None, description='numbers, or "least"')
    step: int | Several[int] | None = None
    draw: Draw | Several[Draw] | None = None
    protocol: Protocol | Several[Protocol] | None = None
    set: dict[str, Any] = Field(default={}, description="a table of values, as set = {batch_size = 16}")
    strategies: Several[str] | None = Field(None, description="names of strategies of the sweep")

    @model_validator(mode="after")
    def _says_something(self) -> ReadingEntry:
        expect(self.strategies is None or bool(self.strategies), "at least one in strategies")
        expect(
            bool(self.model_fields_set - {"main", "strategies"}),
            "an option in every [[reading]], as one_pass = true",
        )
        return self

    def readings(self) -> list[Reading]:
        """Every combination of the values."""
        options = {name: several(value) for name in _OPTIONS if (value := getattr(self, name)) is not None}
        strategies = None if self.strategies is None else tuple(map(strategy_name, self.strategies))
        settings = {name: [as_text(name, each) for each in several(v)] for name, v in self.set.items()}
        return [
            Reading(
                dict(zip(options, chosen, strict=True)),
                dict(zip(settings, texts, strict=True)),
                strategies,
                self.main,
            )
            for chosen in itertools.product(*options.values())
            for texts in itertools.product(*settings.values())
        ]


_OPTIONS = tuple(name for name in ReadingEntry.model_fields if name not in ("main", "set", "strategies"))


def distinct(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """The readings without those that an earlier one repeats; main if one of the equal ones is.

    Raises SettingError where the later one has strategies that the earlier one lacks.
    """
    by_name: dict[str, Reading] = {}
    for reading in readings:
        first = by_name.setdefault(reading.name, reading)
        named = first.strategies
        if named is not None and not set(reading.strategies or ("all",)) <= set(named):
            raise SettingError(
                f"[[reading]] {reading.name}: given for {', '.join(named)}, and again for "
                f"{', '.join(reading.strategies or ('all strategies',))}; expected one entry with all of them"
            )
        by_name[reading.name] = replace(first, is_main=first.is_main or reading.is_main)
    return tuple(by_name.values())
