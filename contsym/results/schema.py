"""What a stored result holds: one model that is written and read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from contsym.checked import (
    Amount,
    Count,
    Figure,
    Gain,
    Key,
    Kind,
    Name,
    RunName,
    Share,
    Strict,
    Words,
    expect,
    is_time,
)

if TYPE_CHECKING:
    pass


def task_of(result: Mapping[str, Any], name: str) -> str:
    """What the experience of that name is of: the name itself, where its source does not say another task."""
    return result["sources"].get(name, {}).get("task", name)


def variant(result: Mapping[str, Any], varied: Collection[str]) -> str:
    """A strategy with the values that tell it from others of its sweep, as `knn_fixed k=5`."""
    values = [f" {name}={value}" for name, value in result["set"].items() if name in varied]
    return result["strategy"] + "".join(values)


def in_order(result: Mapping[str, Any], name: str) -> str:
    """The name with the order of the experiences, where the scenario is run in several."""
    _, colon, order = result["scenario"].partition(":")
    return f"{name} {order}" if colon else name


class Part(Strict):
    accuracy: Share
    n: Count


class Rows(Strict):
    train: Count
    test: Count


class Source(Strict):
    name: Words
    task: Words = ""
    rows: Rows
    available: Rows
    fingerprint: Words
    stand_in: bool
    notes: list[Words] = []


class Options(Strict):
    form: Words
    shots: Count | None
    target: Share
    curve: bool
    protocol: Words = "sequential"
    pretrain: dict[str, Words] = {}
    split: Words | None = None
    label_noise: Share | None = None
    pooling: Words = "auto"


class Point(Strict):
    experience: Count
    n_steps: Count
    n_pairs_seen: Count
    n_distinct_pairs: Count
    accuracy: Share


class Reached(Strict):
    n_distinct_pairs: Count | None
    n_pairs_seen: Count | None


class View(Strict):
    id: list[str]
    relation: list[str]
    kind: list[str]


class Probe(Strict):
    before: Share
    after: Share
    forgetting: Gain


class Weights(Strict):
    sha256: Words
    origin: Words
    commit: Words | None = None


class Pooled(Strict):
    modes: list[Words]
    after: list[Words | dict[str, Words]]
    max_length: Count
    prompt: Words
    includes_prompt: bool
    lower_case: bool


class ExperienceCost(Strict):
    """What one experience took; under protocol retrain the first one is known already and takes no steps."""

    model_config = ConfigDict(frozen=True)

    training_seconds: Amount
    training_steps: Count
    pairs_seen: Count
    training_forwards: Count
    """Texts encoded to train and to store; evaluation and the learning curve not counted."""
    stored_bytes_after: Count


class Cost(Strict):
    """What a seed took: one record per experience, and figures of the whole run."""

    experiences: list[ExperienceCost]
    curve_seconds: Amount
    encoder_forwards: Count
    encoder_forwards_evaluation: Count
    trained_parameters: Count
    stored_bytes: Count
    peak_memory_bytes: Count


class Facts(Strict):
    """What made a result, known before anything is trained."""

    run: RunName
    key: Key
    strategy: Words
    scenario: Words
    encoder: Words
    encoder_weights: Weights
    pooling: Pooled | None = None
    tasks: Annotated[list[Name], Field(min_length=1, max_length=1000)]
    sources: dict[Name, Source]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    settings: dict[str, Any]
    set: dict[str, Words] = {}
    options: Options
    experiences: list[dict[str, Any]] = []
    device: Words
    precision: Words
    threads: Count
    platform: Words
    versions: dict[str, Words]
    git_commit: Words | None
    code_sha256: Words | None = None
    started_at: Words


class Result(Facts):
    matrix: list[list[Share]]
    n_test: dict[str, Annotated[int, Field(gt=0, lt=2**63)]]
    majority: dict[str, Share]
    learned: dict[str, bool]
    final: dict[str, Share]
    final_macro: Share
    final_micro: Share
    forgetting: dict[str, Gain | None]
    bwt: Gain | None
    fwt: Gain | None
    by_kind: dict[str, list[dict[Kind, Part]]]
    by_relation: dict[str, dict[Words, Part]]
    shortcuts: dict[str, dict[Words, Share]] = {}
    curve: list[Point]
    sample_efficiency: dict[str, Reached]
    loss: list[list[Figure]]
    cost: Cost
    probe: Probe | None = None
    view: View | None = None
    notes: list[Words] = []
    seconds: Annotated[Figure, Field(ge=0, le=1e12)]

    @model_validator(mode="after")
    def is_consistent(self) -> Result:
        tasks, n = self.tasks, len(self.tasks)
        expect(len(set(tasks)) == n, "each task once in tasks")
        expect(is_time(self.started_at), "started_at as a date and time with its zone, in ISO 8601")
        is_square = len(self.matrix) == n + 1 and all(len(row) == n for row in self.matrix)
        expect(is_square, f"a matrix of {n + 1} rows of {n} accuracies")
        whole = ("sources", "n_test", "majority", "learned", "final", "forgetting", "sample_efficiency")
        for name in whole:
            expect(set(tasks) <= set(getattr(self, name)), f"{name} of {', '.join(tasks)}")
        for task, rows in self.by_kind.items():
            same = len(rows) > n and all(set(row) == set(rows[0]) for row in rows)
            expect(same, f"by_kind.{task} of {n + 1} rows with the same kinds")
        expect(len(self.loss) == n, f"loss of {n} experiences")
        expect(all(point.experience < n for point in self.curve), f"experiences of curve below {n}")
        expect(len(self.cost.experiences) == n, f"cost.experiences of {n} experiences")
        if self.view:
            lengths = {len(self.view.id), len(self.view.relation), len(self.view.kind)}
            expect(len(lengths) == 1, "lists of one length in view")
        return self
