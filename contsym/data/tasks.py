"""The tasks: what each name means in files, on the Hub and among the bundled data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from contsym.data.schema import Part

NLI_LABELS = {"0": "entailment", "1": "neutral", "2": "contradiction"}
"""Label numbers of GLUE and of the Hub's copies of MNLI, SNLI and ANLI."""

# File names or Hub splits of each part. `test` of MultiNLI and GLUE has no labels, so the development part
# comes first.
TRAIN_NAMES = (("train",),)
TEST_NAMES = (("dev_matched",), ("validation_matched",), ("test",), ("validation",), ("dev",))
VALIDATION_NAMES = (("dev_mismatched",), ("validation_mismatched",), ("validation",), ("dev",))


@dataclass(frozen=True)
class Task:
    name: str
    title: str
    written_labels: Mapping[str, str]
    """Label by the number or letter that stands for it in files, as text."""
    hub: Mapping[str, str]
    """Hub dataset by form; the key is `any` if the task has one dataset for all forms."""
    relational: bool = False
    is_bundled: bool = False
    train_names: tuple[tuple[str, ...], ...] = TRAIN_NAMES
    """Alternatives in order of preference; the names of one alternative together make up the part."""
    test_names: tuple[tuple[str, ...], ...] = TEST_NAMES
    validation_names: tuple[tuple[str, ...], ...] = VALIDATION_NAMES
    """Names that make up the test part are passed over."""

    @property
    def alternatives(self) -> dict[Part, tuple[tuple[str, ...], ...]]:
        return {"train": self.train_names, "validation": self.validation_names, "test": self.test_names}

    @property
    def part_names(self) -> set[str]:
        return {name for each in self.alternatives.values() for names in each for name in names}

    def names_of(self, part: Part, present: Collection[str]) -> tuple[str, ...]:
        """The present names that make up the part; none if the part is missing.

        >>> TASKS["mnli"].names_of("validation", ["train", "dev_matched", "dev_mismatched"])
        ('dev_mismatched',)
        >>> TASKS["mnli"].names_of("validation", ["train", "validation"])
        ()
        """
        used = self.names_of("test", present) if part == "validation" else ()
        found = (tuple(each for each in names if each in present) for names in self.alternatives[part])
        return next((names for names in found if names and not {*names} & {*used}), ())

    @property
    def default_source(self) -> str:
        return "bundled" if self.is_bundled else "hub"


_TASKS = (
    Task("mnli", "MNLI", NLI_LABELS, {"any": "nyu-mll/multi_nli"}, is_bundled=True),
    Task("snli", "SNLI", NLI_LABELS, {"any": "stanfordnlp/snli"}, test_names=(("test",), *TEST_NAMES[2:])),
    Task(
        "anli",
        "ANLI",
        # The release of Nie et al. (2020) has letters.
        {**NLI_LABELS, "e": "entailment", "n": "neutral", "c": "contradiction"},
        {"any": "facebook/anli"},
        # Three rounds, each harder than the one before.
        train_names=(("train",), ("train_r1", "train_r2", "train_r3")),
        test_names=(("test",), ("test_r1", "test_r2", "test_r3"), ("dev",)),
        validation_names=(("dev",), ("dev_r1", "dev_r2", "dev_r3"), ("validation",)),
    ),
    Task(
        "wikidata",
        "Wikidata",
        # In the Hub datasets of Yuan and Vlachos, "1" is entailment.
        {"1": "entailment", "0": "contradiction"},
        {"lexicalised": "MoyYuan/Asymmetricity-Text-NLI", "delexicalised": "MoyYuan/Asymmetricity-Delex-NLI"},
        relational=True,
        is_bundled=True,
    ),
)
TASKS: Mapping[str, Task] = {task.name: task for task in _TASKS}
