"""Training step and encoding in bfloat16 against float32, interleaved, on the bundled pairs.

    python benchmarks/precision.py --repeats 10
    python benchmarks/precision.py --accuracy --strategies knn_fixed,fine_tune --seeds 3

The first prints the median seconds and the ratio float32 / bfloat16; above 1 means bfloat16 is faster.
The second trains on the bundled Wikidata pairs in both, seed by seed, and prints the test accuracies and how
many test pairs are answered otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from contsym.machine import waiting

os.environ.update(waiting())

import torch

from contsym.config import RunConfig
from contsym.data.sources import load_task
from contsym.machine import quiet_libraries
from contsym.models.encoders.checkpoints import locate
from contsym.models.encoders.load import load
from contsym.training.parts import Shared
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--accuracy", action="store_true", help="compare what is learned, not the seconds")
    parser.add_argument("--strategies", default="knn_fixed,random_labels,fine_tune")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shots", type=int, default=64)
    options = parser.parse_args()
    quiet_libraries()
    if options.accuracy:
        accuracy(options.strategies.split(","), options.seeds, options.shots, options.encoder)
        return
    encoder = load(locate(options.encoder))
    texts = load_task("wikidata", "bundled").train["premise"][:128]
    batch = encoder.tokenize(texts[:32])
    seconds: dict[str, list[float]] = {}
    for _ in range(options.repeats + 1):
        for precision in ("fp32", "bf16"):
            encoder.precision = precision
            for name, work in (
                ("step", lambda: step(encoder, batch)),
                ("encode", lambda: encoder.encode(texts)),
            ):
                started = time.perf_counter()
                work()
                seconds.setdefault(f"{name} {precision}", []).append(time.perf_counter() - started)
    # The first repeat pays for warming up.
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    for name in ("step", "encode"):
        fp32, bf16 = medians[f"{name} fp32"], medians[f"{name} bf16"]
        print(f"{name:<8} fp32 {fp32:.3f} s   bf16 {bf16:.3f} s   fp32 / bf16 = {fp32 / bf16:.2f}")
    print(
        json.dumps(
            {
                "medians": medians,
                "threads": torch.get_num_threads(),
                "capability": torch.backends.cpu.get_cpu_capability(),
                "amx": torch.cpu._is_amx_tile_supported(),
                "platform": platform.platform(),
            }
        )
    )


def accuracy(strategies: list[str], n_seeds: int, n_shots: int, encoder: str) -> None:
    shared = Shared()
    for strategy in strategies:
        for seed in range(n_seeds):
            scores, answers = {}, {}
            for precision in ("fp32", "bf16"):
                with tempfile.TemporaryDirectory() as folder:
                    config = RunConfig(
                        strategy, "wikidata_only", encoder=encoder, seeds=(seed,), shots=n_shots, curve=False,
                        audit=False, precision=precision, output=Path(folder),
                    )  # fmt: skip
                    result, rows, _ = run_seed(prepare(config, shared), seed, Silent())
                scores[precision] = result.final["wikidata"]
                answers[precision] = [row["row_1"] for row in rows]
            n_apart = sum(a != b for a, b in zip(*answers.values(), strict=True))
            print(
                f"{strategy:<14} seed {seed}   fp32 {scores['fp32']:.3f}   bf16 {scores['bf16']:.3f}   "
                f"{n_apart} of {len(answers['fp32'])} test pairs answered otherwise",
                flush=True,
            )


def step(encoder, batch) -> None:
    encoder.train()
    encoder(batch).square().mean().backward()
    encoder.zero_grad()


if __name__ == "__main__":
    main()
