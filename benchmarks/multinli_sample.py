"""Draw the sample of MultiNLI that comes with contsym: 2,000 pairs for training, 600 each for validation and test.

    python benchmarks/multinli_sample.py --training TRAIN.jsonl --development DEV.jsonl --development MORE.jsonl \\
        --out contsym/data/bundled/multinli

Every file has rows with `id`, `premise`, `hypothesis`, `label` and, where it is known, `genre`. Training pairs come from
MultiNLI's training split, the others from its matched development split, so that an encoder trained on the training
split has seen none of them. Genre and label have equal shares in each part, and all pairs drawn of a premise are in
one part. A pair without a genre has that of its premise, if another pair states one: MultiNLI has three hypotheses to
a premise, all of one genre. The genre fiction, whose texts have terms of their own, is left out.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from contsym.data.schema import stable_hash
from contsym.tasks.schema import NLI_LABELS

Row = dict[str, str]
GENRES = ("government", "slate", "telephone", "travel")
"""Genres of the training split whose texts are of the Open American National Corpus."""
SIZES = {"train": 2000, "validation": 600, "test": 600}
SEED = 0


def quotas(n_pairs: int) -> Counter[tuple[str, str]]:
    """n_pairs shared among genres and labels, the remainder in turns.

    >>> sorted(set(quotas(2000).values()))
    [166, 167]
    """
    cells = [(genre, NLI_LABELS[(i + j) % 3]) for i, genre in enumerate(GENRES) for j in range(3)]
    ends = (n_pairs * i // len(cells) for i in range(len(cells) + 1))
    return Counter({cell: end - start for cell, (start, end) in zip(cells, pairwise(ends), strict=True)})


def draw(rows: Iterable[Row], n_pairs: int) -> list[Row]:
    """n_pairs in seeded order, one of each premise before the second of any."""
    n_seen: Counter[str] = Counter()
    turns: dict[str, int] = {}
    in_order = sorted(rows, key=lambda row: stable_hash(SEED, row["id"]))
    for row in in_order:
        turns[row["id"]] = n_seen[row["premise"]]
        n_seen[row["premise"]] += 1
    room, drawn = quotas(n_pairs), list[Row]()
    for row in sorted(in_order, key=lambda row: turns[row["id"]]):
        cell = row["genre"], row["label"]
        if room[cell]:
            room[cell] -= 1
            drawn.append(row)
    if missing := sum(room.values()):
        raise SystemExit(f"{missing} of {n_pairs} pairs are missing; give more files")
    return sorted(drawn, key=lambda row: stable_hash(SEED, "order", row["id"]))


def with_genres(rows: Iterable[Row]) -> list[Row]:
    """The distinct pairs of GENRES; a premise of several genres is left out."""
    distinct = {row["id"]: row for row in rows}
    genres: dict[str, set[str]] = {}
    for row in rows:
        if row.get("genre"):
            genres.setdefault(row["premise"], set()).add(row["genre"])
            distinct[row["id"]] = row
    found = []
    for row in distinct.values():
        if len(of_premise := genres.get(row["premise"], set())) == 1 and of_premise <= {*GENRES}:
            found.append({**row, "genre": next(iter(of_premise))})
    return found


def read(paths: Sequence[Path]) -> list[Row]:
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, action="append", required=True)
    parser.add_argument("--development", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    training, development = (with_genres(read(paths)) for paths in (options.training, options.development))
    halves: list[list[Row]] = [[], []]
    for row in development:
        halves[stable_hash(SEED, row["premise"]) % 2].append(row)
    held_out = {row["premise"] for row in development}
    pools = {
        "train": [row for row in training if row["premise"] not in held_out],
        "validation": halves[0],
        "test": halves[1],
    }
    for part, size in SIZES.items():
        rows = draw(pools[part], size)
        fields = ("id", "genre", "premise", "hypothesis", "label")
        lines = (json.dumps({name: row[name] for name in fields}, ensure_ascii=False) + "\n" for row in rows)
        (options.out / f"{part}.jsonl").write_text("".join(lines), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
