"""Checkpoints with a language-model head: vectors at a mask, and likelihoods of answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchEncoding

from contsym.errors import EncoderError, SettingError
from contsym.models.encoders import weights
from contsym.models.encoders.batching import evaluation_batches
from contsym.models.encoders.checkpoints import language_model_kind, read_config
from contsym.models.encoders.declared import Pooling
from contsym.models.encoders.pooled import PLAIN, PooledEncoder


class MaskedEncoder(PooledEncoder):
    """An encoder that reads a text at its mask.

    For a text with a mask, `forward` gives the vector at the first mask that the masked-language-model head
    multiplies by the word vectors. A checkpoint without such a head (`is_tied`) gives the state at the mask,
    for the input embeddings. Texts without a mask are pooled as by PooledEncoder.
    """

    def __init__(
        self, transformer: nn.Module, tokenizer, width: int, pooling: Pooling = PLAIN, *, is_tied: bool
    ) -> None:
        super().__init__(transformer, tokenizer, width, pooling)
        self.is_tied = is_tied
        n = self.decoder.weight.shape[1]
        if n != width:
            raise EncoderError(
                f"{type(transformer).__name__}: word vectors of {n} dimensions over states of {width}; "
                "expected as many, as in BERT and RoBERTa"
            )
        if self.dim != width:
            raise EncoderError(
                f"{type(transformer).__name__}: states of {width} dimensions are read at the mask, beside vectors of "
                f"{self.dim} by the pooling {' + '.join(pooling.modes)}; give --pooling mean"
            )

    @classmethod
    def from_folder(cls, folder: Path, pooling: Pooling = PLAIN) -> MaskedEncoder:
        transformer = weights.masked_lm(folder)
        body: Any = weights.body(folder) if transformer is None else transformer
        width = weights.state_width(body, folder)
        return cls(body, weights.load_tokenizer(folder), width, pooling, is_tied=transformer is None)

    @property
    def decoder(self) -> Any:
        """The layer whose rows are the word vectors; the head of a checkpoint has a bias."""
        body: Any = self.transformer
        return body.get_input_embeddings() if self.is_tied else body.get_output_embeddings()

    def load_body(self, state: Mapping[str, Tensor]) -> None:
        body: Any = getattr(self.transformer, "base_model", self.transformer)
        # A masked language model has no pooler, and nothing here reads one.
        missing, _ = body.load_state_dict(self._split(state), strict=False)
        assert not missing, f"weights of another encoder: {missing[:3]} are missing"

    def forward(self, batch: BatchEncoding) -> Tensor:
        ids = batch["input_ids"]
        self.n_forwards += len(ids)
        is_mask = ids == self.tokenizer.mask_token_id
        at = is_mask.int().argmax(dim=1, keepdim=True)
        with self._autocast(ids.device):
            states, at_mask = self._states(batch, at)
        pooled = self.pool(states, batch["attention_mask"])
        return torch.where(is_mask.any(dim=1, keepdim=True), at_mask.squeeze(1).float(), pooled)

    def _states(self, batch: BatchEncoding, at: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's states (n, tokens, dim) and the vectors at positions `at` (n, 1): (n, 1, dim)."""
        if self.is_tied:
            states = self.transformer(**batch).last_hidden_state
            return states, states[_rows(at), at]
        bodies: list[Any] = []
        base: Any = self.transformer.base_model
        handle = base.register_forward_hook(lambda *call: bodies.append(call[-1]))
        try:
            with _narrowed(self.decoder, at) as vectors:
                self.transformer(**batch)
        finally:
            handle.remove()
        if not vectors:
            raise EncoderError(f"{type(self.transformer).__name__}: its head has no output layer of its own")
        return bodies[0].last_hidden_state, vectors[0]

    def _lowered(self, text: str) -> str:
        # The tokenizer knows the mask, as [MASK], only as it is spelt.
        mask: str = self.tokenizer.mask_token
        return mask.join(part.lower() for part in text.split(mask))


