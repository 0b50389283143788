"""Loads the pairs of a run's experiences once, and draws each seed's training pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from contsym.config import LEAST, RunConfig, Shots
from contsym.data import cache, shortcuts
from contsym.data.schema import Draw, TaskData, stacked
from contsym.data.shots import (
    check_shots,
    check_size,
    classes_of,
    few_shot_order,
    few_shot_rows,
    fewest_shots,
    missing_labels,
    most_shots,
    subset,
    subset_rows,
)
from contsym.errors import SettingError
from contsym.models.encoders import resolve
from contsym.results.metrics.trajectory import part_size
from contsym.scenarios.experiences import experience_data, flip_labels, in_space, limited
from contsym.tasks.schema import size_option

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

    from contsym.data.audit import Finding, Overview
    from contsym.models.encoders.checkpoints import EncoderFiles, Head
    from contsym.scenarios.schema import ScenarioPlan


SHOTS = "--shots"
FIRST_SCORED = 16
"""Validation pairs that are scored first where a target may be out of reach."""
T = TypeVar("T")


@dataclass
class Shared:
    """Data that the plans of one process load and audit once."""

    values: dict[tuple[object, ...], Any] = field(default_factory=dict)

    def once(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        """The value of this key, computed at its first use."""
        if key not in self.values:
            self.values[key] = compute()
        return self.values[key]

    def check(self, files: EncoderFiles, head: Head) -> None:
        """`resolve.check`, once per head."""
        self.once(("check", files.folder, head), lambda: resolve.check(files, head))

    @contextmanager
    def loading_ahead(self, scenario: ScenarioPlan, config: RunConfig) -> Iterator[None]:
        """Parse large data in the background while the block runs, unless they are in the cache.

        What remains to be waited for after the block is used to load and audit the other tasks.
        """
        requests = [_request(scenario, place, config) for place in range(len(scenario.experiences))]
        with cache.parsed_ahead(each for each in requests if each not in self.values) as parsed:
            yield
            for place, experience in enumerate(scenario.experiences if parsed else ()):
                # What is only tested is audited against every trained task.
                if requests[place] not in parsed and not experience.tested_only:
                    task = self.load(scenario, place, config)
                    if config.audit:
                        self.overview(task, config)

    def load(self, scenario: ScenarioPlan, place: int, config: RunConfig) -> TaskData:
        """The pairs of an experience; each task and each experience is loaded once."""
        request, experience, space = (
            _request(scenario, place, config),
            scenario.experiences[place],
            scenario.label_space,
        )
        task = self.once(request, lambda: cache.load_task(*request))
        data = self.once((*request, experience), lambda: experience_data(task, experience))
        data = self.once((*request, experience, space, place), lambda: in_space(data, space, place))
        if (n := config.limit) is not None:
            data = self.once((*request, experience, space, place, n), lambda: limited(data, n))
        if not experience.tested_only:
            return data
        trained = tuple(self.load(scenario, place, config) for place in range(scenario.n_trained))
        # The curve of a test set is of its test pairs, since no choice is made by it.
        validation = data.test if data.spec.test_only else data.validation
        return replace(
            data, train=stacked([each.train for each in trained]), validation=validation, trained_on=trained
        )

    def chosen(self, task: TaskData, config: RunConfig, seed: int) -> Dataset:
        """The chosen number of the experience's training pairs; drawn once per choice.

        In the seed's order, except where all pairs are chosen and seen more than once.
        """
        option, n, draw = _size(task, config)
        if n is None and not config.one_pass:
            return task.train

        def rows() -> np.ndarray:
            if draw and n is None:
                return few_shot_order(task.train, seed, draw, classes_of(task))
            if n is None:
                return subset_rows(task.train, len(task.train), seed, option)
            if draw:
                return few_shot_rows(task.train, n, seed, draw, classes_of(task))
            return subset_rows(task.train, n, seed, option)

        return task.train.select(self.once(("rows", task.fingerprint, option, n, draw, seed), rows))

    def shortcut_scores(self, task: TaskData, config: RunConfig, seed: int) -> dict[str, float]:
        """The accuracy of each shortcut, trained on the pairs of this seed."""
        key: list[object] = [task.fingerprint]
        for of in task.trained_on or (task,):
            (option, n, draw), share = choice(of, config), noise(of, config)
            # All pairs without noise are the same for every seed.
            is_drawn = n is not None or share is not None or config.one_pass
            key += [of.fingerprint, option, n, draw, share, seed if is_drawn else None]

        def scores() -> dict[str, float]:
            return shortcuts.scores(training_part(task, config, seed, self), task.test)

        return self.once(("shortcuts", *key), lambda: cache.cached_value(task, ["shortcuts", *key], scores))

    def overview(self, task: TaskData, config: RunConfig) -> Overview:
        """The leaks of an experience, and the shortcuts trained on the pairs of the first seed."""
        from contsym.data.audit import Finding, Overview, leaks

        trained = [each.fingerprint for each in task.trained_on or (task,)]

        def findings() -> tuple[Finding, ...]:
            what = ["leaks", *trained, task.split]
            values = cache.cached_value(task, what, lambda: [asdict(f) for f in leaks(task)])
            return tuple(Finding(**{**value, "examples": tuple(value["examples"])}) for value in values)

        leak_findings = self.once(("leaks", task.fingerprint, *trained, task.split), findings)
        return Overview(task.name, leak_findings, self.shortcut_scores(task, config, config.seeds[0]))


def _request(scenario: ScenarioPlan, place: int, config: RunConfig) -> cache.Request:
    """Task, source, form and split of the pairs that an experience is made of."""
    task, experience = scenario.specs[place], scenario.experiences[place]
    form = "lexicalised" if experience.form else config.form
    split = (experience.split or config.split) if task.symmetry else None
    return task, config.source(task), form, split


def training_part(task: TaskData, config: RunConfig, seed: int, shared: Shared | None = None) -> Dataset:
    """The training pairs of an experience for this seed, with label noise if the experience has any.

    Of one that is only tested those of all experiences that are trained on. Raises SettingError if the data have fewer
    than the chosen number.
    """
    if task.trained_on:
        return stacked([training_part(each, config, seed, shared) for each in task.trained_on])
    with _experience_in_errors(task):
        part = (shared or Shared()).chosen(task, config, seed)
        share = noise(task, config)
        if share is None:
            return part
        return flip_labels(part, share, seed, list(dict.fromkeys(task.train["label"][:])), task.labels)


def n_training_pairs(task: TaskData, config: RunConfig) -> int:
    """The length of `training_part`, the same for every seed, without drawing. Raises SettingError as it does."""
    if task.tested_only:
        return 0
    option, n, draw = _size(task, config)
    if n is None:
        return len(task.train)
    with _experience_in_errors(task):
        if draw:
            check_shots(task.train, n, draw, classes_of(task))
        else:
            check_size(task.train, n, option)
    return n


@contextmanager
def _experience_in_errors(task: TaskData) -> Iterator[None]:
    """Add the experience to a SettingError, unless its name is the task's."""
    try:
        yield
    except SettingError as error:
        if task.name == task.task:
            raise
        raise SettingError(f"{error} (experience {task.name})") from None


