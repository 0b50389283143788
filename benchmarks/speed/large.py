"""Large data out of small ones: the training pairs again and again, each time with other names and numbers in them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contsym.data.schema import rows_of
from contsym.data.sources import load_task

N_MNLI, N_WIKIDATA = 392_702, 400_000
"""Training pairs of MultiNLI, and of a dataset of contsym data build."""


def write(task: str, source: str, n: int, folder: Path) -> str:
    """A folder with n training pairs of a source and its test pairs, as files that contsym reads."""
    data = load_task(task, source)
    folder.mkdir(parents=True)
    once = [{**row, "label": data.labels[row["label"]]} for row in rows_of(data.train)]
    rounds = itertools.chain.from_iterable((other(row, k) for row in once) for k in itertools.count())
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for row in itertools.islice(rounds, n):
            file.write(json.dumps(row) + "\n")
    tests = ({**row, "label": data.labels[row["label"]]} for row in rows_of(data.test))
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tests), "utf-8")
    return str(folder)


def other(row: Mapping[str, Any], k: int) -> dict[str, Any]:
    """The row of round k, which differs from those of other rounds in its id and sentences.

    >>> other({"id": "1", "premise": "A meets B", "hypothesis": "B meets A", "subject": "A", "object": "B"}, 2)["premise"]
    'A 2 meets B 2'
    """
    if not k:
        return dict(row)
    changed = {**row, "id": f"{row['id']}-{k}"}
    names = [row["subject"], row["object"]]
    for side in ("premise", "hypothesis"):
        text = row[side]
        for name in names if all(names) else ():
            text = text.replace(name, f"{name} {k}")
        changed[side] = text if all(names) else f"{text} ({k})"
    if all(names):
        changed |= {"subject": f"{names[0]} {k}", "object": f"{names[1]} {k}"}
    return changed
