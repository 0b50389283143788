"""What a run can be: whether its strategy takes the examples, whether it can start from an encoder that knows the first task
or learn that task again at the end, and the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from contsym.config import CellOptions, Protocol, RunConfig
from contsym.data.schema import some_of
from contsym.errors import SettingError
from contsym.models.encoders import checkpoints
from contsym.models.encoders.nli_head import kind_of_head
from contsym.models.encoders.presets import PRESETS
from contsym.models.encoders.resolve import with_pooling
from contsym.tasks.schema import NLI_LABELS

if TYPE_CHECKING:
    from contsym.models.settings import TrainingSettings
    from contsym.scenarios.schema import ScenarioPlan
    from contsym.strategies.base import Strategy
    from contsym.strategies.catalog import Card


Options = TypeVar("Options", bound=CellOptions)
"""A RunConfig or a SweepConfig."""

START = "minilm-nli"
"""The default encoder of protocol retrain where it knows the first task."""
PLAIN = "minilm"
"""The default encoder elsewhere: contsym has not trained it on the first task."""


def with_defaults(
    options: Options, scenario: ScenarioPlan, strategies: Mapping[str, type[Strategy]]
) -> Options:
    """The options with a protocol and an encoder where they name none.

    The protocol is retrain where all strategies can be retrained in this scenario, and sequential elsewhere. It is the
    same for all strategies of a sweep, whose figures stand beside each other.
    """
    protocol = options.protocol or _default_protocol(scenario, strategies)
    is_known = protocol == "retrain" and scenario.tasks[0] in PRESETS[START].seen
    # An encoder with a head is not pretrained, so who gives settings for that means another.
    usual = START if is_known and not options.pretrain else PLAIN
    encoder = usual if options.encoder is None else options.encoder
    return replace(options, protocol=protocol, encoder=encoder)


def _default_protocol(scenario: ScenarioPlan, strategies: Mapping[str, type[Strategy]]) -> Protocol:
    # Of a scenario in all orders, every order has the same protocol, also where it begins with a relational task.
    is_in_orders = scenario.all_orders or ":" in scenario.name
    first = scenario.experiences[0]
    # The head of an encoder knows a task with all its labels and pairs, so a part of it is nothing to begin with.
    is_whole = not first.labels and not first.part and first.label_noise is None
    if is_in_orders or not is_whole or _obstacle(scenario, strategies):
        return "sequential"
    return "retrain"


def _obstacle(scenario: ScenarioPlan, strategies: Mapping[str, type[Strategy]]) -> str:
    """Why these strategies cannot be retrained in a scenario; empty if they can."""
    first = scenario.specs[0]
    if scenario.mode != "shared":
        return f"scenario {scenario.name} has label_space {scenario.mode!r}; expected 'shared', or --protocol sequential"
    if scenario.n_trained < 2 or not first.is_nli or first.few_shot:
        return (
            f"scenario {scenario.name} is {', '.join(scenario.tasks)}; expected an NLI task that the encoder knows before, "
            "and others after it, as mnli_then_wikidata"
        )
    for name, strategy in strategies.items():
        if strategy.wants_head == "language_model":
            return (
                f"{name} asks a language model and has no encoder to retrain; expected --protocol sequential"
            )
    return ""


def check_inputs(strategy: Card, scenario: ScenarioPlan) -> None:
    """Raise SettingError where the strategy cannot take the scenario's examples or labels."""
    words = {"pair": "pairs", "single": "single texts"}
    if scenario.inputs not in strategy.inputs:
        raise SettingError(
            f"--strategy {strategy.name}: it takes {words['single' if strategy.inputs == 'single' else 'pair']}, and "
            f"scenario {scenario.name} has {words[scenario.inputs]}; expected one such as fine_tune (contsym list strategies)"
        )
    names = scenario.label_space.names
    if strategy.labels == "nli" and names != NLI_LABELS:
        raise SettingError(
            f"--strategy {strategy.name}: it answers {', '.join(NLI_LABELS)}, and the labels of scenario "
            f"{scenario.name} are {some_of(names, 5)}; expected one such as fine_tune (contsym list strategies)"
        )


def check_start(
    config: RunConfig, files: checkpoints.EncoderFiles, scenario: ScenarioPlan, strategy: type[Strategy]
) -> None:
    """Raises SettingError where protocol retrain cannot be done with these choices."""
    if obstacle := _obstacle(scenario, {config.strategy: strategy}):
        raise SettingError(f"--protocol retrain: {obstacle}")
    kind = kind_of_head(files)
    if kind and config.pretrain:
        raise SettingError(
            f"--pretrain: encoder {files.name} has an NLI head already and is not pretrained; leave it out"
        )
    if kind == "joint" and checkpoints.read_config(files.folder).get("is_encoder_decoder"):
        raise SettingError(
            f"--protocol retrain: {files.name} is a sequence-to-sequence classifier, whose encoder alone is retrained; "
            "expected an encoder with an NLI head, or --protocol sequential"
        )
    if kind == "joint" and strategy.addons:
        raise SettingError(
            f"--strategy {config.strategy}: under --protocol retrain an add-on needs a head over two sentences, "
            f"and that of {files.name} reads them as one text; make an encoder with contsym pretrain, or give "
            "--protocol sequential"
        )


def check_head_pooling(config: RunConfig, files: checkpoints.EncoderFiles, strategy: type[Strategy]) -> None:
    """Raise SettingError where an NLI head would read other vectors than it was trained over."""
    is_used = config.protocol == "retrain" or strategy.wants_head == "nli"
    if not is_used or kind_of_head(files) != "pair":
        return
    trained = with_pooling(files).pooling
    assert trained is not None and files.pooling is not None
    if trained.facts() != files.pooling.facts():
        raise SettingError(
            f"--pooling {config.pooling}: the NLI head of {files.name} was trained over other vectors "
            f"({trained.facts().words}); leave it out, or give --protocol sequential and a method without that head"
        )


def check_pretraining(settings: TrainingSettings) -> None:
    """Raise SettingError for a fine-tuning whose head cannot be the known one."""
    if (head := getattr(settings, "head", "pair")) != "pair":
        raise SettingError(
            f"--pretrain head={head}: the known head reads two sentences apart; expected head=pair, the default"
        )


def check_relearning(
    config: RunConfig, files: checkpoints.EncoderFiles, tasks: tuple[str, ...], strategy: type[Strategy]
) -> None:
    """Raise SettingError where a run cannot learn its first task again by gradient steps."""
    if len(tasks) < 2:
        raise SettingError(
            f"--relearn: scenario {config.scenario} has one task, which nothing follows; leave it out"
        )
    if not strategy.trains:
        raise SettingError(
            f"--relearn: strategy {config.strategy} takes no gradient steps, so it cannot learn a task again; leave "
            "it out"
        )
    if config.protocol == "retrain" and strategy.keeps_encoder:
        raise SettingError(
            f"--relearn: under --protocol retrain {config.strategy} keeps the encoder of the first task as it is, so there "
            "is nothing to learn again; leave it out"
        )
    if config.protocol == "retrain" and kind_of_head(files) == "joint":
        raise SettingError(
            f"--relearn: under --protocol retrain it needs a head over two sentences, and that of {files.name} reads "
            "them as one text; make an encoder with contsym pretrain"
        )
