"""The model of a stored result: frozen, made before anything is written, and returned by every reader.

`python -m contsym.results.schema` prints its JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from contsym.checked import (
    Count,
    Figure,
    Gain,
    Key,
    Name,
    Share,
    Words,
    Written,
    expect,
    is_time,
)
from contsym.models.encoders.declared import PoolingFacts
from contsym.models.scores import ScoreKind
from contsym.results.schema_training import (
    Cost,
    PairsToTarget,
    Relearning,
    Search,
    StoredPoint,
    TrajectoryFigures,
)

FORMAT: Final = 6
"""2: one record of costs per experience. 3: no optional entry, and sizes are a table of the options. 4: the key alone
names a result, and figures of the matrix are a table. 5: a trajectory of all tasks on validation pairs; forgetting is a
number for every task but the last, with marks beside it; answers with scores; tasks that the encoder had seen. 6: label
spaces and what a task is; accuracies by skill and group."""


StoredShots = Count | Literal["least"] | None
"""As in config.Shots."""


class PartAccuracy(Written):
    """Accuracy on a part of the test pairs, and the number of these pairs."""

    accuracy: Share
    n: Count


class PairCounts(Written):
    train: Count
    validation: Count
    test: Count


class StoredSource(Written):
    """The source of an experience's pairs."""

    name: Words
    task: Words
    title: Words
    inputs: Literal["pair", "single"]
    few_shot: bool
    """Whether the shots are drawn from it."""
    symmetry: bool
    """Whether it is of symmetric and antisymmetric relations."""
    tested_only: bool
    """Whether nothing was trained on it."""
    labels: Annotated[list[Words], Field(min_length=1)]
    """Those that its examples can have."""
    rows: PairCounts
    """Used."""
    available: PairCounts
    fingerprint: Words
    notes: list[Words]

    @property
    def examples(self) -> str:
        """What its examples are called."""
        return "pairs" if self.inputs == "pair" else "texts"


class StoredOptions(Written):
    form: Words
    shots: StoredShots
    draw: Words
    sizes: dict[Name, Count | None]
    """Training pairs by task without relations; None: all."""
    split: Words | None
    protocol: Words
    pretrain: dict[str, Words]
    label_noise: Share | None
    limit: Count | None = None
    """The most pairs of each part of the data; None: all."""
    pooling: Words
    adapter: Words | None = None
    """Trained in place of the encoder's weights."""
    one_pass: bool
    until: Share | None
    step: Count
    target: Share
    curve: bool
    relearn: bool

    @property
    def aim(self) -> float:
        """The accuracy that the fewest pairs are reported for."""
        return self.target if self.until is None else self.until


class Asked(Written):
    """Typed options whose resolved values decide the key."""

    sources: dict[str, Words]
    device: Words
    precision: Words
    audit: bool


class StoredPlugin(Written):
    kind: Words
    name: Words
    origin: Words
    sha256: Words


class EncoderWeights(Written):
    sha256: Words
    text_files_sha256: Words | None
    """Of the configuration and the tokenizer; None for a preset, whose weights decide them."""
    origin: Words
    commit: Words | None


class View(Written):
    """The pairs with label embeddings in the stored vectors, for a picture."""

    id: list[str]
    relation: list[str]
    kind: list[str]


class Probe(Written):
    """Accuracy of a fresh linear probe for the first task, before and after the other tasks."""

    before: Share
    after: Share
    forgetting: Gain


class Answers(Written):
    """What was answered on the test pairs of a task at one time."""

    macro_f1: Share
    """Over the labels that the pairs have."""
    calibration_error: Share
    """ECE in 15 bins."""
    predicted: dict[Words, Share]
    """The share of the pairs that were given each label."""


class TaskAnswers(Written):
    """What was answered on a task before and after all later experiences, beside the truth."""

    score_kind: ScoreKind
    """How its scores become probabilities: `logits` by softmax, `votes` as shares."""
    true: dict[Words, Share]
    """The share of the pairs with each label."""
    own: Answers
    """Right after the task's own training."""
    final: Answers


