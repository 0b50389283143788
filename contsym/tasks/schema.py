"""Task files: TOML in, a checked Task out, without loading any data."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from contsym.checked import Closed, Several, different, expect, read_model
from contsym.errors import ContsymError
from contsym.files import home_path

NLI_LABELS = ("entailment", "neutral", "contradiction")
"""The labels of natural language inference, in the order of their class numbers."""
SYMMETRY_LABELS = ("entailment", "contradiction")
"""The labels of a symmetric and an antisymmetric relation."""

Inputs = Literal["pair", "single"]
"""Whether an example is a premise and a hypothesis, or one text."""

TEXT_FIELDS: dict[Inputs, tuple[str, ...]] = {"pair": ("premise", "hypothesis"), "single": ("text",)}
FIELDS = (
    "id",
    "premise",
    "hypothesis",
    "text",
    "label",
    "relation",
    "kind",
    "subject",
    "object",
    "skill",
    "group",
)
"""What the columns of a source may stand for."""
GROUPS = ("skill", "group")
"""Columns by which accuracies are told apart, beside relation and kind."""

FIRST = ("mnli", "snli", "anli", "wikidata")
"""The tasks of the paper and those like them, which have options of their own on the command line."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$"
NAME_WORDS = "up to 40 letters, digits and _.- that begin with a letter or digit"

# File names or Hub splits of each part. `test` of MultiNLI and GLUE has no labels, so the development part
# comes first.
USUAL_NAMES = {
    "train": (("train",),),
    "validation": (("dev_mismatched",), ("validation_mismatched",), ("validation",), ("dev",)),
    "test": (("dev_matched",), ("validation_matched",), ("test",), ("validation",), ("dev",)),
}


def _texts(value: Any) -> Any:
    """Numbers and truth values as the text that stands for them in a table of written labels."""
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _alternatives(value: Any) -> Any:
    """`["train", "train_r1+train_r2"]` as (("train",), ("train_r1", "train_r2"))."""
    if not isinstance(value, dict):
        return value
    return {
        part: tuple(tuple(name.split("+")) if isinstance(name, str) else name for name in names)
        if isinstance(names, list | tuple)
        else names
        for part, names in value.items()
    }


_Label = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
_Names = Annotated[
    dict[Literal["train", "validation", "test"], tuple[tuple[str, ...], ...]], BeforeValidator(_alternatives)
]


