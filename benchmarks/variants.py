"""What each way of training and encoding is worth: one change at a time, all in one interleaved run.

    python benchmarks/variants.py --mnli ../shared/data/mnli --wikidata ../shared/data/asymmetricity

Prints for each variant the median seconds, its share of the seconds that contsym takes, and how far its
vectors are from contsym's. Training: steps of 16 pairs, forward, backward, clipping, AdamW. Encoding:
the test pairs of Wikidata, both directions. The first round warms up and does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from contsym.machine import waiting

os.environ.update(waiting())

import torch
from torch import Tensor

from contsym.data.sources import load_task
from contsym.machine import platform_name, quiet_libraries
from contsym.models.encoders import batching, checkpoints
from contsym.models.encoders.device import choose_precision
from contsym.models.encoders.load import load
from contsym.models.encoders.pooled import PooledEncoder

BATCH = 16


@dataclass
class Variant:
    name: str
    precision: str = ""
    freeze: str = "nothing"
    part_tokens: int = batching.PART_TOKENS
    token_budget: int = batching.TOKEN_BUDGET
    optimizer: dict[str, bool] = field(default_factory=lambda: {"fused": True})
    in_one_pass: bool = True
    distinct: bool = True
    is_sorted: bool = True
    compiled: bool = False


TRAINING = [
    Variant("contsym"),
    Variant("the other precision", precision="other"),
    Variant("all texts in one part", part_tokens=10**9),
    Variant("parts must save 64 tokens", part_tokens=64),
    Variant("parts must save 256 tokens", part_tokens=256),
    Variant("premises and hypotheses apart", in_one_pass=False),
    Variant("AdamW not fused", optimizer={"fused": False, "foreach": False}),
    Variant("AdamW foreach", optimizer={"foreach": True}),
    Variant("--freeze embeddings", freeze="embeddings"),
    Variant("--freeze layers:3", freeze="layers:3"),
    Variant("--freeze layers:5", freeze="layers:5"),
]
ENCODING = [
    Variant("contsym"),
    Variant("the other precision", precision="other"),
    Variant("every text, repeated or not", distinct=False),
    Variant("batches of 32 as they come", is_sorted=False),
    Variant("1,024 tokens a batch", token_budget=1024),
    Variant("4,096 tokens a batch", token_budget=4096),
    Variant("8,192 tokens a batch", token_budget=8192),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--mnli", default="bundled")
    parser.add_argument("--wikidata", default="bundled")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="training steps in a round")
    parser.add_argument("--compile", action="store_true", help="torch.compile too; takes minutes to compile")
    parser.add_argument(
        "--only", metavar="WORD", help="contsym and the variants with this word in their names"
    )
    parser.add_argument("--part", choices=["training", "encoding", "both"], default="both")
    given = parser.parse_args()
    quiet_libraries()
    torch.manual_seed(0)
    usual = choose_precision("auto", "cpu")
    other = "fp32" if usual == "bf16" else "bf16"
    compiled = [Variant("torch.compile", compiled=True)] if given.compile else []
    training, encoding = (
        [v for v in [*usual_ones, *compiled] if v.name == "contsym" or (given.only or "") in v.name]
        for usual_ones in (TRAINING, ENCODING)
    )
    facts = {
        "platform": platform_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": usual,
        "other": other,
    }
    print(json.dumps(facts))
    mnli, wikidata = load_task("mnli", given.mnli).train, load_task("wikidata", given.wikidata)
    trained = () if given.part == "encoding" else (("mnli", mnli), ("wikidata", wikidata.train))
    for task, pairs in trained:
        batches = [
            (part["premise"], part["hypothesis"])
            for part in pairs.select(range(min(len(pairs), BATCH * given.steps))).iter(BATCH)
        ]
        print(f"\ntraining, {len(batches)} steps of {BATCH} {task} pairs")
        compare(
            given.encoder,
            training,
            (usual, other),
            lambda e, v, b=batches: train(e, v, b),
            given.rounds,
        )
    if given.part == "training":
        return
    one_way = [*wikidata.test["premise"][:], *wikidata.test["hypothesis"][:]]
    texts = [*one_way, *reversed(one_way)]
    print(f"\nencoding, {len(texts)} texts, {len(set(texts))} of them distinct")
    compare(given.encoder, encoding, (usual, other), lambda e, v: encode(e, v, texts), given.rounds)


def compare(
    name: str,
    variants: list[Variant],
    precisions: tuple[str, str],
    work: Callable[[PooledEncoder, Variant], tuple[float, Tensor]],
    rounds: int,
) -> None:
    files = checkpoints.locate(name)
    seconds: dict[str, list[float]] = {v.name: [] for v in variants}
    vectors: dict[str, Tensor] = {}
    for i in range(rounds + 1):
        for variant in variants:
            torch.manual_seed(0)
            encoder = load(files)
            encoder.precision = precisions[variant.precision == "other"]  # type: ignore[assignment]
            with chosen(encoder, variant):
                took, found = work(encoder, variant)
            vectors.setdefault(variant.name, found)
            if i:
                seconds[variant.name].append(took)
    usual, at = statistics.median(seconds["contsym"]), vectors["contsym"]
    for variant in variants:
        median = statistics.median(seconds[variant.name])
        apart = float((vectors[variant.name] - at).norm(dim=1).max() / at.norm(dim=1).mean())
        print(f"  {variant.name:<32} {median:8.3f} s  {median / usual:6.2f} x  apart at most {apart:.1e}")


@contextmanager
def chosen(encoder: PooledEncoder, variant: Variant) -> Iterator[None]:
    before = batching.PART_TOKENS, batching.TOKEN_BUDGET
    batching.PART_TOKENS, batching.TOKEN_BUDGET = variant.part_tokens, variant.token_budget
    encoder.freeze(variant.freeze)
    if variant.compiled:
        encoder.transformer.forward = torch.compile(encoder.transformer.forward, dynamic=True)
    try:
        yield
    finally:
        batching.PART_TOKENS, batching.TOKEN_BUDGET = before


def train(
    encoder: PooledEncoder, variant: Variant, batches: list[tuple[list[str], list[str]]]
) -> tuple[float, Tensor]:
    """Seconds of the steps, and the vectors of the first batch's texts after one step without dropout."""
    encoder.train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-5, **variant.optimizer)  # type: ignore[arg-type]
    step(encoder, optimizer, batches[0], variant)
    with torch.no_grad():
        vectors = encoder(encoder.tokenize([*batches[0][0], *batches[0][1]]))
    began = time.perf_counter()
    for batch in batches:
        step(encoder, optimizer, batch, variant)
    return time.perf_counter() - began, vectors


def step(encoder: PooledEncoder, optimizer, batch: tuple[list[str], list[str]], variant: Variant) -> None:
    optimizer.zero_grad()
    if variant.in_one_pass:
        p, h = encoder(encoder.tokenize([*batch[0], *batch[1]])).chunk(2)
    else:
        p, h = (encoder(encoder.tokenize(texts)) for texts in batch)
    (1 - torch.nn.functional.cosine_similarity(p, h)).square().mean().backward()
    torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
    optimizer.step()


def encode(encoder: PooledEncoder, variant: Variant, texts: list[str]) -> tuple[float, Tensor]:
    if variant.compiled:
        encoder.encode(texts[:64])  # compiling is not counted
    began = time.perf_counter()
    if not variant.is_sorted:
        encoder.eval()
        with torch.inference_mode():
            parts = [encoder(encoder.tokenize(texts[i : i + 32])) for i in range(0, len(texts), 32)]
        return time.perf_counter() - began, torch.cat(parts)
    with torch.inference_mode():
        found = encoder.encode(texts) if variant.distinct else encoder._encode(texts)
    return time.perf_counter() - began, found.clone()


if __name__ == "__main__":
    main()
