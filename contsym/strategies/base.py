"""What a strategy is: a head over an encoder, an objective, and a way to score pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from datasets import Dataset
from torch import Tensor, nn

from contsym.errors import ContsymError
from contsym.models.algebra import pair_features
from contsym.models.encoders.checkpoints import EncoderFiles, Head
from contsym.models.encoders.pooled import PooledEncoder, Text
from contsym.models.memory import VotingMemory
from contsym.models.pair_model import HEAD_BATCH, PairModel, as_pair, under
from contsym.models.settings import TrainingSettings


class Strategy:
    """A method. Subclass it in a file of its own, with a CARD, and give:

    - `Settings`: TrainingSettings with the method's own fields;
    - `build(encoder, n_labels, generator)`: the head, a module over (p, h), (batch, dim) each, or over
      one (batch, dim) vector where `is_joint`; draw its weights from the generator;
    - `objective(output, labels)`, unless `trains` is False: the scalar to minimise;
    - `make_memory()`, where the method stores pairs: the VotingMemory that then scores the
      head's output. Without one the output is the scores: (batch, n_labels), larger is likelier.

    A method that needs more may also give `begin(n)`, `fit(pairs)`, `refresh(...)`, `score(pairs)`, and with
    any state of its own `state()` and `restore(...)`. Nothing here knows of a trainer: `training/template.py`
    drives any strategy through Avalanche.
    """

    Settings: ClassVar[type[TrainingSettings]] = TrainingSettings
    trains: ClassVar[bool] = True
    wants_head: ClassVar[Head] = "none"
    """Of the checkpoint: an NLI classifier where it has one, or a language model's head."""
    addons: ClassVar[tuple[type, ...]] = ()
    """What was put on top of the method, as by `fine_tune+ewc`; see contsym/strategies/addons."""

    is_joint: bool = False
    """Whether premise and hypothesis are encoded as one text; `build` may still set it."""
    past: list[Dataset]
    """Pairs of each finished experience."""
    current: Dataset | None = None
    """Pairs seen of the present experience. Before any training it is the whole first experience, whose
    labels may be looked at (a k-NN has nothing else to vote with)."""
    n_steps = 0
    """Training steps taken so far."""

    def __init__(
        self,
        *,
        encoder: PooledEncoder,
        settings: TrainingSettings,
        n_labels: int,
        seed: int,
        device: str,
        known: nn.Module | None = None,
    ) -> None:
        self.settings, self.n_labels, self.seed, self.device = settings, n_labels, seed, device
        self.past = []
        encoder.freeze(settings.freeze)
        # The known task's head was drawn from the seed too, and its encoder has grown to fit those very
        # draws: a new head of the same draws would answer with what it knows. (Of a seed the
        # generator of the CPU takes 32 bits.)
        generator = torch.Generator().manual_seed((seed + 2**31 * (known is not None)) % 2**32)
        head = self.build(encoder, n_labels, generator)
        joined = self.joined if self.is_joint else None
        self.model = PairModel(encoder, head, joined=joined, known=known).to(device)
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
        """Whether the method stores pairs to predict with."""
        return cls.make_memory is not Strategy.make_memory

    @classmethod
    def check(cls, files: EncoderFiles, settings: TrainingSettings) -> None:
        """Raise ContsymError where the checkpoint does not suit the method; nothing is loaded yet."""

    @property
    def joined(self) -> Callable[[str, str], Text]:
        """What that one text is. Give a plain function: the model is copied with it."""
        return as_pair

    @property
    def outputs_scores(self) -> bool:
        """Whether the head's output is scores of labels, and no embedding that something else reads."""
        return self.memory is None

    def begin(self, n: int) -> None:
        """Get ready for experience n (from 0) before its first gradient step; the optimizer is made
        afterwards, and takes in the parameters that are there then. Default: nothing."""

    def fit(self, pairs: Dataset) -> None:
        """Take in a finished experience's pairs without gradient steps, as into buffers of the head.

        Called once at the end of each experience, in evaluation mode and without gradients, before
        anything is predicted. Default: nothing.
        """

    def refresh(self, past_limit: int | None = None) -> None:
        """Bring the memory, if there is one, up to date with the present encoder, `past` and `current`.

        With a past_limit, of earlier experiences a part of at most so many pairs will do.
        """
        if self.memory:
            self.memory.update(self.past, self.current, self.n_steps, self.model.outputs, past_limit)

    def score(self, pairs: Dataset) -> Tensor:
        """Scores (len(pairs), n_labels), on the CPU; call `refresh` first after training."""
        output = self.model.outputs(pairs)
        if self.memory is None:
            return output
        return torch.cat([self.memory.scores(part) for part in output.split(HEAD_BATCH)])

    def learned_before(self, pairs: Dataset) -> None:
        """Take note of the known task's training pairs, which the encoder learned before the run. Default: nothing."""

    def known_scores(self, pairs: Dataset) -> Tensor:
        """Scores for pairs of the known task, by its own head, (len(pairs), n_labels), on the CPU."""
        return self.model.known_scores(pairs)

    def features(self, pairs: Dataset) -> Tensor:
        """[p, h, |p - h|, p ∘ h] of the present encoder, (len(pairs), 4 * dim), on the CPU: what a probe reads."""
        texts = [*pairs["premise"][:], *pairs["hypothesis"][:]]
        return pair_features(*self.model.encoder.encode(texts).chunk(2))

    def notes(self) -> list[str]:
        """What a reader must know before comparing this result, in a line each. Default: that the memory
        does not compare a query with all that is stored, where it does not."""
        return [self.memory.note] if self.memory and self.memory.note else []

    @property
    def n_trained_parameters(self) -> int:
        """Parameters that take gradient steps."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad and self.trains)

    @property
    def n_stored_bytes(self) -> int:
        """Bytes kept beside the encoder to predict with: memory, label vectors, heads."""
        tensors = (*self.model.head.parameters(), *self.model.head.buffers())
        return sum(t.nbytes for t in tensors) + (self.memory.n_bytes if self.memory else 0)

    def artifacts(self) -> dict[str, Tensor]:
        """Named tensors that belong to a result, kept as safetensors."""
        stored = self.memory.artifacts() if self.memory else {}
        return {**{name: t.detach().cpu() for name, t in self.model.head.state_dict().items()}, **stored}

    def state(self) -> dict[str, Tensor]:
        """All that finished experiences have changed, on the CPU; `restore` puts it back."""
        found = {f"model.{name}": t.detach().cpu().clone() for name, t in self.model.state_dict().items()}
        if self.memory:
            found |= {f"memory.{name}": t for name, t in self.memory.state().items()}
        return found

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        """Make this new strategy the one whose `state` this is, behind the `past` experiences."""
        self.model.load_state_dict(under("model.", state))
        self.past[:] = past
        if self.memory:
            self.memory.restore(under("memory.", state))
