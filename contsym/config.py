"""Run-level settings: what a run is, validated and hashed before anything heavy is loaded."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from contsym.checked import is_number
from contsym.data.schema import BALANCED, Draw, Form
from contsym.data.splits import SplitRule
from contsym.errors import SettingError, nearest
from contsym.files import home_path
from contsym.models.encoders.declared import AUTO, POOLINGS
from contsym.tasks.schema import Task, size_option

Protocol = Literal["sequential", "retrain"]
"""sequential: the strategy learns every task. retrain: all strategies start from one encoder that
knows the first task by a head, and that task is measured by that head, frozen."""
Precision = Literal["auto", "fp32", "bf16"]

Shots = int | Literal["least"] | None
"""Training pairs of an experience with relations. None: all; least: the fewest that reach a target."""
LEAST: Literal["least"] = "least"
ALL = "all"

LORA = "lora:"

DEFAULT_OUTPUT = "mlruns"
DEFAULT_STEP = 16
PASSES = ("epochs", "min_steps", "steps")
"""Settings that say how often training pairs are seen."""
DEFAULT_TARGET = 0.99
DEFAULT_FORM: Form = "lexicalised"


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """What a user chooses alike for a run and for every cell of a sweep.

    A new option is a field here. `key_of` in training/keys.py must know it if it decides a result, and the wall in
    tests/training/test_options.py names the other places.
    """

    encoder: str | None = None
    """None: the default of training/protocol.py, as of `protocol`; a plan has both."""
    pooling: str = AUTO
    """How the encoder's token states become a vector: as it is declared, or one of declared.MODE_NAMES."""
    adapter: str | None = None
    """`lora:RANK`: adapters of this rank are trained in place of the encoder's weights; None: the weights."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Source by task; a task that is not named is bundled, or from the Hub where it is not."""
    form: Form = DEFAULT_FORM
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Training pairs of the tasks that have no shots, as MNLI; a task that is not named gives all."""
    draw: Draw = BALANCED
    """How the shots are drawn from the training pairs."""
    split: SplitRule | None = None
    """The rule of a new train/test split of the Wikidata pairs; None: the split of the source."""
    label_noise: float | None = None
    """Share of flipped labels in the experiences that have any; None: the scenario's."""
    protocol: Protocol | None = None
    pretrain: Mapping[str, Any] = field(default_factory=dict)
    """Hyper-parameters of the fine-tuning that makes the encoder of protocol retrain, like `settings`."""
    plugins: tuple[str, ...] = ()
    """Files of strategies, scenarios and tasks that are not contsym's own; their content counts, not their path."""
    device: str = "auto"
    precision: Precision = "auto"
    limit: int | None = None
    """The most pairs of each part of the data, for a quick look; None: all."""
    one_pass: bool = False
    """Whether each training pair of an experience is seen once, batch after batch, in seeded order."""
    until: float | None = None
    """Accuracy on validation pairs at which training on an experience stops, or that shots `least` are to reach."""
    step: int = DEFAULT_STEP
    """Difference of the numbers of pairs that shots `least` are looked for among."""
    target: float = DEFAULT_TARGET
    """Accuracy to report the fewest pairs for, where `until` names none."""
    curve: bool = True
    """Whether all tasks are measured while training."""
    relearn: bool = False
    """Whether a copy of the model learns the first task again at the end, until its accuracy is back."""
    audit: bool = True
    """Look for leaks and shortcuts in the data before training."""
    save_models: bool = False
    """Whether the trained model of each seed is stored beside its result."""
    output: Path = Path(DEFAULT_OUTPUT)

    @property
    def adapter_rank(self) -> int | None:
        """The rank of the adapters; None without any."""
        return None if self.adapter is None else int(self.adapter.removeprefix(LORA))


