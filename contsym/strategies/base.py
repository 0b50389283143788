"""What a strategy is: a head over an encoder, an objective, and a way to score pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from avalanche.training.templates import SupervisedTemplate
from datasets import Dataset
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchEncoding

from contsym.data.joining import Joined
from contsym.encoders import EncoderFiles, Head
from contsym.errors import ContsymError
from contsym.freezing import NOTHING, is_freezable
from contsym.memory import VotingMemory
from contsym.pooling import NliClassifier, PooledEncoder, Text
from contsym.relations.algebra import pair_features
from contsym.scenarios.build import pairs_of

HEAD_BATCH = 4096
GROUP = 16 * HEAD_BATCH
"""Test pairs that are scored together, about."""


def _freezable(value: str) -> str:
    if not is_freezable(value):
        raise PydanticCustomError("freeze", "nothing, embeddings or layers:N, as layers:3")
    return value


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
    freeze: Annotated[str, AfterValidator(_freezable)] = Field(
        NOTHING, description="lower part of the encoder that is not trained: embeddings, or layers:N"
    )

    def n_steps(self, n_pairs: int) -> int:
        """Training steps for an experience of n_pairs."""
        return self.steps or max(self.min_steps, math.ceil(self.epochs * n_pairs / self.batch_size))


class PairModel(nn.Module):
    """The encoder and a head; `forward` takes one batch and gives the head's output.

    The batch's ids have shape (batch, texts, tokens): two texts, premise and hypothesis, are
    encoded in one pass; a pair that `joined` makes one text of is one.

    With `known_rows`, training batches may hold pairs of the known task, those with a row below it,
    and `known` is that task's frozen head. The output then has the columns (known logits, the
    head's output, 1 for a known pair or 0), with zeros for what a pair is not of: one tensor, since
    that is what Avalanche's plugins take.
    """

    def __init__(
        self,
        encoder: PooledEncoder,
        head: nn.Module,
        *,
        joined: Callable[[str, str], Text] | None,
        known: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.joined = encoder, head, joined
        self.known = known
        if known is not None:
            # A checkpoint's own head sits on the very body that may be trained here.
            body = {id(p) for p in encoder.parameters()}
            for p in known.parameters():
                if id(p) not in body:
                    p.requires_grad_(False)
        self.known_rows = 0

    def collate(self, pairs: Sequence[Mapping[str, object]]) -> list[object]:
        """[BatchEncoding, labels, task labels] of pairs."""
        roles = ("premise", "hypothesis")
        texts: list[Text] = []
        for pair in pairs:
            apart = [str(pair[role]) for role in roles]
            texts += [self.joined(*apart)] if self.joined else apart
            texts += apart if self.joined and self.known_rows else []
        tokens = self.encoder.tokenize(texts)
        batch = {name: ids.unflatten(0, (len(pairs), -1)) for name, ids in tokens.items()}
        return [BatchEncoding({**batch, "row": _column(pairs, "row")}), *_targets(pairs)]

    def forward(self, batch: BatchEncoding) -> Tensor:
        flat = {name: ids.flatten(0, 1) for name, ids in batch.items() if name != "row"}
        pooled = self.encoder(BatchEncoding(flat))
        parts = pooled.unflatten(0, (len(batch["row"]), -1)).unbind(1)
        own = self.head(*(parts[:1] if self.joined else parts))
        if not self.known_rows or self.known is None:
            return own
        is_known = (batch["row"] < self.known_rows)[:, None]
        return torch.cat([self.known(*parts[-2:]), own.masked_fill(is_known, 0), is_known], dim=1)

    @staticmethod
    def apart(output: Tensor, n_labels: int) -> tuple[Tensor, Tensor, Tensor]:
        """(known logits, the head's output, which rows are known) of an output with `known_rows`."""
        return output[:, :n_labels], output[:, n_labels:-1], output[:, -1] > 0

    def known_scores(self, pairs: Dataset) -> Tensor:
        """The known task's scores by its own head, (len(pairs), labels), on the CPU."""
        assert self.known is not None
        premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
        if isinstance(self.known, NliClassifier):
            return self.known.encode(list(zip(premises, hypotheses, strict=True)))
        p, h = self.encoder.encode([*premises, *hypotheses]).chunk(2)
        device = next(self.known.parameters()).device
        with torch.inference_mode():
            return self.known(p.to(device), h.to(device)).cpu()

    def train(self, mode: bool = True) -> PairModel:
        """Training mode, but for an encoder that nothing trains: dropout would only blur its vectors."""
        super().train(mode)
        if not any(p.requires_grad for p in self.encoder.parameters()):
            self.encoder.eval()
        return self

    def vectors(self, pairs: Dataset) -> tuple[Tensor, ...]:
        """What the head is given for many pairs, (len(pairs), dim) each, on the CPU: (p, h), or one
        where `is_joint`. Each distinct text is encoded once."""
        premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
        if self.joined:
            return (self.encoder.encode([*map(self.joined, premises, hypotheses)]),)
        return self.encoder.encode([*premises, *hypotheses]).chunk(2)

    @torch.inference_mode()
    def outputs(self, pairs: Dataset) -> Tensor:
        """The head's output for many pairs, (len(pairs), ...), on the CPU."""
        parts = self.vectors(pairs)
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
    wants_head: ClassVar[Head] = "none"
    """Of the checkpoint: an NLI classifier where it has one, or a language model's head."""
    addons: ClassVar[tuple[type, ...]] = ()
    """What was put on top of the method, as by `fine_tune+ewc`; see contsym/addons."""

    def make_head(self, dim: int, n_labels: int, generator: torch.Generator) -> nn.Module:
        raise NotImplementedError

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError

    def make_memory(self) -> VotingMemory | None:
        return None

    @classmethod
    def check(cls, files: EncoderFiles, settings: TrainingSettings) -> None:
        """Raise ContsymError where the checkpoint does not suit the method; nothing is loaded yet."""

    def notes(self) -> list[str]:
        """What a reader must know before comparing this result, in a line each. Default: how surely the
        memory finds neighbours, where it does not compare a query with all that is stored."""
        tuning = self.memory.tuning if self.memory else None
        return [tuning.words()] if tuning else []

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
    def joined(self) -> Callable[[str, str], Text]:
        """What that one text is. Give a plain function: the model is copied with it."""
        return as_pair

    @property
    def outputs_scores(self) -> bool:
        """Whether the head's output is scores of labels, and no embedding that something else reads."""
        return self.memory is None

    @property
    def n_trained_parameters(self) -> int:
        """Parameters that take gradient steps."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad and self.trains)

    @property
    def n_stored_bytes(self) -> int:
        """Bytes kept beside the encoder to predict with: memory, label vectors, heads."""
        tensors = (*self.model.head.parameters(), *self.model.head.buffers())
        kept = sum(addon.n_bytes for addon in self.active_addons)
        return sum(t.nbytes for t in tensors) + (self.memory.n_bytes if self.memory else 0) + kept

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
        known: nn.Module | None = None,
    ) -> None:
        self.settings, self.n_labels, self.seed = settings, n_labels, seed
        encoder.freeze(settings.freeze)
        # The known task's head was drawn from the seed too, and its encoder has grown to fit those very
        # draws: a new head of the same draws would answer with what it knows. (Of a seed the
        # generator of the CPU takes 32 bits.)
        generator = torch.Generator().manual_seed((seed + 2**31 * (known is not None)) % 2**32)
        head = self.make_head(encoder.dim, n_labels, generator)
        model = PairModel(encoder, head, joined=self.joined if self.is_joint else None, known=known)
        self.active_addons = [addon(settings, seed) for addon in self.addons]
        for addon in self.active_addons:
            addon.start(model)
        self.memory = self.make_memory()
        self.past: list[Dataset] = []
        self._test_pairs: dict[int, Joined] = {}
        self.only_stores = False
        """Set before an experience whose pairs a memory takes in without a gradient step."""
        self.lent: Dataset | None = None
        self.seen_rows: dict[int, None] = {}
        self.is_under_way = False
        self.n_pairs_seen = 0
        self.gradient_norm = torch.zeros(())
        """Of the step under way, before it was clipped."""
        super().__init__(
            model=model.to(device),
            # Fused: on a CPU the plain AdamW took as long as forward and backward together.
            optimizer=torch.optim.AdamW(
                model.parameters(), lr=learning_rate, weight_decay=settings.weight_decay, fused=True
            ),
            criterion=self._loss,
            train_mb_size=settings.batch_size,
            # The budget is in steps: `_after_training_iteration` ends the experience.
            train_epochs=2**31,
            eval_mb_size=HEAD_BATCH,
            device=device,
            # Add-ons first: what they take counts among the seconds of training.
            plugins=[*self.active_addons, *plugins],
            evaluator=evaluator,
        )

    @property
    def current(self) -> Dataset | None:
        """Pairs seen of the experience under way; picked out only when asked for."""
        if not self.is_under_way:
            return self.lent
        if not self.seen_rows:
            return None
        return self._pairs.select([row - self.first_row for row in self.seen_rows])

    def score_pairs(self, pairs: Dataset) -> Tensor:
        """Scores (len(pairs), n_labels), on the CPU; call `refresh` first after training."""
        output = self.model.outputs(pairs)
        if self.memory is None:
            return output
        return torch.cat([self.memory.scores(part) for part in output.split(HEAD_BATCH)])

    def known_scores(self, pairs: Dataset) -> Tensor:
        """Scores for pairs of the known task, by its own head, (len(pairs), n_labels), on the CPU."""
        return self.model.known_scores(pairs)

    def features(self, pairs: Dataset) -> Tensor:
        """[p, h, |p - h|, p ∘ h] of the present encoder, (len(pairs), 4 * dim), on the CPU: what a probe reads."""
        texts = [*pairs["premise"][:], *pairs["hypothesis"][:]]
        return pair_features(*self.model.encoder.encode(texts).chunk(2))

    def refresh(self, past_limit: int | None = None) -> None:
        """Bring the memory, if there is one, up to date with the present encoder.

        With a past_limit, of earlier experiences a part of at most so many pairs will do.
        """
        if self.memory:
            step = self.clock.train_iterations
            self.memory.update(self.past, self.current, step, self.model.outputs, past_limit)

    def take_as_known(self, experience, n_pairs: int) -> None:
        """Start behind an experience that the encoder learned before, through the `known` head.

        Add-ons get to see it as if it had been trained on here.
        """
        self.model.known_rows = n_pairs if self.addons else 0
        self.rejoin(experience)
        self.clock.train_exp_counter += 1

    def rejoin(self, experience) -> None:
        """Let add-ons take from a finished first experience what they would have at its end."""
        self.experience = experience
        n_before, self.clock.train_exp_counter = self.clock.train_exp_counter, 0
        for addon in self.active_addons:
            addon.after_training_exp(self)
        self.clock.train_exp_counter = n_before

    def _loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """The objective; with known pairs in the batch, each part by its own loss and its share."""
        if not self.model.known_rows:
            return self._own_loss(output, labels)
        logits, own, is_known = self.model.apart(output, self.n_labels)
        loss = output.sum() * 0.0
        if is_known.any():
            share = is_known.float().mean()
            loss = loss + share * functional.cross_entropy(logits[is_known], labels[is_known])
        if not is_known.all():
            share = (~is_known).float().mean()
            loss = loss + share * self._own_loss(own[~is_known], labels[~is_known])
        return loss

    def _own_loss(self, output: Tensor, labels: Tensor) -> Tensor:
        loss = self.objective(output, labels)
        is_tensor = isinstance(loss, Tensor)
        if is_tensor and loss.ndim == 0:
            return loss
        given = f"tensor of shape {tuple(loss.shape)}" if is_tensor else type(loss).__name__
        raise ContsymError(
            f"{type(self).__name__}.objective gave a {given}; expected a scalar tensor, as the mean over the batch"
        )

    def eval(self, exp_list, **kwargs):
        if isinstance(exp_list, Iterator):
            exp_list = list(exp_list)  # gone through twice
        # Each DataLoader draws from the global generator: without the fork an extra
        # evaluation would change the training that follows.
        with torch.random.fork_rng():
            return super().eval(exp_list, **kwargs)

    def forward(self) -> Tensor:
        if self.is_training:
            return self.model(self.mb_x)
        return self._eval_scores[self.mb_x["row"].cpu()].to(self.device)

    def model_adaptation(self, model=None):
        # In an evaluation scores are looked up, and a walk through all modules would come n^2 times (see scores_of).
        return super().model_adaptation(model) if self.is_training else self.model

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
        self.first_row = self._pairs["row"][0]
        self.begin(len(self.past))
        super()._before_training_exp(**kwargs)

    def _after_train_dataset_adaptation(self, **kwargs) -> None:
        super()._after_train_dataset_adaptation(**kwargs)
        # Behind the add-ons: one that trains on earlier pairs too has more of them.
        takes_steps = self.trains and not (self.only_stores and self.memory)
        self.n_steps_left = self.settings.n_steps(len(self.adapted_dataset)) if takes_steps else 0

    def _train_exp(self, experience, eval_streams=None, **kwargs) -> None:
        if self.n_steps_left > 0:
            super()._train_exp(experience, eval_streams, **kwargs)

    def _before_update(self, **kwargs) -> None:
        self.gradient_norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        super()._before_update(**kwargs)

    def _after_training_iteration(self, **kwargs) -> None:
        self.n_steps_left -= 1
        last = self.first_row + len(self._pairs)
        own = [row for row in self.mb_x["row"].tolist() if self.first_row <= row < last]
        self.n_pairs_seen += len(own)
        self.seen_rows.update(dict.fromkeys(own))
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
        self._scores_to_come = iter(self.scores_of(list(self.current_eval_stream)))
        super()._before_eval(**kwargs)

    def _before_eval_exp(self, **kwargs) -> None:
        self._eval_scores = next(self._scores_to_come)
        super()._before_eval_exp(**kwargs)

    def scores_of(self, experiences: Sequence) -> list[Tensor]:
        """Scores of each experience's pairs.

        All are scored together, or in groups where they are many: after each of n experiences n are evaluated, and
        what a batch costs, however small it is, would come n^2 times.
        """
        parts = [pairs_of(experience.dataset) for experience in experiences]
        known = [self.model.known is not None and e.current_experience == 0 for e in experiences]
        own = [part for part, is_known in zip(parts, known, strict=True) if not is_known]
        scores = self._scores_by_group(own)
        return [
            self.known_scores(part) if is_known else next(scores)
            for part, is_known in zip(parts, known, strict=True)
        ]

    def _scores_by_group(self, parts: Sequence[Dataset]) -> Iterator[Tensor]:
        if not self.past:
            # Each by itself, before anything was trained: encodings of the untrained encoder are kept under the texts
            # that are encoded together, and other runs have some of the experiences, or others beside them.
            yield from map(self.score_pairs, parts)
            return
        groups: dict[int, list[Dataset]] = {}
        n_before = 0
        for part in parts:
            groups.setdefault(n_before // GROUP, []).append(part)
            n_before += len(part)
        for place, group in groups.items():
            joined = self._test_pairs.setdefault(place, Joined()).of(group)
            yield from self.score_pairs(joined).split([len(part) for part in group])


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def as_pair(premise: str, hypothesis: str) -> Text:
    """Both sentences as the tokenizer pairs them."""
    return premise, hypothesis


def rows_only(pairs: Sequence[Mapping[str, object]]) -> list[object]:
    """A batch that names its rows and holds no text."""
    return [BatchEncoding({"row": _column(pairs, "row")}), *_targets(pairs)]


def _targets(pairs: Sequence[Mapping[str, object]]) -> tuple[Tensor, Tensor]:
    return _column(pairs, "label"), _column(pairs, "targets_task_labels")


def _column(pairs: Sequence[Mapping[str, object]], name: str) -> Tensor:
    return torch.tensor([pair[name] for pair in pairs])
