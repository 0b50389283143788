"""A LoRA adapter and a classifier per experience; the nearest stored pairs choose among them.

W x becomes W x + s B_e A_e x with the encoder's W frozen. Cross-entropy trains A_e and B_e, of rank r, and a
linear classifier on [p, h, |p - h|, p ∘ h] on experience e alone; both begin as copies from the experience
before. Earlier parts never change, so only a wrong choice is forgetting. Without a task identity, a pair goes
to the experience with the nearest stored pairs, in the mean over draws of equally many from each, by
[p + h, 2 |p - h|] of the means of the frozen token embeddings.
Source: ours; LoRA: Hu et al. 2022 (arXiv 2106.09685), section 4.1; a frozen encoder that chooses task-specific
parts: Wang et al. 2022 (L2P, arXiv 2112.08654), section 4.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.heads import PairClassifier
from contsym.models.pair_model import under
from contsym.models.pooling import mean_pool
from contsym.models.routing import evenly, routes, routing_features
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "ours; LoRA: Hu et al. 2022 (arXiv 2106.09685)",
    "trains": "one adapter and one linear head per experience",
    "stores": "every adapter and head, and frozen embeddings of some pairs of each experience",
    "grows": "pairs",
    "family": "continual",
}

ROUTED_BATCH = 256
KNOWN = -1
"""The route of the known task: no adapter, and its own head."""


class ChosenHead(nn.Module):
    """The heads of all experiences, one of them in use."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.heads = nn.ModuleList([first])
        self.chosen = 0

    def forward(self, *vectors: Tensor) -> Tensor:
        return self.heads[self.chosen](*vectors)


