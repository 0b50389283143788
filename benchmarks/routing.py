"""Which experience would a pair be sent to? Mistakes by space, features and vote, seed by seed.

    python benchmarks/routing.py ../shared/data

takes MultiNLI pairs from `nli/mnli/` and few-shot relation pairs from `asymmetricity/`, encodes them by the
untrained MiniLM and prints, for each way to choose, the validation pairs of either task that go wrong.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from contsym.machine import waiting

os.environ.update(waiting())

import torch
from torch import Tensor
from torch.nn.functional import normalize

from contsym.config import RunConfig
from contsym.models.encoders.load import load
from contsym.models.pooling import mean_pool
from contsym.models.routing import evenly, routes, routing_features
from contsym.training.parts import training_part
from contsym.training.plan import prepare

STORED = 256


def concat(p: Tensor, h: Tensor) -> Tensor:
    return normalize(torch.cat([p, h], dim=-1), dim=-1)


def nearest(queries: Tensor, stored: list[Tensor]) -> Tensor:
    """The set that holds the nearest point of all, however many points it has."""
    return torch.stack([torch.cdist(queries, s).amin(dim=1) for s in stored]).argmin(dim=0)


def means(queries: Tensor, stored: list[Tensor]) -> Tensor:
    return torch.cdist(queries, torch.stack([s.mean(dim=0) for s in stored])).argmin(dim=1)


FEATURES = {"[p, h]": concat, "[p + h, 2 abs(p - h)]": routing_features}
VOTES: dict[str, Callable[[Tensor, list[Tensor]], Tensor]] = {
    "nearest of all": nearest,
    "nearest mean": means,
    "16 drawn of each": lambda queries, stored: routes(queries, stored, 16),
    "48 drawn of each": lambda queries, stored: routes(queries, stored, 48),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--mnli-size", type=int, default=2000)
    parser.add_argument("--shots", type=int, default=48)
    args = parser.parse_args()
    seeds = range(5)
    config = RunConfig(
        strategy="routed_adapters",
        scenario="mnli_then_wikidata",
        protocol="sequential",
        sources={"mnli": str(args.data / "nli" / "mnli"), "wikidata": str(args.data / "asymmetricity")},
        sizes={"mnli": args.mnli_size},
        shots=args.shots,
        seeds=tuple(seeds),
        audit=False,
    )
    plan = prepare(config)
    encoder = load(plan.encoder)
    encoder.precision = plan.precision
    tokens = encoder.transformer.get_input_embeddings()

    @torch.inference_mode()
    def embed(texts: list[str]) -> Tensor:
        parts = []
        for start in range(0, len(texts), 512):
            batch = encoder.tokenize(texts[start : start + 512])
            parts.append(mean_pool(tokens(batch["input_ids"]), batch["attention_mask"]))
        return torch.cat(parts)

    print("| space | features | vote | wrong for MNLI | wrong for Wikidata |\n|---|---|---|---|---|")
    asked = [task.validation for task in plan.tasks]
    for space, encode in {"token embeddings": embed, "last layer": encoder.encode}.items():
        kept = []
        for task in plan.tasks:
            parts = [training_part(task, config, seed) for seed in seeds]
            kept.append([part.select(evenly(len(part), STORED)) for part in parts])
        # (p, h) of the two validation parts, then of what every seed stores of either task.
        pairs = [
            encode([*d["premise"][:], *d["hypothesis"][:]]).chunk(2) for d in (*asked, *kept[0], *kept[1])
        ]
        for name, features in FEATURES.items():
            at = [features(p, h) for p, h in pairs]
            for vote_name, vote in VOTES.items():
                wrong = [
                    [int((vote(at[i], [at[2 + s], at[2 + len(seeds) + s]]) != i).sum()) for s in seeds]
                    for i in (0, 1)
                ]
                cells = (space, name, vote_name, *(", ".join(map(str, each)) for each in wrong))
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
