"""The label space of a scenario: which labels its tasks share, and which of them an experience can have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contsym.tasks.schema import NLI_LABELS, Task

Mode = Literal["shared", "disjoint", "per_task"]
"""shared: a label of one name is one class. disjoint: each task has classes of its own, and a method chooses among all
(class-incremental, if they come one after the other). per_task: so too, and the task of an example is given
(task-incremental): only the labels of its experience can be answered.
Source of the two: van de Ven and Tolias 2019 (arXiv 1904.07734), table 1."""


@dataclass(frozen=True)
class LabelSpace:
    names: tuple[str, ...]
    """Of all classes, by class number; those of the first task come first."""
    of_task: tuple[tuple[int, ...], ...]
    """By experience: the class number of each label of its task."""
    own: tuple[tuple[int, ...], ...]
    """By experience: the classes that its examples have."""
    mode: Mode = "shared"
    n_classes: int = 0
    """Classes that there should be: more than names where two have got one name."""

    @property
    def is_task_given(self) -> bool:
        return self.mode == "per_task"

    @property
    def is_nli(self) -> bool:
        """Whether its labels are those of natural language inference."""
        return self.names == NLI_LABELS

    @property
    def words(self) -> str:
        """For people.

        >>> LabelSpace(("yes", "no"), ((0, 1),), ((0, 1),)).words
        '2 labels: yes, no'
        """
        shown = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
        how = {
            "shared": "",
            "disjoint": ", different ones for each task",
            "per_task": ", different ones for each task, which is given",
        }
        return f"{len(self.names)} labels{how[self.mode]}: {shown}"


def label_space(tasks: Sequence[Task], own: Sequence[Sequence[str]], mode: Mode) -> LabelSpace:
    """The label space of experiences, whose tasks and own labels are given.

    A label that several tasks have gets the task's name before it where each task has classes of its own.
    """
    if mode == "shared":
        place = {(task.name, label): label for task in tasks for label in task.labels}
    else:
        by_name = {task.name: task for task in tasks}
        counts = Counter(label for task in by_name.values() for label in task.labels)
        place = {
            (task.name, label): label if counts[label] == 1 else f"{task.name}: {label}"
            for task in by_name.values()
            for label in task.labels
        }
    names = dict.fromkeys(place.values())
    number = {name: i for i, name in enumerate(names)}
    return LabelSpace(
        tuple(names),
        tuple(tuple(number[place[task.name, label]] for label in task.labels) for task in tasks),
        tuple(
            tuple(number[place[task.name, label]] for label in labels)
            for task, labels in zip(tasks, own, strict=True)
        ),
        mode,
        len(set(place.values())) if mode == "shared" else len(place),
    )
