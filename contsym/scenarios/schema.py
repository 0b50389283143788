"""Scenario files: TOML in, checked experiences out, without loading any data."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Literal

from contsym.checked import read_toml
from contsym.data.schema import LABELS, Form, Label
from contsym.data.splits import SPLIT_RULES, SplitRule
from contsym.data.tasks import TASKS
from contsym.errors import ContsymError, nearest

By = Literal["relation", "pair"]
MAX_PARTS = 1000
MAX_PERMUTED = 5
"""Experiences of a scenario of all orders: of 5 there are 120."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_PART = re.compile(r"(\d{1,9}) of (\d{1,9})")
_FORMS, _TESTS, _BYS = ("lexicalised", "delexicalised"), ("own", "all"), ("relation", "pair")


@dataclass(frozen=True)
class Experience:
    """One experience: pairs of a task, and what is done to them before they are trained on."""

    task: str
    name: str
    """No other experience of the scenario has it; results are kept under it."""
    form: Form | None = None
    """Of relation pairs; None: as the run asks for."""
    split: SplitRule | None = None
    """How relation pairs are shared out between train and test; None: as the run asks for."""
    relations: tuple[str, ...] = ()
    """Only pairs of these; empty: of all."""
    part: tuple[int, int] | None = None
    """(k, n): part k, from 1, of n; None: all pairs."""
    by: By = "relation"
    """What is dealt to the parts."""
    labels: tuple[Label, ...] = ()
    """Only pairs of these; empty: of all."""
    label_noise: float | None = None
    """Share of the training labels that are flipped; None: none, and the run cannot ask for any."""
    storing_only: bool = False
    """A method with a memory stores the pairs and takes no gradient step; any other trains as usual."""
    test: Literal["own", "all"] = "own"
    """Tested on the pairs of its own relations, part and labels, or on all of the task."""

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to say of it but its task."""
        return self == Experience(self.task, self.task)

    def as_dict(self) -> dict[str, Any]:
        """What is not as it is by default, as plain values."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        defaults = {f.name: f.default for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if defaults[name] is MISSING or value != defaults[name]
        }


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

        >>> both = (Experience("mnli", "mnli"), Experience("wikidata", "wikidata"))
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
    found = read_toml(text, where)
    _check_keys(found, ("summary", "experience", "all_orders"), where)
    summary, entries = found.get("summary"), found.get("experience")
    if not isinstance(summary, str) or not summary.strip():
        raise ContsymError(
            f"{where}: summary is {summary!r}; expected a sentence that says what the scenario is for"
        )
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) for e in entries):
        raise ContsymError(f"{where}: no experience; expected one [[experience]] or more, each with a task")
    all_orders = _checked(found, "all_orders", _is_bool, "true or false", where) or False
    given = [_read_experience(entry, f"{where}: experience {i}") for i, entry in enumerate(entries, 1)]
    experiences = tuple(_named(list(itertools.chain.from_iterable(given)), where))
    if all_orders and not 2 <= len(experiences) <= MAX_PERMUTED:
        raise ContsymError(
            f"{where}: all_orders of {len(experiences)} experiences; expected 2 to {MAX_PERMUTED} experiences"
        )
    return ScenarioPlan(name, summary.strip(), experiences, bool(all_orders))


