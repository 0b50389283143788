"""Frozen lower layers, computed once for each text.

`embeddings` freezes the embedding layer, `layers:N` also the first N layers. Frozen layers get no gradient
and no optimizer step; their output for a text never changes, so later steps and evaluations read it from a
cache of at most STATES_BYTES.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from contsym.errors import SettingError

NOTHING, EMBEDDINGS, LAYERS = "nothing", "embeddings", "layers:"

STATES_BYTES = 2**30
"""The size of the cache; states of further texts are computed each time."""


def is_freezable(value: str) -> bool:
    """Whether the value is nothing, embeddings or layers:N with N from 1."""
    return value in (NOTHING, EMBEDDINGS) or bool(re.fullmatch(LAYERS + "[1-9][0-9]{0,17}", value))


def n_frozen_layers(value: str) -> int | None:
    """The number of frozen layers above the embeddings; None if nothing is frozen."""
    if value == NOTHING:
        return None
    return 0 if value == EMBEDDINGS else int(value.removeprefix(LAYERS))


def parts_of(transformer: Any) -> tuple[nn.Module, nn.ModuleList, nn.Module]:
    """(embeddings, layers, the module of the layers) of a transformer. Raises SettingError unless it is like BERT."""
    body = getattr(transformer, "base_model", transformer)
    stack = getattr(body, "encoder", None) or getattr(body, "transformer", None)
    layers = getattr(stack, "layer", None) or getattr(stack, "layers", None)
    embeddings = getattr(body, "embeddings", None)
    if stack is None or not isinstance(layers, nn.ModuleList) or not isinstance(embeddings, nn.Module):
        raise SettingError(_not_as_bert(body))
    return embeddings, layers, stack


def _not_as_bert(body: nn.Module) -> str:
    return (
        f"--freeze: {type(body).__name__} is not built as BERT is, with embeddings below a list of layers; "
        "leave --freeze out, or take another encoder"
    )


def too_many_layers(value: str, encoder: str, n_layers: int) -> str:
    up_to = f", or layers:1 to layers:{n_layers - 1}" if n_layers > 1 else ""
    return (
        f"--freeze {value}: encoder {encoder} has {n_layers} layers, and one at least must be trained; "
        f"expected embeddings{up_to}"
    )


class FrozenPart:
    """A transformer in two parts: the frozen lower layers with a cache of their output, and the other layers."""

    def __init__(self, transformer: nn.Module, n_layers: int) -> None:
        embeddings, layers, _ = parts_of(transformer)
        if n_layers >= len(layers):
            raise SettingError(too_many_layers(f"layers:{n_layers}", type(transformer).__name__, len(layers)))
        self.modules = (embeddings, *layers[:n_layers])
        for module in self.modules:
            module.requires_grad_(False)
        self.n_layers = n_layers
        self._lower = _variant(transformer, embeddings, layers[:n_layers])
        self._upper = _variant(transformer, _NoEmbeddings(), layers[n_layers:])
        self._cache = _StateCache()

    def check(self, transformer: nn.Module, batch: Mapping[str, Tensor]) -> None:
        """Raise SettingError where the two parts do not compute the transformer: some transformers do more
        between their layers."""
        whole: Any = getattr(transformer, "base_model", transformer)
        was_training = whole.training
        whole.eval()
        mask = batch["attention_mask"].bool()
        try:
            with torch.no_grad():
                expected = whole(**batch).last_hidden_state[mask]
                states = self(batch)[mask]
            is_same = torch.allclose(states, expected, rtol=1e-3, atol=1e-4)
        # Some transformers accept no embeddings for tokens, or read them again in higher layers.
        except Exception:
            is_same = False
        whole.train(was_training)
        self.forget()
        if not is_same:
            raise SettingError(_not_as_bert(whole))

    def settle(self) -> None:
        """Put the frozen layers into evaluation mode, without dropout."""
        for module in self.modules:
            module.eval()

    def forget(self) -> None:
        """Empty the cache, because the weights have changed."""
        self._cache = _StateCache()

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The transformer's last states, (n, tokens, dim)."""
        # Training reads the cache of an evaluation, and its graph takes no inference tensors.
        with torch.inference_mode(False), torch.no_grad():
            # Looking embeddings up is as fast as looking into the cache.
            states = self._cached(batch) if self.n_layers else self._lower(**batch).last_hidden_state
        return self._upper(inputs_embeds=states, attention_mask=batch["attention_mask"]).last_hidden_state

    def _cached(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The output of the last frozen layer, (n, tokens, dim)."""
        mask = batch["attention_mask"]
        keys, lengths = _keys(batch), mask.sum(dim=1).tolist()
        states: dict[bytes, Tensor] = {key: self._cache[key] for key in keys if key in self._cache}
        new = [i for i, key in enumerate(keys) if key not in states]
        if new:
            rows = torch.tensor(new, device=mask.device)
            lower = self._lower(**{name: t.index_select(0, rows) for name, t in batch.items()})
            for i, state in zip(new, lower.last_hidden_state, strict=True):
                # A clone, because a slice would keep the whole batch in memory.
                states[keys[i]] = self._cache.add(keys[i], state[: lengths[i]].clone())
        padded = pad_sequence([states[key] for key in keys], batch_first=True)
        return nn.functional.pad(padded, (0, 0, 0, mask.shape[1] - padded.shape[1]))


class _StateCache(dict[bytes, Tensor]):
    """States by text, up to STATES_BYTES; shared by all copies of a model."""

    n_bytes = 0

    def add(self, key: bytes, state: Tensor) -> Tensor:
        if self.n_bytes + state.nbytes <= STATES_BYTES:
            self[key] = state
            self.n_bytes += state.nbytes
        return state

    def __deepcopy__(self, memo) -> _StateCache:
        return self


class _NoEmbeddings(nn.Module):
    """Replaces the embedding layer: passes its input states on."""

    def forward(self, *args, **kwargs) -> Tensor:
        # DistilBERT passes them by position, others by name.
        inputs = (*args, *kwargs.values())
        return next(t for t in inputs if isinstance(t, Tensor) and t.is_floating_point() and t.ndim == 3)


def _variant(transformer: nn.Module, embeddings: nn.Module, layers: nn.ModuleList) -> nn.Module:
    """The transformer with other embeddings and layers; the weights are shared."""
    body = copy.copy(getattr(transformer, "base_model", transformer))
    _, old, stack = parts_of(body)
    stack_name = next(name for name, module in body._modules.items() if module is stack)
    new_stack = copy.copy(stack)
    layers_name = next(name for name, module in stack._modules.items() if module is old)
    new_stack._modules = {**stack._modules, layers_name: nn.ModuleList(layers)}
    # Nothing reads the pooler.
    modules = {name: None if name == "pooler" else module for name, module in body._modules.items()}
    body._modules = {**modules, "embeddings": embeddings, stack_name: new_stack}
    return body


def _keys(batch: Mapping[str, Tensor]) -> list[bytes]:
    """The tokens and token types of each row, without padding."""
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    columns = [batch["input_ids"].cpu().numpy()]
    if "token_type_ids" in batch:
        columns.append(batch["token_type_ids"].cpu().numpy().astype("uint8"))
    return [b"".join(row[:n].tobytes() for row in rows) for *rows, n in zip(*columns, lengths, strict=True)]