class Task(Closed):
    """What the examples of a task are: its file, checked."""

    name: str = Field(pattern=NAME, description=NAME_WORDS)
    summary: str = Field(pattern=r"\S", description="a sentence on what the task is")
    title: str = ""
    """For tables; default: the name."""
    labels: Annotated[Several[_Label], different("two or more different labels")] = Field(
        description='a list of two or more labels, as ["yes", "no"]'
    )
    """Their order is that of the class numbers."""
    inputs: Inputs = Field("pair", description='"pair" (premise and hypothesis) or "single" (one text)')
    source: str = ""
    """A file, a folder (seen from the task's file) or `hub:OWNER/NAME`; empty: none of its own."""
    hub: dict[Literal["lexicalised", "delexicalised"], str] = {}
    """Of a task that has a Hub dataset for each form of its sentences."""
    bundled: bool = False
    """Whether contsym ships a sample, which is then the default."""
    columns: dict[str, str] = Field(
        default={}, description='a table from field to column, as premise = "sentence1"'
    )
    """The column of each of FIELDS that has another name than usual."""
    only: dict[str, Several[str]] = {}
    """Values by column, as domain = ["wiki"]: rows with another value are left out. A copy of a Hub dataset may lack the
    column."""
    written: Annotated[dict[str, str], BeforeValidator(_texts)] = {}
    """The label by what stands for it in the data, as text in lower case."""
    parts: _Names = {}
    """Names of files or splits by part, in order of preference; `a+b`: both together make up the part. None for `test`: the
    training part is divided."""
    few_shot: bool = False
    """Whether `--shots` draws its training examples; of others `--size` says how many."""
    symmetry: bool = False
    """Whether the examples are "A r B", "B r A" of a symmetric or antisymmetric relation r, as Wikidata pairs are."""
    test_only: bool = False
    """Whether its source is a test set: all of it is tested, and an experience of it is `tested_only`."""
    terms: str = ""
    """Licence or terms of use, and whom to cite."""

    @model_validator(mode="before")
    @classmethod
    def _symmetry_has_shots(cls, values: Any) -> Any:
        return {"few_shot": True, **values} if isinstance(values, dict) and values.get("symmetry") else values

    @model_validator(mode="after")
    def _fits(self) -> Task:
        if len({label.casefold() for label in self.labels}) < max(2, len(self.labels)):
            raise ValueError(
                f"labels {', '.join(self.labels)}; expected two or more that differ by more than upper and lower case"
            )
        fields = ", ".join(FIELDS)
        for field in self.columns:
            expect(field in FIELDS, f"columns: {field} is no field; expected some of {fields}")
            is_text = field in ("premise", "hypothesis", "text")
            if is_text and field not in TEXT_FIELDS[self.inputs]:
                raise ValueError(
                    f'columns: {field} does not go with inputs = "{self.inputs}", whose text is in '
                    + " and ".join(TEXT_FIELDS[self.inputs])
                )
        if len(set(self.columns.values())) < len(self.columns):
            raise ValueError("columns: one column for two fields; expected different ones")
        seen: dict[str, str] = {}
        for written, label in self.written.items():
            if label not in self.labels:
                raise ValueError(f"written: {written!r} stands for {label!r}, which is none of the labels")
            other = seen.setdefault(written.strip().casefold(), label)
            named = next(
                (each for each in self.labels if each.casefold() == written.strip().casefold()), label
            )
            if label not in (other, named) or other != named:
                raise ValueError(
                    f"written: {written!r} stands for {label!r} and for {other if other != label else named!r}"
                )
        if self.symmetry:
            expect(
                self.inputs == "pair" and {*SYMMETRY_LABELS} <= {*self.labels},
                'symmetry goes with inputs = "pair" and the labels entailment and contradiction',
            )
        return self

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.model_dump_json(exclude_defaults=True))

    @property
    def words(self) -> str:
        """Its title, or its name."""
        return self.title or self.name

    @cached_property
    def label_of(self) -> Mapping[str, str]:
        """The label by every text that stands for it, in lower case."""
        return {
            **{label.casefold(): label for label in self.labels},
            **{written.strip().casefold(): label for written, label in self.written.items()},
        }

    @property
    def default_source(self) -> str:
        """What is read where no source is given; empty where there is nothing."""
        return "bundled" if self.bundled else self.source or ("hub" if self.hub else "")

    @property
    def examples(self) -> str:
        """What its examples are called."""
        return "pairs" if self.inputs == "pair" else "texts"

    @property
    def has_relations(self) -> bool:
        """Whether its source may name the relation of an example."""
        return self.symmetry or "relation" in self.columns

    @property
    def is_nli(self) -> bool:
        """Whether it is natural language inference, which an NLI head answers."""
        return self.inputs == "pair" and self.labels == NLI_LABELS and not self.symmetry

    # -- Names of parts. --

    @cached_property
    def alternatives(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        return USUAL_NAMES | {str(part): names for part, names in self.parts.items()}

    @cached_property
    def part_names(self) -> set[str]:
        return {name for each in self.alternatives.values() for names in each for name in names}

    def names_of(self, part: str, present: Collection[str]) -> tuple[str, ...]:
        """The present names that make up the part; none if the part is missing.

        >>> nli = Task(name="nli", summary="An example.", labels=NLI_LABELS)
        >>> nli.names_of("validation", ["train", "dev_matched", "dev_mismatched"])
        ('dev_mismatched',)
        >>> nli.names_of("validation", ["train", "validation"])
        ()
        """
        used = self.names_of("test", present) if part == "validation" else ()
        found = (tuple(each for each in names if each in present) for names in self.alternatives[part])
        return next((names for names in found if names and not {*names} & {*used}), ())


class TaskFile(Task):
    """A task file: its name is that of the file."""

    name: str = ""


def read_task(name: str, text: str, where: str, folder: Path | None = None) -> Task:
    """The task in a TOML text; `where` names the file in errors, and a relative source is seen from `folder`.

    Raises ContsymError, with the file and the entry, for a text that is not a task.
    """
    return named(name, read_model(text, TaskFile, where), folder)


def named(name: str, file: Task, folder: Path | None = None) -> Task:
    """The task of a file under its name. Raises ContsymError for a name that is none."""
    if not re.fullmatch(NAME, name):
        raise ContsymError(f"task {name!r}: expected a name of {NAME_WORDS}; rename its file")
    return Task.model_validate({**entries_of(file), "name": name, "source": located(file.source, folder)})


def entries_of(task: Task) -> dict[str, Any]:
    """The fields of a task that are not the default, as `Task` takes them."""
    return task.model_dump(exclude_defaults=True)


def option_of(name: str, source: str) -> str:
    """How the source of a task is given on the command line.

    >>> option_of("mnli", "data/mnli"), option_of("rte", "data/rte")
    ('--mnli data/mnli', '--task rte=data/rte')
    """
    return f"--{name} {source}" if name in FIRST else f"--task {name}={source}"


def size_option(name: str, size: int | None = None) -> str:
    """How the number of a task's training examples is given on the command line.

    >>> size_option("mnli", 1200), size_option("rte", 500), size_option("rte")
    ('--mnli-size 1200', '--size rte=500', '--size rte')
    """
    is_first = name in FIRST
    option = f"--{name}-size" if is_first else f"--size {name}"
    return option if size is None else f"{option}{' ' if is_first else '='}{size}"


def located(source: str, folder: Path | None) -> str:
    """A source as it is given; a relative path is seen from the folder of the file that names it."""
    if not source or re.match(r"hub[:@]|hub$|bundled$", source) or folder is None:
        return source
    return str(folder / home_path(source))
