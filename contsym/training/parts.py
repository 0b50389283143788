"""The pairs of a run's experiences, loaded once, and those of them that a seed is trained on."""

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
    """What the plans of one process have in common, so that it is loaded and looked through once."""

    tasks: dict[tuple[object, ...], TaskData] = field(default_factory=dict)
    rows: dict[tuple[object, ...], np.ndarray] = field(default_factory=dict)
    """Where the chosen training pairs of an experience are, by its fingerprint and the choice."""
    leaks: dict[tuple[object, ...], tuple[Finding, ...]] = field(default_factory=dict)
    scores: dict[tuple[object, ...], dict[str, float]] = field(default_factory=dict)
    checked: set[tuple[Path, str]] = field(default_factory=set)
    """Checkpoints that can be used, with the head."""

    def check(self, files: EncoderFiles, head: Head) -> None:
        """`encoders.check`, once for each head."""
        if (files.folder, head) not in self.checked:
            resolve.check(files, head)
            self.checked.add((files.folder, head))

    @contextmanager
    def loading_ahead(self, scenario: ScenarioPlan, config: RunConfig) -> Iterator[None]:
        """While the block runs, large data that nobody has parsed yet are parsed beside it."""
        asked = [_asked(experience, config) for experience in scenario.experiences]
        with cache.parsed_ahead(each for each in asked if each not in self.tasks):
            yield

    def load(self, experience: Experience, config: RunConfig) -> TaskData:
        """The pairs of an experience, whole tasks and experiences each loaded once."""
        key = _asked(experience, config)
        if key not in self.tasks:
            self.tasks[key] = cache.load_task(*key)
        if (*key, experience) not in self.tasks:
            self.tasks[*key, experience] = experience_data(self.tasks[key], experience)
        return self.tasks[*key, experience]

    def chosen(self, task: TaskData, config: RunConfig, seed: int) -> Dataset:
        """As many of the experience's training pairs as were asked for; drawn once for each choice."""
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
        """What the shortcuts score with the training pairs of this seed."""
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
            found = cache.cached_value(task, ["leaks", task.split], lambda: [asdict(f) for f in leaks(task)])
            self.leaks[key] = tuple(Finding(**{**f, "examples": tuple(f["examples"])}) for f in found)
        return Overview(task.name, self.leaks[key], self.shortcut_scores(task, config, config.seeds[0]))


def _asked(experience: Experience, config: RunConfig) -> cache.Request:
    """The task's pairs that an experience is made of, as they are loaded."""
    task = experience.task
    form = "lexicalised" if experience.form else config.form
    split = (experience.split or config.split) if TASKS[task].relational else None
    return task, config.source(task), form, split


def training_part(task: TaskData, config: RunConfig, seed: int, shared: Shared | None = None) -> Dataset:
    """The training pairs that this seed of this run may use in an experience.

    Raises SettingError where the data have fewer than were asked for.
    """
    with _naming(task):
        part = (shared or Shared()).chosen(task, config, seed)
        share = noise(task, config)
        return (
            part
            if share is None
            else flip_labels(part, share, seed, list(dict.fromkeys(task.train["label"][:])))
        )


def n_training_pairs(task: TaskData, config: RunConfig) -> int:
    """How many pairs `training_part` has, of any seed, without drawing them. Raises SettingError as it does."""
    option, n = choice(task, config)
    if n is None:
        return len(task.train)
    with _naming(task):
        if option == SHOTS:
            check_shots(task.train, n)
        else:
            check_size(task.train, n, option)
    return n


@contextmanager
def _naming(task: TaskData) -> Iterator[None]:
    """What is wrong with a choice says for which experience, where its name is not the task's."""
    try:
        yield
    except SettingError as error:
        if task.name == task.task:
            raise
        raise SettingError(f"{error} (experience {task.name})") from None


def choice(task: TaskData, config: RunConfig) -> tuple[str, int | None]:
    """The option that says how many of the experience's training pairs are used, and what it says; None: all."""
    if TASKS[task.task].relational and config.shots is not None:
        return SHOTS, config.shots
    return f"--{task.task}-size", config.sizes.get(task.task)


def noise(task: TaskData, config: RunConfig) -> float | None:
    """The share of flipped labels; None where the experience has none and a run cannot ask for any."""
    is_given = task.label_noise is not None and config.label_noise is not None
    return config.label_noise if is_given else task.label_noise


def _part_key(task: TaskData, config: RunConfig, seed: int) -> tuple[object, ...]:
    """What decides the training pairs of an experience and their labels."""
    (option, n), share = choice(task, config), noise(task, config)
    return task.fingerprint, option, n, share, None if n is None and share is None else seed
