"""A memory that is filled greedily and kept balanced over classes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")


def balanced(
    kept: Sequence[tuple[Hashable, Item]],
    new: Sequence[tuple[Hashable, Item]],
    size: int,
    generator: torch.Generator,
) -> list[tuple[Hashable, Item]]:
    """The memory after the `new` (class, item) have come one by one; at most `size`, those that stay in their order.

    One is stored if its class is new or has fewer than size / (number of classes). In a full memory it takes the place
    of a random one of the largest class, of equal ones the class that came first. A memory with fewer places than
    classes has none of some.
    Source: Prabhu, Torr and Dokania 2020 (GDumb), algorithm 1.
    """
    places: dict[Hashable, list[int]] = {}
    memory = list(kept)
    for i, (label, _) in enumerate(memory):
        places.setdefault(label, []).append(i)
    alive = dict.fromkeys(range(len(memory)))
    for label, item in new:
        is_new = label not in places
        own = places.setdefault(label, [])
        if not is_new and len(own) >= size / len(places):
            continue
        if len(alive) >= size:
            largest = max(places.values(), key=len)
            drawn = int(torch.randint(len(largest), (), generator=generator))
            del alive[largest.pop(drawn)]
        own.append(len(memory))
        alive[len(memory)] = None
        memory.append((label, item))
    return [memory[i] for i in alive]
