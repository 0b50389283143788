"""What a sweep is: which strategies, shots, seeds and settings, checked before anything heavy loads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model

from contsym import plugins
from contsym.checked import Closed, Several, read_model
from contsym.config import (
    ALL,
    DEFAULT_STEP,
    DEFAULT_TARGET,
    LEAST,
    CellOptions,
    Precision,
    Protocol,
    RunConfig,
    Shots,
    as_text,
    as_texts,
    check_one_target,
    one_form,
    parse_seeds,
    parse_shots,
    several,
    shots_of,
    strategy_name,
    whole_numbers,
)
from contsym.data.schema import BALANCED, Draw, Form
from contsym.data.splits import SplitRule
from contsym.errors import ContsymError, SettingError
from contsym.scenarios.catalog import scenario_runs
from contsym.strategies.catalog import find_strategy
from contsym.sweeps.readings import Reading, ReadingEntry, distinct, in_place
from contsym.tasks.schema import FIRST

MAX_CELLS = 100_000


@dataclass(frozen=True)
class SweepConfig(CellOptions):
    """Every combination of strategies, seeds, shots and set values is one cell."""

    strategies: tuple[str, ...]
    scenario: str
    shots: tuple[Shots, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    settings: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Values by setting, as those of RunConfig; each goes to the strategies that have such a setting."""
    readings: tuple[Reading, ...] = ()
    """Options in place of those above, one group of cells per reading; empty: one group, as they are."""
    screen: int | None = None
    """Seeds of the readings that are not main ones; None: all seeds."""
    select: Literal["validation"] | None = None
    """Whether reports keep the best setting of each strategy by validation pairs; None: all settings."""
    curve: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        one_form(
            self,
            strategies=tuple(strategy_name(str(name)) for name in self.strategies),
            shots=tuple(map(shots_of, self.shots)),
            seeds=whole_numbers("seeds", self.seeds),
            settings={name: _texts(name, values) for name, values in self.settings.items()},
            pretrain=as_texts(self.pretrain, "--pretrain"),
            readings=tuple(each if isinstance(each, Reading) else Reading(**each) for each in self.readings),
        )
        named = plugins.read(self.plugins)
        for name in (*self.strategies, *(s for reading in self.readings for s in reading.strategies or ())):
            find_strategy(name, named)
        chosen: dict[str, tuple[object, ...]] = {
            "--strategies": self.strategies,
            "--shots": self.shots,
            "--seeds": self.seeds,
        }
        for option, given in chosen.items():
            if not given:
                raise SettingError(f"{option} is empty; expected at least one")
            if len(set(given)) < len(given):
                raise SettingError(
                    f"{option} {','.join(map(str, given))} names one twice; expected each once"
                )
        for name, values in self.settings.items():
            if not values or len(set(values)) < len(values):
                raise SettingError(
                    f"--set {name}={','.join(values)}: expected values that differ, as k=1,3,5"
                )
        n = len(self.scenarios) * len(self.strategies) * len(self.shots) * len(self.seeds)
        if n * math.prod(map(len, self.settings.values())) > MAX_CELLS:
            raise SettingError(
                f"a sweep of more than {MAX_CELLS:,} cells; expected fewer shots, seeds or values"
            )
        if self.screen is not None and not 1 <= self.screen <= len(self.seeds):
            raise SettingError(
                f"screen {self.screen}: expected 1 to {len(self.seeds)}, the seeds of the sweep"
            )
        if self.screen is not None and not self.readings:
            raise SettingError(
                f"screen {self.screen}: there is no reading to screen; expected [[reading]] beside it"
            )
        if self.select and self.readings:
            raise SettingError(
                "--select validation goes with settings (--set), not with readings; leave one of them out"
            )
        if self.readings:
            # Each is checked as the sweep that it is.
            self.parts()
        else:
            self._check_cells()
        all_shots = {*self.shots, *(dict(reading.options).get("shots") for reading in self.readings)}
        if self.step != DEFAULT_STEP and LEAST not in all_shots:
            raise SettingError(
                f"--step {self.step}: only --shots least has a step; leave it out, add --shots least, or give the number "
                f"of training steps by --set steps={self.step}"
            )

    def _check_cells(self) -> None:
        if self.draw != BALANCED and set(self.shots) == {None} and not self.one_pass:
            raise SettingError(
                f"--draw {self.draw}: with all pairs none is drawn; add --shots or --one-pass, or leave it out"
            )
        if set(self.shots) == {LEAST}:
            check_one_target(self.until, self.target)
        # The run's own checks, on one cell of each kind.
        for shots in self.shots:
            self.cell(self.strategies[0], self.seeds[0], shots, {n: v[0] for n, v in self.settings.items()})

    @classmethod
    def of_run(cls, config: RunConfig) -> SweepConfig:
        """A run as the sweep that it is: one strategy, one number of shots, one value per setting."""
        shared = {f.name: getattr(config, f.name) for f in fields(CellOptions)}
        return cls(
            strategies=(config.strategy,),
            scenario=config.scenario,
            shots=(config.shots,),
            seeds=config.seeds,
            settings={name: (value,) for name, value in config.settings.items()},
            **shared,
        )

    def parts(self) -> list[tuple[Reading, SweepConfig]]:
        """Each reading with the sweep that its cells are; the sweep itself where it has no readings."""
        if not self.readings:
            return [(Reading(), self)]
        parts = []
        for reading in self.readings:
            if (changes := in_place(self, reading)) is None:
                continue
            part = replace(
                self, seeds=self.seeds if reading.is_main else self.seeds[: self.screen], **changes
            )
            parts.append((reading, part))
            self._check_part(reading, part)
        if not parts:
            named = sorted({name for reading in self.readings for name in reading.strategies or ()})
            raise SettingError(
                f"--strategies {','.join(self.strategies)}: no reading has one of them; expected some of {', '.join(named)}"
            )
        return parts

    def _check_part(self, reading: Reading, part: SweepConfig) -> None:
        """Raise SettingError for a reading whose figures would be of several experiments, or cannot choose the nearest."""
        chosen = {
            "shots": [shots_text(each) for each in part.shots],
            "the scenario's orders": part.scenarios,
            **part.settings,
        }
        for name, values in chosen.items():
            if len(values) > 1:
                raise SettingError(
                    f"[[reading]] {reading.name}: {name} are {', '.join(values)}; expected one for each reading, "
                    "as a list in [[reading]]"
                )
        is_measured = part.curve or part.one_pass or part.until is not None or part.shots == (LEAST,)
        if self.screen is not None and not is_measured:
            raise SettingError(
                f"[[reading]] {reading.name}: nothing is measured while it trains, so that screen = {self.screen} cannot "
                "choose; expected curve = true, one_pass or until"
            )

    @property
    def scenarios(self) -> tuple[str, ...]:
        """What its cells run: the scenario, or each order of it where all are meant."""
        return tuple(scenario_runs(self.scenario, plugins.read(self.plugins)))

    def cell(
        self,
        strategy: str,
        seed: int,
        shots: Shots,
        settings: Mapping[str, str],
        scenario: str | None = None,
    ) -> RunConfig:
        """`scenario` is one of `scenarios`, where there are several."""
        shared = {f.name: getattr(self, f.name) for f in fields(CellOptions)}
        if shots == LEAST and self.until is not None:
            # Another target is for the sweep's other shots.
            shared["target"] = DEFAULT_TARGET
        return RunConfig(
            strategy=strategy,
            scenario=scenario or self.scenario,
            seeds=(seed,),
            shots=shots,
            settings=dict(settings),
            **shared,
        )

    def grid(self, known: Sequence[str]) -> Iterator[dict[str, str]]:
        """Every combination of the set values that a strategy with the `known` settings takes."""
        names = [name for name in self.settings if name in known]
        for values in itertools.product(*(self.settings[name] for name in names)):
            yield dict(zip(names, values, strict=True))


