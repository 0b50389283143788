"""One side of a comparison: a checkpoint, what it makes of texts, and its weights by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from contsym.differences.files import method_name, title_of, unused_labels
from contsym.differences.part_names import order_of, part_of
from contsym.differences.schema import Checkpoint
from contsym.models.encoders import weights
from contsym.models.encoders.batching import Text
from contsym.models.encoders.checkpoints import EncoderFiles
from contsym.models.encoders.device import Precision
from contsym.models.encoders.load import load
from contsym.models.encoders.nli_head import kind_of_head, read_head
from contsym.models.encoders.pooled import NliClassifier, PooledEncoder
from contsym.models.encoders.resolve import size, with_limit, with_pooling
from contsym.models.heads import PairClassifier
from contsym.models.pooling import pool
from contsym.tasks.schema import NLI_LABELS

BLOCK = 256
"""Texts between two steps of the progress."""

Advance = Callable[[], None]
Weights = Mapping[str, Mapping[str, Tensor]]
"""The tensors of a checkpoint by part and name; writing into them changes the checkpoint."""


@dataclass(frozen=True)
class Reading:
    """What a checkpoint makes of texts, in their order; float32, on the CPU."""

    vectors: Tensor
    """(texts, dim)."""
    logits: Tensor | None
    """(texts, labels) by a joint head, where the texts are pairs."""
    layers: tuple[Tensor, ...]
    """The mean over tokens of the states after the embeddings and each layer, (texts, width) each; () if not asked for."""


class LoadedCheckpoint:
    """A checkpoint in memory: the encoder, and the head over NLI's labels if it has one.

    A joint head shares the encoder's transformer, so that a part that is put back is put back into both.
    """

    def __init__(self, files: EncoderFiles, device: str, precision: Precision) -> None:
        self.files, kind = files, kind_of_head(files)
        assert files.pooling is not None, "with_facts has looked"
        self.classifier: NliClassifier | None = None
        self.pair_head: PairClassifier | None = None
        if kind == "joint":
            self.classifier = load(files, head="nli")
            body: Any = self.classifier.transformer.base_model
            body = body.get_encoder() if body.config.is_encoder_decoder else body
            width = weights.state_width(body, files.folder)
            self.encoder = PooledEncoder(body, self.classifier.tokenizer, width, files.pooling)
        else:
            self.encoder = load(files)
        if kind == "pair":
            trained = read_head(files.head_folder, self.encoder.dim)
            self.pair_head = PairClassifier(self.encoder.dim, len(NLI_LABELS), torch.Generator(), trained)
        for module in self._modules():
            module.to(device).eval()
        self.encoder.precision = precision
        if self.classifier:
            self.classifier.precision = precision

    @property
    def notes(self) -> list[str]:
        """What a reader of its figures must know."""
        if not (labels := self.facts.unused_labels):
            return []
        named = ", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")
        return [
            f"its head has the labels {named}, not entailment, neutral and contradiction, so it is not measured (id2label in "
            "config.json names them)"
        ]

    def _modules(self) -> list[nn.Module]:
        return [module for module in (self.encoder, self.classifier, self.pair_head) if module is not None]

    @property
    def facts(self) -> Checkpoint:
        """Who it is."""
        files, encoder = self.files, self.encoder
        assert files.pooling is not None
        return Checkpoint(
            name=files.name,
            title=title_of(files),
            origin=files.origin,
            weights_sha256=files.weights_sha256,
            architecture=str(encoder.transformer.config.model_type),  # type: ignore[union-attr]
            n_layers=size(files, "num_hidden_layers") or 0,
            dim=encoder.dim,
            pooling=files.pooling.words(),
            head="joint" if self.classifier else "pair" if self.pair_head else None,
            unused_labels=unused_labels(files),
            method=method_name(files),
            run=(),
            seen=tuple(files.seen),
        )

    @torch.inference_mode()
    def read(
        self, texts: Sequence[Text], advance: Advance, *, joint: bool = False, layers: bool = False
    ) -> Reading:
        """Each text once. With `joint`, the classifier reads pairs and gives its logits in the same pass."""
        encoder, widths = self.encoder, list[int]()
        reader: PooledEncoder = self.classifier if joint and self.classifier else encoder

        def compute(batch: Mapping[str, Tensor]) -> Tensor:
            mask = batch["attention_mask"]
            if joint:
                assert self.classifier is not None
                logits, states = self.classifier.logits_and_states(batch)
            else:
                logits, states = mask.new_empty(len(mask), 0, dtype=torch.float32), encoder.states(batch)
            columns = [logits, encoder.pool(states[-1], mask)]
            columns += [pool(each.float(), mask, ("mean",), 0) for each in states] if layers else []
            widths[:] = [column.shape[1] for column in columns]
            return torch.cat(columns, dim=1)

        if not texts:
            return Reading(torch.empty(0, encoder.dim), None, ())
        # Like lengths together, since a block is padded by itself.
        order = sorted(range(len(texts)), key=lambda i: len("".join(texts[i])))
        rows = []
        for start in range(0, len(order), BLOCK):
            rows.append(reader.in_batches([texts[i] for i in order[start : start + BLOCK]], compute))
            advance()
        logits, vectors, *states = torch.cat(rows)[torch.tensor(order).argsort()].split(widths, dim=1)
        return Reading(vectors, logits if joint else None, tuple(states))

    @torch.inference_mode()
    def head_scores(self, premises: Tensor, hypotheses: Tensor) -> Tensor:
        """The pair head's logits of vectors, (pairs, labels)."""
        assert self.pair_head is not None
        device = next(self.pair_head.parameters()).device
        return self.pair_head(premises.to(device), hypotheses.to(device)).cpu()

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """The weights by part, from the embeddings up; a tensor under two names counts once.

        Without the pooler of a checkpoint that has no joint head: no vector reads it, and it may be missing in the files.
        """
        if self.classifier:
            top: Any = self.classifier.transformer
            prefix = f"{top.base_model_prefix}."
            named = {n if n.startswith(prefix) else f"head.{n}": t for n, t in top.state_dict().items()}
            named = {name.removeprefix(prefix): t for name, t in named.items()}
        else:
            named = {
                n: t for n, t in self.encoder.transformer.state_dict().items() if "pooler" not in n.split(".")
            }
        named |= {f"dense.{n}": t for n, t in self.encoder.dense.state_dict().items()}
        if self.pair_head:
            named |= {f"head.{n}": t for n, t in self.pair_head.state_dict().items()}
        has_encoder = any("encoder" in name.split(".") for name in named)
        found: dict[str, dict[str, Tensor]] = {}
        places = set()
        for name, tensor in named.items():
            if (
                tensor.is_floating_point()
                and (place := (tensor.data_ptr(), tuple(tensor.shape))) not in places
            ):
                places.add(place)
                # OPT calls its only layers those of a decoder.
                part = part_of(name) if has_encoder else part_of(name).removeprefix("decoder ")
                found.setdefault(part, {})[name] = tensor
        return dict(sorted(found.items(), key=lambda item: order_of(item[0])))