class Facts(Written):
    """The facts that decide a result, from before training: enough to repeat the run."""

    model_config = ConfigDict(title="result")

    format: Literal[FORMAT]  # type: ignore[valid-type]
    key: Key
    strategy: Words
    scenario: Words
    scenario_file: Words | None
    """The scenario's file, if it is not built in."""
    experiences: list[dict[str, JsonValue]]
    """The settings of each that are not the default; empty if all experiences are plain tasks."""
    plugins: list[StoredPlugin]
    encoder: Words
    encoder_weights: EncoderWeights
    seen: list[Words]
    """Tasks that the encoder was trained on before the run, as far as is known."""
    pooling: PoolingFacts
    tasks: Annotated[list[Name], Field(min_length=1, max_length=1000)]
    """The names of the experiences, in order."""
    labels: Annotated[list[Words], Field(min_length=2)]
    """The names of the classes, by class number."""
    label_space: Literal["shared", "disjoint", "per_task"]
    """Whether all experiences have one space of labels, each has its own, or each is answered with its own alone."""
    sources: dict[Name, StoredSource]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    pretraining: dict[str, JsonValue] | None
    """All settings of the fine-tuning that made the encoder of protocol retrain; None if nothing was pretrained."""
    settings: dict[str, JsonValue]
    """All settings of the strategy, with defaults."""
    set: dict[str, Words]
    """The settings of --set, as typed."""
    options: StoredOptions
    asked: Asked
    device: Words
    precision: Words
    threads: Count
    platform: Words
    processor: Words
    versions: dict[str, Words]
    git_commit: Words | None
    code_sha256: Words
    started_at: Words

    @model_validator(mode="after")
    def is_of_its_tasks(self) -> Facts:
        expect(len(set(self.tasks)) == len(self.tasks), "each task once in tasks")
        expect(set(self.tasks) <= set(self.sources), f"sources of {', '.join(self.tasks)}")
        expect(is_time(self.started_at), "started_at as a date and time with its zone, in ISO 8601")
        return self


class Scores(Written):
    """The accuracy matrix of a seed and all other figures of its predictions; means are over the trained tasks."""

    matrix: list[list[Share]]
    """R: a row before any training and one after each experience; a column per experience."""
    n_test: dict[str, Annotated[int, Field(gt=0, lt=2**63)]]
    majority: dict[str, Share]
    learned: dict[str, bool]
    """Right after its training, the accuracy is above the majority class by more than its 95% Wilson interval."""
    above_shortcuts: dict[str, bool | None]
    """The same of the best shortcut; None for a task without an audit."""
    final: dict[str, Share]
    final_macro: Share
    final_micro: Share
    forgetting: dict[str, Gain]
    """Of every trained task but the last, which no training follows; whether the task was learned is a mark beside it."""
    figures: dict[Name, Gain | None]
    """Of the tasks that were trained on, by the names of `metrics.matrix.MATRIX_FIGURES`; None if there is only one."""
    by_kind: dict[str, list[dict[Words, PartAccuracy]]]
    """Of tasks whose data name kinds, by row of R."""
    by_relation: dict[str, dict[str, PartAccuracy]]
    """At the end."""
    by_skill: dict[str, list[dict[Words, PartAccuracy]]]
    """Of tasks whose data name the skills that a pair needs, by row of R."""
    by_group: dict[str, list[dict[Words, PartAccuracy]]]
    """Of tasks whose data name groups, by row of R."""
    confusion: dict[str, list[list[Count]]]
    """At the end: counts[label][prediction]."""
    answers: dict[str, TaskAnswers]