def _read_experience(entry: Mapping[str, Any], where: str) -> list[Experience]:
    """The experience of an entry, or one for each of its parts; names are the bases of names."""
    _check_keys(entry, ("task", *_ENTRIES), where)
    if "task" not in entry:
        raise ContsymError(f"{where}: task is missing; expected one of {', '.join(TASKS)}")
    task = entry["task"]
    if not isinstance(task, str) or task not in TASKS:
        said = nearest(task, TASKS) if isinstance(task, str) else f"expected one of {', '.join(TASKS)}"
        raise ContsymError(f"{where}: task {task!r} is unknown; {said}")
    values = {key: _checked(entry, key, *check, where) for key, check in _ENTRIES.items() if key in entry}
    is_divided = "part" in values or "parts" in values
    if "part" in values and "parts" in values:
        raise ContsymError(f"{where}: part and parts; expected one of them")
    if "by" in values and not is_divided:
        raise ContsymError(f"{where}: by says what is dealt to parts; expected part or parts beside it")
    if "test" in values and not (is_divided or "relations" in values or "labels" in values):
        raise ContsymError(f"{where}: test; expected part, parts, relations or labels beside it")
    needs: list[str] = [key for key in ("form", "split", "relations") if key in values]
    needs += ["by"] if is_divided and values.get("by", "relation") == "relation" else []
    if needs and not TASKS[task].relational:
        hint = '; expected by = "pair"' if needs == ["by"] else "; expected a task of relations, as wikidata"
        raise ContsymError(f"{where}: {task} has no relations, which {needs[0]} is about{hint}")
    if "part" in values:
        k, n = map(int, _PART.fullmatch(values["part"]).groups())  # type: ignore[union-attr]
        values["part"] = k, n
    n_parts = values.pop("parts", None)
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    one = Experience(**{"task": task, "name": "", **values})
    return [one] if n_parts is None else [replace(one, part=(k, n_parts)) for k in range(1, n_parts + 1)]


def _named(experiences: list[Experience], where: str) -> list[Experience]:
    """Each with a name of its own: the one given, else the task's; numbered where several would have it.

    Raises ContsymError where names given in the file come twice.
    """
    bases = [experience.name or experience.task for experience in experiences]
    count, seen = Counter(bases), Counter[str]()
    found = []
    for experience, base in zip(experiences, bases, strict=True):
        seen[base] += 1
        found.append(replace(experience, name=base if count[base] == 1 else f"{base}-{seen[base]}"))
        is_again = experience.name and seen[base] > 1 and (experience.part or (1, 1))[0] == 1
        if is_again or found[-1].name in {other.name for other in found[:-1]}:
            raise ContsymError(
                f"{where}: name {found[-1].name!r} is given twice; expected a name of its own for each experience"
            )
    return found


def _check_keys(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise ContsymError(f"{where}: {key!r} is unknown; {nearest(key, known)}")


def _checked(
    given: Mapping[str, Any], key: str, check: Callable[[Any], bool], expected: str, where: str
) -> Any:
    value = given.get(key)
    if key in given and not check(value):
        raise ContsymError(f"{where}: {key} is {value!r}; expected {expected}")
    return value


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_names(value: Any, among: Sequence[str] = ()) -> bool:
    is_list = isinstance(value, list) and len(value) > 0 and all(isinstance(v, str) and v for v in value)
    return is_list and len(set(value)) == len(value) and (not among or set(value) <= set(among))


def _is_part(value: Any) -> bool:
    found = _PART.fullmatch(value) if isinstance(value, str) else None
    return found is not None and 2 <= int(found[2]) <= MAX_PARTS and 1 <= int(found[1]) <= int(found[2])


def _one_of(names: Sequence[str]) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in names, f"{', '.join(names[:-1])} or {names[-1]}"


_ENTRIES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "name": (
        lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None,
        "up to 40 letters, digits and _.- that begin with a letter or digit",
    ),
    "form": _one_of(_FORMS),
    "split": _one_of(tuple(SPLIT_RULES)),
    "relations": (_is_names, 'a list of different relations, as ["P47", "P26"]'),
    "part": (_is_part, f'"K of N", as "2 of 5", with 1 <= K <= N and 2 <= N <= {MAX_PARTS}'),
    "parts": (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= MAX_PARTS,
        f"a number of parts between 2 and {MAX_PARTS}",
    ),
    "by": _one_of(_BYS),
    "labels": (
        lambda value: _is_names(value, LABELS),
        f"a list of different labels out of {', '.join(LABELS)}",
    ),
    "label_noise": (lambda value: _is_number(value) and 0 <= value <= 1, "a share between 0 and 1, as 0.2"),
    "storing_only": (_is_bool, "true or false"),
    "test": _one_of(_TESTS),
}
"""What an experience may say beside its task: how it is checked, and what is expected."""
