"""A task that any method must learn: four relations, told apart by their words."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

PHRASES = {
    "borders": "symmetric",
    "is near": "symmetric",
    "is part of": "antisymmetric",
    "is a child of": "antisymmetric",
}
NAMES = ("anna", "ben", "carl", "dora", "emil", "fay", "gus", "hal", "ida", "jon", "kim", "leo")


def relation_rows(seed: int = 0) -> list[dict[str, str]]:
    """Mirrored pairs of every phrase over ordered name pairs, shuffled; half of each kind."""
    rows = [
        {
            "id": f"{phrase}/{a}/{b}",
            "premise": f"{a} {phrase} {b}",
            "hypothesis": f"{b} {phrase} {a}",
            "label": "entailment" if kind == "symmetric" else "contradiction",
            "relation": phrase,
        }
        for phrase, kind in PHRASES.items()
        for a, b in itertools.combinations(NAMES, 2)
    ]
    random.Random(seed).shuffle(rows)
    return rows


def nli_rows(n: int = 90) -> list[dict[str, str]]:
    """Three-way pairs whose label is read off the hypothesis; balanced."""
    words = {"entailment": "is near", "neutral": "likes", "contradiction": "hates"}
    return [
        {
            "id": f"nli/{i}",
            "premise": f"{NAMES[i % 12]} is near {NAMES[(i // 12 + 5) % 12]}",
            "hypothesis": f"{NAMES[i % 12]} {words[label]} {NAMES[(i // 12 + 5) % 12]}",
            "label": label,
        }
        for i, label in zip(range(n), itertools.cycle(words), strict=False)
    ]


def write_task(folder: Path, rows: list[dict[str, str]], n_test: int) -> Path:
    """The rows as a folder with a train and a test part."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("test", rows[:n_test]), ("train", rows[n_test:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return folder