@dataclass(frozen=True)
class RunConfig(CellOptions):
    """Everything a user chooses for a run; what follows from it is recorded with the result."""

    strategy: str
    scenario: str
    shots: Shots = None
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Hyper-parameters: text as given with --set, or values from Python, which become that text."""
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        one_form(
            self,
            seeds=whole_numbers("seeds", self.seeds),
            shots=shots_of(self.shots),
            sizes={
                task: whole_number(size_option(task).lstrip("-"), size) for task, size in self.sizes.items()
            },
            settings=as_texts(self.settings),
            pretrain=as_texts(self.pretrain, "--pretrain"),
        )
        if not self.seeds:
            raise SettingError("--seeds is empty; expected numbers such as 0,1,2")
        if len(set(self.seeds)) != len(self.seeds):
            raise SettingError(
                f"--seeds {','.join(map(str, self.seeds))} names one twice; expected each once"
            )
        if any(not 0 <= seed < 2**32 for seed in self.seeds):
            raise SettingError("--seeds: each seed is expected between 0 and 4294967295")
        if isinstance(self.shots, int) and self.shots < 2:
            raise SettingError(f"--shots {self.shots} is too few; expected at least 2")
        for task, size in self.sizes.items():
            if size < 3:
                raise SettingError(f"{size_option(task, size)} is too few; expected at least 3")
        if self.pretrain and self.protocol == "sequential":
            raise SettingError(
                f"--pretrain {','.join(self.pretrain)}: protocol {self.protocol} pretrains nothing; "
                "leave it out or add --protocol retrain"
            )
        if self.pooling not in POOLINGS:
            raise SettingError(f"--pooling {self.pooling}: expected {', '.join(POOLINGS)}")
        if self.adapter is not None and not re.fullmatch(LORA + "[1-9][0-9]{0,3}", self.adapter):
            raise SettingError(f"--adapter {self.adapter}: expected lora:RANK, as lora:16")
        if self.label_noise is not None and not 0 <= self.label_noise <= 1:
            raise SettingError(
                f"--label-noise {self.label_noise:g} is out of range; expected a share of 0 to 1"
            )
        for option in ("target", "until"):
            if (share := getattr(self, option)) is not None and not 0 < share <= 1:
                raise SettingError(f"--{option} {share} is out of range; expected 0 < {option} <= 1")
        if self.limit is not None and self.limit < 2:
            raise SettingError(f"--limit {self.limit} is too few; expected at least 2")
        if self.step < 2:
            raise SettingError(f"--step {self.step} is too few; expected at least 2")
        if self.shots == LEAST:
            check_one_target(self.until, self.target)
        if self.one_pass and self.shots == LEAST:
            raise SettingError(
                "--shots least trains on every pair more than once, and --one-pass sees it once; give one of them"
            )
        if self.one_pass and (given := [name for name in PASSES if name in self.settings]):
            raise SettingError(
                f"--set {given[0]}={self.settings[given[0]]}: with --one-pass every pair is seen once; leave one out"
            )

    @property
    def stop_at(self) -> float | None:
        """The accuracy on validation pairs that ends training on an experience."""
        return None if self.shots == LEAST else self.until

    @property
    def aim(self) -> float:
        """The accuracy to report the fewest pairs for."""
        return self.target if self.until is None else self.until

    def source(self, task: Task) -> str:
        return self.sources.get(task.name, task.default_source)


def to_record(config: Any) -> dict[str, Any]:
    """The fields of a RunConfig or SweepConfig as JSON has them; the class makes the same config of them again."""
    return json.loads(json.dumps(asdict(config), default=str))


def check_one_target(until: float | None, target: float) -> None:
    """Raise SettingError where a search for the least shots is given two accuracies to reach."""
    if until is not None and target not in (DEFAULT_TARGET, until):
        raise SettingError(
            f"--target {target:g}: --shots least searches for one accuracy, that of --until ({until:g}); give one of them"
        )


def strategy_name(text: str) -> str:
    """The one spelling of a strategy with its add-ons.

    >>> strategy_name("knn_fixed + replay")
    'knn_fixed+replay'
    """
    return "+".join(part.strip() for part in text.split("+"))


def one_form(config: Any, **values: object) -> None:
    """Put what a caller from Python gave a RunConfig or SweepConfig into the one form that is hashed, stored and read
    again."""
    if isinstance(getattr(config, "strategy", None), str):
        values["strategy"] = strategy_name(config.strategy)
    paths = {"output": home_path(config.output), "plugins": tuple(map(str, several(config.plugins)))}
    texts = {name: str(given) for name in _TEXTS if (given := getattr(config, name)) is not None}
    kinds = {
        name: of_kind(name, kind, given)
        for name, kind in _kinds(config.__class__).items()
        if (given := getattr(config, name)) is not None
    }
    sources = {task: str(source) for task, source in config.sources.items()}
    for name, value in {**paths, **texts, **kinds, "sources": sources, **values}.items():
        object.__setattr__(config, name, value)


_TEXTS = ("scenario", "encoder", "pooling", "adapter", "device")
"""Fields whose values may come as an object that stands for a text, as a path or a torch.device."""


@cache
def _kinds(config: type) -> dict[str, Any]:
    """By field the type of each choice, flag and number, without the None that a field may also be."""
    found = {}
    for name, hint in get_type_hints(config).items():
        kinds = {*get_args(hint)} - {NoneType} if get_origin(hint) in (Union, UnionType) else {hint}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind in (bool, int, float) or get_origin(kind) is Literal:
            found[name] = kind
    return found


def of_kind(name: str, kind: Any, given: Any) -> Any:
    """The value of an option that is a flag, a number or a choice. Raises SettingError for a value of another kind.

    >>> of_kind("until", float, 1), of_kind("draw", Draw, "natural")
    (1.0, 'natural')
    """
    option, plain = name.replace("_", "-"), _plain(given)
    if kind is int:
        return whole_number(option, given)
    if kind is bool:
        if not isinstance(plain, bool):
            raise SettingError(f"{name}={given!r}: expected True or False")
        return plain
    if kind is float:
        if isinstance(plain, bool) or not isinstance(plain, int | float):
            raise SettingError(f"--{option} {given!r}: expected a number")
        return float(plain)
    choices = get_args(kind)
    if not isinstance(given, str) or given not in choices:
        raise SettingError(f"--{option} {given!r}: {nearest(str(given), choices)}")
    return str(given)


def several(given: Any) -> tuple[Any, ...]:
    """A list as a tuple; a lone value, as a text or a dict, counts as a list of one.

    >>> several([8, 16]), several("least"), several(8)
    ((8, 16), ('least',), (8,))
    """
    # A number of numpy or torch has an iterator that gives nothing.
    is_number = getattr(given, "shape", None) == ()
    is_lone = is_number or isinstance(given, str | Mapping) or not isinstance(given, Iterable)
    return (given,) if is_lone else tuple(given)


def as_texts(values: Mapping[str, Any], option: str = "--set") -> dict[str, str]:
    """Each value as it is typed on the command line.

    >>> as_texts({"steps": 20, "margin": 0.5, "calibrated": True, "k": "3"})
    {'steps': '20', 'margin': '0.5', 'calibrated': 'true', 'k': '3'}
    """
    if not isinstance(values, Mapping):
        raise SettingError(f"{option} {values!r}: expected a dict, as {{'steps': 20}}")
    return {str(name): as_text(name, value, option) for name, value in values.items()}


def as_text(name: str, value: object, option: str = "--set") -> str:
    """A value as it is typed on the command line. Raises SettingError for what cannot be typed there."""
    if isinstance(value, str):
        return value
    plain = _plain(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, int | float):
        return str(plain)
    raise SettingError(f"{option} {name}={value!r}: expected a text, a number, True or False")


def _plain(value: Any) -> Any:
    """Of a number or truth value of numpy or torch Python's own; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


