"""Sentences or sentence pairs to pooled vectors, in length-sorted batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import BatchEncoding

from contsym.errors import EncoderError, first_line
from contsym.models.encoders import weights
from contsym.models.encoders.batching import Text, cheapest_parts, evaluation_batches, select_rows
from contsym.models.encoders.checkpoints import nli_labels, read_config
from contsym.models.encoders.declared import Dense, Pooling
from contsym.models.encoders.device import Precision
from contsym.models.encoders.freezing import FrozenPart, n_frozen_layers
from contsym.models.pooling import pool

if TYPE_CHECKING:
    from contsym.models.encoders.vector_cache import UntrainedEncodings

CHARACTERS_A_TOKEN = 20
"""Texts are cut at so many characters per token of the encoder before they are tokenised.

Fast tokenizers keep the text that they truncate, and for a pair every combination of the truncated parts: two
sentences of 100,000 characters took more than 8 GB. Prose has four or five characters per token.
"""

N_WAITING = 64
"""Batches whose vectors stay on a GPU until they are fetched together."""

PLAIN = Pooling()

PROBED_TOKENS = 1024
"""The length of the longest text that a loaded encoder is tried with."""

PADDED_TOKENS = 8
"""The length of the text beside which a short one is padded when a loaded encoder is tried."""


class PooledEncoder(nn.Module):
    """A transformer, a pooling of its last states, and the layers after the pooling.

    `forward` takes a BatchEncoding with (n, tokens) ids and gives (n, dim) float32 vectors. Under bf16 the
    transformer runs in autocast; weights, pooling and later layers stay in float32.
    """

    def __init__(self, transformer: nn.Module, tokenizer, width: int, pooling: Pooling = PLAIN) -> None:
        """`width` is that of the transformer's states."""
        super().__init__()
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.dense = nn.ModuleList(dense_layer(layer) for layer in pooling.after if isinstance(layer, Dense))
        self.width = width
        self.dim = width * len(pooling.modes)
        for layer in pooling.after:
            if isinstance(layer, Dense):
                if layer.n_in != self.dim:
                    raise EncoderError(
                        f"{layer.weights}: takes {layer.n_in} dimensions, and the pooling gives {self.dim}; expected "
                        "as many"
                    )
                self.dim = layer.n_out
        self._n_token_types = weights.n_token_types(transformer.config)
        self._pad_id, self._n_rows = weights.pad_id(tokenizer, transformer), weights.n_rows(transformer)
        prompt = self._lowered(pooling.prompt) if pooling.is_lower_case else pooling.prompt
        self._n_prompt_tokens = 0 if pooling.includes_prompt else weights.n_prompt_tokens(tokenizer, prompt)
        self.precision: Precision = "fp32"
        self.n_forwards = 0
        """Texts encoded so far, training and evaluation together."""
        self.cache: UntrainedEncodings | None = None
        """The shared cache of vectors by the weights as loaded; None once they are trained."""
        self.nli_head: Mapping[str, Tensor] | None = None
        """The weights of a pair classifier that contsym trained with this encoder."""
        self._remembered: dict[Text, Tensor] | None = None
        self._frozen: FrozenPart | None = None

    @classmethod
    def from_folder(cls, folder: Path, pooling: Pooling = PLAIN) -> PooledEncoder:
        transformer: Any = weights.body(folder)
        return cls(
            transformer, weights.load_tokenizer(folder), weights.state_width(transformer, folder), pooling
        )

    @property
    def max_length(self) -> int:
        return weights.length_limit(self.tokenizer, self.pooling.max_length)

    @torch.no_grad()
    def probe(self, folder: Path) -> None:
        """Raise EncoderError where the encoder has no finite vector of a short text and of one of full length, or another
        one beside a longer text."""
        try:
            vectors = self._encode(["a", "a " * min(self.max_length, PROBED_TOKENS)])
            alone, beside = self._encode(["a"])[0], self._encode(["a", "a " * PADDED_TOKENS])[0]
        # An unknown model may raise anything.
        except Exception as error:
            raise EncoderError(
                f"{folder}: {type(self.transformer).__name__} cannot encode a text "
                f"({type(error).__name__}: {first_line(error, 160)}); expected a text encoder"
            ) from error
        if not vectors.isfinite().all():
            raise EncoderError(
                f"{folder}: {type(self.transformer).__name__} encodes a text to values that are not finite (NaN); are "
                "its weights damaged?"
            )
        if not torch.allclose(alone, beside, rtol=1e-2, atol=1e-2 * float(alone.abs().max())):
            raise EncoderError(
                f"{folder}: {type(self.transformer).__name__} encodes a text otherwise beside a longer one, because it reads "
                "the padding; expected an encoder that leaves padding out"
            )
        self.n_forwards = 0
        self.transformer.eval()

    def tokenize(self, texts: Sequence[Text]) -> BatchEncoding:
        """The inputs of the transformer, padded on the right; one padded place where no text has a token."""
        rows = self._token_rows(texts)
        width = max(1, *map(len, rows["input_ids"]))
        padding = {"input_ids": self._pad_id}
        padded = {
            name: [[*row, *[padding.get(name, 0)] * (width - len(row))] for row in column]
            for name, column in rows.items()
        }
        return BatchEncoding({name: torch.tensor(column) for name, column in padded.items()})

    def _token_rows(self, texts: Sequence[Text]) -> dict[str, list[list[int]]]:
        encoded = self.tokenizer(
            self._prepared(texts), truncation=True, max_length=self.max_length, return_attention_mask=True
        )
        rows = {name: encoded[name] for name in ("input_ids", "attention_mask")}
        self._check_rows(rows["input_ids"])
        types = encoded.get("token_type_ids") if self._n_token_types else None
        if types is None:
            return rows
        # The tokenizer of another model may give types that the table lacks.
        n = self._n_token_types
        return {**rows, "token_type_ids": [[t if t < n else 0 for t in row] for row in types]}

    def _check_rows(self, ids: Sequence[Sequence[int]]) -> None:
        largest = max((max(row, default=0) for row in ids), default=0)
        if largest >= self._n_rows:
            # A special token that is written in a text.
            token = self.tokenizer.convert_ids_to_tokens(largest)
            raise EncoderError(
                f"a text has the token {token!r}, and the encoder's embedding table has no row for it; take it out"
            )

    def freeze(self, what: str) -> None:
        """Freeze the `embeddings`, or also N layers with `layers:N`. Raises SettingError for a transformer unlike BERT."""
        n_layers = n_frozen_layers(what)
        if n_layers is not None:
            self._frozen = FrozenPart(self.transformer, n_layers)
            self._frozen.check(self.transformer, _seen(self.tokenize(["a", "a b c"])))
            self.train(self.training)

    def train(self, mode: bool = True) -> PooledEncoder:
        super().train(mode)
        if self._frozen:
            self._frozen.settle()
        return self

    def forward(self, batch: BatchEncoding) -> Tensor:
        mask = batch["attention_mask"]
        self.n_forwards += len(mask)
        # One context for all parts casts the weights to bfloat16 once.
        with self._autocast(mask.device):
            if not self.training or mask.is_cuda:
                return self._pooled(batch)
            parts = cheapest_parts(mask.sum(dim=1).tolist())
            if len(parts) == 1:
                return self._pooled(batch)
            pooled = [self._pooled(select_rows(batch, rows)) for rows in parts]
        order = torch.tensor([i for rows in parts for i in rows])
        return torch.cat(pooled)[order.argsort()]

    def _pooled(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self.pool(self._hidden(_seen(batch)), batch["attention_mask"])

    def _hidden(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The transformer's last states, (n, tokens, width)."""
        return self._frozen(batch) if self._frozen else self.transformer(**batch).last_hidden_state

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """The float32 vectors of token states."""
        vectors = pool(states.float(), mask, self.pooling.modes, self._n_prompt_tokens)
        dense = iter(self.dense)
        # float32 inside a bf16 context too
        with torch.autocast(vectors.device.type, enabled=False):
            for layer in self.pooling.after:
                vectors = next(dense)(vectors) if isinstance(layer, Dense) else normalize(vectors, dim=-1)
        return vectors

    def _autocast(self, device: torch.device) -> AbstractContextManager[object]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    @torch.inference_mode()
    def encode(self, texts: Sequence[Text]) -> Tensor:
        """Vectors of texts, (len(texts), dim), in evaluation mode, on the CPU.

        Each distinct text is encoded once, because swapped pairs repeat sentences.
        """
        if not texts:
            return torch.empty(0, self.dim)
        vector_of = {} if self._remembered is None else self._remembered
        distinct = list(dict.fromkeys(text for text in texts if text not in vector_of))
        n_before = self.n_forwards
        if distinct:
            encode = partial(self._encode, distinct)
            vectors = self.cache.get(distinct, encode, type(self).__name__) if self.cache else encode()
            vector_of.update(zip(distinct, vectors, strict=True))
        # A run also counts the texts whose vectors came from the cache.
        self.n_forwards = n_before + len(distinct)
        return torch.stack([vector_of[text] for text in texts])

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Inside, each text is encoded once, also through several of these blocks. Nothing may be trained inside."""
        is_outermost = self._remembered is None
        self._remembered = {} if self._remembered is None else self._remembered
        try:
            yield
        finally:
            if is_outermost:
                self._remembered = None

    def forget(self) -> None:
        """Drop the vectors of `remembering`, because the weights have changed."""
        self._remembered = None if self._remembered is None else {}

    def load_body(self, state: Mapping[str, Tensor]) -> None:
        """Load the weights of another encoder into the body, below any head."""
        body: Any = getattr(self.transformer, "base_model", self.transformer)
        if self._frozen:
            self._frozen.forget()
        body.load_state_dict(self._split(state))

    def _split(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Load the dense layers of a state; return the rest under the names of a transformer."""
        dense = {name.removeprefix("dense."): t for name, t in state.items() if name.startswith("dense.")}
        self.dense.load_state_dict(dense)
        return {
            name.removeprefix("transformer."): t for name, t in state.items() if not name.startswith("dense.")
        }

    def _encode(self, distinct: Sequence[Text]) -> Tensor:
        """Vectors of distinct texts, in their order."""
        return self.in_batches(distinct, self)

    def in_batches(self, texts: Sequence[Text], compute: Callable[[BatchEncoding], Tensor]) -> Tensor:
        """The rows that `compute` gives for batches of texts, in evaluation mode, in the order of the texts, on the CPU."""
        was_training = self.training
        self.eval()
        device = next(self.parameters()).device
        ids = self.tokenizer(self._prepared(texts), truncation=True, max_length=self.max_length)["input_ids"]
        parts = evaluation_batches([len(row) for row in ids], device)
        del ids  # as large as the texts
        rows: list[Tensor] = []
        waiting: list[Tensor] = []
        # One context for all batches casts the weights to bfloat16 once.
        with self._autocast(device):
            for part in parts:
                batch = self.tokenize([texts[i] for i in part]).to(device)
                waiting.append(compute(batch))
                # A GPU computes while the next batch is tokenised; fetching each batch would stop that.
                if len(waiting) == N_WAITING:
                    rows += [torch.cat(waiting).cpu()]
                    waiting = []
        rows += [torch.cat(waiting).cpu()] if waiting else []
        self.train(was_training)
        return torch.cat(rows)[torch.tensor([i for part in parts for i in part]).argsort()]

    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The states after the embeddings and after each layer, (n, tokens, width) each; the last is what is pooled."""
        output = self.transformer(**_seen(batch), output_hidden_states=True)
        return *output.hidden_states[:-1], output.last_hidden_state

    def _prepared(self, texts: Sequence[Text]) -> list[Text]:
        """The texts with their prompt, without the part that the encoder cannot see."""
        most = CHARACTERS_A_TOKEN * self.max_length
        seen = slice(-most, None) if self.tokenizer.truncation_side == "left" else slice(most)
        lower: Callable[[str], str] = self._lowered if self.pooling.is_lower_case else str
        prepared: list[Text] = []
        for text in texts:
            first, *second = (text,) if isinstance(text, str) else text
            first = lower(self.pooling.prompt + first[seen])
            prepared.append((first, lower(second[0][seen])) if second else first)
        return prepared

    def _lowered(self, text: str) -> str:
        return text.lower()


class NliClassifier(PooledEncoder):
    """The NLI head of a checkpoint: pairs in, logits of contsym's three labels out."""

    def __init__(self, transformer: nn.Module, tokenizer, order: list[int]) -> None:
        super().__init__(transformer, tokenizer, len(order))
        self.order = order

    @classmethod
    def from_folder(cls, folder: Path, pooling: Pooling = PLAIN) -> NliClassifier:
        """`pooling` is unused, because the head pools the states itself."""
        order = nli_labels(read_config(folder))
        if order is None:
            raise EncoderError(
                f"{folder}: no NLI head; expected a sequence classifier whose id2label names "
                "entailment, neutral and contradiction"
            )
        transformer: Any = weights.classifier(folder)
        tokenizer = weights.load_tokenizer(folder)
        if weights.is_decoder_only(folder):
            # By it the head finds the last token; the config may have none, or another than the tokenizer pads with.
            transformer.config.pad_token_id = weights.pad_id(tokenizer, transformer)
        return cls(transformer, tokenizer, order)

    def forward(self, batch: BatchEncoding) -> Tensor:
        self.n_forwards += len(batch["input_ids"])
        with self._autocast(batch["input_ids"].device):
            logits = self.transformer(**batch).logits
        return logits.float()[:, self.order]

    def logits_and_states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The logits, (n, labels), and the states after the embeddings and after each layer, of one pass.

        Of a sequence-to-sequence model the states of its encoder.
        """
        output = self.transformer(**batch, output_hidden_states=True)
        states = output.encoder_hidden_states if "encoder_hidden_states" in output else output.hidden_states
        return output.logits.float()[:, self.order], states


def dense_layer(dense: Dense) -> nn.Module:
    """A Dense module of sentence-transformers."""
    linear = nn.Linear(dense.n_in, dense.n_out, bias=dense.has_bias)
    try:
        tensors = load_file(dense.weights)
        linear.load_state_dict({name.removeprefix("linear."): t.float() for name, t in tensors.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise EncoderError(
            f"{dense.weights}: cannot be read as a layer from {dense.n_in} to {dense.n_out} dimensions "
            f"({first_line(error, 160)})"
        ) from None
    return nn.Sequential(linear, getattr(nn, dense.activation)())


def _seen(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch with the first token of each text unmasked, since attention over nothing gives NaN."""
    mask = batch["attention_mask"].clone()
    mask[:, 0] = 1
    return {**batch, "attention_mask": mask}


def gives_vectors(encoder: nn.Module) -> bool:
    """Whether the encoder gives a vector per sentence; a checkpoint's own head gives none."""
    return isinstance(encoder, PooledEncoder) and not isinstance(encoder, NliClassifier)
