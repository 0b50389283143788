"""Sentences or sentence pairs to pooled vectors, in length-sorted batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BatchEncoding

from contsym.encoders import Precision, nli_labels, read_config
from contsym.errors import EncoderError, SettingError
from contsym.freezing import FrozenPart, n_frozen_layers

if TYPE_CHECKING:
    from contsym.encodings import UntrainedEncodings

MAX_LENGTH = 128
"""Tokens of a sentence; longer ones are cut. MultiNLI's longest sentences reach 400, 1% pass 70."""

CHARACTERS_A_TOKEN = 20
"""Of a longer text the end is cut off before it is tokenised, at so many for each token that the encoder sees.

Fast tokenizers keep what they truncate, and of a pair every combination of what they cut off both: two sentences of
100,000 characters took more than 8 GB. Prose has four or five for each token.
"""

TOKEN_BUDGET = 2048
"""Padded tokens of one evaluation batch; a fixed count of sentences would waste padding."""

GPU_TOKEN_BUDGET = 32768
"""The same on a GPU, which so few would leave idle."""

N_WAITING = 64
"""Batches whose vectors stay on a GPU before they are fetched together."""

PART_TOKENS = 128
"""Padded tokens of a training batch that one more pass through the encoder must save."""

Text = str | tuple[str, str]


