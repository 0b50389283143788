"""What label embeddings show before any training: of each relation, how far they are apart and what they give away.

    python benchmarks/relations.py --wikidata path/to/pairs

Of test pairs, encoded by the untrained encoder: the mean cosine distance between label embeddings,
and how often the nearest other pair has the same relation phrase, or at least the same label. Each
pair's own mirror image is left out of its neighbours.
"""

from __future__ import annotations

import argparse

import torch

from contsym.data.shots import subset
from contsym.data.sources import load_task
from contsym.machine import quiet_libraries
from contsym.models.algebra import RELATIONS
from contsym.models.distances import pairwise_cosine_distance
from contsym.models.encoders.checkpoints import locate
from contsym.models.encoders.load import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wikidata", default="bundled")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--pairs", type=int, default=1000)
    options = parser.parse_args()
    quiet_libraries()
    test = load_task("wikidata", options.wikidata).test
    pairs = subset(test, min(options.pairs, len(test)), 0, "--pairs")
    premises, hypotheses = pairs["premise"][:], pairs["hypothesis"][:]
    p, h = load(locate(options.encoder)).encode([*premises, *hypotheses]).chunk(2)
    cosine = torch.cosine_similarity(p, h).mean().item()
    n_phrases = len(set(pairs["relation"][:]))
    print(f"{len(pairs)} pairs, {n_phrases} relation phrases, mean cos(p, h) {cosine:.3f}")
    near = {"same phrase": codes(pairs["relation"][:]), "same label": codes(pairs["label"][:])}
    is_other = ~mirrored(premises, hypotheses)
    for what, code in near.items():
        equal = code[:, None] == code[None, :]
        print(f"by chance: {what} {equal[is_other].float().mean():.3f}")
    print(f"{'relation':<12} {'distance':>8} {'same phrase':>12} {'same label':>11}")
    for name, relate in RELATIONS.items():
        embeddings = relate(h, p)
        distances = pairwise_cosine_distance(embeddings, embeddings)
        nearest = distances.masked_fill(~is_other, torch.inf).argmin(dim=1)
        shares = [(code[nearest] == code).float().mean().item() for code in near.values()]
        print(f"{name:<12} {distances[is_other].mean():>8.3f} {shares[0]:>12.3f} {shares[1]:>11.3f}")


def codes(values) -> torch.Tensor:
    places = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return torch.tensor([places[value] for value in values])


def mirrored(premises, hypotheses) -> torch.Tensor:
    """Which pairs hold the same two sentences, in whatever order; (n, n), true on the diagonal."""
    code = codes([tuple(sorted(pair)) for pair in zip(premises, hypotheses, strict=True)])
    return code[:, None] == code[None, :]


if __name__ == "__main__":
    main()
