"""The model of the record of a run or a sweep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12, and brings it

from contsym.checked import Count, Key, Share, Strict, Words, Written, expect, is_time
from contsym.config import Protocol
from contsym.data.schema import Draw
from contsym.results.schema import StoredShots

Command = Literal["run", "sweep"]
"""The command that made the record."""


class StoredCell(Strict):
    key: Key
    first_task: Key | None
    strategy: Words
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    shots: StoredShots
    settings: dict[str, Words]
    scenario: Words
    reading: Words
    """The name of its reading; empty in a sweep without readings."""
    n_steps: Annotated[list[Count], Field(min_length=2, max_length=2)]


class ReadingOptions(TypedDict, total=False):
    """The options of `readings.ReadingEntry`, one value each."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # type: ignore[misc]

    one_pass: bool
    until: Share
    shots: Count | Literal["least"]
    step: Count
    draw: Draw
    protocol: Protocol


class StoredReading(Written):
    options: ReadingOptions
    settings: dict[str, Words]
    strategies: list[Words] | None = None
    """None: all of the sweep's."""
    is_main: bool


class StoredSettings(Written):
    strategies: list[Words]
    scenario: Words
    shots: list[StoredShots]
    seeds: list[Count] = [0, 1, 2]
    settings: dict[str, list[Words]]
    readings: list[StoredReading] = []
    screen: Count | None = None
    select: Literal["validation"] | None = None
    encoder: Words | None = None
    """None: that of each reading, by its protocol."""
    pooling: Words = "auto"
    adapter: Words | None = None
    sources: dict[str, Words] = {}
    sizes: dict[str, Count] = {}
    form: Words = "lexicalised"
    draw: Words = "balanced"
    split: Words | None = None
    protocol: Words | None = None
    pretrain: dict[str, Words] = {}
    label_noise: Share | None = None
    limit: Count | None = None
    plugins: list[Words] = []
    device: Words = "auto"
    precision: Words = "auto"
    one_pass: bool = False
    until: Share | None = None
    step: Count = 16
    target: Share = 0.99
    curve: bool = False
    relearn: bool = False
    audit: bool = True
    save_models: bool = False


class RunFile(Strict):
    command: Command
    created: Words
    last_started: Words | None = None
    """When the same command was last given; None in records of earlier versions."""
    config: StoredSettings
    cells: list[StoredCell]

    @model_validator(mode="after")
    def is_consistent(self) -> RunFile:
        for name, time in (("created", self.created), ("last_started", self.last_started or self.created)):
            expect(is_time(time), f"{name} as a date and time with its zone, in ISO 8601")
        return self
