"""The model of a comparison of two checkpoints: frozen, what `contsym diff --json` prints and the page is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from pydantic import Field

from contsym.checked import Amount, Count, Gain, Share, Words, Written

if TYPE_CHECKING:
    import pandas

FORMAT: Final = 1

Measure = Literal["own head", "probe", "k-NN"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
GroupColumn = Literal["relation", "kind", "skill"]
GROUP_COLUMNS: tuple[GroupColumn, ...] = get_args(GroupColumn)

EMBEDDINGS, OTHER, DENSE, VECTORS, HEAD = "embeddings", "rest", "dense", "vectors", "head"
"""Parts of a checkpoint, beside `layer 1` and so on. `vectors` has no weights: it is what the pooling gives."""

ALPHA = 0.05


class Checkpoint(Written):
    """One side of the comparison."""

    name: Words
    """As given."""
    origin: Words
    weights_sha256: Words
    architecture: Words
    n_layers: Count
    dim: Count
    """Of its vectors."""
    pooling: Words
    head: Literal["joint", "pair"] | None
    """joint: a classifier over the three labels of NLI that reads both sentences as one text; pair: one over both vectors."""
    seen: tuple[Words, ...]
    """Tasks that it was trained on, as far as is known."""


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


class Ability(Change):
    """A task, measured in one way."""

    task: Words
    measure: Measure
    groups: tuple[Group, ...]
    """The largest first, by column."""

    @property
    def title(self) -> str:
        return f"{self.task}, {self.measure}"


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


class Transplant(Written):
    part: Words
    abilities: tuple[Returned, ...]


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
    notes: tuple[Words, ...]


class Diff(Written):
    """Everything that `contsym diff` found."""

    format: Literal[FORMAT]  # type: ignore[valid-type]
    old: Checkpoint
    new: Checkpoint
    tasks: tuple[DiffTask, ...]
    abilities: tuple[Ability, ...]
    parts: tuple[Part, ...]
    """From the embeddings up."""
    transplants: tuple[Transplant, ...]
    """Of the abilities that NEW has lost; empty where it has lost none, or no part fits."""
    notes: tuple[Words, ...]
    """What was not compared, and why."""
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

        rows = [ability.model_dump(exclude={"groups"}) for ability in self.abilities]
        return pandas.DataFrame(rows).set_index(["task", "measure"])

    def _repr_html_(self) -> str:
        """The abilities, as a notebook shows them."""
        return self.to_frame().to_html()