class PooledEncoder(nn.Module):
    """A transformer with attention-masked mean pooling.

    `forward` takes a BatchEncoding with (n, tokens) ids and gives (n, dim) float32 vectors.
    Under bf16 the transformer runs in autocast while weights, pooling and everything after
    it stay in float32.
    """

    def __init__(self, transformer: nn.Module, tokenizer, dim: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.dim = dim
        self.precision: Precision = "fp32"
        self.n_forwards = 0
        """Texts encoded so far, training and evaluation together."""
        self.kept: UntrainedEncodings | None = None
        """Where the encodings of the weights as loaded are shared; None once they are trained."""
        self.nli_head: Mapping[str, Tensor] | None = None
        """Weights of the pair classifier that contsym trained with this encoder, if it did."""
        self._remembered: dict[Text, Tensor] | None = None
        self._frozen: FrozenPart | None = None

    @classmethod
    def from_folder(cls, folder: Path) -> PooledEncoder:
        transformer: Any = from_pretrained(AutoModel, folder)
        return cls(transformer, load_tokenizer(folder), transformer.config.hidden_size)

    @property
    def max_length(self) -> int:
        return length_limit(self.tokenizer)

    def tokenize(self, texts: Sequence[Text]) -> BatchEncoding:
        batch = self.tokenizer(
            self._cut(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return batch if batch["input_ids"].shape[1] else self._without_tokens(batch)

    def _without_tokens(self, batch: BatchEncoding) -> BatchEncoding:
        """One padded place in each row: a transformer refuses rows of none, and so few tokens come out as floats."""
        n = len(batch["input_ids"])
        place = {"input_ids": torch.full((n, 1), self.tokenizer.pad_token_id)}
        others = {name: torch.zeros(n, 1, dtype=torch.long) for name in batch}
        return BatchEncoding({**others, **place})

    def freeze(self, what: str) -> None:
        """Train the embeddings, and the layers above them, no longer: `embeddings` or `layers:N`.

        Raises SettingError where the transformer is not built as BERT is, and for layers where texts are padded on
        the left.
        """
        n_layers = n_frozen_layers(what)
        if n_layers is not None:
            if n_layers and self.tokenizer.padding_side != "right":
                # What is kept of a text is its first states, without the padding.
                raise SettingError(
                    f"--freeze: the encoder's tokenizer pads on the {self.tokenizer.padding_side}; expected one that "
                    "pads on the right; leave --freeze out"
                )
            self._frozen = FrozenPart(self.transformer, n_layers)
            self.train(self.training)

    def train(self, mode: bool = True) -> PooledEncoder:
        super().train(mode)
        if self._frozen:
            self._frozen.settle()
        return self

    def forward(self, batch: BatchEncoding) -> Tensor:
        mask = batch["attention_mask"]
        self.n_forwards += len(mask)
        # One context for all parts: inside it the weights are cast to bfloat16 once.
        with self._autocast(mask.device):
            if not self.training or mask.is_cuda:
                return self._pooled(batch)
            parts = by_length(mask.sum(dim=1).tolist())
            if len(parts) == 1:
                return self._pooled(batch)
            pooled = [self._pooled(rows_of(batch, rows)) for rows in parts]
        order = torch.tensor([i for rows in parts for i in rows])
        return torch.cat(pooled)[order.argsort()]

    def _pooled(self, batch: Mapping[str, Tensor]) -> Tensor:
        states = self._frozen(batch) if self._frozen else self.transformer(**batch).last_hidden_state
        return mean_pool(states.float(), batch["attention_mask"])

    def _autocast(self, device: torch.device) -> AbstractContextManager[object]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    @torch.inference_mode()
    def encode(self, texts: Sequence[Text]) -> Tensor:
        """Pooled vectors of texts, (len(texts), dim), in evaluation mode, on the CPU.

        Each distinct text is encoded once, with texts of like length: the swapped pairs
        repeat many sentences, and padding is work. The mode is put back afterwards.
        """
        if not texts:
            return torch.empty(0, self.dim)
        known = {} if self._remembered is None else self._remembered
        distinct = list(dict.fromkeys(text for text in texts if text not in known))
        n_before = self.n_forwards
        if distinct:
            encode = partial(self._encode, distinct)
            vectors = self.kept.get(distinct, encode, type(self).__name__) if self.kept else encode()
            known.update(zip(distinct, vectors, strict=True))
        # Shared or not, a run counts what it needs.
        self.n_forwards = n_before + len(distinct)
        return torch.stack([known[text] for text in texts])

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Inside, a text is encoded once however often it is asked for. Nothing may be trained inside."""
        self._remembered = {}
        try:
            yield
        finally:
            self._remembered = None

    def forget(self) -> None:
        """Inside `remembering`: what was encoded so far was of other weights."""
        self._remembered = None if self._remembered is None else {}

    def load_body(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of another encoder of this kind, whatever head this one's transformer has on top."""
        body: Any = getattr(self.transformer, "base_model", self.transformer)
        if self._frozen:
            self._frozen.forget()
        body.load_state_dict({name.removeprefix("transformer."): t for name, t in state.items()})

    def _encode(self, distinct: Sequence[Text]) -> Tensor:
        """Vectors of distinct texts in their order, sorted by length on the way."""
        was_training = self.training
        self.eval()
        lengths = self._n_tokens(distinct)
        order = sorted(range(len(distinct)), key=lambda i: lengths[i])
        device = next(self.parameters()).device
        rows: list[Tensor] = []
        waiting: list[Tensor] = []
        # Around all batches: the weights are cast to bfloat16 once.
        with self._autocast(device):
            for part in budgeted(order, lengths, token_budget(device)):
                batch = self.tokenize([distinct[i] for i in part]).to(device)
                waiting.append(self(batch))
                # A GPU computes while the next batch is tokenized; waiting for each would stop that.
                if len(waiting) == N_WAITING:
                    rows += [torch.cat(waiting).cpu()]
                    waiting = []
        rows += [torch.cat(waiting).cpu()] if waiting else []
        self.train(was_training)
        place = torch.empty(len(order), dtype=torch.long)
        place[order] = torch.arange(len(order))
        return torch.cat(rows)[place]

    def _n_tokens(self, texts: Sequence[Text]) -> list[int]:
        encoded = self.tokenizer(
            self._cut(texts), truncation=True, max_length=self.max_length, return_attention_mask=False
        )
        return [len(ids) for ids in encoded["input_ids"]]

    def _cut(self, texts: Sequence[Text]) -> list[Text]:
        most = CHARACTERS_A_TOKEN * self.max_length
        return [text[:most] if isinstance(text, str) else (text[0][:most], text[1][:most]) for text in texts]


class NliClassifier(PooledEncoder):
    """A checkpoint's own NLI head: pairs in, the logits of contsym's three labels out."""

    def __init__(self, transformer: nn.Module, tokenizer, order: list[int]) -> None:
        super().__init__(transformer, tokenizer, len(order))
        self.order = order

    @classmethod
    def from_folder(cls, folder: Path) -> NliClassifier:
        order = nli_labels(read_config(folder))
        if order is None:
            raise EncoderError(
                f"{folder}: no NLI head; expected a sequence classifier whose id2label names "
                "entailment, neutral and contradiction"
            )
        return cls(from_pretrained(AutoModelForSequenceClassification, folder), load_tokenizer(folder), order)

    def forward(self, batch: BatchEncoding) -> Tensor:
        self.n_forwards += len(batch["input_ids"])
        with self._autocast(batch["input_ids"].device):
            logits = self.transformer(**batch).logits
        return logits.float()[:, self.order]


def mean_pool(states: Tensor, attention_mask: Tensor) -> Tensor:
    """The mean of the token vectors that the mask keeps.

    Shapes: states (n, tokens, dim), attention_mask (n, tokens) of 0 and 1 -> (n, dim). A row
    without any kept token gives zeros.
    Source: Reimers and Gurevych 2019 (Sentence-BERT), section 3, MEAN strategy.
    """
    mask = attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)


def load_tokenizer(folder: Path):
    """The tokenizer of a checkpoint; nothing is fetched, no code of the checkpoint runs."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        length_limit(tokenizer)
    # A checkpoint may be anyone's, and a damaged one makes transformers raise whatever it meets first.
    except Exception as error:
        raise EncoderError(f"{folder}: its tokenizer cannot be loaded ({_line(error)})") from error
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        # GPT-2's pads with nothing; what is padded is masked, so any token does.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of a batch in the parts, each of like lengths, that cost the least together.

    A part costs its padded tokens and PART_TOKENS. The best cut of rows sorted by length, by dynamic
    programming: cost[i] = min over j < i of cost[j] + (i - j) length[i - 1] + PART_TOKENS.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    cost, cut = np.zeros(len(order) + 1), np.zeros(len(order) + 1, dtype=int)
    places = np.arange(len(order) + 1)
    for i, row in enumerate(order, start=1):
        costs = cost[:i] + (i - places[:i]) * lengths[row] + PART_TOKENS
        cut[i] = costs.argmin()
        cost[i] = costs[cut[i]]
    parts, end = [], len(order)
    while end:
        parts.append(sorted(order[cut[end] : end]))
        end = int(cut[end])
    return parts[::-1]


def rows_of(batch: Mapping[str, Tensor], rows: Sequence[int]) -> dict[str, Tensor]:
    """Some rows of a batch, no longer padded than the longest of them needs."""
    chosen = torch.tensor(rows, device=batch["attention_mask"].device)
    part = {name: t.index_select(0, chosen) for name, t in batch.items()}
    kept = part["attention_mask"].any(dim=0).nonzero().flatten().tolist()
    # Of texts without any token one padded place stays.
    first, last = (kept[0], kept[-1]) if kept else (0, 0)
    return {name: t[:, first : last + 1] for name, t in part.items()}


def length_limit(tokenizer) -> int:
    """Tokens of a sentence that the encoder sees, its special tokens included."""
    # RoBERTa counts two positions for padding; model_max_length knows.
    limit = min(MAX_LENGTH, tokenizer.model_max_length)
    if limit <= tokenizer.num_special_tokens_to_add(pair=True):
        raise ValueError(f"model_max_length is {limit}; expected room for a pair of sentences")
    return limit


def token_budget(device: torch.device) -> int:
    return GPU_TOKEN_BUDGET if device.type == "cuda" else TOKEN_BUDGET


def budgeted(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cuts ascending lengths into batches of at most `budget` padded tokens each."""
    batches: list[list[int]] = [[]]
    for i in order:
        if batches[-1] and lengths[i] * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(i)
    return batches


def from_pretrained(auto, folder: Path, **options) -> nn.Module:
    """A checkpoint by one of transformers' Auto classes: safetensors alone, nothing fetched, no code of its own.

    Raises EncoderError for whatever transformers makes of a folder that is no such checkpoint.
    """
    try:
        return auto.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
            **options,
        )
    except Exception as error:
        raise EncoderError(f"{folder}: transformers cannot load it ({_line(error)})") from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
