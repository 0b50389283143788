"""A LoRA adapter and a classifier for each experience; a vote of stored pairs chooses among them.

W x becomes W x + s B_e A_e x with the encoder's W frozen and A_e, B_e of rank r trained on experience e
alone, together with a linear classifier on [p, h, |p - h|, p ∘ h] by cross-entropy; both begin as copies of
those of the experience before. Nothing learned before is touched, so all that can be forgotten is lost by
choosing wrongly. No task identity is given: a pair goes to the experience whose stored pairs are nearest, in
the mean over draws of equally many from each, by [p + h, 2 |p - h|] of the means of the frozen token embeddings.
Source: own; LoRA is Hu et al. 2022 (arXiv 2106.09685), section 4.1; a frozen encoder that chooses
what was trained for a task is Wang et al. 2022 (L2P, arXiv 2112.08654), section 4.
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
from contsym.models.pooling import mean_pool
from contsym.models.routing import evenly, routes, routing_features
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "own; LoRA: Hu et al. 2022 (arXiv 2106.09685)",
    "trains": "one adapter and one linear head an experience",
    "stores": "every adapter and head, and frozen embeddings of some pairs of each experience",
    "grows": "pairs",
    "family": "continual",
}

ROUTED_BATCH = 256
KNOWN = -1
"""The route of a task that the encoder knew before: no adapter, and that task's own head."""


class ChosenHead(nn.Module):
    """The heads of all experiences, of which one is in use."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.heads = nn.ModuleList([first])
        self.chosen = 0

    def forward(self, p: Tensor, h: Tensor) -> Tensor:
        return self.heads[self.chosen](p, h)


class RoutedAdapters(Strategy):
    class Settings(TrainingSettings):
        rank: int = Field(64, ge=1, description="of an adapter's matrices")
        scale: float = Field(4.0, gt=0, description="what an adapter's product is multiplied by")
        begins: Literal["last", "new"] = Field(
            "last", description="an adapter and its head begin as the last ones ended, or as new ones"
        )
        stored: int = Field(256, ge=1, description="pairs of an experience kept to choose by, at most")
        drawn: int = Field(16, ge=1, description="of them, how many an experience is compared by")

    settings: Settings

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        settings = self.settings
        self._lora = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.rank * settings.scale,  # type: ignore[arg-type]
            target_modules="all-linear",
            # Mean pooling does not use a checkpoint's pooler, so it would be an adapter of nothing.
            exclude_modules=r".*pooler.*",
        )
        transformer: Any = encoder.transformer
        self._tokens = transformer.get_input_embeddings()
        with warnings.catch_warnings():
            # peft asks transformers by a name that will go away.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            self._adapters: Any = get_peft_model(transformer, self._lora, adapter_name="0")
        encoder.transformer = self._adapters
        self.stored: list[Tensor] = []
        self._settled: list[Tensor] = []
        self._known: Tensor | None = None
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
        """Make adapters and heads until there are n of each."""
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
        """Put the adapter and the head of experience n to use."""
        self._adapters.set_adapter(str(n))
        self.model.encoder.forget()
        self.model.head.chosen = n

    def score(self, pairs: Dataset) -> Tensor:
        return self._by_route(pairs, self.model.outputs, self.model.known_scores)

    def known_scores(self, pairs: Dataset) -> Tensor:
        # What is taken for another task is answered by that task's adapter, and so forgotten.
        return self.score(pairs)

    def features(self, pairs: Dataset) -> Tensor:
        return self._by_route(pairs, super().features, super().features)

    def _by_route(
        self, pairs: Dataset, chosen_one: Callable[[Dataset], Tensor], bare: Callable[[Dataset], Tensor]
    ) -> Tensor:
        """A function of pairs, each with its own route's adapter and head; `bare` without any adapter."""
        chosen = self.routes(pairs)
        under_way = self.model.head.chosen
        parts, places = [], []
        for n in chosen.unique().tolist():
            places.append((chosen == n).nonzero().flatten())
            part = pairs.select(places[-1].tolist())
            self.model.encoder.forget()
            if n == KNOWN:
                with self._adapters.disable_adapter():
                    parts.append(bare(part))
            else:
                self._choose(n)
                parts.append(chosen_one(part))
        self._choose(under_way)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def routes(self, pairs: Dataset) -> Tensor:
        """For each pair the experience whose adapter and head answer it, (len(pairs),).

        Under protocol retrain the known task is one more route, KNOWN: the encoder as it was.
        """
        known = [] if self._known is None else [self._known]
        stored = [*known, *self.stored]
        if len(stored) < 2:
            return torch.full((len(pairs),), KNOWN if known else 0, dtype=torch.long)
        return routes(self._features(pairs), stored, self.settings.drawn) - len(known)

    def learned_before(self, pairs: Dataset) -> None:
        self._known = self._store(pairs)

    def refresh(self, past_limit: int | None = None) -> None:
        # The token embeddings are frozen: what was stored of a finished experience stays true.
        self._settled += [self._store(pairs) for pairs in self.past[len(self._settled) :]]
        # Before any training there is nothing to choose between.
        seen = self.current if self.n_steps else None
        self.stored = [*self._settled, *([] if seen is None else [self._store(seen)])]

    def _store(self, pairs: Dataset) -> Tensor:
        return self._features(pairs.select(evenly(len(pairs), self.settings.stored)))

    @torch.inference_mode()
    def _features(self, pairs: Dataset) -> Tensor:
        """Where pairs lie in the space that routes are chosen in, (len(pairs), 2 dim), on the CPU."""
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
        known = [] if self._known is None else [self._known]
        return super().n_stored_bytes + sum(t.nbytes for t in (*lora, *self.stored, *known))

    def artifacts(self) -> dict[str, Tensor]:
        stored = {f"stored.{n}": features for n, features in enumerate(self.stored)}
        return {**super().artifacts(), **stored}

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        self.begin(max(0, len(past) - 1))
        super().restore(state, past)
        self._settled = []
