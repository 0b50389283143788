"""Scenario files: TOML in, checked experiences out, without loading any data."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from contsym.checked import Closed, OneOf, Several, different, expect, read_model
from contsym.data.schema import LABELS, Label, OneForm
from contsym.data.splits import SplitRule
from contsym.data.tasks import TASKS
from contsym.errors import ContsymError

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

    task: Annotated[str, OneOf(tuple(TASKS))] = Field(description=f"one of {', '.join(TASKS)}")
    name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$",
        description="up to 40 letters, digits and _.- that begin with a letter or digit",
    )
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
    labels: Annotated[Several[Label], different("different names")] = Field(
        default=(), description=f"a list of different labels out of {', '.join(LABELS)}"
    )
    """Labels of the pairs; empty: all."""
    label_noise: float | None = Field(default=None, ge=0, le=1, description="a share between 0 and 1, as 0.2")
    """Share of the training labels to flip; None: no noise, and the run cannot ask for noise."""
    storing_only: bool = False
    """Whether a method with a memory only stores the pairs, without a gradient step; others train as usual."""
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

    @model_validator(mode="after")
    def _fits(self) -> _Entry:
        entries = self.model_fields_set
        is_divided = bool(entries & {"part", "parts"})
        is_restricted = is_divided or bool(entries & {"relations", "labels"})
        expect(not {"part", "parts"} <= entries, "part and parts; expected one of them")
        expect("by" not in entries or is_divided, "by; expected part or parts beside it")
        expect(
            "test" not in entries or is_restricted,
            "test; expected part, parts, relations or labels beside it",
        )
        needs: list[str] = [key for key in ("form", "split", "relations") if key in entries]
        needs += ["by"] if is_divided and self.by == "relation" else []
        if needs and not TASKS[self.task].relational:
            hint = 'by = "pair"' if needs == ["by"] else "a task of relations, as wikidata"
            raise ValueError(f"{self.task} has no relations, which {needs[0]} needs; expected {hint}")
        return self

    def experiences(self) -> list[Experience]:
        one = Experience(**self.model_dump(exclude={"parts"}, exclude_unset=True))
        if self.parts is None:
            return [one]
        return [one.model_copy(update={"part": (k, self.parts)}) for k in range(1, self.parts + 1)]


class _File(Closed):
    summary: str = Field(pattern=r"\S", description="a sentence on the purpose of the scenario")
    experience: Several[_Entry] = Field(min_length=1, description="at least one [[experience]] with a task")
    all_orders: bool = False


@dataclass(frozen=True)
class ScenarioPlan:
    name: str
    summary: str
    experiences: tuple[Experience, ...]
    all_orders: bool = False
    """Whether the scenario means a run for every order of the experiences."""

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(experience.task for experience in self.experiences)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(experience.name for experience in self.experiences)

    def orders(self) -> list[tuple[str, ...]]:
        """The names in every order, the file's first.

        >>> both = tuple(Experience(task=name, name=name) for name in ("mnli", "wikidata"))
        >>> ScenarioPlan("order", "", both, all_orders=True).orders()
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
        experiences = tuple(self.experiences[self.names.index(name)] for name in names)
        return replace(self, name=f"{self.name}:{order}", experiences=experiences, all_orders=False)


def read_scenario(name: str, text: str, where: str) -> ScenarioPlan:
    """The scenario in a TOML text; `where` names the file in errors.

    Raises ContsymError, with the file, the experience and the entry, for a text that is not a scenario.
    """
    file = read_model(text, _File, where)
    experiences = _with_names([each for entry in file.experience for each in entry.experiences()], where)
    if file.all_orders and not 2 <= len(experiences) <= MAX_PERMUTED:
        n = len(experiences)
        raise ContsymError(f"{where}: all_orders of {n} experiences; expected 2 to {MAX_PERMUTED} of them")
    return ScenarioPlan(name, file.summary.strip(), experiences, file.all_orders)


def _with_names(experiences: list[Experience], where: str) -> tuple[Experience, ...]:
    """The experiences with unique names: their own or the task's, numbered where several share it.

    Raises ContsymError where the file uses a name twice.
    """
    bases = [experience.name or experience.task for experience in experiences]
    count, seen = Counter(bases), Counter[str]()
    by_name: dict[str, Experience] = {}
    for experience, base in zip(experiences, bases, strict=True):
        seen[base] += 1
        name = base if count[base] == 1 else f"{base}-{seen[base]}"
        is_again = experience.name and seen[base] > 1 and (experience.part or (1, 1))[0] == 1
        if is_again or name in by_name:
            raise ContsymError(f"{where}: name {name!r} is used twice; expected one name per experience")
        by_name[name] = experience.model_copy(update={"name": name})
    return tuple(by_name.values())
