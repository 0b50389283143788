"""Scenario files: TOML in, checked experiences out, without loading any data."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from contsym.checked import Closed, OneOf, Several, expect, read_model
from contsym.data.schema import LABELS, Label, OneForm
from contsym.data.splits import SplitRule
from contsym.data.tasks import TASKS
from contsym.errors import ContsymError

MAX_PARTS = 1000
MAX_PERMUTED = 5
"""Experiences of a scenario of all orders: of 5 there are 120."""
By = Literal["relation", "pair"]
_PART = re.compile(r"(\d{1,9}) of (\d{1,9})")


def _different(values: tuple[str, ...]) -> tuple[str, ...]:
    expect(0 < len(set(values)) == len(values), "different names")
    return values


def _as_part(value: Any) -> Any:
    """ "2 of 5" as (2, 5)."""
    found = _PART.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    k, n = int(found[1]), int(found[2])
    expect(2 <= n <= MAX_PARTS and 1 <= k <= n, "a part")
    return k, n


class Experience(Closed):
    """One experience: pairs of a task, and what is done to them before they are trained on."""

    task: Annotated[str, OneOf(tuple(TASKS))] = Field(description=f"one of {', '.join(TASKS)}")
    name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$",
        description="up to 40 letters, digits and _.- that begin with a letter or digit",
    )
    """No other experience of the scenario has it; results are kept under it."""
    form: OneForm | None = None
    """Of relation pairs; None: as the run asks for."""
    split: SplitRule | None = None
    """How relation pairs are shared out between train and test; None: as the run asks for."""
    relations: Annotated[Several[Annotated[str, Field(min_length=1)]], AfterValidator(_different)] = Field(
        default=(), description='a list of different relations, as ["P47", "P26"]'
    )
    """Only pairs of these; empty: of all."""
    part: Annotated[tuple[int, int], BeforeValidator(_as_part)] | None = Field(
        default=None, description=f'"K of N", as "2 of 5", with 1 <= K <= N and 2 <= N <= {MAX_PARTS}'
    )
    """(k, n): part k, from 1, of n; None: all pairs."""
    by: By = "relation"
    """What is dealt to the parts."""
    labels: Annotated[Several[Label], AfterValidator(_different)] = Field(
        default=(), description=f"a list of different labels out of {', '.join(LABELS)}"
    )
    """Only pairs of these; empty: of all."""
    label_noise: float | None = Field(default=None, ge=0, le=1, description="a share between 0 and 1, as 0.2")
    """Share of the training labels that are flipped; None: none, and the run cannot ask for any."""
    storing_only: bool = False
    """A method with a memory stores the pairs and takes no gradient step; any other trains as usual."""
    test: Literal["own", "all"] = "own"
    """Tested on the pairs of its own relations, part and labels, or on all of the task."""

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to say of it but its task."""
        return self == Experience(task=self.task, name=self.task)

    def as_dict(self) -> dict[str, Any]:
        """What is not as it is by default, as plain values."""
        return self.model_dump(mode="json", exclude_defaults=True)


class _Entry(Experience):
    """An [[experience]] of a file: it may stand for several, one for each of its parts, and need not have a name."""

    parts: int | None = Field(
        default=None, ge=2, le=MAX_PARTS, description=f"a number of parts between 2 and {MAX_PARTS}"
    )

    @model_validator(mode="after")
    def _fits(self) -> _Entry:
        said = self.model_fields_set
        is_divided = bool(said & {"part", "parts"})
        expect(not {"part", "parts"} <= said, "part and parts; expected one of them")
        expect(
            "by" not in said or is_divided,
            "by says what is dealt to parts; expected part or parts beside it",
        )
        expect(
            "test" not in said or is_divided or bool(said & {"relations", "labels"}),
            "test; expected part, parts, relations or labels beside it",
        )
        needs: list[str] = [key for key in ("form", "split", "relations") if key in said]
        needs += ["by"] if is_divided and self.by == "relation" else []
        if needs and not TASKS[self.task].relational:
            hint = 'by = "pair"' if needs == ["by"] else "a task of relations, as wikidata"
            raise ValueError(f"{self.task} has no relations, which {needs[0]} is about; expected {hint}")
        return self

    def experiences(self) -> list[Experience]:
        """Their names are the bases of names."""
        one = Experience(**self.model_dump(exclude={"parts"}, exclude_unset=True))
        if self.parts is None:
            return [one]
        return [one.model_copy(update={"part": (k, self.parts)}) for k in range(1, self.parts + 1)]


class _File(Closed):
    summary: str = Field(pattern=r"\S", description="a sentence that says what the scenario is for")
    experience: Several[_Entry] = Field(
        min_length=1, description="one [[experience]] or more, each with a task"
    )
    all_orders: bool = False


@dataclass(frozen=True)
class ScenarioPlan:
    """A scenario: its summary and its experiences in order."""

    name: str
    summary: str
    experiences: tuple[Experience, ...]
    all_orders: bool = False
    """Whether every order of the experiences is meant, each a run of its own."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task of each experience."""
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
        """This scenario with its experiences in the order given. Raises ContsymError for what is no order of it."""
        if not self.all_orders:
            raise ContsymError(
                f"scenario {self.name} has one order only; expected it without ':{','.join(names)}'"
            )
        if sorted(names) != sorted(self.names):
            raise ContsymError(
                f"scenario {self.name}: {','.join(names)!r} is no order of its experiences; expected each of "
                f"{', '.join(self.names)} once"
            )
        by_name = {experience.name: experience for experience in self.experiences}
        return replace(
            self,
            name=f"{self.name}:{','.join(names)}",
            experiences=tuple(by_name[name] for name in names),
            all_orders=False,
        )


def read_scenario(name: str, text: str, where: str) -> ScenarioPlan:
    """The scenario that a file's text describes; `where` names the file in errors.

    Raises ContsymError, with the file, the experience and the entry, for what is no scenario.
    """
    found = read_model(text, _File, where)
    given = itertools.chain.from_iterable(entry.experiences() for entry in found.experience)
    experiences = tuple(_named(list(given), where))
    if found.all_orders and not 2 <= len(experiences) <= MAX_PERMUTED:
        raise ContsymError(
            f"{where}: all_orders of {len(experiences)} experiences; expected 2 to {MAX_PERMUTED} experiences"
        )
    return ScenarioPlan(name, found.summary.strip(), experiences, found.all_orders)


def _named(experiences: list[Experience], where: str) -> list[Experience]:
    """Each with a name of its own: the one given, else the task's; numbered where several would have it.

    Raises ContsymError where names given in the file come twice.
    """
    bases = [experience.name or experience.task for experience in experiences]
    count, seen = Counter(bases), Counter[str]()
    found = []
    for experience, base in zip(experiences, bases, strict=True):
        seen[base] += 1
        found.append(
            experience.model_copy(update={"name": base if count[base] == 1 else f"{base}-{seen[base]}"})
        )
        is_again = experience.name and seen[base] > 1 and (experience.part or (1, 1))[0] == 1
        if is_again or found[-1].name in {other.name for other in found[:-1]}:
            raise ContsymError(
                f"{where}: name {found[-1].name!r} is given twice; expected a name of its own for each experience"
            )
    return found