class Verbaliser(nn.Module):
    """Logits of a few words: vectors (batch, dim) at a mask -> (batch, words).

    Each call reads the word vectors from the encoder, so they are trained with it; the module has no parameters.
    """

    def __init__(self, encoder: MaskedEncoder, words: Sequence[int]) -> None:
        super().__init__()
        # The tuple hides the encoder from state_dict() and parameters(); a copy of the model copies it once.
        self._encoder, self.words = (encoder,), list(words)

    def forward(self, vectors: Tensor) -> Tensor:
        decoder = self._encoder[0].decoder
        bias = getattr(decoder, "bias", None)
        return functional.linear(
            vectors, decoder.weight[self.words], None if bias is None else bias[self.words]
        )


class LanguageModel(PooledEncoder):
    """A causal or sequence-to-sequence checkpoint that scores answers; its last states are pooled as sentence vectors."""

    def __init__(
        self, transformer: nn.Module, tokenizer, width: int, pooling: Pooling = PLAIN, *, is_seq2seq: bool
    ) -> None:
        super().__init__(transformer, tokenizer, width, pooling)
        self.is_seq2seq = is_seq2seq

    @classmethod
    def from_folder(cls, folder: Path, pooling: Pooling = PLAIN) -> LanguageModel:
        model: Any = weights.language_model(folder)
        is_seq2seq = language_model_kind(read_config(folder)) == "seq2seq"
        width = weights.state_width(model, folder)
        return cls(model, weights.load_tokenizer(folder), width, pooling, is_seq2seq=is_seq2seq)

    def _hidden(self, batch: Mapping[str, Tensor]) -> Tensor:
        model: Any = self.transformer
        body = model.get_encoder() if self.is_seq2seq else model.base_model
        return body(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state

    @property
    def context(self) -> int | None:
        """Tokens that the model can see at once; None if there is no limit."""
        config: Any = self.transformer.config
        # With relative positions only the tokenizer has a limit.
        limits = [
            getattr(config, "max_position_embeddings", None),
            self.tokenizer.model_max_length if self.tokenizer.model_max_length < 10**9 else None,
        ]
        return min((int(n) for n in limits if n), default=None)

    def room(self, answers: Sequence[Sequence[int]]) -> int | None:
        """Tokens that a prompt may have before these answers; None: any number."""
        if self.context is None or self.is_seq2seq:
            return self.context
        return self.context - max(len(answer) for answer in answers) + 1

    def prompt_tokens(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token ids of prompts at full length; for a causal model without a final end-of-text token."""
        tokens = self.tokenizer(list(prompts), truncation=False, verbose=False)["input_ids"]
        self._check_rows(tokens)
        if self.is_seq2seq:
            return tokens
        ends = {self.tokenizer.eos_token_id, self.tokenizer.sep_token_id}
        return [ids[:-1] if ids and ids[-1] in ends else ids for ids in tokens]

    @torch.inference_mode()
    def log_likelihoods(self, prompts: Sequence[str], answers: Sequence[Sequence[int]]) -> Tensor:
        """log P(answer | prompt), natural logarithms, (len(prompts), len(answers)), float32, on the CPU.

        The sum of the log-probabilities of an answer's tokens after the prompt and the earlier tokens, without
        an end of sequence. A prompt that is too long loses its first tokens. Each distinct prompt is scored
        once, in batches of like length.
        """
        distinct = list(dict.fromkeys(prompts))
        room = self.room(answers)
        tokens = [ids if room is None else ids[-room:] for ids in self.prompt_tokens(distinct)]
        was_training = self.training
        self.eval()
        score = self._after_encoder if self.is_seq2seq else self._as_continuation
        scores = score(tokens, answers)
        self.train(was_training)
        row_of = {prompt: row for row, prompt in enumerate(distinct)}
        return scores[[row_of[prompt] for prompt in prompts]]

    def _as_continuation(self, prompts: list[list[int]], answers: Sequence[Sequence[int]]) -> Tensor:
        # The last token of an answer is no input. Answers that agree before it, such as all answers of one
        # token, share an input.
        openings = list(dict.fromkeys(tuple(answer[:-1]) for answer in answers))
        inputs = [(row, opening) for row in range(len(prompts)) for opening in openings]
        lengths = [len(prompts[row]) + len(opening) for row, opening in inputs]
        scores = torch.empty(len(prompts), len(answers))
        model: Any = self.transformer
        device = next(model.parameters()).device
        for part in evaluation_batches(lengths, device):
            rows, texts, positions = [], [], []
            for row, opening in (inputs[i] for i in part):
                rows.append(row)
                texts.append([*prompts[row], *opening])
                last = len(texts[-1]) - 1
                positions.append(
                    [min(len(prompts[row]) - 1 + t, last) for t in range(max(map(len, openings)) + 1)]
                )
            # Padding on the right is never attended to, and positions stay true.
            ids, mask = self._padded(texts, device)
            at = torch.tensor(positions, device=device)
            with self._autocast(device), _narrowed(model.get_output_embeddings(), at) as narrowed:
                logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            if not narrowed:
                logits = logits[_rows(at), at]
            self.n_forwards += len(part)
            logs = logits.float().log_softmax(dim=-1)
            for i, (row, opening) in enumerate(inputs[i] for i in part):
                for column, answer in enumerate(answers):
                    if tuple(answer[:-1]) == opening:
                        scores[row, column] = logs[i, range(len(answer)), list(answer)].sum().cpu()
        return scores

    def _after_encoder(self, prompts: list[list[int]], answers: Sequence[Sequence[int]]) -> Tensor:
        lengths = [len(ids) for ids in prompts]
        scores = torch.empty(len(prompts), len(answers))
        model: Any = self.transformer
        device = next(model.parameters()).device
        start = getattr(model.config, "decoder_start_token_id", None)
        if start is None:
            raise EncoderError(
                f"{type(model).__name__}: its config.json has no decoder_start_token_id; expected the token before an answer"
            )
        for part in evaluation_batches(lengths, device):
            ids, mask = self._padded([prompts[row] for row in part], device)
            self.n_forwards += len(part)
            with self._autocast(device):
                encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)
            for column, answer in enumerate(answers):
                before = torch.tensor([[start, *answer[:-1]]], device=device).expand(len(part), -1)
                with self._autocast(device):
                    logits = model(
                        encoder_outputs=encoded,
                        attention_mask=mask,
                        decoder_input_ids=before,
                        use_cache=False,
                    ).logits
                logs = logits.float().log_softmax(dim=-1)
                scores[part, column] = logs[:, range(len(answer)), list(answer)].sum(dim=1).cpu()
        return scores

    def _padded(self, texts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
        """Ids (n, tokens), padded on the right, and their attention mask."""
        longest = max(map(len, texts))
        ids = torch.tensor(
            [[*text, *[self._pad_id] * (longest - len(text))] for text in texts], device=device
        )
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=device)
        return ids, mask


def answer_tokens(tokenizer, words: Mapping[str, str], before: str = "") -> list[list[int]]:
    """The tokens of each word after `before` and a space; `words` has the name of a setting for each word.

    Raises SettingError for a word that the tokenizer does not know, and for two words with the same tokens,
    which would always score alike.
    """

    def tokens(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    names: dict[tuple[int, ...], str] = {}
    for name, word in words.items():
        # SentencePiece writes a leading space in its own way, so the tokens are cut from the whole text.
        stem, whole = tokens(before), tokens(f"{before} {word}")
        ids = whole[len(stem) :] if whole[: len(stem)] == stem else tokens(f" {word}")
        if not ids or tokenizer.unk_token_id in ids:
            raise SettingError(
                f"--set {name}={word}: this encoder's tokenizer does not know it; expected a word that it does"
            )
        if other := names.get(tuple(ids)):
            raise SettingError(f"--set {name}={word}: the same tokens as {other}'s; expected another word")
        names[tuple(ids)] = name
    return [list(ids) for ids in names]


@contextmanager
def _narrowed(layer: nn.Module, at: Tensor) -> Iterator[list[Tensor]]:
    """Inside, `layer` reads its input (n, tokens, dim) at positions `at` (n, k) alone; the list then holds that input.

    At all positions, an output layer over a vocabulary would cost as much as the transformer.
    """
    inputs_at: list[Tensor] = []

    def narrow(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inputs_at.append(inputs[0][_rows(at), at])
        return (inputs_at[-1], *inputs[1:])

    handle = layer.register_forward_pre_hook(narrow)
    try:
        yield inputs_at
    finally:
        handle.remove()


def _rows(at: Tensor) -> Tensor:
    return torch.arange(len(at), device=at.device)[:, None]
