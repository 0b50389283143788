"""Batches of texts of like length: padding is work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

Text = str | tuple[str, str]

TOKEN_BUDGET = 2048
"""Padded tokens of one evaluation batch; a fixed count of sentences would waste padding."""

GPU_TOKEN_BUDGET = 32768
"""The same on a GPU, which smaller batches would leave idle."""

PART_TOKENS = 128
"""Padded tokens of a training batch that one more pass through the encoder must save."""


def evaluation_batches(lengths: Sequence[int], device: torch.device) -> list[list[int]]:
    """Rows by ascending length, in batches of at most the device's budget of padded tokens."""
    budget = GPU_TOKEN_BUDGET if device.type == "cuda" else TOKEN_BUDGET
    batches: list[list[int]] = [[]]
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batches[-1] and lengths[i] * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(i)
    return batches


def cheapest_parts(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of a training batch, cut into the parts of like length that cost the least together.

    A part costs its padded tokens and PART_TOKENS. The best cut of rows sorted by length, by dynamic
    programming: cost[i] = min over j < i of cost[j] + (i - j) length[i - 1] + PART_TOKENS.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    cost, cut = np.zeros(len(order) + 1), np.zeros(len(order) + 1, dtype=int)
    places = np.arange(len(order) + 1)
    for i, row in enumerate(order, start=1):
        costs = cost[:i] + (i - places[:i]) * lengths[row] + PART_TOKENS
        cut[i] = costs.argmin()
        cost[i] = costs[cut[i]]
    parts, end = [], len(order)
    while end:
        parts.append(sorted(order[cut[end] : end]))
        end = int(cut[end])
    return parts[::-1]


def select_rows(batch: Mapping[str, Tensor], rows: Sequence[int]) -> dict[str, Tensor]:
    """Some rows of a batch, padded no longer than the longest of them needs."""
    index = torch.tensor(rows, device=batch["attention_mask"].device)
    part = {name: t.index_select(0, index) for name, t in batch.items()}
    places = part["attention_mask"].any(dim=0).nonzero().flatten().tolist()
    # One padded place stays where no text has a token.
    first, last = (places[0], places[-1]) if places else (0, 0)
    return {name: t[:, first : last + 1] for name, t in part.items()}
