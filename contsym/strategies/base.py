"""What a strategy is: a head over an encoder, an objective, and a way to score pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from avalanche.training.templates import SupervisedTemplate
from datasets import Dataset
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import BatchEncoding

from contsym.memory import VotingMemory
from contsym.pooling import PooledEncoder, Text
from contsym.scenarios.build import pairs_of

HEAD_BATCH = 4096


class TrainingSettings(BaseModel):
    """Hyper-parameters of every strategy; a method adds its own in a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learning_rate: float | None = Field(None, gt=0, le=1, description="default: the encoder's preset")
    batch_size: int = Field(16, ge=2, description="pairs in a training step")
    epochs: float = Field(1.0, gt=0, description="passes over an experience, at least")
    min_steps: int = Field(100, ge=1, description="training steps for an experience, at least")
    steps: int | None = Field(None, ge=1, description="exact training steps; overrides both")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of a step's gradient")

    def n_steps(self, n_pairs: int) -> int:
        """Training steps for an experience of n_pairs."""
        return self.steps or max(self.min_steps, math.ceil(self.epochs * n_pairs / self.batch_size))


class PairModel(nn.Module):
    """The encoder and a head; `forward` takes one batch and gives the head's output.

    The batch's ids have shape (batch, texts, tokens): two texts, premise and hypothesis, are
    encoded in one pass; a jointly encoded pair is one text.
    """

    def __init__(self, encoder: PooledEncoder, head: nn.Module, *, is_joint: bool) -> None:
        super().__init__()
        self.encoder, self.head, self.is_joint = encoder, head, is_joint

    def collate(self, pairs: Sequence[Mapping[str, object]]) -> list[object]:
        """[BatchEncoding, labels, task labels] of pairs."""
        if self.is_joint:
            texts: list[Text] = [(str(pair["premise"]), str(pair["hypothesis"])) for pair in pairs]
        else:
            texts = [str(pair[role]) for pair in pairs for role in ("premise", "hypothesis")]
        tokens = self.encoder.tokenize(texts)
        batch = {name: ids.unflatten(0, (len(pairs), -1)) for name, ids in tokens.items()}
        return [BatchEncoding({**batch, "row": _column(pairs, "row")}), *_targets(pairs)]

    def forward(self, batch: BatchEncoding) -> Tensor:
        flat = {name: ids.flatten(0, 1) for name, ids in batch.items() if name != "row"}
        pooled = self.encoder(BatchEncoding(flat))
        return self.head(*pooled.unflatten(0, (len(batch["row"]), -1)).unbind(1))

    @torch.inference_mode()
    def outputs(self, pairs: Dataset) -> Tensor:
        """The head's output for many pairs, on the CPU; each distinct text is encoded once."""
        premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
        if self.is_joint:
            parts: tuple[Tensor, ...] = (self.encoder.encode(list(zip(premises, hypotheses, strict=True))),)
        else:
            parts = self.encoder.encode([*premises, *hypotheses]).chunk(2)
        was_training = self.training
        self.eval()
        device = next(self.parameters()).device
        rows = zip(*(part.split(HEAD_BATCH) for part in parts), strict=True)
        outputs = [self.head(*(part.to(device) for part in row)).cpu() for row in rows]
        self.train(was_training)
        return torch.cat(outputs)


