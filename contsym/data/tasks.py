"""The tasks: what their names stand for in files, on the Hub and among the bundled data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NLI_LABELS = {"0": "entailment", "1": "neutral", "2": "contradiction"}
"""How GLUE and the Hub's copies of MNLI, SNLI and ANLI number their labels."""

# Which file of a folder, or which split on the Hub, is which part. MultiNLI's and GLUE's `test` has
# no labels, so the development part comes first where there is one.
TRAIN_NAMES = (("train",),)
TEST_NAMES = (("dev_matched",), ("validation_matched",), ("test",), ("validation",), ("dev",))


@dataclass(frozen=True)
class Task:
    """What a task's name stands for."""

    name: str
    title: str
    written_labels: Mapping[str, str]
    """Labels that are written as numbers or letters, as text."""
    hub: Mapping[str, str]
    """Hub data set by form; the form `any` where the task has only one."""
    relational: bool = False
    is_bundled: bool = False
    train_names: tuple[tuple[str, ...], ...] = TRAIN_NAMES
    """Alternatives, the first that is there wins; each is all the names that make up the part."""
    test_names: tuple[tuple[str, ...], ...] = TEST_NAMES

    @property
    def default_source(self) -> str:
        return "bundled" if self.is_bundled else "hub"


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("mnli", "MNLI", NLI_LABELS, {"any": "nyu-mll/multi_nli"}, is_bundled=True),
        Task(
            "snli", "SNLI", NLI_LABELS, {"any": "stanfordnlp/snli"}, test_names=(("test",), *TEST_NAMES[2:])
        ),
        Task(
            "anli",
            "ANLI",
            # The release of Nie et al. (2020) has letters.
            {**NLI_LABELS, "e": "entailment", "n": "neutral", "c": "contradiction"},
            {"any": "facebook/anli"},
            # Three rounds, each harder than the one before.
            train_names=(("train",), ("train_r1", "train_r2", "train_r3")),
            test_names=(("test",), ("test_r1", "test_r2", "test_r3"), ("dev",)),
        ),
        Task(
            "wikidata",
            "Wikidata",
            # The Hub data sets of Yuan and Vlachos say "1" for entailment.
            {"1": "entailment", "0": "contradiction"},
            {
                "lexicalised": "MoyYuan/Asymmetricity-Text-NLI",
                "delexicalised": "MoyYuan/Asymmetricity-Delex-NLI",
            },
            relational=True,
            is_bundled=True,
        ),
    )
}
