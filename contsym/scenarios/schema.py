"""Scenario files: TOML in, checked experiences out, without loading any data."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from contsym.checked import Closed, Several, different, expect, read_model
from contsym.data.schema import OneForm
from contsym.data.splits import SplitRule
from contsym.errors import ContsymError
from contsym.plugins import INSTALLED, Plugins
from contsym.scenarios.labels import LabelSpace, Mode, label_space
from contsym.tasks.catalog import tasks
from contsym.tasks.schema import NAME, NAME_WORDS, Inputs, Task, TaskFile, named

MAX_PARTS = 1000
MAX_PERMUTED = 5
"""Most experiences of a scenario in all orders: 5 have 120 orders."""
_PART = re.compile(r"(\d{1,9}) of (\d{1,9})")


def _as_part(value: Any) -> Any:
    """ "2 of 5" as (2, 5)."""
    match = _PART.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    k, n = int(match[1]), int(match[2])
    expect(2 <= n <= MAX_PARTS and 1 <= k <= n, "a part")
    return k, n


class Experience(Closed):
    """One experience: pairs of a task, their selection and their changes before training."""

    task: str = Field(description="the name of a task (contsym list tasks)")
    name: str = Field(default="", pattern=NAME, description=NAME_WORDS)
    """Unique in the scenario; results are stored under it."""
    form: OneForm | None = None
    """Form of relation pairs; None: the form of the run."""
    split: SplitRule | None = None
    """Rule that splits relation pairs into train and test; None: the rule of the run."""
    relations: Annotated[Several[Annotated[str, Field(min_length=1)]], different("different names")] = Field(
        default=(), description='a list of different relations, as ["P47", "P26"]'
    )
    """Relations of the pairs; empty: all."""
    part: Annotated[tuple[int, int], BeforeValidator(_as_part)] | None = Field(
        default=None, description=f'"K of N", as "2 of 5", with 1 <= K <= N and 2 <= N <= {MAX_PARTS}'
    )
    """(k, n): part k of n, counted from 1; None: all pairs."""
    by: Literal["relation", "pair"] = "relation"
    """Whether whole relations or single pairs are dealt to the parts."""
    labels: Annotated[Several[str], different("different names")] = Field(
        default=(), description="a list of different labels of the task"
    )
    """Labels of the pairs; empty: all."""
    label_noise: float | None = Field(default=None, ge=0, le=1, description="a share between 0 and 1, as 0.2")
    """Share of the training labels to flip; None: no noise, and the run cannot ask for noise."""
    storing_only: bool = False
    """Whether a method with a memory only stores the pairs, without a gradient step; others train as usual."""
    tested_only: bool = False
    """Whether nothing is trained on it, and its test pairs are a test of the experiences before."""
    test: Literal["own", "all"] = "own"
    """Test pairs: those of the experience's relations, part and labels, or all of the task."""

    @property
    def is_plain(self) -> bool:
        """Whether all fields but the task have their defaults."""
        return self == Experience(task=self.task, name=self.task)

    def as_dict(self) -> dict[str, Any]:
        """The fields without their default, as plain values."""
        return self.model_dump(mode="json", exclude_defaults=True)


