"""A run looked up and checked before anything is trained: data, encoder, settings, key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from contsym import plugins
from contsym.config import DEFAULT_FORM, RunConfig
from contsym.data import shortcuts
from contsym.data.schema import BALANCED, TaskData
from contsym.data.sources import parse_source
from contsym.errors import SettingError
from contsym.machine import changed_environment, quiet_libraries, run_environment
from contsym.models.encoders import checkpoints
from contsym.models.encoders.declared import Pooling
from contsym.models.encoders.device import Precision, choose_device, choose_precision
from contsym.models.encoders.presets import LARGE_DIM, PRESETS
from contsym.models.encoders.resolve import check_saveable, size, with_limit, with_pooling
from contsym.results import store
from contsym.scenarios.catalog import find_scenario, scenario_runs
from contsym.strategies.catalog import find_strategy, load_strategy
from contsym.tasks.schema import option_of, size_option
from contsym.training.parts import Shared, n_training_pairs, training_part
from contsym.training.protocol import (
    check_head_pooling,
    check_inputs,
    check_pretraining,
    check_relearning,
    check_start,
    with_defaults,
)

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.data.audit import Overview
    from contsym.plugins import Plugins
    from contsym.scenarios.schema import ScenarioPlan
    from contsym.strategies.base import Strategy, TrainingSettings
    from contsym.strategies.catalog import Card


PRETRAINING = "fine_tune"


def pretraining_config(config: RunConfig) -> RunConfig:
    """The run whose first experience makes the encoder that a retrain run starts from."""
    return replace(
        config,
        strategy=PRETRAINING,
        settings=config.pretrain,
        adapter=None,
        protocol="sequential",
        pretrain={},
        shots=None,
        one_pass=False,
        until=None,
        # A run takes the encoder and the head from it, and no point.
        curve=False,
        relearn=False,
    )


def check_freeze(value: str, strategy: Card, encoder: str, n_layers: int | None) -> None:
    """Raise SettingError where the strategy trains no encoder, or an encoder of n_layers has no layer left.

    n_layers None: not known before the encoder is loaded.
    """
    # Here, not above: it imports torch, and `prepare` first sets how its threads wait.
    from contsym.models.encoders.freezing import n_frozen_layers, too_many_layers

    n_frozen = n_frozen_layers(value)
    if n_frozen is None:
        return
    # Of a plug-in the words are its author's.
    if "encoder" not in strategy.trains and not strategy.origin:
        raise SettingError(
            f"--freeze {value}: strategy {strategy.name} trains {strategy.trains} and leaves the encoder as it "
            "is; leave --freeze out"
        )
    if n_layers is not None and n_frozen >= n_layers:
        raise SettingError(too_many_layers(value, encoder, n_layers))


def _check_adapter(config: RunConfig, named: Plugins, strategy: type[Strategy], freeze: str) -> None:
    """Raise SettingError where there are no weights that adapters could be trained in place of."""
    from contsym.models.encoders.freezing import NOTHING

    if config.adapter is None:
        return
    card, option = find_strategy(config.strategy, named), f"--adapter {config.adapter}"
    if "adapter" in card.trains:
        raise SettingError(f"{option}: strategy {card.name} has adapters of its own; leave --adapter out")
    # Of a plug-in the words are its author's.
    if not strategy.trains or ("encoder" not in card.trains and not card.origin):
        raise SettingError(
            f"{option}: strategy {card.name} trains {card.trains} and leaves the encoder as it is; leave --adapter "
            "out"
        )
    if freeze != NOTHING:
        raise SettingError(
            f"{option}: adapters leave all weights as they are, so there are none for freeze={freeze}; leave one out"
        )


@dataclass(frozen=True)
class Plan:
    """A run with everything looked up and checked: what is shown before it starts."""

    config: RunConfig
    plugins: Plugins
    scenario: ScenarioPlan
    strategy: type[Strategy]
    settings: TrainingSettings
    learning_rate: float
    encoder: checkpoints.EncoderFiles
    tasks: tuple[TaskData, ...]
    device: str
    precision: Precision
    audits: Mapping[str, Overview] = field(default_factory=dict)
    """By task, with the training pairs of the first seed; empty where none was asked for."""
    is_trial: bool = False
    """Whether it chooses a setting: `test` of its tasks then holds validation pairs, and nothing is looked at."""
    shared: Shared = field(default_factory=Shared, repr=False, compare=False)

    @property
    def trained(self) -> tuple[TaskData, ...]:
        """The experiences that are trained on; those that are only tested come after them."""
        return self.tasks[: self.scenario.n_trained]

    @property
    def pooling(self) -> Pooling:
        assert self.encoder.pooling is not None, "prepare has looked"
        return self.encoder.pooling

    def with_shots(self, n: int) -> Plan:
        """The plan with a given number of shots, trained on to the end; what it aims at is reported as before."""
        return replace(self, config=replace(self.config, shots=n, until=None, target=self.config.aim))

    def training_part(self, task: TaskData, seed: int) -> Dataset:
        """The training pairs of an experience for a seed, drawn once in all plans that share what they have loaded."""
        return training_part(task, self.config, seed, self.shared)


def prepare(config: RunConfig, shared: Shared | None = None) -> Plan:
    """Look up and check everything a run needs; nothing is trained and nothing is written but
    the output folder. The cheapest checks come first, so that a mistyped name answers at once.

    `shared` holds what earlier plans of this process have loaded. Raises ContsymError for
    whatever the user can mend.
    """
    # For whoever calls from Python: the first import of torch is inside.
    with changed_environment(run_environment()):
        return _prepare(config, Shared() if shared is None else shared)


def _prepare(config: RunConfig, shared: Shared) -> Plan:
    named = plugins.read(config.plugins)
    card = find_strategy(config.strategy, named)
    scenario = find_scenario(config.scenario, named)
    check_inputs(card, scenario)
    if scenario.all_orders:
        one = scenario_runs(config.scenario, named)[0]
        raise SettingError(
            f"scenario {config.scenario} stands for a run in each order; expected one, as {one}"
        )
    check_sources(config, scenario)
    store.check_writable(config.output)
    with shared.loading_ahead(scenario, config):
        named_encoder = None if config.encoder is None else checkpoints.locate(config.encoder)
        quiet_libraries()
        strategy = load_strategy(config.strategy, named)
        config = with_defaults(config, scenario, {config.strategy: strategy})
        files = with_pooling(named_encoder or checkpoints.locate(str(config.encoder)), config.pooling)
        settings = parse_settings(strategy, config.settings)
        strategy.check(files, settings)
        if config.one_pass or config.stop_at is not None:
            strategy.check_batches(settings)
        check_head_pooling(config, files, strategy)
        for addon in strategy.addons:
            addon.check(strategy, config, scenario.n_trained)
        shared.check(files, strategy.wants_head)
        if config.save_models:
            check_saveable(files, strategy.wants_head)
        # All that can be refused without the data is refused before they are read.
        _check_freeze(config, named, files, settings)
        _check_adapter(config, named, strategy, settings.freeze)
        if config.protocol == "retrain":
            check_start(config, files, scenario, strategy)
            check_pretraining(parse_settings(load_strategy(PRETRAINING), config.pretrain, "--pretrain"))
        if config.relearn:
            check_relearning(config, files, scenario.tasks[: scenario.n_trained], strategy)
        device = choose_device(config.device)
        precision = choose_precision(config.precision, device)
        if config.audit:
            shortcuts.import_libraries()
    tasks = tuple(shared.load(scenario, place, config) for place in range(len(scenario.experiences)))
    files = with_limit(files)
    for task in tasks:
        training_part(task, config, config.seeds[0], shared)
    return Plan(
        config=config,
        plugins=named,
        scenario=scenario,
        strategy=strategy,
        settings=settings,
        learning_rate=settings.learning_rate or default_learning_rate(files),
        encoder=files,
        tasks=tasks,
        device=device,
        precision=precision,
        audits={task.name: shared.overview(task, config) for task in tasks} if config.audit else {},
        shared=shared,
    )


def check_sources(config: RunConfig, scenario: ScenarioPlan) -> None:
    """Raise SettingError for options of data that the scenario has not."""
    tasks = {task.name: task for task in scenario.specs}
    for name, source in config.sources.items():
        if name not in tasks:
            raise SettingError(
                f"{option_of(name, source)}: scenario {config.scenario} has no {name} task; it has {', '.join(tasks)}"
            )
    for task in tasks.values():
        if task.name in config.sources or not task.default_source.startswith("hub"):
            parse_source(task, config.source(task), config.form)
    trained = {task.name: task for task in scenario.specs[: scenario.n_trained]}
    given = {"--shots": config.shots is not None, "--draw": config.draw != BALANCED}
    for option, is_given in given.items():
        if is_given and not any(task.few_shot for task in trained.values()):
            raise SettingError(
                f"{option}: scenario {config.scenario} has no task with shots; expected one with few_shot = true, as wikidata"
            )
    # Of a task on the Hub each form may be a dataset.
    given = {
        "--split": config.split is not None and not any(task.symmetry for task in tasks.values()),
        "--form": config.form != DEFAULT_FORM
        and not any(task.symmetry or task.hub for task in tasks.values()),
    }
    for option, is_useless in given.items():
        if is_useless:
            raise SettingError(
                f"{option}: scenario {config.scenario} has no task of symmetric relations; expected one such as wikidata"
            )
    for name, n in config.sizes.items():
        if name not in trained:
            what = f"only tests {name}" if name in tasks else f"has no {name} task"
            raise SettingError(f"{size_option(name, n)}: scenario {config.scenario} {what}")
    for option, is_given in (("form", config.form != DEFAULT_FORM), ("split", config.split is not None)):
        fixed = [e.name for e in scenario.experiences if getattr(e, option) is not None]
        if is_given and fixed:
            raise SettingError(
                f"--{option}: scenario {config.scenario} sets the {option} of {', '.join(fixed)} itself; leave it out"
            )
    if config.label_noise is not None and not any(e.label_noise is not None for e in scenario.experiences):
        raise SettingError(
            f"--label-noise: scenario {config.scenario} has no experience with noisy labels; expected one such as "
            "noisy_labels"
        )


def _check_freeze(
    config: RunConfig, named: Plugins, files: checkpoints.EncoderFiles, settings: TrainingSettings
) -> None:
    card = find_strategy(config.strategy, named)
    check_freeze(settings.freeze, card, files.name, size(files, "num_hidden_layers"))


def resolved(plan: Plan, config: RunConfig) -> Plan:
    """The plan with another strategy or other settings on the same data and encoder."""
    strategy = load_strategy(config.strategy, plan.plugins)
    settings = parse_settings(strategy, config.settings)
    rate = settings.learning_rate or default_learning_rate(plan.encoder)
    return replace(plan, config=config, strategy=strategy, settings=settings, learning_rate=rate)


def n_training_steps(plan: Plan, place: int, n_each: Sequence[int]) -> int:
    """Gradient steps on an experience, of the training pairs that each has; none where it only stores them."""
    task, one_pass = plan.tasks[place], plan.config.one_pass
    only_stores = task.storing_only and plan.strategy.has_memory()
    takes_steps = plan.strategy.trains and not only_stores and not task.tested_only
    if not takes_steps:
        return 0
    n_pairs = n_each[place]
    for addon in plan.strategy.addons:
        n_pairs = addon.n_trained_on([*n_each[:place], n_pairs], plan.settings, one_pass=one_pass)
    return plan.settings.n_steps(n_pairs, one_pass)


def n_steps_of(plan: Plan) -> int:
    """Gradient steps of a seed of the plan; under protocol retrain the first task is known and takes none."""
    n_each = [n_training_pairs(task, plan.config) for task in plan.tasks]
    first = 1 if plan.config.protocol == "retrain" else 0
    return sum(n_training_steps(plan, place, n_each) for place in range(first, len(plan.tasks)))


def parse_settings(
    strategy: type[Strategy], texts: Mapping[str, str], option: str = "--set"
) -> TrainingSettings:
    """The strategy's settings: its defaults, with those in `texts` in their place, as values of the right type.

    Raises SettingError that names the setting, the value and what was expected.
    """
    from difflib import get_close_matches

    from pydantic import ValidationError

    fields = strategy.Settings.model_fields
    for name in texts:
        if name not in fields:
            near = get_close_matches(name, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise SettingError(
                f"{option} {name}: no setting of this strategy; {hint}it has {', '.join(sorted(fields))}"
            )
    try:
        return strategy.Settings.model_validate(dict(texts))
    except ValidationError as error:
        first = error.errors()[0]
        expected = str(first["msg"]).removeprefix("Input should be ")
        if not first["loc"]:
            # A plug-in's rule over several settings.
            raise SettingError(f"{option}: {expected.removeprefix('Value error, ')}") from None
        name = str(first["loc"][0])
        if name not in texts:
            raise SettingError(
                f"{option} {name}: the default is refused, expected {expected}; give it a value"
            ) from None
        raise SettingError(f"{option} {name}={texts[name]}: expected {expected}") from None


def default_learning_rate(files: checkpoints.EncoderFiles) -> float:
    """The preset's, or for an unknown encoder the one that suits its width."""
    if files.preset:
        return files.preset.learning_rate
    width = size(files, "hidden_size")
    is_large = width is not None and width >= LARGE_DIM
    return PRESETS["roberta-large" if is_large else "minilm"].learning_rate
