"""The model of a comparison of two checkpoints: frozen, what `contsym diff --json` prints and the page is made of."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from pydantic import Field

from contsym.checked import Amount, Count, Gain, Share, Words, Written

if TYPE_CHECKING:
    import pandas

FORMAT: Final = 3

Measure = Literal["method", "own head", "probe", "k-NN"]
"""method: what a model that contsym run saved answers; own head: the NLI head of the checkpoint."""
MEASURES: tuple[Measure, ...] = get_args(Measure)
OWN: tuple[Measure, ...] = ("method", "own head")
"""The measures that are the checkpoint's own answers; the others learn from the pairs."""
GroupColumn = Literal["relation", "kind", "skill"]
GROUP_COLUMNS: tuple[GroupColumn, ...] = get_args(GroupColumn)

ALPHA = 0.05


class RunAccuracy(Written):
    """What the run of a saved model measured on the test pairs of a task, which are not those of a comparison."""

    task: Words
    untrained: Share
    trained: Share
    """After the last experience."""


class Checkpoint(Written):
    """One side of the comparison."""

    name: Words
    """As given."""
    title: Words
    """For people: the name, or strategy and short key of a run's model."""
    origin: Words
    weights_sha256: Words
    architecture: Words
    n_layers: Count
    dim: Count
    """Of its vectors."""
    pooling: Words
    head: Literal["joint", "pair"] | None
    """joint: a classifier over the three labels of NLI that reads both sentences as one text; pair: one over both vectors."""
    unused_labels: tuple[Words, ...]
    """Of a classifier over other labels, which is not measured."""
    method: Words | None
    """The strategy of a model that contsym run saved."""
    run: tuple[RunAccuracy, ...]
    """Empty where there is no saved model, or none whose result this version reads."""
    seen: tuple[Words, ...]
    """Tasks that it was trained on, as far as is known."""

    @property
    def words(self) -> str:
        """The checkpoint in one line."""
        heads = {
            "joint": "an NLI head over joint texts",
            "pair": "an NLI head over both vectors",
            None: "a head over other labels" if self.unused_labels else "no NLI head",
        }
        layers = f"{self.n_layers} layers, " if self.n_layers else ""
        method = f"the method {self.method}, " if self.method else ""
        return f"{self.title}: {self.architecture}, {layers}{self.dim} dimensions, {self.pooling}; {method}{heads[self.head]}"


class Change(Written):
    """Accuracies of both checkpoints on the same pairs."""

    n: Count
    before: Share | None
    """None where OLD cannot be measured in this way; so is `after` of NEW."""
    after: Share | None
    change: Gain | None
    """After less before."""
    low: Gain | None
    high: Gain | None
    """95% interval of the change, a paired bootstrap over the pairs."""
    p: Share | None
    """Corrected after Holm over its family: all abilities, or all groups of one column of an ability."""
    least: Share | None
    """The least true change that as many pairs would show in 80 of 100 repetitions (5%, before correction)."""

    @property
    def is_shown(self) -> bool:
        """Whether the test shows a change."""
        return self.p is not None and self.p < ALPHA

    @property
    def is_lost(self) -> bool:
        """Whether the test shows a loss."""
        return self.is_shown and (self.change or 0.0) < 0


class Group(Change):
    """The pairs of an ability with one value of a column."""

    column: GroupColumn
    name: Words


class LabelShare(Written):
    """How often a label is right, and how often each side answers it; None where it cannot be measured."""

    label: Words
    true: Share
    before: Share | None
    after: Share | None


class Flips(Written):
    """Pairs whose answer changed."""

    lost: Count
    """Right, then wrong."""
    won: Count
    """Wrong, then right."""
    other: Count
    """From one wrong label to another."""


class Ability(Change):
    """A task, measured in one way."""

    task: Words
    measure: Measure
    groups: tuple[Group, ...]
    """The largest first, by column."""
    flips: Flips | None
    """None where one side cannot be measured."""
    shares: tuple[LabelShare, ...]
    """Of every label that is right or answered, in the order of the task's."""
    answers_before: tuple[Words, ...] | None
    """The label that OLD gives each pair of the task."""
    answers_after: tuple[Words, ...] | None

    @property
    def title(self) -> str:
        return f"{self.task}, {self.measure}"


class Tensor(Written):
    """How far one matrix or vector of weights moved."""

    name: Words
    weights: Amount | None


class Part(Written):
    """How far a part moved; 0 is unmoved, None what cannot be compared."""

    name: Words
    weights: Amount | None
    """|new - old| / |old| over its weights."""
    cka_distance: Share | None
    """1 - linear CKA of the states that it gives."""
    drift: Annotated[float, Field(ge=0, le=2)] | None
    """Mean of 1 - cosine of the old and the new state of a text."""
    neighbours_lost: Share | None
    tensors: tuple[Tensor, ...]
    """Its weights one by one; empty where they are not compared."""


