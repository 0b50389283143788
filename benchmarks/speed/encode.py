"""Encoding the Wikidata test pairs in both directions: `PooledEncoder.encode`, against sentence-transformers.

The texts are those of an evaluation of all test pairs and their swaps: every premise and hypothesis, and once
more with the roles exchanged. Both have the same weights, mean pooling without scaling, and vectors on the CPU.

- fp32 and bf16 autocast: both at that precision; sentence-transformers' own `encode`, 32 texts a batch, as it comes.
- bf16 weights: contsym in autocast, sentence-transformers after `model.bfloat16()`, as its users do.
- default: contsym as `--precision auto` has it on this machine, sentence-transformers as it comes (float32).
- distinct: sentence-transformers is given each distinct text once, both in float32: what batching alone gives.

Equal results: the vectors of a text may differ, relative to the length of sentence-transformers' float32 one,
by at most 1e-5 in float32 (padding changes the order of sums), and by 0.05 where either is in bfloat16, of
8 bits a number.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from contsym.data.sources import load_task
from contsym.models.encoders import checkpoints
from contsym.models.encoders.device import Precision, choose_precision
from contsym.models.encoders.load import load
from speed.ratios import Comparison, Options, clocked, interleaved

TOLERANCE = {"fp32": 1e-5, "bf16": 0.05}
EQUAL_AIM, DEFAULT_AIM = 1.5, 3.0


def measure(options: Options) -> list[Comparison]:
    files = checkpoints.locate(options.encoder)
    encoder = load(files).to(options.device)
    texts = both_directions(options)
    distinct = list(dict.fromkeys(texts))
    index = {text: i for i, text in enumerate(distinct)}
    place = torch.tensor([index[text] for text in texts])
    theirs = sentence_transformer(files.folder, encoder.max_length, encoder.dim, options.device)
    halved = sentence_transformer(files.folder, encoder.max_length, encoder.dim, options.device).bfloat16()

    def contsym(precision: Precision) -> Tensor:
        encoder.precision = precision
        return encoder.encode(texts)

    def autocast() -> Tensor:
        with torch.autocast(torch.device(options.device).type, torch.bfloat16):
            return theirs_of(theirs, texts)

    seconds, vectors = interleaved(
        {
            "contsym fp32": clocked(lambda: contsym("fp32")),
            "contsym bf16": clocked(lambda: contsym("bf16")),
            "fp32": clocked(lambda: theirs_of(theirs, texts)),
            "bf16 autocast": clocked(autocast),
            "bf16 weights": clocked(lambda: theirs_of(halved, texts)),
            "distinct": clocked(lambda: theirs_of(theirs, distinct)),
        },
        1 if options.smoke else options.repeats,
    )
    vectors["distinct"] = vectors["distinct"][place]
    auto = choose_precision("auto", options.device)
    compared = [
        ("fp32", "fp32", "fp32", EQUAL_AIM),
        ("bf16 autocast", "bf16", "bf16 autocast", EQUAL_AIM),
        ("bf16 weights", "bf16", "bf16 weights", None),
        (f"default ({auto} / fp32)", auto, "fp32", DEFAULT_AIM),
        ("distinct texts, fp32", "fp32", "distinct", None),
    ]
    found = []
    for name, precision, other, aim in compared:
        ours = f"contsym {precision}"
        differ = max(difference(vectors[way], vectors["fp32"]) for way in (ours, other))
        allowed = TOLERANCE["bf16" if precision == "bf16" or other.startswith("bf16") else "fp32"]
        found.append(
            Comparison(
                measure="encode",
                name=f"{name} / sentence-transformers",
                ours=seconds[ours],
                theirs=seconds[other],
                agrees=differ <= allowed,
                agreement=f"vectors differ by {differ:.1e} of their length at most; allowed {allowed:g}",
                aim=aim,
                facts={"texts": len(texts), "distinct": len(distinct)} if name == "fp32" else {},
            )
        )
    return found


def both_directions(options: Options) -> list[str]:
    """Both sentences of every test pair, then of every swapped pair."""
    test = load_task("wikidata", options.wikidata).test
    premises, hypotheses = test["premise"][:], test["hypothesis"][:]
    return [*premises, *hypotheses, *hypotheses, *premises]


def sentence_transformer(folder: Path, max_length: int, dim: int, device: str):
    """A SentenceTransformer of the checkpoint's encoder with mean pooling, and nothing after it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    modules = [Transformer(str(folder), max_seq_length=max_length), Pooling(dim, "mean")]
    return SentenceTransformer(modules=modules, device=device)


def theirs_of(model, texts: list[str]) -> Tensor:
    return model.encode(texts, show_progress_bar=False, convert_to_tensor=True).float().cpu()


def difference(vectors: Tensor, reference: Tensor) -> float:
    """The largest distance of two texts' vectors, relative to the reference's length."""
    return float(((vectors - reference).norm(dim=1) / reference.norm(dim=1)).max())
