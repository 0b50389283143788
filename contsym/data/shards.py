"""Files in several shards: which shards are missing."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from contsym.errors import ContsymError

INDEX = "*.safetensors.index.json"
"""Index of a checkpoint in several files: the file of each weight."""
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.\w+(?:\.\w+)?)")


def missing_shards(folder: Path, pattern: str = "*.safetensors") -> list[str]:
    """Files like the pattern that an index or the names of other shards require and the folder lacks, sorted.

    The total is part of a shard's name, as in `train-00000-of-00002.parquet`; shards of checkpoints are counted
    from 1, those of data from 0. A file that is also there in one piece lacks nothing. A broken link is not a file.
    Raises ContsymError for an index that cannot be read.
    """
    present = {path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file()}
    required = {
        name
        for path in folder.glob(INDEX)
        if not path.with_name(path.name.removesuffix(".index.json")).is_file()
        for name in _indexed_files(path)
    }
    groups: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    # An index says all; a shard that it does not name is not read.
    for name in () if required else present:
        if (shard := _SHARD.fullmatch(name)) and shard["stem"] + shard["suffix"] not in present:
            groups[shard["stem"], shard["total"], shard["suffix"]].add(int(shard["number"]))
    for (stem, total, suffix), numbers in groups.items():
        first = 1 if suffix == ".safetensors" or int(total) in numbers else 0
        required |= {f"{stem}-{n:05}-of-{total}{suffix}" for n in range(first, first + int(total))}
    return sorted(name for name in required if not (folder / name).is_file())


def some(names: Sequence[str], n_shown: int = 2) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more


def _indexed_files(index: Path) -> set[str]:
    try:
        files = json.loads(index.read_bytes())["weight_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        files = [None]
    if not all(isinstance(name, str) for name in files):
        raise ContsymError(f"{index}: not an index of weights; expected an object with a weight_map")
    return set(files)