def shots_of(given: Any) -> Shots:
    """A number of shots, `least`, or None for all pairs, as `all` is too. Raises SettingError for anything else."""
    if given is None or given == ALL:
        return None
    return given if given == LEAST else whole_number("shots", given)


def parse_shots(text: str) -> Shots:
    """`16`, `least` or `all`. Raises SettingError for anything else.

    >>> parse_shots("16"), parse_shots(" least"), parse_shots("all")
    (16, 'least', None)
    """
    part = text.strip()
    if part in (LEAST, ALL):
        return shots_of(part)
    if not is_number(part):
        raise SettingError(f"--shots {text!r} is not understood; expected a number, as 64, least or all")
    return int(part)


def whole_numbers(name: str, given: Iterable[Any]) -> tuple[int, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise SettingError(f"--{name} {given!r}: expected a list of whole numbers, as (0, 1, 2)")
    return tuple(whole_number(name, each) for each in given)


def whole_number(name: str, given: Any) -> int:
    try:
        # Python counts with truth values.
        if not isinstance(given, bool):
            return operator.index(given)
    except TypeError:
        pass
    raise SettingError(f"--{name} {given!r}: expected a whole number")


def parse_assignments(pairs: tuple[str, ...], option: str = "--set") -> dict[str, str]:
    """`("k=5", "margin=0.4")` to a dict. Raises SettingError for anything else."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise SettingError(f"{option} {pair!r} is no setting; expected name=value, as k=5")
        if name.strip() in found:
            raise SettingError(f"{option} {name.strip()} is given twice; give it once")
        found[name.strip()] = value.strip()
    return found


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` means three seeds, 0 to 2; `0,1,2`, `10-14` and `3,` name them. Raises SettingError for anything else.

    >>> parse_seeds("3"), parse_seeds("7,8"), parse_seeds("3,"), parse_seeds("3-3")
    ((0, 1, 2), (7, 8), (3,), (3,))
    """
    if is_number(text.strip()):
        if not 1 <= int(text) <= 10_000:
            raise SettingError(
                f"--seeds {text}: expected between 1 and 10,000 seeds, or a list as 0,1,2; the seed {text} alone is "
                f"{text.strip()},"
            )
        return tuple(range(int(text)))
    seeds: list[int] = []
    for part in text.strip().removesuffix(",").split(","):
        first, dash, last = part.strip().partition("-")
        if not is_number(first) or (dash and not is_number(last)):
            raise SettingError(
                f"--seeds {text!r} is not understood; expected 3 for three seeds, or 0,1,2 or 0-4"
            )
        if dash and int(last) < int(first):
            raise SettingError(
                f"--seeds {text!r}: {part.strip()} goes down; expected {last.strip()}-{first.strip()}"
            )
        if dash and int(last) - int(first) > 10_000:
            raise SettingError(f"--seeds {text!r} names more than 10,000 seeds")
        seeds.extend(range(int(first), int(last) + 1) if dash else [int(first)])
    return tuple(seeds)
