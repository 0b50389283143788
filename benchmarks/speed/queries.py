"""k-NN queries of contsym's memory, against scikit-learn's brute force and torch's top-k.

400,000 stored label embeddings and 3,000 queries, of 384 and of 1,024 dimensions, by the cosine distance,
k = 3 as in the vote. The vectors are drawn, not encoded: 2,000 centres of 16 dimensions with points around
them, mapped into the dimensions at random, and a little noise in all of them; encodings of texts lie in
clusters and fill few of their dimensions too. All of them answer the same queries in one call.

Timed are the queries alone; what building the index took, once, is printed beside, since the brute forces
need none. `LabelMemory` sorts its answers and looks up the labels as well. Equal results: the share of the k
distances that are no larger than the k-th of an exact float32 search (plus 1e-4, for rounding) is the recall;
at least 0.99 is expected, and 1 of the two brute forces.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from contsym.models.memory import LabelMemory
from speed.ratios import Comparison, Options, clocked, interleaved

AIM = 5.0
LEAST_RECALL = 0.99
"""What must be found of the queries' neighbours."""
K = 3
N_LABELS = 3
N_CENTRES, INNER_DIM = 2000, 16
ROUNDING = 1e-4
"""Of float32 distances that were summed in another order."""


def measure(options: Options) -> list[Comparison]:
    stored, asked, dims = (400_000, 3000, (384, 1024)) if not options.smoke else (2000, 50, (16,))
    return [found for dim in dims for found in at(dim, stored, asked, options)]


def at(dim: int, n_stored: int, n_queries: int, options: Options) -> list[Comparison]:
    from sklearn.neighbors import NearestNeighbors

    vectors = clustered(n_stored + n_queries, dim, seed=0)
    stored, queries = vectors[:n_stored], vectors[n_stored:]
    labels = torch.arange(n_stored) % N_LABELS
    began = time.perf_counter()
    memory = new_memory(dim, options.memory_index)
    memory.add(stored, labels)
    memory.nearest(queries[:1])
    build_seconds = time.perf_counter() - began
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute", metric="cosine").fit(stored.numpy())
    seconds, results = interleaved(
        {
            "contsym": clocked(lambda: memory.nearest(queries)[0].numpy()),
            "scikit-learn": clocked(lambda: brute.kneighbors(queries.numpy())[0]),
            "torch": clocked(lambda: top_k(stored, queries).numpy()),
        },
        1 if options.smoke else options.repeats,
        warm_up=options.smoke,  # at full size a round of brute force is long, and has nothing to warm
    )
    exact = results["torch"]
    recall = recall_of(results["contsym"], exact)
    facts = {
        "recall": round(recall, 4),
        "index": options.memory_index,
        "seconds to build the index": round(build_seconds, 1),
        "bytes stored": memory.n_bytes,
    }
    return [
        Comparison(
            measure="queries",
            name=f"{n_stored:,} x {dim}, {options.memory_index} / {other}",
            ours=seconds["contsym"],
            theirs=seconds[other],
            agrees=recall >= LEAST_RECALL and recall_of(results[other], exact) == 1,
            agreement=f"recall {recall:.4f}, expected {LEAST_RECALL} at least; {other}'s own 1",
            aim=AIM,
            facts=facts,
        )
        for other in ("scikit-learn", "torch")
    ]


def new_memory(dim: int, index: str) -> LabelMemory:
    """An empty memory with the index of that name."""
    return LabelMemory(dim, N_LABELS, K, index=index)  # type: ignore[arg-type]


def clustered(n: int, dim: int, seed: int) -> Tensor:
    """(n, dim) vectors of length 1 in clusters of few inner dimensions, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(N_CENTRES, INNER_DIM, generator=generator)
    inner = centres[torch.randint(N_CENTRES, (n,), generator=generator)]
    inner = inner + 0.3 * torch.randn(n, INNER_DIM, generator=generator)
    vectors = inner @ torch.randn(INNER_DIM, dim, generator=generator)
    vectors += 0.1 * torch.randn(n, dim, generator=generator)
    return torch.nn.functional.normalize(vectors, dim=1)


def top_k(stored: Tensor, queries: Tensor, part: int = 256) -> Tensor:
    """Cosine distances of the K nearest, (queries, K); in parts, since all similarities would take gigabytes.

    Of vectors of length 1, so that this way has to scale nothing.
    """
    return torch.cat([1 - (q @ stored.T).topk(K).values for q in queries.split(part)])


def recall_of(distances: np.ndarray, exact: np.ndarray) -> float:
    """The share of distances that are among the K least; both (queries, K), in ascending order."""
    return float((distances <= exact[:, -1:] + ROUNDING).mean())
