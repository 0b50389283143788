"""Settings of every strategy, and settings that several strategies share (the relation, the memory)."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from contsym.models.algebra import DIVISION_GUARD, RelationName
from contsym.models.distances import Metric
from contsym.models.encoders.freezing import NOTHING, is_freezable
from contsym.models.memory import COMPENSATE, VotingMemory
from contsym.models.neighbours import IndexKind, StoredType
from contsym.models.reservoir import RESERVOIR

MOST = 10**12
"""Of passes, steps and pairs in a step: numbers that follow from them are finite."""
NUMBER = "[1-9][0-9]{0,17}"
"""A number within a text; Python refuses thousands of digits."""


class RelationSettings(BaseModel):
    """For methods whose label embedding is a fixed function of the two sentences."""

    relation: RelationName = Field("division", description="label embedding as a function of h and p")
    guard: float = Field(DIVISION_GUARD, gt=0, description="strength of the guard in h ⊘ p")

    @field_validator("guard")
    @classmethod
    def _only_division_has_a_guard(cls, guard: float, info: ValidationInfo) -> float:
        # Runs only for a given guard; `relation` is absent if it failed its own check.
        if info.data.get("relation", "division") != "division":
            raise PydanticCustomError("guard", "relation=division with it, since no other relation divides")
        return guard


def _mode(mode: str) -> str:
    if mode not in ("refresh", "stale") and not re.fullmatch(RESERVOIR + NUMBER, mode):
        raise PydanticCustomError("memory", "refresh, stale or reservoir:N, as reservoir:500")
    return mode


def _vote_mode(mode: str) -> str:
    if mode == COMPENSATE:
        return mode
    try:
        return _mode(mode)
    except PydanticCustomError:
        raise PydanticCustomError(
            "memory", "refresh, stale, compensate or reservoir:N, as reservoir:500"
        ) from None


class MemorySettings(BaseModel):
    """For methods that store pairs."""

    memory: Annotated[str, AfterValidator(_mode)] = Field(
        "refresh",
        description="stored pairs are encoded again after an experience, or not (stale); "
        "reservoir:N: again, of N pairs sampled from all",
    )


class VoteSettings(MemorySettings):
    """For methods whose stored pairs vote."""

    memory: Annotated[str, AfterValidator(_vote_mode)] = Field(
        "refresh",
        description="stored pairs are encoded again after an experience, or not (stale), or moved by the drift of the "
        "present pairs (compensate); reservoir:N: again, of N pairs sampled from all",
    )
    k: int = Field(3, ge=1, description="stored neighbours that vote")
    index: IndexKind = Field(
        "auto",
        description="how neighbours are found: flat (all compared) or ivf (only in near lists); "
        "auto: flat up to 100,000 pairs, ivf above",
    )
    memory_dtype: StoredType = Field("float32", description="of the stored embeddings; float16 halves them")

    def voting_memory(self, n_labels: int, seed: int, metric: Metric = "cosine") -> VotingMemory:
        return VotingMemory(
            k=self.k,
            n_labels=n_labels,
            mode=self.memory,
            metric=metric,
            index=self.index,
            stored_as=self.memory_dtype,
            seed=seed,
        )


def _freezable(value: str) -> str:
    if not is_freezable(value):
        raise PydanticCustomError("freeze", "nothing, embeddings or layers:N, as layers:3")
    return value


class TrainingSettings(BaseModel):
    """Hyper-parameters of every strategy; a method adds its own in a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learning_rate: float | None = Field(None, gt=0, le=1, description="default: the encoder's preset")
    batch_size: int = Field(16, ge=1, le=MOST, description="pairs in a training step")
    epochs: float = Field(1.0, gt=0, le=MOST, description="passes over an experience, at least")
    min_steps: int = Field(100, ge=1, le=MOST, description="training steps for an experience, at least")
    steps: int | None = Field(None, ge=1, le=MOST, description="exact training steps; overrides both")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="learning rate over an experience's steps: as it is, or falling towards 0"
    )
    warmup: float = Field(
        0.0, ge=0, lt=1, description="share of an experience's steps in which the learning rate rises first"
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of a step's gradient")
    freeze: Annotated[str, AfterValidator(_freezable)] = Field(
        NOTHING, description="lower part of the encoder that is not trained: embeddings, or layers:N"
    )

    def n_steps(self, n_pairs: int, one_pass: bool = False) -> int:
        """Training steps for an experience of n_pairs; with `one_pass` as many as see each pair once."""
        if one_pass:
            return math.ceil(n_pairs / self.batch_size)
        return self.steps or max(self.min_steps, math.ceil(self.epochs * n_pairs / self.batch_size))

    def effective(self, one_pass: bool = False) -> dict[str, JsonValue]:
        """The settings that decide a result: not those of the number of steps that another one overrides.

        >>> TrainingSettings(steps=5, epochs=2).effective() == TrainingSettings(steps=5).effective()
        True
        """
        without = (
            {"epochs", "min_steps", "steps"} if one_pass else {"epochs", "min_steps"} if self.steps else set()
        )
        return self.model_dump(mode="json", exclude=without)

    def rate(self, step: int, n_steps: int) -> float:
        """The share of the learning rate that a step of an experience takes, counted from 0 among n_steps.

        Warm-up and linear fall as in Goyal et al. 2017 (arXiv 1706.02677), section 2.2, and BERT; cosine: Loshchilov
        and Hutter 2017 (SGDR, arXiv 1608.03983), equation 5, without restarts. No step takes a rate of 0.

        >>> settings = TrainingSettings(warmup=0.2, schedule="linear")
        >>> [settings.rate(step, 10) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.125]
        """
        n_warmup = math.ceil(self.warmup * n_steps)
        if step < n_warmup:
            return (step + 1) / n_warmup
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "linear":
            return (n_steps - step) / (n_steps - n_warmup)
        return (1 + math.cos(math.pi * (step - n_warmup) / (n_steps - n_warmup))) / 2
