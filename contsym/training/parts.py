"""Loads the pairs of a run's experiences once, and draws each seed's training pairs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from contsym.config import RunConfig
from contsym.data import cache, shortcuts
from contsym.data.schema import TaskData
from contsym.data.shots import check_shots, check_size, few_shot_rows, subset_rows
from contsym.data.tasks import TASKS
from contsym.errors import SettingError
from contsym.models.encoders import resolve
from contsym.scenarios.experiences import experience_data, flip_labels

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from datasets import Dataset

    from contsym.data.audit import Finding, Overview
    from contsym.models.encoders.checkpoints import EncoderFiles, Head
    from contsym.scenarios.schema import Experience, ScenarioPlan


SHOTS = "--shots"


@dataclass
class Shared:
    """Data that the plans of one process load and audit once."""

    tasks: dict[tuple[object, ...], TaskData] = field(default_factory=dict)
    rows: dict[tuple[object, ...], np.ndarray] = field(default_factory=dict)
    """Places of the chosen training pairs of an experience, by its fingerprint and the choice."""
    leaks: dict[tuple[object, ...], tuple[Finding, ...]] = field(default_factory=dict)
    scores: dict[tuple[object, ...], dict[str, float]] = field(default_factory=dict)
    checked: set[tuple[Path, str]] = field(default_factory=set)
    """Usable checkpoints, with the head."""

    def check(self, files: EncoderFiles, head: Head) -> None:
        """`resolve.check`, once per head."""
        if (files.folder, head) not in self.checked:
            resolve.check(files, head)
            self.checked.add((files.folder, head))

    @contextmanager
    def loading_ahead(self, scenario: ScenarioPlan, config: RunConfig) -> Iterator[None]:
        """Parse large data in the background while the block runs, unless they are in the cache."""
        requests = [_request(experience, config) for experience in scenario.experiences]
        with cache.parsed_ahead(each for each in requests if each not in self.tasks):
            yield

    def load(self, experience: Experience, config: RunConfig) -> TaskData:
        """The pairs of an experience; each task and each experience is loaded once."""
        key = _request(experience, config)
        if key not in self.tasks:
            self.tasks[key] = cache.load_task(*key)
        if (*key, experience) not in self.tasks:
            self.tasks[*key, experience] = experience_data(self.tasks[key], experience)
        return self.tasks[*key, experience]

    def chosen(self, task: TaskData, config: RunConfig, seed: int) -> Dataset:
        """The chosen number of the experience's training pairs; drawn once per choice."""
        option, n = choice(task, config)
        if n is None:
            return task.train
        key = task.fingerprint, option, n, seed
        if key not in self.rows:
            if option == SHOTS:
                self.rows[key] = few_shot_rows(task.train, n, seed)
            else:
                self.rows[key] = subset_rows(task.train, n, seed, option)
        return task.train.select(self.rows[key])

    def shortcut_scores(self, task: TaskData, config: RunConfig, seed: int) -> dict[str, float]:
        """The accuracy of each shortcut, trained on the pairs of this seed."""
        key = _part_key(task, config, seed)
        if key not in self.scores:

            def compute() -> dict[str, float]:
                return shortcuts.scores(training_part(task, config, seed, self), task.test)

            self.scores[key] = cache.cached_value(task, ["shortcuts", *key], compute)
        return self.scores[key]

    def overview(self, task: TaskData, config: RunConfig) -> Overview:
        """The leaks of an experience, and the shortcuts trained on the pairs of the first seed."""
        from contsym.data.audit import Finding, Overview, leaks

        key = task.fingerprint, task.split
        if key not in self.leaks:
            values = cache.cached_value(task, ["leaks", task.split], lambda: [asdict(f) for f in leaks(task)])
            self.leaks[key] = tuple(Finding(**{**f, "examples": tuple(f["examples"])}) for f in values)
        return Overview(task.name, self.leaks[key], self.shortcut_scores(task, config, config.seeds[0]))


def _request(experience: Experience, config: RunConfig) -> cache.Request:
    """Task, source, form and split of the pairs that an experience is made of."""
    task = experience.task
    form = "lexicalised" if experience.form else config.form
    split = (experience.split or config.split) if TASKS[task].relational else None
    return task, config.source(task), form, split


def training_part(task: TaskData, config: RunConfig, seed: int, shared: Shared | None = None) -> Dataset:
    """The training pairs of an experience for this seed, with label noise if the experience has any.

    Raises SettingError if the data have fewer than the chosen number.
    """
    with _experience_in_errors(task):
        part = (shared or Shared()).chosen(task, config, seed)
        share = noise(task, config)
        if share is None:
            return part
        return flip_labels(part, share, seed, list(dict.fromkeys(task.train["label"][:])))


def n_training_pairs(task: TaskData, config: RunConfig) -> int:
    """The length of `training_part`, the same for every seed, without drawing. Raises SettingError as it does."""
    option, n = choice(task, config)
    if n is None:
        return len(task.train)
    with _experience_in_errors(task):
        if option == SHOTS:
            check_shots(task.train, n)
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


def choice(task: TaskData, config: RunConfig) -> tuple[str, int | None]:
    """The option for the number of an experience's training pairs, and its value; None: all pairs."""
    if TASKS[task.task].relational and config.shots is not None:
        return SHOTS, config.shots
    return f"--{task.task}-size", config.sizes.get(task.task)


def noise(task: TaskData, config: RunConfig) -> float | None:
    """The share of flipped labels, of the run or else of the experience; None for experiences without noise."""
    return task.label_noise if task.label_noise is None or config.label_noise is None else config.label_noise


def _part_key(task: TaskData, config: RunConfig, seed: int) -> tuple[object, ...]:
    """The facts that decide the training pairs of an experience and their labels."""
    (option, n), share = choice(task, config), noise(task, config)
    return task.fingerprint, option, n, share, None if n is None and share is None else seed
