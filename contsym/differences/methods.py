"""The answers of the method in a model that `contsym run --save-model` stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contsym.differences.abilities import Labels
from contsym.differences.schema import RunAccuracy
from contsym.differences.tasks import TaskPairs
from contsym.errors import ContsymError
from contsym.models.encoders import checkpoints

if TYPE_CHECKING:
    from contsym.models.encoders.checkpoints import EncoderFiles
    from contsym.plugins import Plugins
    from contsym.training.trained import TrainedModel


@dataclass(frozen=True)
class SavedMethod:
    """The method of a checkpoint; without a model where it has none, or none that can be used here."""

    model: TrainedModel | None = None
    notes: tuple[str, ...] = ()
    """Why it is not measured, or what a reader of its answers must know."""

    def can_answer(self, task: TaskPairs) -> bool:
        """Whether it knows the labels of a task."""
        return self.model is not None and {*task.names} <= {*self.model.labels}

    @property
    def run(self) -> tuple[RunAccuracy, ...]:
        """What its own run measured."""
        result = self.model.result if self.model else None
        if result is None:
            return ()
        columns = zip(result.tasks, result.matrix[0], result.matrix[-1], strict=True)
        return tuple(RunAccuracy(task=task, untrained=first, trained=last) for task, first, last in columns)

    def answers(self, task: TaskPairs) -> Labels | None:
        """The label that it gives each answered pair; to the task that its encoder knew before, by the head of that task."""
        if self.model is None or not self.can_answer(task):
            return None
        result = self.model.result
        # As in the run itself (protocol retrain).
        is_known = self.model.file.known_head and result and task.name == result.tasks[0]
        pairs = zip(task.premises[: task.n], task.hypotheses[: task.n], strict=True)
        return np.array(self.model.predict(pairs, head="known" if is_known else "own"))


def saved_method(files: EncoderFiles, device: str, precision: str | None, plugins_of: Plugins) -> SavedMethod:
    """The method of a checkpoint. `precision` None: that of its run, in which it answers the same."""
    if not (files.root / checkpoints.METHOD).is_file():
        return SavedMethod()
    from contsym.training.trained import load

    try:
        model = load(files.root, device=device, precision=precision, plugins_of=plugins_of)
    except ContsymError as error:
        return SavedMethod(notes=(f"its method is not measured: {error}",))
    if model.file.inputs != "pair":
        return SavedMethod(
            notes=(f"its method {model.file.strategy} is not measured: it answers single texts",)
        )
    return SavedMethod(model, tuple(model.notes))