class Returned(Written):
    """An ability of NEW with one part of OLD put back."""

    task: Words
    measure: Measure
    accuracy: Share
    returned: Gain
    """Accuracy less that of NEW."""
    low: Gain
    high: Gain
    share: float
    """Of the loss: 1 where the accuracy is OLD's again, 0 where it stays NEW's, below 0 where it falls further."""

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return not self.low <= 0 <= self.high


class Transplant(Written):
    part: Words
    abilities: tuple[Returned, ...]


class AnsweredPair(Written):
    """A pair that is answered."""

    id: Words
    premise: str
    hypothesis: str
    label: Words


class DiffTask(Written):
    """The pairs of a task."""

    name: Words
    given: Words
    """The source as given; `rows` for rows in memory."""
    source: Words
    n: Count
    """Pairs that are answered."""
    n_learned: Count
    """Pairs that probes and k-NN may learn from, these among them."""
    majority: Share
    """The accuracy of answering every pair by its most frequent label."""
    notes: tuple[Words, ...]
    pairs: tuple[AnsweredPair, ...]


ANSWER_COLUMNS = ("task", "measure", "id", "premise", "hypothesis", "label", "before", "after")


class Diff(Written):
    """Everything that `contsym diff` found."""

    format: Literal[FORMAT]  # type: ignore[valid-type]
    old: Checkpoint
    new: Checkpoint
    is_same: bool
    """Whether both have the same weights, tokenizer, pooling and heads: then nothing is measured."""
    tasks: tuple[DiffTask, ...]
    abilities: tuple[Ability, ...]
    parts: tuple[Part, ...]
    """From the embeddings up."""
    transplants: tuple[Transplant, ...]
    """Of the abilities that NEW has lost; empty where it has lost none, or no part fits."""
    notes: tuple[Words, ...]
    """What was not compared, and why."""
    summary: tuple[Words, ...]
    """What the command says in words: the warnings, which begin with `!`, and the sentences."""
    put_back: bool
    """Whether parts were asked to be put back."""
    n_texts: Count
    """Texts whose states were compared."""
    reads: Literal["sentences", "pairs"]
    """What becomes a vector: each sentence, or both as one text where both checkpoints have a joint head."""
    seed: Count
    n_folds: Count
    k_votes: Count
    k_neighbours: Count
    limit: Count
    form: Words
    device: Words
    precision: Words
    contsym: Words
    """The version."""
    seconds: Amount

    def ability(self, task: str, measure: Measure = "probe") -> Ability:
        """One ability. Raises KeyError for a task that was not measured so."""
        found = [a for a in self.abilities if (a.task, a.measure) == (task, measure)]
        if not found:
            raise KeyError(f"{task}, {measure}: expected one of {'; '.join(a.title for a in self.abilities)}")
        return found[0]

    @property
    def lost(self) -> list[Ability]:
        """The abilities whose loss the test shows, the largest first."""
        return sorted((a for a in self.abilities if a.is_lost), key=lambda a: a.change or 0.0)

    @property
    def gained(self) -> list[Ability]:
        """The abilities whose gain the test shows, the largest first."""
        gained = (a for a in self.abilities if a.is_shown and not a.is_lost)
        return sorted(gained, key=lambda a: -(a.change or 0.0))

    def to_frame(self) -> pandas.DataFrame:
        """The abilities as a table, a row each."""
        import pandas

        fields = [*Change.model_fields]
        rows = [ability.model_dump(include={"task", "measure", *fields}) for ability in self.abilities]
        return pandas.DataFrame(rows, columns=["task", "measure", *fields]).set_index(["task", "measure"])

    def answer_rows(self) -> Iterator[tuple[str, ...]]:
        """ANSWER_COLUMNS of each ability and pair; empty where a side cannot be measured."""
        pairs = {task.name: task.pairs for task in self.tasks}
        for ability in self.abilities:
            own = pairs[ability.task]
            sides = [side or ("",) * len(own) for side in (ability.answers_before, ability.answers_after)]
            for pair, before, after in zip(own, *sides, strict=True):
                yield (
                    *(ability.task, ability.measure),
                    *(pair.id, pair.premise, pair.hypothesis, pair.label, before, after),
                )

    def answers(self) -> pandas.DataFrame:
        """What both sides answer to each pair, a row per ability and pair."""
        import pandas

        return pandas.DataFrame(self.answer_rows(), columns=[*ANSWER_COLUMNS])

    def __repr__(self) -> str:
        return (
            f"<contsym.Diff {self.old.title} to {self.new.title}: {len(self.abilities)} abilities, {len(self.lost)} worse, "
            f"{len(self.gained)} better>"
        )

    def __str__(self) -> str:
        """What the command prints, without the tables of groups and parts."""
        sides = [f"OLD  {self.old.words}", f"NEW  {self.new.words}"]
        table = self.to_frame().to_string(float_format="{:.3f}".format, na_rep="-")
        return "\n".join([*sides, *self.summary, *(["", table] if self.abilities else [])])

    def _repr_html_(self) -> str:
        """The sentences and the abilities, as a notebook shows them."""
        return "".join(f"<p>{html.escape(line)}</p>" for line in self.summary) + self.to_frame().to_html()
