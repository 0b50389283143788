"""What each index of the k-NN memory costs to build and to ask, what it holds, and what it finds.

Vectors of length 1 around 300 centres, each spread along 32 directions that all share and a little along
all (`clustered`), or without any structure (`random`, the hardest there is). The queries are of the same
distribution and not stored. Seconds are of the processor, all threads together, so that other work on the
machine counts as little as it can.

    python benchmarks/memory_index.py --sizes 50000 --dims 384
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from contsym.models.neighbours import Neighbours


def vectors(n: int, dim: int, data: str, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if data == "random":
        found = generator.standard_normal((n, dim), dtype=np.float32)
    else:
        of_all = np.random.default_rng(99)
        centres = of_all.standard_normal((300, dim), dtype=np.float32)
        directions = of_all.standard_normal((32, dim), dtype=np.float32) / np.sqrt(32)
        found = 0.2 * generator.standard_normal((n, dim), dtype=np.float32)
        found += centres[generator.integers(300, size=n)]
        found += generator.standard_normal((n, 32), dtype=np.float32) @ directions
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000])
    parser.add_argument("--dims", type=int, nargs="+", default=[384, 1024])
    parser.add_argument("--data", choices=["clustered", "random"], default="clustered")
    parser.add_argument("--kinds", nargs="+", default=["flat", "ivf", "hnsw", "auto"])
    parser.add_argument("--types", nargs="+", default=["float32", "float16"])
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--k", type=int, default=3)
    parser.add_argument("--flat-up-to", type=int, default=0, help="size above which auto looks for another")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(
        f"{'n':>8} {'dim':>5} {'index':>5} {'stored as':>9} {'build s':>8} {'MiB':>6} {'recall':>7} {'of new':>7} "
        f"{'us/query':>9} {'distances':>10}  taken"
    )
    for n in options.sizes:
        for dim in options.dims:
            stored = vectors(n, dim, options.data, 0)
            queries = vectors(options.queries, dim, options.data, 1)
            true = None
            for stored_as in options.types:
                for kind in dict.fromkeys(["flat", *options.kinds]):
                    row, found = measured(stored, queries, kind, stored_as, options)
                    true = found if true is None else true
                    row["recall_of_new"] = shared(true, found)
                    rows.append(row)
                    print(
                        f"{n:>8} {dim:>5} {kind:>5} {stored_as:>9} {row['build_seconds']:>8.2f} "
                        f"{row['bytes'] / 2**20:>6.0f} {row['recall']:>7.3f} {row['recall_of_new']:>7.3f} "
                        f"{1e6 * row['query_seconds']:>9.1f} {row['distances']:>10.0f}  {row['words']}",
                        flush=True,
                    )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def measured(stored: np.ndarray, queries: np.ndarray, kind: str, stored_as: str, options: argparse.Namespace):
    began = time.process_time()
    index = Neighbours(
        stored.shape[1], options.k, kind=kind, stored_as=stored_as, flat_up_to=options.flat_up_to
    )  # type: ignore[arg-type]
    index.add(stored)
    built = time.process_time()
    found = index.search(queries)[1]
    asked = time.process_time()
    row = {
        **{"n": len(stored), "dim": stored.shape[1], "kind": kind, "stored_as": stored_as},
        **{"build_seconds": built - began, "query_seconds": (asked - built) / len(queries)},
        **{"bytes": index.n_bytes, "recall": index.tuning.recall, "distances": index.tuning.distances},
        "words": index.tuning.words() if index.tuning.n else "all compared",
    }
    return row, found


def shared(true: np.ndarray, found: np.ndarray) -> float:
    """Share of the true neighbours that were found."""
    return float((found[:, :, None] == true[:, None, :]).any(axis=1).mean())


if __name__ == "__main__":
    main()