class _Entry(Experience):
    """An [[experience]] of a file; `parts` makes several of it, and the name is optional."""

    parts: int | None = Field(None, ge=2, le=MAX_PARTS, description=f"a number of parts, 2 to {MAX_PARTS}")

    @field_validator("task")
    @classmethod
    def _is_known(cls, task: str, info: ValidationInfo) -> str:
        known = _known(info)
        # `_fits` refuses one with a file, since the error of a field has no words of its own.
        if task not in known and not known.file_of(task):
            raise _unknown([*known])
        return task

    @field_validator("labels")
    @classmethod
    def _are_of_the_task(cls, labels: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if task := _known(info).get(info.data.get("task", "")):
            for label in labels:
                if label not in task.labels:
                    raise _unknown(task.labels, label)
        return labels

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> _Entry:
        known, entries = _known(info), self.model_fields_set
        if self.task not in known:
            raise ValueError(
                f"task {self.task!r} is in a file of its own; give it with --plugin {known.file_of(self.task)}"
            )
        task = known[self.task]
        if task.test_only and not self.tested_only:
            raise ValueError(f"{self.task} is a test set; expected tested_only = true")
        if self.tested_only and (given := entries & {"label_noise", "storing_only", "parts"}):
            raise ValueError(f"tested_only and {min(given)}; expected one of them, since nothing is trained")
        is_divided = bool(entries & {"part", "parts"})
        is_restricted = is_divided or bool(entries & {"relations", "labels"})
        expect(not {"part", "parts"} <= entries, "part and parts; expected one of them")
        expect("by" not in entries or is_divided, "by; expected part or parts beside it")
        expect(
            "test" not in entries or is_restricted,
            "test; expected part, parts, relations or labels beside it",
        )
        for key in ("form", "split"):
            if key in entries and not task.symmetry:
                raise ValueError(
                    f"{self.task} has no symmetric relations, which {key} needs; expected a task such as wikidata"
                )
        by_relation = "relations" in entries or (is_divided and self.by == "relation")
        if by_relation and not task.has_relations:
            needed, hint = ("relations", "a task of relations, as wikidata")
            if "relations" not in entries:
                needed, hint = "by", 'by = "pair"'
            raise ValueError(f"{self.task} has no relations, which {needed} needs; expected {hint}")
        return self

    def experiences(self) -> list[Experience]:
        one = Experience(**self.model_dump(exclude={"parts"}, exclude_unset=True))
        if self.parts is None:
            return [one]
        return [one.model_copy(update={"part": (k, self.parts)}) for k in range(1, self.parts + 1)]


class _Known(dict[str, Task]):
    """The tasks that experiences may name, and the folder of the scenario's file."""

    folder: Path | None = None

    def file_of(self, task: str) -> Path | None:
        """The file of a task, in that folder or in the working folder, that was not given as a plug-in."""
        folders = [self.folder, Path()] if self.folder and re.fullmatch(NAME, task) else []
        files = [folder / f"{task}.toml" for folder in folders if folder]
        return next((file for file in files if file.is_file()), None)


def _known(info: ValidationInfo) -> _Known:
    """What `read_scenario` gives as the context."""
    assert info.context is not None
    return info.context


def _unknown(names: Sequence[str], one: str | None = None) -> PydanticCustomError:
    """The error of a validator for a name, or for one of several names, that is not among `names`."""
    facts = {"expected": " or ".join(f"'{name}'" for name in names)} | ({"one": one} if one else {})
    return PydanticCustomError("literal_error", "unknown", facts)


class _File(Closed):
    summary: str = Field(pattern=r"\S", description="a sentence on the purpose of the scenario")
    experience: Several[_Entry] = Field(min_length=1, description="at least one [[experience]] with a task")
    label_space: Mode = "shared"
    all_orders: bool = False
    task: dict[str, Any] = {}
    """Checked before, as _Tasks: the experiences need them."""


class _Tasks(Closed):
    model_config = {**Closed.model_config, "extra": "ignore"}
    task: dict[str, TaskFile] = {}


@dataclass(frozen=True)
class ScenarioPlan:
    name: str
    summary: str
    experiences: tuple[Experience, ...]
    specs: tuple[Task, ...]
    """The task of each experience."""
    all_orders: bool = False
    """Whether the scenario means a run for every order of the experiences."""
    mode: Mode = "shared"
    """How the labels of its tasks stand to each other."""

    @property
    def inputs(self) -> Inputs:
        """Whether its examples are pairs or single texts."""
        return self.specs[0].inputs

    @property
    def as_stored(self) -> list[dict[str, Any]]:
        """The experiences as a result has them: empty if all are plain tasks."""
        is_plain = all(experience.is_plain for experience in self.experiences)
        return [] if is_plain else [experience.as_dict() for experience in self.experiences]

    @cached_property
    def label_space(self) -> LabelSpace:
        own = [
            experience.labels or task.labels
            for experience, task in zip(self.experiences, self.specs, strict=True)
        ]
        return label_space(self.specs, own, self.mode)

    @property
    def n_trained(self) -> int:
        """Experiences that are trained on; those that are only tested come after them."""
        return sum(not experience.tested_only for experience in self.experiences)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(experience.task for experience in self.experiences)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(experience.name for experience in self.experiences)

    def orders(self) -> list[tuple[str, ...]]:
        """The names in every order, the file's first.

        >>> both = tuple(Experience(task=name, name=name) for name in ("mnli", "wikidata"))
        >>> ScenarioPlan("order", "", both, (), all_orders=True).orders()
        [('mnli', 'wikidata'), ('wikidata', 'mnli')]
        """
        return list(itertools.permutations(self.names))

    def in_order(self, names: Sequence[str]) -> ScenarioPlan:
        """This scenario with its experiences in another order. Raises ContsymError for an impossible order."""
        order = ",".join(names)
        if not self.all_orders:
            raise ContsymError(f"scenario {self.name} has only one order; expected it without ':{order}'")
        if sorted(names) != sorted(self.names):
            raise ContsymError(
                f"scenario {self.name}: {order!r} is not an order of its experiences; expected each of "
                f"{', '.join(self.names)} once"
            )
        places = [self.names.index(name) for name in names]
        return replace(
            self,
            name=f"{self.name}:{order}",
            experiences=tuple(self.experiences[place] for place in places),
            specs=tuple(self.specs[place] for place in places),
            all_orders=False,
        )


def read_scenario(
    name: str, text: str, where: str, plugins: Plugins = INSTALLED, folder: Path | None = None
) -> ScenarioPlan:
    """The scenario in a TOML text; `where` names the file in errors, and its tasks' sources are seen from `folder`.

    Raises ContsymError, with the file, the experience and the entry, for a text that is not a scenario.
    """
    known = _Known(tasks(plugins))
    known.folder = folder
    own = read_model(text, _Tasks, where).task
    for task, table in own.items():
        if not re.fullmatch(NAME, task):
            raise ContsymError(f"{where}: task {task!r}; expected {NAME_WORDS}")
        if task in known:
            raise ContsymError(
                f"{where}: task {task!r} is there already (contsym list tasks); give it another name"
            )
        known[task] = named(task, table, folder)
    file = read_model(text, _File, where, known=known)
    experiences = _with_names([each for entry in file.experience for each in entry.experiences()], where)
    if file.all_orders and not 2 <= len(experiences) <= MAX_PERMUTED:
        n = len(experiences)
        raise ContsymError(f"{where}: all_orders of {n} experiences; expected 2 to {MAX_PERMUTED} of them")
    is_trained = [not experience.tested_only for experience in experiences]
    if not is_trained[0] or is_trained != sorted(is_trained, reverse=True):
        raise ContsymError(f"{where}: tested_only before a trained experience; expected it at the end")
    if file.all_orders and not all(is_trained):
        raise ContsymError(f"{where}: all_orders and tested_only, which comes last; expected one of them")
    specs = tuple(known[experience.task] for experience in experiences)
    if len({task.inputs for task in specs}) > 1:
        of = {
            inputs: ", ".join(dict.fromkeys(t.name for t in specs if t.inputs == inputs))
            for inputs in ("pair", "single")
        }
        raise ContsymError(
            f"{where}: pairs ({of['pair']}) and single texts ({of['single']}) in one scenario; expected one of them"
        )
    if file.label_space != "shared":
        trained = {task.name for task, is_one in zip(specs, is_trained, strict=True) if is_one}
        if untrained := {task.name for task in specs} - trained:
            raise ContsymError(
                f"{where}: label_space {file.label_space!r} and {min(untrained)}, which is only tested, so that nothing is "
                'trained on its labels; expected label_space = "shared"'
            )
    names = label_space(specs, [()] * len(specs), file.label_space)
    if len({name.casefold() for name in names.names}) < len(names.names) or names.n_classes > len(
        names.names
    ):
        raise ContsymError(
            f"{where}: labels {', '.join(names.names[:20])}; expected labels that differ by more than upper and lower case "
            "over all tasks, and not by the name of their task"
        )
    if unused := own.keys() - {task.name for task in specs}:
        raise ContsymError(f"{where}: task {sorted(unused)[0]!r} is in no [[experience]]; leave it out")
    return ScenarioPlan(name, file.summary.strip(), experiences, specs, file.all_orders, file.label_space)


def _with_names(experiences: list[Experience], where: str) -> tuple[Experience, ...]:
    """The experiences with unique names: their own or the task's, numbered where several share it.

    Raises ContsymError where the file uses a name twice.
    """
    bases = [experience.name or experience.task for experience in experiences]
    count, seen = Counter(bases), Counter[str]()
    by_name: dict[str, Experience] = {}
    before: Experience | None = None
    for experience, base in zip(experiences, bases, strict=True):
        seen[base] += 1
        name = base if count[base] == 1 else f"{base}-{seen[base]}"
        # The parts of one experience follow each other.
        part, last = experience.part, before.part if before and before.name == experience.name else None
        is_next = (
            part and last and part == (last[0] + 1, last[1]) and before and before.task == experience.task
        )
        is_again = experience.name and seen[base] > 1 and not is_next
        before = experience
        if is_again or name in by_name:
            raise ContsymError(f"{where}: name {name!r} is used twice; expected one name per experience")
        by_name[name] = experience.model_copy(update={"name": name})
    return tuple(by_name.values())