def choice(task: TaskData, config: RunConfig) -> tuple[str, Shots, Draw | None]:
    """The option for the number of an experience's training pairs, its value (None: all pairs), and how they are drawn
    from those of a few-shot task."""
    if task.few_shot and (config.shots is not None or config.one_pass):
        return SHOTS, config.shots, config.draw
    return size_option(task.task), config.sizes.get(task.task), None


def limit_notes(config: RunConfig) -> list[str]:
    """A remark where only some of the data are used."""
    n = config.limit
    return (
        []
        if n is None
        else [f"--limit {n}: at most {n:,} examples of each part of the data; only a quick look"]
    )


def draw_notes(task: TaskData, config: RunConfig, part: Dataset) -> list[str]:
    """A remark where the natural draw of an experience's training pairs has no pair of a label."""
    if choice(task, config)[2] != "natural":
        return []
    missing = missing_labels(part, task.train, classes_of(task))
    names = " and no ".join(missing)
    return (
        [f"{task.name}: the natural draw of {len(part):,} training pairs has no {names} ones"]
        if missing
        else []
    )


def shots_to_try(tasks: Sequence[TaskData], config: RunConfig) -> list[int]:
    """The numbers of shots among which the least one is looked for: the steps that all tasks can give, and the most."""
    most = min(most_shots(task.train, config.draw, classes_of(task)) for task in tasks)
    fewest = max(fewest_shots(task.train, config.draw, classes_of(task)) for task in tasks)
    return [*(n for n in range(config.step, most, config.step) if n >= fewest), most]


def _size(task: TaskData, config: RunConfig) -> tuple[str, int | None, Draw | None]:
    """`choice` with a number: for `least`, the largest one that may be tried."""
    option, n, draw = choice(task, config)
    return option, most_shots(task.train, config.draw, classes_of(task)) if n == LEAST else n, draw


def noise(task: TaskData, config: RunConfig) -> float | None:
    """The share of flipped labels, of the run or else of the experience; None for experiences without noise."""
    return task.label_noise if task.label_noise is None or config.label_noise is None else config.label_noise


def fixed_parts(tasks: Sequence[TaskData]) -> list[Dataset]:
    """The validation pairs of each task that are measured while it is trained; the same for every strategy and seed."""
    size = part_size(len(tasks))
    return [subset(t.validation, min(size, len(t.validation)), 0, "validation") for t in tasks]