class Strategy(SupervisedTemplate):
    """A method. Subclass it in a file of its own, with a CARD, and give:

    - `Settings`: TrainingSettings with the method's own fields;
    - `make_head(dim, n_labels, generator)`: the module over (p, h), (batch, dim) each, or over
      one (batch, dim) vector where `is_joint`; draw its weights from the generator;
    - `objective(output, labels)`: the scalar to minimise;
    - `make_memory()`, where the method stores pairs: the VotingMemory that then scores the
      head's output. Without one the output itself is the scores: (batch, n_labels), larger is
      likelier.

    A method that needs more may also give `begin(n)`, before an experience is trained on, `fit(pairs)`,
    at its end, `score_pairs(pairs)`, and with any state of its own `state()` and `restore(...)`.

    `past` holds the pairs of finished experiences, `current` those seen of the one under way.
    Before any training `current` is what was `lent`: the whole first experience, whose labels
    may be looked at (a k-NN has nothing else to vote with) before a gradient step is taken.
    """

    Settings: ClassVar[type[TrainingSettings]] = TrainingSettings
    trains: ClassVar[bool] = True
    prefers_nli_head: ClassVar[bool] = False

    def make_head(self, dim: int, n_labels: int, generator: torch.Generator) -> nn.Module:
        raise NotImplementedError

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError

    def make_memory(self) -> VotingMemory | None:
        return None

    @classmethod
    def has_memory(cls) -> bool:
        """Whether the method stores pairs to predict with."""
        return cls.make_memory is not Strategy.make_memory

    def begin(self, n: int) -> None:
        """Get ready for experience n (from 0) before its first gradient step; the optimizer is made
        afterwards, and takes in the parameters that are there then. Default: nothing."""

    def fit(self, pairs: Dataset) -> None:
        """Take in a finished experience's pairs without gradient steps, as into buffers of the head.

        Called once at the end of each experience, in evaluation mode and without gradients, before
        anything is predicted. Default: nothing.
        """

    @property
    def is_joint(self) -> bool:
        """Whether premise and hypothesis are encoded as one text."""
        return False

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
        self.past = list(past)
        if self.memory:
            self.memory.restore(under("memory.", state))

    # -- The seam to Avalanche: nothing below needs to be known to write a method. --

    def __init__(
        self,
        *,
        encoder: PooledEncoder,
        settings: TrainingSettings,
        learning_rate: float,
        n_labels: int,
        seed: int,
        device: str,
        evaluator,
        plugins=(),
    ) -> None:
        self.settings, self.n_labels = settings, n_labels
        generator = torch.Generator().manual_seed(seed)
        head = self.make_head(encoder.dim, n_labels, generator)
        model = PairModel(encoder, head, is_joint=self.is_joint)
        self.memory = self.make_memory()
        self.past: list[Dataset] = []
        self.only_stores = False
        """Set before an experience whose pairs a memory takes in without a gradient step."""
        self.lent: Dataset | None = None
        self.seen_rows: dict[int, None] = {}
        self.is_under_way = False
        self.n_pairs_seen = 0
        super().__init__(
            model=model.to(device),
            # Fused: on a CPU the plain AdamW took as long as forward and backward together.
            optimizer=torch.optim.AdamW(
                model.parameters(), lr=learning_rate, weight_decay=settings.weight_decay, fused=True
            ),
            criterion=self.objective,
            train_mb_size=settings.batch_size,
            # The budget is in steps: `_after_training_iteration` ends the experience.
            train_epochs=2**31,
            eval_mb_size=HEAD_BATCH,
            device=device,
            plugins=list(plugins),
            evaluator=evaluator,
        )

    @property
    def current(self) -> Dataset | None:
        """Pairs seen of the experience under way; picked out only when asked for."""
        if not self.is_under_way:
            return self.lent
        return self._pairs.select(list(self.seen_rows)) if self.seen_rows else None

    def score_pairs(self, pairs: Dataset) -> Tensor:
        """Scores (len(pairs), n_labels), on the CPU; call `refresh` first after training."""
        output = self.model.outputs(pairs)
        return self.memory.scores(output) if self.memory else output

    def refresh(self, past_limit: int | None = None) -> None:
        """Bring the memory, if there is one, up to date with the present encoder.

        With a past_limit, of earlier experiences a part of at most so many pairs will do.
        """
        if self.memory:
            step = self.clock.train_iterations
            self.memory.update(self.past, self.current, step, self.model.outputs, past_limit)

    def eval(self, exp_list, **kwargs):
        # Each DataLoader draws from the global generator: without the fork an extra
        # evaluation would change the training that follows.
        with torch.random.fork_rng():
            return super().eval(exp_list, **kwargs)

    def forward(self) -> Tensor:
        if self.is_training:
            return self.model(self.mb_x)
        return self._eval_scores[self.mb_x["row"].cpu()].to(self.device)

    def criterion(self) -> Tensor:
        # Scores of an evaluation are no input of an objective over, say, label embeddings.
        return super().criterion() if self.is_training else self._make_empty_loss()

    def _obtain_common_dataloader_parameters(self, **kwargs):
        # Avalanche ignores the data set's collate_fn in training (its issue 1531); in
        # evaluation nothing needs to be tokenised, since forward() looks the scores up.
        parameters = super()._obtain_common_dataloader_parameters(**kwargs)
        collate = self.model.collate if self.is_training else rows_only
        parameters.setdefault("collate_fn", collate)
        return parameters

    def _before_training_exp(self, **kwargs) -> None:
        self.seen_rows, self.n_pairs_seen = {}, 0
        self.lent, self.is_under_way = None, True
        self._pairs = pairs_of(self.experience.dataset)
        self.begin(len(self.past))
        takes_steps = self.trains and not (self.only_stores and self.memory)
        self.n_steps_left = self.settings.n_steps(len(self._pairs)) if takes_steps else 0
        super()._before_training_exp(**kwargs)

    def _train_exp(self, experience, eval_streams=None, **kwargs) -> None:
        if self.n_steps_left > 0:
            super()._train_exp(experience, eval_streams, **kwargs)

    def _before_update(self, **kwargs) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        super()._before_update(**kwargs)

    def _after_training_iteration(self, **kwargs) -> None:
        self.n_steps_left -= 1
        self.n_pairs_seen += len(self.mb_y)
        self.seen_rows.update(dict.fromkeys(self.mb_x["row"].tolist()))
        super()._after_training_iteration(**kwargs)
        if self.n_steps_left <= 0:
            self.stop_training()

    def _after_training_exp(self, **kwargs) -> None:
        self.is_under_way = False
        self.past.append(self._pairs)
        self.model.eval()
        with torch.no_grad():
            self.fit(self._pairs)
        self.refresh()
        super()._after_training_exp(**kwargs)

    def _before_eval(self, **kwargs) -> None:
        self.refresh()
        super()._before_eval(**kwargs)

    def _before_eval_exp(self, **kwargs) -> None:
        self._eval_scores = self.score_pairs(pairs_of(self.experience.dataset))
        super()._before_eval_exp(**kwargs)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def rows_only(pairs: Sequence[Mapping[str, object]]) -> list[object]:
    """A batch that names its rows and holds no text."""
    return [BatchEncoding({"row": _column(pairs, "row")}), *_targets(pairs)]


def _targets(pairs: Sequence[Mapping[str, object]]) -> tuple[Tensor, Tensor]:
    return _column(pairs, "label"), _column(pairs, "targets_task_labels")


def _column(pairs: Sequence[Mapping[str, object]], name: str) -> Tensor:
    return torch.tensor([pair[name] for pair in pairs])
