"""The shapes of a stored result, manifest and sweep, for `contsym.stored` to check them by."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Gain = Annotated[float, Field(ge=-1, le=1)]
Figure = Annotated[float, Field(ge=-1e300, le=1e300)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[Figure, Field(ge=0)]
# As the names of scenarios' experiences: they become parts of file names and of MLflow's keys.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,59}$")]
# Folders are found by them.
RunName = Annotated[str, StringConstraints(pattern=r"^[\w+\-][\w.+\-]{0,199}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z_\-]{0,127}$")]
Words = Annotated[str, StringConstraints(max_length=10_000)]
Kind = Literal["symmetric", "antisymmetric"]


class Strict(BaseModel):
    """No value is turned into another; entries that nothing reads may be anything."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


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
        _expect(len(set(tasks)) == n, "each task once in tasks")
        _expect(_is_time(self.started_at), "started_at as a date and time with its zone, in ISO 8601")
        is_square = len(self.matrix) == n + 1 and all(len(row) == n for row in self.matrix)
        _expect(is_square, f"a matrix of {n + 1} rows of {n} accuracies")
        whole = ("sources", "n_test", "majority", "learned", "final", "forgetting", "sample_efficiency")
        for name in whole:
            _expect(set(tasks) <= set(getattr(self, name)), f"{name} of {', '.join(tasks)}")
        for task, rows in self.by_kind.items():
            same = len(rows) > n and all(set(row) == set(rows[0]) for row in rows)
            _expect(same, f"by_kind.{task} of {n + 1} rows with the same kinds")
        _expect(len(self.loss) == n, f"loss of {n} experiences")
        _expect(all(point.experience < n for point in self.curve), f"experiences of curve below {n}")
        _expect(len(self.cost.experiences) == n, f"cost.experiences of {n} experiences")
        if self.view:
            lengths = {len(self.view.id), len(self.view.relation), len(self.view.kind)}
            _expect(len(lengths) == 1, "lists of one length in view")
        return self


class RelationCounts(Strict):
    name: Words
    kind: Kind
    triples: Count
    pairs: Count
    mirrored_share: Share
    train: Count
    test: Count


class Split(Strict):
    rule: Words
    meaning: Words
    test_share: Share
    seed: int


class Input(Strict):
    file: Words
    lines: Count
    sha256: Words


class Skipped(Strict):
    triples: Count
    reason: Words


class File(Strict):
    sha256: Words


class Manifest(Strict):
    split: Split
    forms: list[Words]
    labels: dict[Words, dict[Words, Count]]
    relations: dict[Words, RelationCounts]
    inputs: dict[Words, Input]
    skipped_properties: dict[Words, Skipped]
    left_out: dict[Words, Count]
    warnings: list[Words]
    files: dict[Words, File]


class SweepCell(Strict):
    key: Key
    beginning: Key | None
    strategy: Words
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    shots: Count
    settings: dict[str, Words]
    scenario: Words | None = None
    n_steps: Annotated[list[Count], Field(min_length=2, max_length=2)]


class SweepSettings(Strict):
    strategies: list[Words]
    scenario: Words
    shots: list[Count]
    seeds: list[Count] = [0, 1, 2]
    settings: dict[str, list[Words]]
    encoder: Words = "minilm"
    pooling: Words = "auto"
    sources: dict[str, Words] = {}
    sizes: dict[str, Count] = {}
    form: Words = "lexicalised"
    split: Words | None = None
    protocol: Words = "sequential"
    pretrain: dict[str, Words] = {}
    label_noise: Share | None = None
    plugins: list[Words] = []
    device: Words = "auto"
    precision: Words = "auto"
    target: Share = 0.99
    curve: bool = False
    audit: bool = True


class SweepFile(Strict):
    created: Words
    config: SweepSettings
    cells: list[SweepCell]

    @model_validator(mode="after")
    def is_consistent(self) -> SweepFile:
        _expect(_is_time(self.created), "created as a date and time with its zone, in ISO 8601")
        return self


MODELS: dict[str, type[BaseModel]] = {
    "result": Result,
    "facts": Facts,
    "manifest": Manifest,
    "sweep": SweepFile,
}


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _is_time(text: str) -> bool:
    try:
        # A time before 1970 or without a zone has no place in MLflow.
        found = datetime.fromisoformat(text)
        return found.tzinfo is not None and found.timestamp() >= 0
    except (ValueError, OverflowError):
        return False
