"""Lower layers that are not trained: kept as they are, and computed once for each text.

`embeddings` freezes the embedding layer, `layers:N` that and the first N layers. What lies below
gets no gradient and no optimizer step; its output for a text never changes, so it is kept and read
again in each later step and evaluation, up to STATES_BYTES in memory.
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
"""States kept in memory, at most; those of further texts are computed each time."""


def is_freezable(value: str) -> bool:
    """Whether the words are a way to freeze: nothing, embeddings or layers:N with N from 1."""
    return value in (NOTHING, EMBEDDINGS) or bool(re.fullmatch(LAYERS + "[1-9][0-9]*", value))


def n_frozen_layers(value: str) -> int | None:
    """Layers above the embeddings that stay as they are; None where nothing does."""
    if value == NOTHING:
        return None
    return 0 if value == EMBEDDINGS else int(value.removeprefix(LAYERS))


def parts_of(transformer: Any) -> tuple[nn.Module, nn.ModuleList, nn.Module]:
    """(embeddings, layers, the module that holds the layers) of a transformer built as BERT is.

    Raises SettingError where it is built otherwise.
    """
    body = getattr(transformer, "base_model", transformer)
    stack = getattr(body, "encoder", None) or getattr(body, "transformer", None)
    layers = next(
        (found for n in ("layer", "layers") if (found := getattr(stack, n, None)) is not None), None
    )
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
    """The frozen lower part of a transformer, with what it has computed so far.

    `states(batch)` is the output of the last frozen layer, (n, tokens, dim), as evaluation mode has it;
    `rest(states, attention_mask)` goes through the other layers. Together they are the transformer.
    """

    def __init__(self, transformer: nn.Module, n_layers: int) -> None:
        embeddings, layers, _ = parts_of(transformer)
        if n_layers >= len(layers):
            raise SettingError(too_many_layers(f"layers:{n_layers}", type(transformer).__name__, len(layers)))
        self.modules = (embeddings, *layers[:n_layers])
        for module in self.modules:
            module.requires_grad_(False)
        self.n_layers = n_layers
        self._lower = _with(transformer, embeddings, layers[:n_layers])
        self._upper = _with(transformer, _Given(), layers[n_layers:])
        self._kept = _Kept()

    def check(self, transformer: nn.Module, batch: Mapping[str, Tensor]) -> None:
        """Raise SettingError where the two parts, one upon the other, are not the transformer: some have more
        between their layers than the layers."""
        whole: Any = getattr(transformer, "base_model", transformer)
        was_training = whole.training
        whole.eval()
        kept = batch["attention_mask"].bool()
        try:
            with torch.no_grad():
                expected = whole(**batch).last_hidden_state[kept]
                found = self(batch)[kept]
            is_same = torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
        # Some take no embeddings in the place of tokens, or look at them again further up.
        except Exception:
            is_same = False
        whole.train(was_training)
        self.forget()
        if not is_same:
            raise SettingError(_not_as_bert(whole))

    def settle(self) -> None:
        """Evaluation mode for what is frozen: dropout would only blur what never changes."""
        for module in self.modules:
            module.eval()

    def forget(self) -> None:
        """What was computed so far was of other weights."""
        self._kept = _Kept()

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The transformer's last states, (n, tokens, dim)."""
        states = self.states(batch)
        return self._upper(inputs_embeds=states, attention_mask=batch["attention_mask"]).last_hidden_state

    def states(self, batch: Mapping[str, Tensor]) -> Tensor:
        # What an evaluation keeps, training reads: no inference tensor could go into its graph.
        with torch.inference_mode(False), torch.no_grad():
            # To look embeddings up again takes no longer than to look up what is kept.
            return self._found(batch) if self.n_layers else self._below(batch)

    def _below(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._lower(**batch).last_hidden_state

    def _found(self, batch: Mapping[str, Tensor]) -> Tensor:
        mask = batch["attention_mask"]
        names, lengths = _names(batch), mask.sum(dim=1).tolist()
        found: dict[bytes, Tensor] = {name: self._kept[name] for name in names if name in self._kept}
        new = [i for i, name in enumerate(names) if name not in found]
        if new:
            rows = torch.tensor(new, device=mask.device)
            states = self._below({name: t.index_select(0, rows) for name, t in batch.items()})
            for i, state in zip(new, states, strict=True):
                # Cloned: a slice would keep the whole batch in memory.
                found[names[i]] = self._kept.add(names[i], state[: lengths[i]].clone())
        padded = pad_sequence([found[name] for name in names], batch_first=True)
        return nn.functional.pad(padded, (0, 0, 0, mask.shape[1] - padded.shape[1]))


class _Kept(dict[bytes, Tensor]):
    """States by what they are of, up to STATES_BYTES; the same for every copy of a model."""

    n_bytes = 0

    def add(self, name: bytes, state: Tensor) -> Tensor:
        if self.n_bytes + state.nbytes <= STATES_BYTES:
            self[name] = state
            self.n_bytes += state.nbytes
        return state

    def __deepcopy__(self, memo) -> _Kept:
        return self


class _Given(nn.Module):
    """In the place of the embeddings: what is given as embeddings is them."""

    def forward(self, *args, **kwargs) -> Tensor:
        # By position in DistilBERT, by name in the others.
        given = (*args, *kwargs.values())
        return next(t for t in given if isinstance(t, Tensor) and t.is_floating_point() and t.ndim == 3)


def _with(transformer: nn.Module, embeddings: nn.Module, layers: nn.ModuleList) -> nn.Module:
    """The same transformer, weights shared, with other embeddings and layers in it."""
    body = copy.copy(getattr(transformer, "base_model", transformer))
    _, old, stack = parts_of(body)
    stack_name = next(name for name, module in body._modules.items() if module is stack)
    new_stack = copy.copy(stack)
    layers_name = next(name for name, module in stack._modules.items() if module is old)
    new_stack._modules = {**stack._modules, layers_name: nn.ModuleList(layers)}
    # A pooler reads the last state, and nothing here reads a pooler.
    kept = {name: None if name == "pooler" else module for name, module in body._modules.items()}
    body._modules = {**kept, "embeddings": embeddings, stack_name: new_stack}
    return body


def _names(batch: Mapping[str, Tensor]) -> list[bytes]:
    """What tells the rows of a batch apart, whatever they are padded to."""
    ids, kinds = batch["input_ids"].cpu().numpy(), batch.get("token_type_ids")
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    found = [row[:length].tobytes() for row, length in zip(ids, lengths, strict=True)]
    if kinds is None:
        return found
    types = kinds.cpu().numpy().astype("uint8")
    return [n + row[:length].tobytes() for n, row, length in zip(found, types, lengths, strict=True)]
