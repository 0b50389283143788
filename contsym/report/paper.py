"""What the paper reports, read from paper.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Method:
    strategy: str
    """Our name of it."""
    title: str
    samples: int
    forgetting: float
    """In percentage points."""


@dataclass(frozen=True)
class Paper:
    source: str
    title: str
    protocol: str
    encoder: str
    mnli_train: int
    """Training pairs of MNLI."""
    methods: tuple[Method, ...]


def read_paper() -> Paper:
    text = resources.files("contsym.report").joinpath("paper.toml").read_text("utf-8")
    found = tomllib.loads(text)
    return Paper(**{**found, "methods": tuple(Method(**each) for each in found["methods"])})
