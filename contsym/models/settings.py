"""Settings that several methods have: which relation makes a label embedding, what is stored."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from contsym.models.algebra import DIVISION_GUARD, RelationName
from contsym.models.distances import Metric
from contsym.models.memory import VotingMemory
from contsym.models.neighbours import IndexKind, StoredType
from contsym.models.reservoir import RESERVOIR


class RelationSettings(BaseModel):
    """Of methods whose label embedding is a fixed function of the two sentences."""

    relation: RelationName = Field("division", description="what label embeddings are of h and p")
    guard: float = Field(DIVISION_GUARD, gt=0, description="strength of the guard in h ⊘ p")

    @field_validator("guard")
    @classmethod
    def _only_division_has_a_guard(cls, guard: float, info: ValidationInfo) -> float:
        # Runs where a guard was given; `relation` is missing where it was itself refused.
        if info.data.get("relation", "division") != "division":
            raise PydanticCustomError("guard", "relation=division with it, since no other relation divides")
        return guard


def _mode(mode: str) -> str:
    if mode not in ("refresh", "stale") and not re.fullmatch(RESERVOIR + "[1-9][0-9]*", mode):
        raise PydanticCustomError("memory", "refresh, stale or reservoir:N, as reservoir:500")
    return mode


class MemorySettings(BaseModel):
    """Of methods that store pairs."""

    memory: Annotated[str, AfterValidator(_mode)] = Field(
        "refresh",
        description="stored pairs are encoded again after an experience, or not (stale); "
        "reservoir:N: again, of N pairs sampled from all",
    )


class VoteSettings(MemorySettings):
    """Of methods whose stored pairs vote."""

    k: int = Field(3, ge=1, description="stored neighbours that vote")
    index: IndexKind = Field(
        "auto",
        description="how neighbours are found: flat (all compared) or ivf (only in near lists); "
        "auto: flat up to 100,000 pairs, ivf above",
    )
    memory_dtype: StoredType = Field("float32", description="of the stored embeddings; float16 halves them")

    def voting_memory(self, n_labels: int, seed: int, metric: Metric = "cosine") -> VotingMemory:
        """The memory that these settings describe."""
        return VotingMemory(
            k=self.k,
            n_labels=n_labels,
            mode=self.memory,
            metric=metric,
            index=self.index,
            stored_as=self.memory_dtype,
            seed=seed,
        )
