"""The contract of a strategy: a head over an encoder, an objective, and a way to score pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from datasets import Dataset
from torch import Tensor, nn

from contsym.errors import ContsymError
from contsym.models.algebra import pair_features
from contsym.models.encoders.checkpoints import EncoderFiles, Head
from contsym.models.encoders.pooled import PooledEncoder, Text
from contsym.models.memory import VotingMemory
from contsym.models.pair_model import HEAD_BATCH, PairModel, as_pair, premise_alone, under
from contsym.models.scores import ScoreKind
from contsym.models.settings import TrainingSettings
from contsym.tasks.schema import Inputs


class Strategy:
    """A method. Subclass it in a file of its own, with a CARD, and define:

    - `Settings`: TrainingSettings plus the fields of the method;
    - `build(encoder, n_labels, generator)`: the head, a module over (p, h), (batch, dim) each, or over
      one (batch, dim) vector if `is_joint`, as it is for single texts; draw its weights from the generator;
    - `objective(output, labels)`, unless `trains` is False: the scalar to minimise;
    - `make_memory()`, if the method stores pairs: the VotingMemory that turns the head's output into
      scores. Without a memory the output is the scores: (batch, n_labels), larger is likelier.

    Training pairs have labels (`objective`, `meet`, `fit`, `past`, `current`). What is scored has not: `score`,
    `known_scores` and `features` get datasets of the columns premise and hypothesis alone, on any number of pairs at once.

    Scores become probabilities by softmax ("logits"; minus a distance is one too), those of a VotingMemory as shares of
    the vote; override `score_kind` for others (models/scores.py).

    A method may also override `begin(n)`, `meet(pairs)`, `after_step()`, `fit(pairs)`, `refresh(...)` and
    `score(pairs)`, and, if it has state outside the model, `state()` and `restore(...)`; if it reads `past` and has no
    VotingMemory, also `stored_pairs()`. docs/strategy-hooks.md has all hooks in one table. A strategy knows no trainer:
    `training/template.py` drives any strategy through Avalanche.
    """

    Settings: ClassVar[type[TrainingSettings]] = TrainingSettings
    trains: ClassVar[bool] = True
    wants_head: ClassVar[Head] = "none"
    """The head of the checkpoint to load: "nli" is an NLI classifier if it has one."""
    compares_pairs: ClassVar[bool] = False
    """Whether the objective compares the pairs of a batch with each other, also without a memory."""
    keeps_encoder: ClassVar[bool] = False
    """Whether pairs of a known task are answered by the encoder as it was, although something in it is trained."""
    addons: ClassVar[tuple[type[Any], ...]] = ()
    """The add-ons of a name such as `fine_tune+ewc`; see contsym/strategies/addons."""
    scoring_counts: ClassVar[tuple[str, ...]] = ()
    """Entries of `state` that count what was scored, as for `notes`; scoring changes nothing else."""

    is_joint: bool = False
    """Whether an example is encoded as one text: a single text, or premise and hypothesis together. `build` may set it."""
    past: list[Dataset]
    """The training pairs of each finished experience."""
    current: Dataset | None = None
    """The pairs seen of the present experience; before any training all pairs of the first one, because
    a k-NN has nothing else to vote with."""
    n_steps = 0
    """Training steps so far, of all experiences."""

    def __init__(
        self,
        *,
        encoder: PooledEncoder,
        settings: TrainingSettings,
        labels: Sequence[str],
        seed: int,
        device: str,
        known_head: nn.Module | None = None,
        inputs: Inputs = "pair",
    ) -> None:
        """`labels` are the names of the classes. Of `inputs`, a method takes those that its CARD names."""
        self.settings, self.seed, self.device = settings, seed, device
        self.labels, self.n_labels, self.inputs = tuple(labels), len(labels), inputs
        self.is_joint = self.is_joint or inputs == "single"
        self.past = []
        encoder.freeze(settings.freeze)
        # The head of the known task began with draws of this seed, and its encoder has learned to fit them: a
        # new head with the same draws would know that task. (The CPU's generator uses 32 bits of a seed.)
        generator = torch.Generator().manual_seed((seed + 2**31 * (known_head is not None)) % 2**32)
        head = self.build(encoder, self.n_labels, generator)
        joined = premise_alone if inputs == "single" else self.joined if self.is_joint else None
        self.model = PairModel(
            encoder, head, joined=joined, n_labels=self.n_labels, known_head=known_head
        ).to(device)
        self.memory = self.make_memory()

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        raise ContsymError(f"strategy {type(self).__name__} has no build(encoder, n_labels, generator)")

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        raise ContsymError(
            f"strategy {type(self).__name__} trains and has no objective(output, labels); give it one, or set "
            "trains = False"
        )

    def make_memory(self) -> VotingMemory | None:
        return None

    @classmethod
    def has_memory(cls) -> bool:
        """Whether the method predicts with stored pairs."""
        return cls.make_memory is not Strategy.make_memory

    @classmethod
    def check(cls, files: EncoderFiles, settings: TrainingSettings) -> None:
        """Raise ContsymError for a checkpoint that the method cannot use, before any weights are loaded."""

    @classmethod
    def check_batches(cls, settings: TrainingSettings) -> None:
        """Raise SettingError where the method cannot answer after one batch of pairs, as --one-pass and --until ask it
        to. Default: nothing."""

    @property
    def joined(self) -> Callable[[str, str], Text]:
        """The function that joins two sentences into one text. The model is copied with it: no closure."""
        return as_pair

    @property
    def outputs_scores(self) -> bool:
        """Whether the head's output is scores of labels, not embeddings."""
        return self.memory is None

    @property
    def score_kind(self) -> ScoreKind:
        """What the scores are, for their calibration. Default: what the memory says; without one, "logits"."""
        return self.memory.score_kind if self.memory else "logits"

    def begin(self, n: int) -> None:
        """Prepare for the next experience, before its first gradient step; the optimizer is made afterwards, over all
        parameters of the model. Default: nothing.

        n is `len(self.past)`: the experiences that the method itself has learned, from 0. A task that the encoder knows
        already (protocol `retrain`) is not among them: there `begin(0)` is the second experience of the scenario.
        """

    def meet(self, pairs: Dataset) -> None:
        """Receive the pairs of an experience right before the first gradient step on them. Default: the memory, if there
        is one, may look where the encoder has them."""
        if self.memory:
            self.memory.begin(pairs, self.model.outputs)

    def after_step(self) -> None:
        """Called without gradients after each training step, with the weights that it left, as for a moving average of
        them. (`objective` is no place for it: an add-on may call that more than once in a step.) Default: nothing."""

    def fit(self, pairs: Dataset) -> None:
        """Learn from the pairs of a finished experience without gradient steps, as into buffers of the head.

        Called once at the end of each experience, in evaluation mode and without gradients, before any
        prediction; `past` holds the pairs already. Default: nothing.
        """

    @property
    def thins(self) -> bool:
        """Whether `refresh` leaves earlier pairs out if there is a past_limit."""
        return self.memory is not None and self.memory.thins

    def refresh(self, past_limit: int | None = None) -> None:
        """Update the memory, if there is one, with the present encoder, `past` and `current`.

        With a past_limit, a part of at most so many pairs of `past` is enough.
        """
        if self.memory:
            self.memory.update(self.past, self.current, self.n_steps, self.model.outputs, past_limit)

    def score(self, pairs: Dataset) -> Tensor:
        """Scores (len(pairs), n_labels), on the CPU; call `refresh` first after training.

        The scores of a pair depend on its texts and on the training, not on the other pairs; scoring changes no state.
        """
        output = self.model.outputs(pairs)
        if self.memory is None:
            return output
        return torch.cat([self.memory.scores(part) for part in output.split(HEAD_BATCH)])

    def stored_pairs(self) -> Sequence[Dataset]:
        """The pairs of `past` that a saved model needs, by experience; an experience of which it needs none is an
        empty dataset. Default: those of the memory; without one, none."""
        return self.memory.stored(self.past) if self.memory else [pairs.select([]) for pairs in self.past]

    @property
    def takes_pairs(self) -> bool:
        """Whether it learns pairs without a gradient step, as a memory or a head in closed form does."""
        return self.memory is not None or type(self).fit is not Strategy.fit

    def add(self, pairs: Dataset) -> None:
        """Learn pairs without a gradient step, as one more experience. Raises ContsymError unless it `takes_pairs`."""
        if not self.takes_pairs:
            raise ContsymError(f"strategy {type(self).__name__} learns by gradient steps alone")
        self.past.append(pairs)
        self.model.eval()
        with torch.no_grad():
            self.fit(pairs)
            if self.memory:
                self.memory.append(self.past, self.n_steps, self.model.outputs, 1)
            self.refresh()

    def add_labels(self, n_labels: int) -> None:
        """Let it predict further labels: n_labels in all. Only for a method that `takes_pairs`."""
        part = self.memory or self.model.head
        if not hasattr(part, "add_labels"):
            raise ContsymError(
                f"strategy {type(self).__name__} takes no new label: its head has no add_labels(n_labels)"
            )
        part.add_labels(n_labels)
        self.n_labels = n_labels

    def learned_before(self, pairs: Dataset) -> None:
        """Receive the training pairs of the known task, learned before the run. Default: nothing."""

    def known_scores(self, pairs: Dataset) -> Tensor:
        """Scores of the known task by its own head, (len(pairs), n_labels), on the CPU; minus infinity for the labels
        of other tasks, which come after its own."""
        return self.model.known_scores(pairs)

    def features(self, pairs: Dataset) -> Tensor:
        """The input of a probe: [p, h, |p - h|, p ∘ h], (len(pairs), 4 * dim), or the vector of a single text,
        (len(pairs), dim), on the CPU."""
        if self.inputs == "single":
            return self.model.encoder.encode(pairs["premise"][:])
        texts = [*pairs["premise"][:], *pairs["hypothesis"][:]]
        return pair_features(*self.model.encoder.encode(texts).chunk(2))

    def n_features(self, dim: int) -> int:
        """The number of features of an example that `features_of` makes of vectors of `dim` dimensions."""
        return dim if self.is_joint else 4 * dim

    def notes(self) -> list[str]:
        """Lines that a reader needs before comparing this result. Default: the memory's note, if any, and that a batch of
        one gives a method that compares the pairs of a batch nothing to learn from."""
        notes = [self.memory.note] if self.memory and self.memory.note else []
        is_alone = self.settings.batch_size == 1 and not any(addon.enlarges_batches for addon in self.addons)
        if self.trains and (self.memory or self.compares_pairs) and is_alone:
            notes.append(
                "batch_size=1: no pair of a batch can be compared with another, so the encoder learns nothing"
            )
        return notes

    @property
    def n_trained_parameters(self) -> int:
        """Parameters that take gradient steps."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad and self.trains)

    @property
    def n_stored_bytes(self) -> int:
        """Bytes stored beside the encoder for prediction: memory, label vectors, heads."""
        tensors = (*self.model.head.parameters(), *self.model.head.buffers())
        return sum(t.nbytes for t in tensors) + (self.memory.n_bytes if self.memory else 0)

    def artifacts(self) -> dict[str, Tensor]:
        """Named tensors that are stored with a result."""
        stored = self.memory.artifacts() if self.memory else {}
        return {**{name: t.detach().cpu() for name, t in self.model.head.state_dict().items()}, **stored}

    def state(self) -> dict[str, Tensor]:
        """Everything that finished experiences have changed, on the CPU."""
        state = {f"model.{name}": t.detach().cpu().clone() for name, t in self.model.state_dict().items()}
        if self.memory:
            state |= {f"memory.{name}": t for name, t in self.memory.state().items()}
        return state

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        """Continue from a `state` that was taken after the `past` experiences."""
        self.model.load_state_dict(under("model.", state))
        self.past[:] = past
        if self.memory:
            self.memory.restore(under("memory.", state))
