"""The parts of a checkpoint by name."""

from __future__ import annotations

import re

EMBEDDINGS, OTHER, DENSE, VECTORS, HEAD = "embeddings", "rest", "dense", "vectors", "head"
"""Parts of a checkpoint, beside `layer 1` and so on. `vectors` has no weights: it is what the pooling gives."""


def part_of(name: str) -> str:
    """The part that a weight belongs to, by its name in the state of a model.

    >>> part_of("encoder.layer.0.output.dense.weight"), part_of("decoder.layers.11.fc1.bias"), part_of("h.2.ln_1.weight")
    ('layer 1', 'decoder layer 12', 'layer 3')
    >>> part_of("embeddings.word_embeddings.weight"), part_of("wte.weight"), part_of("pooler.dense.weight")
    ('embeddings', 'embeddings', 'head')
    """
    words = name.split(".")
    if words[0] in ("head", "pooler"):
        return HEAD
    if words[0] == "dense":
        return DENSE
    if numbered := re.search(r"\.(\d+)\.", f".{name}"):
        return f"{'decoder ' * ('decoder' in words)}layer {int(numbered[1]) + 1}"
    return EMBEDDINGS if re.search(r"emb|\bwte\b|\bwpe\b|\bshared\b", name) else OTHER


def order_of(part: str) -> tuple[int, int]:
    words = part.split()
    if words[-2:-1] == ["layer"]:
        return (2 if words[0] == "decoder" else 1), int(words[-1])
    return {EMBEDDINGS: 0, OTHER: 3, DENSE: 4, HEAD: 5}[part], 0