class SeedResult(Scores, Facts):
    """One seed: its facts, its scores and its cost."""

    start: Words | None
    """The key of the encoder at the start of a retrain run."""
    probe: Probe | None
    shortcuts: dict[str, dict[Words, Share]]
    """The accuracy of each shortcut, by audited experience."""
    leaks: dict[str, dict[Words, Count]]
    """Test pairs with each kind of leak, by audited experience."""
    validation: dict[Name, Share]
    """Accuracy at the end on a fixed part of each task's validation pairs, by which settings are chosen."""
    trajectory: list[StoredPoint]
    trajectory_figures: TrajectoryFigures
    sample_efficiency: dict[str, PairsToTarget]
    search: Search | None
    """None for a number of shots that was given."""
    relearning: Relearning | None
    """None without --relearn."""
    loss: list[list[Figure]]
    """Per step, by experience."""
    cost: Cost
    view: View | None
    notes: list[Words]
    seconds: Annotated[Figure, Field(ge=0, le=1e12)]

    @model_validator(mode="after")
    def is_consistent(self) -> SeedResult:
        tasks, n = self.tasks, len(self.tasks)
        is_square = len(self.matrix) == n + 1 and all(len(row) == n for row in self.matrix)
        expect(is_square, f"a matrix of {n + 1} rows of {n} accuracies")
        for name in (
            "n_test",
            "majority",
            "learned",
            "above_shortcuts",
            "final",
            "validation",
            "answers",
            "sample_efficiency",
        ):
            expect(set(tasks) <= set(getattr(self, name)), f"{name} of {', '.join(tasks)}")
        earlier = set(self.trained_tasks[:-1])
        expect(set(self.forgetting) == earlier, "forgetting of every trained task but the last")
        for name in ("by_kind", "by_skill", "by_group"):
            for task, rows in getattr(self, name).items():
                same = len(rows) > n and all(set(row) == set(rows[0]) for row in rows)
                expect(same, f"{name}.{task} of {n + 1} rows with the same names")
        for task, answers in self.answers.items():
            for shares in (answers.true, answers.own.predicted, answers.final.predicted):
                expect(set(shares) == set(self.labels), f"answers.{task} of {', '.join(self.labels)}")
        expect(len(self.loss) == n, f"loss of {n} experiences")
        is_of_tasks = all(point.experience < n == len(point.accuracies) for point in self.trajectory)
        expect(is_of_tasks, f"experiences below {n} and {n} accuracies at each point of trajectory")
        expect(len(self.cost.experiences) == n, f"cost.experiences of {n} experiences")
        if self.view:
            lengths = {len(self.view.id), len(self.view.relation), len(self.view.kind)}
            expect(len(lengths) == 1, "lists of one length in view")
        return self

    @property
    def order(self) -> str:
        """The order of the scenario's experiences, as `mnli,wikidata`; empty if the scenario has only one order."""
        return self.scenario.partition(":")[2]

    @property
    def seen_tasks(self) -> list[str]:
        """Those of its tasks that the encoder was trained on before."""
        return list(dict.fromkeys(t for name in self.tasks if (t := self.sources[name].task) in self.seen))

    @property
    def seen_titles(self) -> list[str]:
        """The titles of `seen_tasks`."""
        titles = {source.task: source.title for source in self.sources.values()}
        return [titles[task] for task in self.seen_tasks]

    @property
    def trained_tasks(self) -> list[str]:
        """Those that were trained on; those that are only tested come after them."""
        return [name for name in self.tasks if not self.sources[name].tested_only]

    @property
    def new_task(self) -> str:
        """The experience with the shots: the last one that has them, or else the last that was trained on."""
        few_shot = [name for name in self.tasks if self.sources[name].few_shot]
        return (few_shot or self.trained_tasks)[-1]

    def own_accuracy(self, task: str) -> float:
        """Accuracy right after the task's own experience."""
        j = self.tasks.index(task)
        return self.matrix[j + 1][j]

    def accuracy_before(self, task: str) -> float:
        """Accuracy right before the task's own experience. A method with a memory has the pairs in it already."""
        j = self.tasks.index(task)
        return self.matrix[j][j]

    @property
    def n_shots(self) -> int:
        """Training pairs of the new task."""
        shots = self.options.shots
        return shots if isinstance(shots, int) else self.sources[self.new_task].rows.train

    @property
    def shots_group(self) -> int:
        """The number of shots to group results by: of a search for the least the most that it may try, which is another
        group than a training on as many."""
        return self.search.group if self.search else self.n_shots

    def variant(self, varied: Collection[str]) -> str:
        """The strategy with its varied settings, as `knn_fixed k=5`."""
        # Not as typed: k=05 and an omitted default are the same result as k=5.
        texts = (f" {name}={as_typed(value)}" for name, value in self.settings.items() if name in varied)
        return self.strategy + "".join(texts)

    def variant_in_order(self, varied: Collection[str]) -> str:
        """The variant with the order of the experiences, if the scenario has several."""
        return " ".join(filter(None, (self.variant(varied), self.order)))


def as_typed(value: JsonValue) -> str:
    """A setting's value as it is typed on the command line.

    >>> as_typed(5), as_typed(1e-4), as_typed(10.0), as_typed(True)
    ('5', '0.0001', '10', 'true')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def json_schema() -> str:
    """The JSON Schema of a result.json, the content of docs/result.schema.json."""
    return json.dumps(SeedResult.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
