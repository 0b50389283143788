"""Drawn vectors, and a slow twin, for tests of several modules of tensors."""

import math

import torch


def vectors(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_cosine_distance(a, b):
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))