def shots_text(shots: Shots) -> str:
    """
    >>> shots_text(8), shots_text("least"), shots_text(None)
    ('8', 'least', 'all')
    """
    return ALL if shots is None else str(shots)


def _texts(name: str, values: Any) -> tuple[str, ...]:
    """The values of a setting; a single one may stand alone."""
    return tuple(as_text(name, value) for value in several(values))


def parse_sweep_shots(text: str) -> tuple[Shots, ...]:
    """`8,16,least,all` to shots. Raises SettingError for anything else."""
    return tuple(map(parse_shots, text.split(",")))


def parse_grid(pairs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`("k=1,3", "margin=0.4")` to values by name. Raises SettingError for anything else."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        name, equals, values = pair.partition("=")
        if not equals or not name.strip() or not values.strip():
            raise SettingError(
                f"--set {pair!r} is no setting; expected name=value or name=value,value, as k=1,3,5"
            )
        if name.strip() in found:
            raise SettingError(f"--set {name.strip()} is given twice; give its values once, as k=1,3,5")
        found[name.strip()] = tuple(value.strip() for value in values.split(","))
    return found


def _seeds(given: Any) -> Any:
    if isinstance(given, str) or type(given) is int:
        return parse_seeds(str(given))
    return given


_TEXTS = ("scenario", "encoder", "pooling", "adapter", "device", *FIRST)
_NAMES = Annotated[Several[str], Field(description="a list of names")]
_ENTRIES: dict[str, Any] = {
    "strategies": _NAMES,
    **dict.fromkeys(_TEXTS, str),
    **{f"{task}-size": int for task in FIRST},
    "task": Annotated[dict[str, str], Field(description="a table of sources by task, as [task]")],
    "size": Annotated[dict[str, int], Field(description="a table of numbers by task, as [size]")],
    "shots": Annotated[
        Several[int | Literal["least", "all"]], Field(description='a list of numbers, "least" or "all"')
    ],
    "seeds": Annotated[
        Several[int],
        BeforeValidator(_seeds),
        Field(description="a number of seeds, a list of numbers or a text as 0-4"),
    ],
    "set": Annotated[dict[str, Any], Field(description="a table of values, as [set]")],
    "pretrain": Annotated[dict[str, Any], Field(description="a table of values, as [pretrain]")],
    "form": Form,
    "draw": Draw,
    "split": SplitRule,
    "protocol": Protocol,
    "precision": Precision,
    "label_noise": float,
    "limit": int,
    "one_pass": bool,
    "until": float,
    "step": int,
    "target": float,
    "curve": bool,
    "relearn": bool,
    "audit": bool,
    "save_models": bool,
    "plugins": _NAMES,
    "reading": Annotated[Several[ReadingEntry], Field(description="tables of options, as [[reading]]")],
    "screen": int,
    "select": Literal["validation"],
}
"""What a sweep file may say."""
_FIELDS: dict[str, Any] = {name: (kind, None) for name, kind in _ENTRIES.items()}
_File = create_model("_File", __base__=Closed, **_FIELDS)


def read_file(path: Path) -> dict[str, Any]:
    """The options of a sweep file that it names, by the names of SweepConfig's fields.

    Raises ContsymError with the file's name for what is not TOML, a key that is none or a value
    of another type than expected.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ContsymError(
            f"--config {path}: cannot be read ({error.strerror}); expected a TOML file"
        ) from None
    except UnicodeDecodeError as error:
        raise ContsymError(f"--config {path}: not TOML ({error})") from None
    file: Any = read_model(text, _File, f"--config {path}")
    entries = file.model_dump(exclude_unset=True)
    if entries.pop("reading", None):
        entries["readings"] = distinct([each for entry in file.reading for each in entry.readings()])
    sources = {task: entries.pop(task) for task in FIRST if task in entries}
    sizes = {task: entries.pop(f"{task}-size") for task in FIRST if f"{task}-size" in entries}
    for table, alone in (("task", sources), ("size", sizes)):
        if twice := [task for task in entries.get(table, {}) if task in alone]:
            raise ContsymError(
                f"--config {path}: [{table}] {twice[0]} is also given by a key of its own; give it once"
            )
        alone.update(entries.pop(table, {}))
    if "set" in entries:
        entries["settings"] = entries.pop("set")
    return {**entries, **({"sources": sources} if sources else {}), **({"sizes": sizes} if sizes else {})}


def for_one_run(found: Mapping[str, Any], given: Collection[str], where: str) -> dict[str, Any]:
    """The options and settings of a sweep file as those of a run, without those that are `given` otherwise.

    Raises SettingError where the file has several values of one of them, or what only a sweep has.
    """
    options = {name: value for name, value in found.items() if name not in given}
    for name in ("readings", "screen", "select"):
        if name in options:
            raise SettingError(
                f"{where}: {name.removesuffix('s')} is for contsym sweep; expected the options of one run"
            )
    lists = {"strategies": "strategy", "shots": "shots"}
    for name, option in lists.items():
        if (values := options.pop(name, None)) is not None and option not in given:
            if not values:
                raise SettingError(f"{where}: {name} is empty; expected one")
            if len(values) > 1:
                listed = ", ".join(map(str, values))
                raise SettingError(
                    f"{where}: {name} are {listed}; contsym run takes one: give --{option}, or use contsym sweep"
                )
            options[option] = values[0]
    settings = {
        name: _texts(name, values)
        for name, values in options.pop("settings", {}).items()
        if name not in given
    }
    for name, values in settings.items():
        if not values:
            raise SettingError(f"{where}: {name} is empty; expected one value")
        if len(values) > 1:
            raise SettingError(
                f"{where}: {name} has the values {', '.join(values)}; contsym run takes one: give --set, or use contsym sweep"
            )
    if settings:
        options["settings"] = {name: values[0] for name, values in settings.items()}
    return {name: value for name, value in options.items() if name not in given}
