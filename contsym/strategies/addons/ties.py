"""TIES: after an experience, the encoder's first weights and a merge of all task vectors that leaves out conflicts.

Each task vector keeps its largest `ties_density` of entries; for each weight a sign is elected, that of the sum; and
w = w0 + scale * mean of the entries with that sign. Vectors are measured, and the head stays, as in `task_arithmetic`.
Source: Yadav et al. 2023, section 4. Density 0.2 and scale 1 are what they advise without validation pairs.
Our departure: as in `task_arithmetic`, vectors follow one another, and are not of models that were trained apart.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from contsym.models.merging import disjoint_mean, threshold, trimmed
from contsym.strategies.addons.base import AddonSettings
from contsym.strategies.addons.task_arithmetic import TaskArithmetic

CARD = {
    "source": "Yadav et al. 2023 (TIES-Merging, arXiv 2306.01708)",
    "trains": "what the strategy trains",
    "stores": "the encoder's first weights and a task vector for each experience",
    "family": "continual",
}


class Ties(TaskArithmetic):
    class Settings(AddonSettings):
        ties_density: float = Field(
            0.2, gt=0, le=1, description="share of a task vector's entries that is kept"
        )
        ties_scale: float = Field(1.0, ge=0, description="factor of the merged vector")

    def with_vector(self, vector: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        least = threshold(list(vector.values()), self.settings.ties_density)
        return [*self.vectors, {name: trimmed(part, least) for name, part in vector.items()}]

    def summed(self, parts: Tensor) -> Tensor:
        return self.settings.ties_scale * disjoint_mean(parts)