def with_facts(files: EncoderFiles) -> EncoderFiles:
    """The files with their pooling and limit. Raises EncoderError where transformers could not load them."""
    files = with_limit(with_pooling(files))
    weights.check(files.folder, "nli" if kind_of_head(files) == "joint" else "none")
    return files


def tokenizer_note(old: LoadedCheckpoint, new: LoadedCheckpoint, texts: Sequence[Text]) -> list[str]:
    """A line where the tokenizers make other tokens of some of these texts."""
    sentences = list(dict.fromkeys(s for text in texts for s in ((text,) if isinstance(text, str) else text)))
    ids = [side.encoder.tokenizer(sentences, truncation=True, max_length=64) for side in (old, new)]
    n = sum(a != b for a, b in zip(*(each["input_ids"] for each in ids), strict=True))
    if not n:
        return []
    return [f"the tokenizers differ: {n:,} of {len(sentences):,} sentences become other tokens"]


@contextmanager
def put_back(part: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, the tensors of a part have the values of `old`, which has tensors of the same names and shapes."""
    with torch.no_grad():
        kept = {name: tensor.clone() for name, tensor in part.items()}
        try:
            for name, tensor in part.items():
                tensor.copy_(old[name])
            yield
        finally:
            for name, tensor in part.items():
                tensor.copy_(kept[name])