class RoutedAdapters(Strategy):
    keeps_encoder = True

    class Settings(TrainingSettings):
        rank: int = Field(64, ge=1, description="of an adapter's matrices")
        scale: float = Field(16.0, gt=0, description="factor of an adapter's product")
        begins: Literal["last", "new"] = Field(
            "last", description="initial adapter and head: the last ones, or new ones"
        )
        stored: int = Field(256, ge=1, description="pairs stored per experience for the choice, at most")
        drawn: int = Field(16, ge=1, description="stored pairs per experience in a comparison")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        settings = self.settings
        self._lora = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.rank * settings.scale,  # type: ignore[arg-type]
            target_modules="all-linear",
            # Nothing reads the pooler.
            exclude_modules=r".*pooler.*",
        )
        transformer: Any = encoder.transformer
        self._tokens = transformer.get_input_embeddings()
        with warnings.catch_warnings():
            # peft uses a name that transformers has deprecated.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            self._adapters: Any = get_peft_model(transformer, self._lora, adapter_name="0")
        encoder.transformer = self._adapters
        self.stored: list[Tensor] = []
        self._finished: list[Tensor] = []
        self._known_task: list[Tensor] = []
        head = PairClassifier(encoder.dim, n_labels, generator)
        self._first_head = copy.deepcopy(head)
        return ChosenHead(head)

    def objective(self, output: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(output, labels)

    def begin(self, n: int) -> None:
        self._grow(n + 1)
        self._choose(n)
        for i, head in enumerate(self.model.head.heads):
            head.requires_grad_(i == n)

    def _grow(self, n: int) -> None:
        """Add adapters and heads up to n of each."""
        heads = self.model.head.heads
        for i in range(len(heads), n):
            self._adapters.add_adapter(str(i), self._lora)
            is_new = self.settings.begins == "new"
            heads.append(copy.deepcopy(self._first_head if is_new else heads[-1]))
            if not is_new:
                self._copy_adapter(i - 1, i)
        self.model.to(self.device)

    @torch.no_grad()
    def _copy_adapter(self, source: int, target: int) -> None:
        weights = dict(self.model.encoder.named_parameters())
        for name, weight in weights.items():
            if "lora_" in name and name.endswith(f".{target}.weight"):
                weight.copy_(weights[name.removesuffix(f".{target}.weight") + f".{source}.weight"])

    def _choose(self, n: int) -> None:
        """Use the adapter and the head of experience n."""
        self._adapters.set_adapter(str(n))
        self.model.encoder.forget()
        self.model.head.chosen = n

    def score(self, pairs: Dataset) -> Tensor:
        return self._by_route(pairs, self.model.outputs, self.model.known_scores)

    def known_scores(self, pairs: Dataset) -> Tensor:
        # A pair that is routed to another task gets that task's adapter: this is forgetting.
        return self.score(pairs)

    def features(self, pairs: Dataset) -> Tensor:
        return self._by_route(pairs, super().features, super().features)

    def _by_route(
        self, pairs: Dataset, adapted: Callable[[Dataset], Tensor], bare: Callable[[Dataset], Tensor]
    ) -> Tensor:
        """Apply a function to the pairs of each route, with its adapter and head; `bare` without an adapter."""
        route_of = self.routes(pairs)
        present = self.model.head.chosen
        parts, places = [], []
        for n in route_of.unique().tolist():
            places.append((route_of == n).nonzero().flatten())
            part = pairs.select(places[-1].tolist())
            self.model.encoder.forget()
            if n == KNOWN:
                with self._adapters.disable_adapter():
                    parts.append(bare(part))
            else:
                self._choose(n)
                parts.append(adapted(part))
        self._choose(present)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def routes(self, pairs: Dataset) -> Tensor:
        """The experience of each pair, (len(pairs),); under protocol retrain KNOWN is one more route."""
        stored = [*self._known_task, *self.stored]
        if len(stored) < 2:
            return torch.full((len(pairs),), KNOWN if self._known_task else 0, dtype=torch.long)
        return routes(self._features(pairs), stored, self.settings.drawn) - len(self._known_task)

    def learned_before(self, pairs: Dataset) -> None:
        self._known_task = [self._store(pairs)]

    def refresh(self, past_limit: int | None = None) -> None:
        # Token embeddings are frozen, so the features of a finished experience stay valid.
        self._finished += [self._store(pairs) for pairs in self.past[len(self._finished) :]]
        # Before any training there is no choice.
        current = self.current if self.n_steps else None
        self.stored = [*self._finished, *([] if current is None else [self._store(current)])]

    def _store(self, pairs: Dataset) -> Tensor:
        return self._features(pairs.select(evenly(len(pairs), self.settings.stored)))

    @torch.inference_mode()
    def _features(self, pairs: Dataset) -> Tensor:
        """The routing features of pairs, (len(pairs), 2 dim), on the CPU."""
        encoder = self.model.encoder
        parts = []
        for part in pairs.iter(ROUTED_BATCH):
            texts = encoder.tokenize([*part["premise"], *part["hypothesis"]]).to(self.device)
            p, h = mean_pool(self._tokens(texts["input_ids"]).float(), texts["attention_mask"]).chunk(2)
            parts.append(routing_features(p, h).cpu())
        return torch.cat(parts)

    @property
    def n_stored_bytes(self) -> int:
        lora = [p for name, p in self.model.encoder.named_parameters() if "lora_" in name]
        return super().n_stored_bytes + sum(t.nbytes for t in (*lora, *self.stored, *self._known_task))

    def artifacts(self) -> dict[str, Tensor]:
        stored = {f"stored.{n}": features for n, features in enumerate(self.stored)}
        return {**super().artifacts(), **stored}

    def state(self) -> dict[str, Tensor]:
        finished = {f"stored.{n}": features for n, features in enumerate(self._finished)}
        known = {f"known_task.{n}": features for n, features in enumerate(self._known_task)}
        return {**super().state(), **finished, **known}

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        self.begin(max(0, len(past) - 1))
        super().restore(state, past)
        self._finished, self._known_task = (
            [features for _, features in sorted(under(name, state).items(), key=lambda item: int(item[0]))]
            for name in ("stored.", "known_task.")
        )
