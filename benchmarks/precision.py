"""Training step and encoding in bfloat16 against float32, interleaved, on the bundled pairs.

    python benchmarks/precision.py --repeats 10

Prints the median seconds and the ratio float32 / bfloat16; above 1 means bfloat16 is faster.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time

import torch

from contsym.data.sources import load_task
from contsym.encoders import load, locate
from contsym.environment import quiet_libraries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--encoder", default="minilm")
    options = parser.parse_args()
    quiet_libraries()
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


def step(encoder, batch) -> None:
    encoder.train()
    encoder(batch).square().mean().backward()
    encoder.zero_grad()


if __name__ == "__main__":
    main()
