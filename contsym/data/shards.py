"""Files in several parts: which parts are not there."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from contsym.errors import ContsymError

INDEX = "*.safetensors.index.json"
"""Of a checkpoint in several files: which weight is in which."""
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.\w+(?:\.\w+)?)")
_MOST = 100_000


def missing_shards(folder: Path, pattern: str = "*.safetensors") -> list[str]:
    """Files like the pattern that an index or the names of the others call for and the folder lacks, sorted.

    The names of `train-00000-of-00002.parquet` and of `model-00001-of-00004.safetensors` say how many
    there are; checkpoints are counted from 1, data from 0. What is also there in one piece is whole.
    Raises ContsymError for an index that cannot be read. A link whose target is gone is no file.
    """
    present = {path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file()}
    wanted = {
        name
        for path in folder.glob(INDEX)
        if not path.with_name(path.name.removesuffix(".index.json")).is_file()
        for name in _named(path)
    }
    groups: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for name in present:
        if (found := _PART.fullmatch(name)) and found["stem"] + found["suffix"] not in present:
            groups[found["stem"], found["total"], found["suffix"]].add(int(found["number"]))
    for (stem, total, suffix), numbers in groups.items():
        first = 1 if suffix == ".safetensors" or int(total) in numbers else 0
        if int(total) < _MOST:
            wanted |= {f"{stem}-{n:05}-of-{total}{suffix}" for n in range(first, first + int(total))}
    return sorted(name for name in wanted if not (folder / name).is_file())


def some(names: Sequence[str], n_shown: int = 2) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more


def _named(index: Path) -> set[str]:
    try:
        found = json.loads(index.read_bytes())["weight_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = [None]
    if not all(isinstance(name, str) for name in found):
        raise ContsymError(
            f"{index}: not an index of weights; expected an object with a weight_map"
        ) from None
    return set(found)
